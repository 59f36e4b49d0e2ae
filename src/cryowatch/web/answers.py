"""Answers in JSON that take a query: made in the pool, and kept for a few seconds while nothing changes.

What a session's readers ask for at each change is mostly the same.  It is computed once for all who see the same, kept
as it is sent, and found again by what it was made of: a position in the order of changes.
"""

from __future__ import annotations

import gzip
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cryowatch.web.gate import who
from cryowatch.web.pool import Pool
from cryowatch.web.replies import GONE

KEEP_SECONDS = 10.0
"""Answers say how long ago something was, so none is kept for long."""

MOST_BYTES = 32 * 2**20
_PACKED_FROM = 2_048

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The bytes that are sent, and whether they are packed by gzip."""

    body: bytes
    is_packed: bool

    def response(self) -> Response:
        """Return the answer for a server to send."""
        headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
        if self.is_packed:
            headers["Content-Encoding"] = "gzip"
        return Response(self.body, headers=headers, media_type="application/json")


class Answers:
    """Makes endpoints of functions that return what is said in JSON; those are called in the pool's threads."""

    def __init__(
        self, pool: Pool, *, keep_seconds: float = KEEP_SECONDS, most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.pool = pool
        self._keep_seconds = keep_seconds
        self._most_bytes = most_bytes
        self._clock = clock
        self._bytes = 0
        self._kept: OrderedDict[Hashable, tuple[float, Answer]] = OrderedDict()

    def endpoint(
        self, content: Callable[[Request], Any], state: Callable[[Request], Hashable], *, keep: bool = False
    ) -> Endpoint:
        """Return the endpoint that answers what `content` returns.

        `state` returns what changes whenever an answer does; it is called first, and has to be quick.  With `keep` an
        answer is kept for a few seconds while that stays the same.
        """

        async def asked(request: Request) -> Response:
            share = who(request).share
            seen = None if share is None else (share.session, share.path, share.origin)
            query = tuple(sorted(request.query_params.multi_items()))
            packed = "gzip" in request.headers.get("accept-encoding", "")
            same = (seen, request.url.path, query, packed, await run_in_threadpool(state, request))
            answer = self._known(same) if keep else None
            if answer is None:
                answer = await self.pool.answer(request, partial(_made, content, request, packed=packed), same=same)
                if answer is None:
                    return Response(status_code=GONE)
                if keep:
                    self._keep(same, answer)
            return answer.response()

        return asked

    def _known(self, same: Hashable) -> Answer | None:
        until, answer = self._kept.get(same, (0.0, None))
        return answer if until > self._clock() else None

    def _keep(self, same: Hashable, answer: Answer) -> None:
        self._drop(same)
        self._kept[same] = (self._clock() + self._keep_seconds, answer)
        self._bytes += len(answer.body)
        while self._kept and (self._bytes > self._most_bytes or next(iter(self._kept.values()))[0] <= self._clock()):
            self._drop(next(iter(self._kept)))

    def _drop(self, same: Hashable) -> None:
        if same in self._kept:
            self._bytes -= len(self._kept.pop(same)[1].body)


def _made(content: Callable[[Request], Any], request: Request, *, packed: bool) -> Answer:
    body = orjson.dumps(content(request))
    if packed and len(body) >= _PACKED_FROM:
        return Answer(gzip.compress(body, 1, mtime=0), True)
    return Answer(body, False)
