"""A connection to a browser that is not waited for without end: idle and dawdling ones hold up nobody else.

uvicorn waits for ever for the first request, for the rest of a request that has begun, and for a reader that reads no
more; asyncio waits a minute for a handshake of TLS, and half of one for its end.  Each such connection takes a file
descriptor of the agent, which reads projects and the store with the same ones; so time ends them, and their number has
a limit.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from cryowatch.web.border import HEADERS

REQUEST_SECONDS = 20.0
"""From a connection's beginning, or the end of its last answer, to the end of the next request."""

STALLED_SECONDS = 60.0
"""For which a reader may take nothing of an answer that waits for it."""

HANDSHAKE_SECONDS = 10.0
"""For which the handshake of TLS may take."""

FAREWELL_SECONDS = 3.0
"""For which the other side may take to end TLS in order."""

MOST_DESCRIPTORS = 16_384


def widen() -> None:
    """Take as many file descriptors as the system grants, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(MOST_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most() -> int:
    """Return how many connections there may be: half of all descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft) // 2


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose servers have an end to their patience with TLS, which uvicorn cannot be told of."""

    handshake_seconds = HANDSHAKE_SECONDS
    farewell_seconds = FAREWELL_SECONDS

    async def create_server(self, *args: Any, **more: Any) -> asyncio.Server:
        """Return a listening server, as asyncio makes it."""
        if more.get("ssl") is not None:
            more |= {"ssl_handshake_timeout": self.handshake_seconds, "ssl_shutdown_timeout": self.farewell_seconds}
        return await super().create_server(*args, **more)


class Connection(H11Protocol):
    """uvicorn's own protocol with an end to its patience, and of which there are `most` at a time."""

    request_seconds = REQUEST_SECONDS
    stalled_seconds = STALLED_SECONDS

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._asking: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > most():
            transport.abort()
            return
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._no_wait_for_request()
        self._no_wait_for_reader()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_request()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as everything else is answered: uvicorn's own answer has no security headers."""
        if self.conn.our_state is not h11.IDLE and self.conn.our_state is not h11.SEND_RESPONSE:
            self.transport.abort()
            return
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close"), *HEADERS.items()]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=msg.encode()), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait_for_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = self._taking or self._later(self.stalled_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._no_wait_for_reader()

    def _wait_for_request(self) -> None:
        """Set an end to the wait where the request is not there whole."""
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY) or self.transport.is_closing():
            self._no_wait_for_request()
        elif self._asking is None:
            self._asking = self._later(self.request_seconds, self.transport.close)

    def _no_wait_for_request(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def _no_wait_for_reader(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _later(self, seconds: float, act: Callable[[], object]) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, act)
