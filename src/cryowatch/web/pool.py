"""The queries behind answers: few at a time, in turns between those who ask, and ended where nobody waits for them.

Whoever asks much waits longer, and nobody else does: one reader (a login, a link, or an address where there are no
accounts) has two queries under way at most, and free places go round between readers.  What pages ask for waits for
its turn; only beyond a queue that no page fills is it refused.  What several ask for at a time is computed once.

All but `Question.is_over` belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.requests import Request

from cryowatch.errors import QueryEnded
from cryowatch.store.reader import Reader
from cryowatch.web.gate import who
from cryowatch.web.replies import Busy

T = TypeVar("T")

AT_ONCE = 4
EACH = 2
MOST_WAITING = 1_000
MOST_WAITING_EACH = 100
RUN_SECONDS = 20.0
"""For which a query may run: a whole dashboard of 300,000 micrographs takes 4 s."""

WAIT_SECONDS = 60.0
"""For which a query may wait for its turn."""


class Question(Generic[T]):
    """A query that somebody waits for."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.work = work
        self.turn: asyncio.Future[Hashable] = asyncio.get_running_loop().create_future()
        """Whose place it gets."""
        self.task: asyncio.Task[T]
        self.waiting = 0
        self.readers: set[Hashable] = set()
        self.until = float("inf")
        self.is_wanted = True

    def is_over(self) -> bool:
        """Return whether nobody waits any more, or it took too long; may be called from any thread."""
        return not self.is_wanted or time.monotonic() > self.until


class Pool:
    """Places for queries.  `run_seconds` and `wait_seconds` are how long one may run, and wait for its place."""

    def __init__(
        self,
        reader: Reader,
        *,
        at_once: int = AT_ONCE,
        each: int = EACH,
        most_waiting: int = MOST_WAITING,
        most_waiting_each: int = MOST_WAITING_EACH,
        run_seconds: float = RUN_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._reader = reader
        self._at_once = at_once
        self._each = each
        self._most_waiting = most_waiting
        self._most_waiting_each = most_waiting_each
        self._run_seconds = run_seconds
        self._wait_seconds = wait_seconds
        self._limiter = CapacityLimiter(at_once)
        self._running: Counter[Hashable] = Counter()
        self._queues: OrderedDict[Hashable, deque[Question[Any]]] = OrderedDict()
        self._under_way: dict[Hashable, Question[Any]] = {}

    async def answer(self, request: Request, work: Callable[[], T], *, same: Hashable) -> T | None:
        """Return what `work` returns, which is done in another thread; None where the reader has gone meanwhile.

        Requests with an equal `same` want the same: it is done once for all that come while it is under way.  Raises
        what `work` raises, and `Busy` where too much waits or it takes too long.
        """
        reader = reader_of(request)
        question: Question[T] | None = self._under_way.get(same)
        if question is None or question.is_over():
            self._refuse_beyond(reader)
            question = Question(work)
            question.task = asyncio.create_task(self._done(question, same))
            self._under_way[same] = question
        if not question.turn.done() and reader not in question.readers:
            self._refuse_beyond(reader)
            question.readers.add(reader)
            self._queues.setdefault(reader, deque()).append(question)
        question.waiting += 1
        try:
            self._begin()
            return await unless_gone(request, question.task)
        finally:
            question.waiting -= 1
            if not question.waiting:
                self._end(question, same)

    def close(self) -> None:
        """End all queries."""
        for same, question in list(self._under_way.items()):
            self._end(question, same)

    async def _done(self, question: Question[T], same: Hashable) -> T:
        late = asyncio.get_running_loop().call_later(self._wait_seconds, self._refuse, question)
        try:
            reader = await question.turn
        finally:
            late.cancel()
            self._leave(question)
        question.until = time.monotonic() + self._run_seconds
        try:
            return await anyio.to_thread.run_sync(partial(self._worked, question), limiter=self._limiter)
        except QueryEnded:
            text = f"this answer took longer than {self._run_seconds:g} s and was given up; ask for a shorter time"
            raise Busy(text, after=30) from None
        finally:
            self._running[reader] -= 1
            if not self._running[reader]:
                del self._running[reader]
            if self._under_way.get(same) is question:
                del self._under_way[same]
            self._begin()

    def _worked(self, question: Question[T]) -> T:
        with self._reader.while_not(question.is_over):
            return question.work()

    def _begin(self) -> None:
        """Give free places to those whose turn it is."""
        while self._running.total() < self._at_once:
            for reader in self._queues:
                if self._running[reader] < self._each:
                    question = self._queues[reader][0]
                    self._queues.move_to_end(reader)
                    self._leave(question)
                    question.turn.set_result(reader)
                    self._running[reader] += 1
                    break
            else:
                return

    def _leave(self, question: Question[Any]) -> None:
        """Take a question out of the queues of those who wait for it."""
        for reader in question.readers:
            self._queues[reader].remove(question)
            if not self._queues[reader]:
                del self._queues[reader]
        question.readers.clear()

    def _refuse(self, question: Question[Any]) -> None:
        if not question.turn.done():
            question.turn.set_exception(Busy("its turn did not come; try again in a moment", after=10))

    def _end(self, question: Question[Any], same: Hashable) -> None:
        """End what nobody waits for, at once where it has not begun, else as soon as the query notices."""
        question.is_wanted = False
        if not question.turn.done():
            question.task.cancel()
        self._leave(question)
        question.task.add_done_callback(_heard)
        if self._under_way.get(same) is question:
            del self._under_way[same]

    def _refuse_beyond(self, reader: Hashable) -> None:
        queued = sum(map(len, self._queues.values()))
        if queued >= self._most_waiting or len(self._queues.get(reader, ())) >= self._most_waiting_each:
            raise Busy("too much that was asked for is still waiting; try again in a moment", after=10)


def _heard(task: asyncio.Task[Any]) -> None:
    """Take note of how a task ended that nobody waits for: asyncio complains of an error that nobody looked at."""
    if not task.cancelled():
        task.exception()


def reader_of(request: Request) -> Hashable:
    """Return whose queries count together: those of a login, of a link, or of an address where there are no accounts.

    The addresses of one IPv6 network of 64 bits count as one.
    """
    asking = who(request)
    if asking.name:
        return "login", asking.name
    if asking.share is not None:
        return "link", asking.share.id
    address = request.client.host if request.client else ""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "address", address
    return "address", int(parsed) >> 64 if parsed.version == 6 else address


async def unless_gone(request: Request, wanted: Awaitable[T]) -> T | None:
    """Return what is wanted; None where the reader has gone meanwhile.  A task that is wanted goes on."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    found, end = asyncio.ensure_future(wanted), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((found, end), return_when=asyncio.FIRST_COMPLETED)
        return found.result() if found.done() else None
    finally:
        end.cancel()
