"""A connection to a browser that is not waited for without end: idle and dawdling ones hold up nobody else.

uvicorn waits for ever for the first request, for the rest of a request that has begun, and for a reader that reads no
more; asyncio waits a minute for a handshake of TLS, and half of one for its end.  Each such connection takes a file
descriptor of the agent, which reads projects and the store with the same ones; so time ends them, and their number has
a limit (`places`).  This works on private methods of both; `tests/web/test_border.py` names one that goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Callable
from typing import Any

import h11
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from cryowatch.web.border import HEADERS
from cryowatch.web.places import Places, Standing

REQUEST_SECONDS = 20.0
"""From a connection's beginning, or the end of its last answer, to the end of the next request."""

STALLED_SECONDS = 60.0
"""For which a reader may take nothing of an answer that waits for it."""

HANDSHAKE_SECONDS = 10.0
"""For which the handshake of TLS may take."""

FAREWELL_SECONDS = 3.0
"""For which the other side may take to end TLS in order."""

MOST_DESCRIPTORS = 16_384

MOST_AT_ONCE = 32
"""Connections that are accepted before those accepted before them have a place: each holds a descriptor."""

_CONNECTION = "cryowatch.connection"


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


class Handshake:
    """A connection that is at its handshake of TLS."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def hang_up(self) -> None:
        """End it; asyncio finds that out at once."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose servers have an end to their patience with TLS, which uvicorn cannot be told of.

    A connection is none of the protocol's before its handshake is done; so it takes its place here.
    """

    handshake_seconds = HANDSHAKE_SECONDS
    farewell_seconds = FAREWELL_SECONDS
    places: Places | None = None

    async def create_server(self, *args: Any, **more: Any) -> asyncio.Server:
        """Return a listening server, as asyncio makes it."""
        if more.get("ssl") is not None:
            more |= {"ssl_handshake_timeout": self.handshake_seconds, "ssl_shutdown_timeout": self.farewell_seconds}
        return await super().create_server(*args, **more)

    def _start_serving(
        self, protocol_factory: Any, sock: Any, sslcontext: Any = None, server: Any = None, backlog: int = 100,
        *args: Any, **more: Any,
    ) -> None:  # fmt: skip
        """Accept as asyncio does, which would take a whole backlog before it looks at one of them."""
        super()._start_serving(  # type: ignore[misc]
            protocol_factory, sock, sslcontext, server, min(backlog, MOST_AT_ONCE), *args, **more
        )

    def _make_ssl_transport(
        self, line: socket.socket, protocol: Any, context: Any, waiter: Any = None, **more: Any
    ) -> asyncio.Transport:
        """Begin TLS as asyncio does, which has no other place where a handshake is seen to begin.

        What it returns knows its other side only once the handshake has begun.
        """
        begun: asyncio.Transport = super()._make_ssl_transport(line, protocol, context, waiter, **more)  # type: ignore[misc]
        places = self.places
        if places is not None and more.get("server_side") and waiter is not None:
            handshake = Handshake(line)
            waiter.add_done_callback(lambda _: places.leave(handshake))
            places.take(handshake, places.owner_of(_address((more.get("extra") or {}).get("peername"))))
        return begun


class Connection(H11Protocol):
    """uvicorn's own protocol with an end to its patience, and with a place among `places`."""

    request_seconds = REQUEST_SECONDS
    stalled_seconds = STALLED_SECONDS

    def __init__(self, *args: Any, places: Places, **more: Any) -> None:
        super().__init__(*args, **more)
        self.app_state = {**self.app_state, _CONNECTION: self}
        self._places = places
        self._asking: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._listening = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._places.take(self, self._places.owner_of(_address(transport.get_extra_info("peername"))))
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._places.leave(self)
        self._no_wait_for_request()
        self._no_wait_for_reader()
        self.app_state = {}
        super().connection_lost(exc)

    def hang_up(self) -> None:
        """End it, whatever is under way."""
        self.transport.abort()

    def asked_by(self, login: str, address: str) -> None:
        """Take note who has sent the request that came last: a login or a link, or nobody known from an address."""
        self._places.belongs(self, login or self._places.owner_of(address))

    def sends_events(self) -> None:
        """Take note that the answer under way has no end."""
        self._listening = True
        self._stand()

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
        self._listening = False
        super().on_response_complete()
        self._wait_for_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = self._taking or self._later(self.stalled_seconds, self.transport.abort)
        self._stand()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._no_wait_for_reader()
        self._stand()

    def _wait_for_request(self) -> None:
        """Set an end to the wait where the request is not there whole."""
        if not self._waits() or self.transport.is_closing():
            self._no_wait_for_request()
        elif self._asking is None:
            self._asking = self._later(self.request_seconds, self.transport.close)
        self._stand()

    def _waits(self) -> bool:
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _stand(self) -> None:
        if self._waits():
            standing = Standing.WAITED_FOR
        elif self.flow.write_paused:
            standing = Standing.UNREAD
        else:
            standing = Standing.LISTENING if self._listening else Standing.ANSWERED
        self._places.stands(self, standing)

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


def connection_of(scope: Scope) -> Connection | None:
    """Return the connection that a request has come by; None where another server than ours has taken it."""
    found: Connection | None = scope.get("state", {}).get(_CONNECTION)
    return found


def _address(peer: object) -> str:
    """Return the address in what the system says of the other side."""
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""
