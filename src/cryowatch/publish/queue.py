"""Micrographs whose images are to be published, in the order in which they are to be done."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """A micrograph by its time (UTC ns) and its row's id, and how often it was tried in vain."""

    time: int
    id: int
    tries: int = 0


class NewestFirst:
    """The newest come first; those that are put off come at their time.

    A target that is away or slow leaves hundreds of thousands waiting: those that were never tried take 16 bytes each.
    """

    def __init__(self) -> None:
        self._times = array("q")  # and ids, the newest last
        self._ids = array("q")
        self._tries: dict[int, int] = {}  # of those that can be taken, where there were any
        self._later: list[tuple[int, int, int, int]] = []  # a heap of (due, time, id, tries)
        self._put_off: set[int] = set()

    def __len__(self) -> int:
        return len(self._ids) + len(self._later)

    def put(self, *many: Waiting) -> None:
        """Add some that can be taken at once; those already in it stay as they are."""
        for one in many:
            place = bisect_left(range(len(self._ids)), (one.time, one.id), key=self._at)
            known = place < len(self._ids) and self._at(place) == (one.time, one.id)
            if known or one.id in self._put_off:
                continue
            self._times.insert(place, one.time)
            self._ids.insert(place, one.id)
            if one.tries:
                self._tries[one.id] = one.tries

    def put_off(self, one: Waiting, *, due: int) -> None:
        """Add one that can be taken from a time (UTC ns) on."""
        heapq.heappush(self._later, (due, one.time, one.id, one.tries))
        self._put_off.add(one.id)

    def take(self, now: int, most: int) -> list[Waiting]:
        """Take out the newest of those that can be taken at a time (UTC ns), at most so many."""
        while self._later and self._later[0][0] <= now:
            _, time, number, tries = heapq.heappop(self._later)
            self._put_off.discard(number)
            self.put(Waiting(time, number, tries))
        rest = max(0, len(self._ids) - most)
        taken = [
            Waiting(*self._at(place), self._tries.pop(self._ids[place], 0)) for place in range(rest, len(self._ids))
        ]
        del self._times[rest:], self._ids[rest:]
        return taken[::-1]

    def ready(self, now: int) -> bool:
        """Return whether any can be taken at a time (UTC ns)."""
        return bool(self._ids) or (self.due() or now + 1) <= now

    def due(self) -> int | None:
        """Return when the first of those that are put off can be taken (UTC ns)."""
        return self._later[0][0] if self._later else None

    def _at(self, place: int) -> tuple[int, int]:
        return self._times[place], self._ids[place]
