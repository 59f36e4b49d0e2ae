"""Looks that come again and again, in a few threads; one that does not return holds up no other.

A look takes milliseconds and comes every second to every half a minute, so a few threads do for the thousands of
projects of a facility's folder.  A look at a dead file system does not return.  Its thread is lost for so long and does
not count, and of what lies in the same place only a few more are tried, so that a dead disk with a thousand projects
takes no thousand threads.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import count

AT_ONCE = 8
"""Looks that work at a time; while one waits for a disk, others compute."""

HANGS_SECONDS = 2.0
"""A look that takes longer counts as one that hangs; it may as well be one with much to read."""

MOST_OF_A_PLACE = 3
"""Looks of one place that may hang at a time before others of it are tried one by one."""

PROBE_SECONDS = 10.0
MOST_HANGING = 64
_LONGEST = 60.0


@dataclass(slots=True)
class _Job:
    """A look of some name; when it is due, since when it is held up, and when it began last, all monotonic."""

    name: str
    step: Callable[[], float]
    place: Callable[[], Hashable]
    urgent: Callable[[], bool]
    over: Callable[[], bool]
    due: float = 0.0
    held: float | None = None
    begun: float = 0.0
    at: Hashable = None


@dataclass(slots=True)
class _Queue:
    """Jobs in the order in which they are due."""

    jobs: list[tuple[float, int, _Job]] = field(default_factory=list)
    turns: count[int] = field(default_factory=count)

    def put(self, job: _Job) -> None:
        heapq.heappush(self.jobs, (job.due, next(self.turns), job))

    @property
    def due(self) -> float:
        """When the first is due."""
        return self.jobs[0][0] if self.jobs else float("inf")

    def take(self) -> _Job:
        return heapq.heappop(self.jobs)[2]


class Looks:
    """Does jobs when they are due, `at_once` of them at a time, until `stop`.

    A job's `step` returns the seconds to its next one and raises nothing.  `place` says what it shares with others
    that hang when it does, `urgent` whether it goes before others that are due, and `over` whether it has ended.
    """

    def __init__(
        self,
        stop: threading.Event,
        *,
        at_once: int = AT_ONCE,
        hangs_seconds: float = HANGS_SECONDS,
        probe_seconds: float = PROBE_SECONDS,
        most_hanging: int = MOST_HANGING,
    ) -> None:
        self._stop = stop
        self._at_once = at_once
        self._hangs_seconds = hangs_seconds
        self._probe_seconds = probe_seconds
        self._most_hanging = most_hanging
        entry = threading.Lock()
        self._sooner = threading.Condition(entry)
        """For the one thread that waits for the next job."""
        self._turn = threading.Condition(entry)
        """For those that wait to be that one."""
        self._waits = False
        self._idle = 0
        self._urgent, self._others = _Queue(), _Queue()
        self._jobs: dict[str, _Job] = {}
        self._working: dict[str, _Job] = {}
        self._probed: dict[Hashable, float] = {}
        self._threads: set[threading.Thread] = set()

    def add(
        self,
        name: str,
        step: Callable[[], float],
        *,
        place: Callable[[], Hashable] = lambda: None,
        urgent: Callable[[], bool] = lambda: False,
        over: Callable[[], bool] = lambda: False,
    ) -> None:
        """Do a job from now on, instead of an earlier one of the same name."""
        job = _Job(name, step, place, urgent, over, due=time.monotonic())
        with self._sooner:
            self._jobs[name] = job
            self._put(job)
            self._keep_one_idle()

    def held_since(self, name: str) -> float | None:
        """Return since when a job is due and not begun, as others in its place hang (monotonic); None: it is not."""
        with self._sooner:
            job = self._jobs.get(name)
            return job.held if job is not None else None

    def end(self, deadline: float) -> bool:
        """Wait for the threads until a time (monotonic), after `stop` was set; returns whether all have ended."""
        with self._sooner:
            self._sooner.notify_all()
            self._turn.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _put(self, job: _Job) -> None:
        (self._urgent if job.urgent() else self._others).put(job)
        self._sooner.notify()

    def _keep_one_idle(self) -> None:
        """Have a thread that waits for what is due, besides those at work."""
        if self._idle == 0 and not self._stop.is_set():
            self._idle += 1
            thread = threading.Thread(target=self._work, name="looks", daemon=True)
            self._threads.add(thread)
            thread.start()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            wait = job.step()
            with self._sooner:
                self._working.pop(job.name, None)
                if job.over() and self._jobs.get(job.name) is job:
                    del self._jobs[job.name]
                job.due = time.monotonic() + wait
                self._put(job)
                if self._idle >= self._at_once:
                    break
                self._idle += 1
        self._threads.discard(threading.current_thread())

    def _next(self) -> _Job | None:
        """Wait for a job that may begin; None when all is to end."""
        with self._turn:
            while self._waits and not self._stop.is_set():
                self._turn.wait()
            self._waits = True
            job = None
            while job is None and not self._stop.is_set():
                now = time.monotonic()
                job = self._due(now)
                if job is None:
                    self._sooner.wait(self._patience(now))
            self._waits = False
            self._idle -= 1
            if job is not None:
                self._working[job.name] = job
                self._keep_one_idle()
            self._turn.notify()
        return job

    def _hanging(self, now: float) -> Counter[Hashable]:
        """Return how many looks of each place hang."""
        return Counter(job.at for job in self._working.values() if now - job.begun >= self._hangs_seconds)

    def _patience(self, now: float) -> float:
        """Return for how long there is nothing to do unless something changes."""
        hang = [t for job in self._working.values() if (t := job.begun + self._hangs_seconds) > now]
        free = len(hang) < self._at_once
        due = min(self._urgent.due, self._others.due) if free else min(hang)
        return max(0.0, min(due - now, _LONGEST))

    def _due(self, now: float) -> _Job | None:
        """Return the next job that is due and may begin; those that may not are put off."""
        hanging = self._hanging(now)
        if len(self._working) - hanging.total() >= self._at_once:
            return None
        for queue in (self._urgent, self._others):
            while queue.due <= now:
                job = queue.take()
                if self._jobs.get(job.name) is not job:
                    continue
                job.at = job.place()
                if self._may_begin(job, now, hanging):
                    job.begun, job.held = now, None
                    return job
                job.held = job.held if job.held is not None else now
                job.due = now + self._probe_seconds / 4
                queue.put(job)
        return None

    def _may_begin(self, job: _Job, now: float, hanging: Counter[Hashable]) -> bool:
        if hanging[job.at] < MOST_OF_A_PLACE:
            return True
        if now - self._probed.get(job.at, 0.0) < self._probe_seconds or hanging.total() >= self._most_hanging:
            return False
        self._probed[job.at] = now
        return True
