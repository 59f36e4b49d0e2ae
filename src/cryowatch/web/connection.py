"""A connection to a browser that is not waited for without end: idle and dawdling ones hold up nobody else.

uvicorn waits for ever for the first request, for the rest of a request that has begun, and for a reader that reads no
more; asyncio waits a minute for a handshake of TLS, and half of one for its end.  Each such connection takes a file
descriptor of the agent, which reads projects and the store with the same ones; so time ends them, and their number has
a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
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


def most_handshakes() -> int:
    """Return how many connections may be at their handshake of TLS: an eighth of all descriptors."""
    return most() // 4


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose servers have an end to their patience with TLS, which uvicorn cannot be told of.

    A connection is none of the protocol's before its handshake is done; where too many are at theirs, the one that has
    been so for longest is hung up on, so that whoever means it gets through.
    """

    handshake_seconds = HANDSHAKE_SECONDS
    farewell_seconds = FAREWELL_SECONDS

    def __init__(self) -> None:
        super().__init__()
        self._at_handshake: dict[asyncio.Future[None], socket.socket] = {}

    async def create_server(self, *args: Any, **more: Any) -> asyncio.Server:
        """Return a listening server, as asyncio makes it."""
        if more.get("ssl") is not None:
            more |= {"ssl_handshake_timeout": self.handshake_seconds, "ssl_shutdown_timeout": self.farewell_seconds}
        return await super().create_server(*args, **more)

    def _make_ssl_transport(
        self, line: socket.socket, protocol: Any, context: Any, waiter: Any = None, **more: Any
    ) -> asyncio.Transport:
        """Begin TLS as asyncio does, which has no other place where a handshake is seen to begin."""
        begun: asyncio.Transport = super()._make_ssl_transport(line, protocol, context, waiter, **more)  # type: ignore[misc]
        if more.get("server_side") and waiter is not None:
            self._at_handshake[waiter] = line
            waiter.add_done_callback(self._no_more_at_handshake)
            if len(self._at_handshake) > most_handshakes():
                longest = self._at_handshake.pop(next(iter(self._at_handshake)))
                with contextlib.suppress(OSError):
                    longest.shutdown(socket.SHUT_RDWR)
        return begun

    def _no_more_at_handshake(self, waiter: asyncio.Future[None]) -> None:
        self._at_handshake.pop(waiter, None)


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
