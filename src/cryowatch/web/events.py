"""Server-sent events: what changed, per session, to every open page.

Commits happen in the agent's threads; `Hub.publish` hands them over to the server's event loop.  A page that reads
slowly holds nothing up: each listener keeps only the newest change of each session, and gets at most two of them a
second.  Where nothing changes, an event `alive` is the heartbeat: scripts cannot see comments, and a line that dies
without a word is only known by its silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from starlette.responses import StreamingResponse

from cryowatch.store import Change

HEARTBEAT_SECONDS = 15.0
"""Pages take a line for dead after three times as long without a word."""

PACE_SECONDS = 0.5


class _Listener:
    """The changes that one page has not been told of yet; `head` says as what it gets a position, `key` a session."""

    def __init__(self, session: str | None, head: Callable[[int], int], key: Callable[[str], str]) -> None:
        self.session = session
        self.head = head
        self.key = key
        self.changes: dict[str, dict[str, Any]] = {}
        self.woken = asyncio.Event()


class Hub:
    """Hands changes from the agent's threads to the pages that listen."""

    def __init__(self, hello: dict[str, Any], *, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._hello = {**hello, "heartbeat": heartbeat}
        self._heartbeat = heartbeat
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[_Listener] = set()
        self._closed = asyncio.Event()

    def open(self) -> None:
        """Take the running event loop as the one to hand changes to."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._closed.set()
        for listener in self._listeners:
            listener.woken.set()

    def publish(self, change: Change) -> None:
        """Tell every page of a change; may be called from any thread, and before the server is up."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._spread, change)

    def _spread(self, change: Change) -> None:
        for listener in self._listeners:
            if listener.session in (None, change.key):
                told = {"session": listener.key(change.key), "head": listener.head(change.seq)}
                gone = {"forgotten": True} if change.forgotten else {}
                listener.changes[change.key] = {**told, "generation": change.generation, **gone}
                listener.woken.set()

    async def stream(
        self,
        session: str | None,
        *,
        head: Callable[[int], int],
        key: Callable[[str], str] = str,
        reader: str = "",
        lasts: Callable[[], bool],
    ) -> AsyncIterator[bytes]:
        """Yield events for one page until it goes away, or may see them no more, or the server stops."""
        listener = _Listener(session, head, key)
        self._listeners.add(listener)
        try:
            yield _event("hello", {**self._hello, "reader": reader})
            while not self._closed.is_set() and lasts():
                try:
                    await asyncio.wait_for(listener.woken.wait(), self._heartbeat)
                except TimeoutError:
                    yield _event("alive", {})
                    continue
                listener.woken.clear()
                if not lasts():
                    break
                changes, listener.changes = listener.changes, {}
                for data in changes.values():
                    yield _event("change", data)
                if changes:
                    await asyncio.sleep(PACE_SECONDS)
        finally:
            self._listeners.discard(listener)

    def response(
        self,
        session: str | None,
        *,
        head: Callable[[int], int],
        key: Callable[[str], str] = str,
        reader: str = "",
        lasts: Callable[[], bool],
    ) -> StreamingResponse:
        """Return the stream of one session, or of all, as an answer.

        `head` says as what the reader gets a position in the order of changes, `key` a session's key; `reader` is the
        mark of whoever reads.  Once `lasts` is false the stream ends, a heartbeat later at most.
        """
        return StreamingResponse(
            self.stream(session, head=head, key=key, reader=reader, lasts=lasts),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
