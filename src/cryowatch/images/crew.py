"""The processes that render: how many of them may work at once, and which disks and projects hold some of them up.

As many work as were asked for.  One that takes long does not count among them any more, and a spare may work in its
place; but a disk that holds as many as were asked for gets no spare, so that one that does not answer never holds all
of them.  Spares are few: where that many disks do not answer, the others wait.

One that computes for long says nothing of the disk: the image is too much, and its project is called heavy for a while.
The last free worker is never a heavy project's, and those that work for it do not count among those that others wait
for.  So whatever one project asks for, another one's image begins at once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryowatch.images.process import Worker

SLOW_SECONDS = 2.0
"""How long a rendering may take before another may begin in its place; most take a tenth of that."""

SPARES = 2
HEAVY_SECONDS = 120.0
"""For how long a project is called heavy after an image of it took long to compute."""

_COMPUTING = 0.5
"""Of the time that a rendering takes: from here on it is the processor's time, and not that of a disk."""

Disk = int | None
"""The device that a file lies on, as `stat` names it; None for an image that is drawn without a file."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose image a worker is at: its disk, and the folder of its project."""

    disk: Disk
    project: str


class Crew:
    """Workers, of which `workers` may work at once besides those that take long; used from one event loop."""

    def __init__(self, workers: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = workers
        self._clock = clock
        self._all = [Worker() for _ in range(workers + SPARES)]
        self._free = self._all[::-1]
        self._at: dict[Worker, Place] = {}
        self._aside: set[Worker] = set()
        """Those that do not count among the ones that may work at once."""
        self._slow: set[Worker] = set()
        """Those that a disk holds up."""
        self._stuck: set[Worker] = set()
        self._heavy: dict[str, float] = {}

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._all)

    @property
    def full(self) -> bool:
        """Whether nothing more may begin now."""
        return not self._free or len(self._at) - len(self._aside) >= self._most

    @property
    def free(self) -> int:
        """How many workers have nothing to do."""
        return len(self._free)

    def heavy(self, project: str) -> bool:
        """Return whether images of a project have taken long to compute lately."""
        until = self._heavy.get(project)
        if until is not None and until <= self._clock():
            del self._heavy[project]
            return False
        return until is not None

    def held_up(self, place: Place) -> bool:
        """Return whether an image has to wait: its disk holds so many workers, or its project may not have the last."""
        if len(self._free) == 1 and self.heavy(place.project):
            return True
        return self._on(place.disk, self._slow) >= self._most

    def dead(self, disk: Disk) -> bool:
        """Return whether nothing on a disk can be rendered: workers that cannot even be killed are all it may have."""
        return len(self._stuck) == len(self._all) or self._on(disk, self._stuck) >= self._most

    def working_for(self) -> Counter[str]:
        """Return how many workers are at images of each project."""
        return Counter(place.project for place in self._at.values())

    def take(self, place: Place) -> Worker:
        """Return a free worker, which begins with an image; there has to be one."""
        worker = self._free.pop()
        self._at[worker] = place
        if self.heavy(place.project):
            self._aside.add(worker)
        return worker

    def late(self, worker: Worker, *, after: float = SLOW_SECONDS) -> None:
        """Take note that a worker takes long: for so many seconds by now."""
        if worker not in self._at:
            return
        self._aside.add(worker)
        if worker.computed < _COMPUTING * after:
            self._slow.add(worker)
        else:
            self._heavy[self._at[worker].project] = self._clock() + HEAVY_SECONDS

    def heaviest(self) -> Worker | None:
        """Return the worker that has computed for longest at an image of a heavy project; None without any."""
        computing = [w for w in self._aside - self._slow - self._stuck if self.heavy(self._at[w].project)]
        return max(computing, key=lambda worker: worker.computed, default=None)

    def stuck(self, worker: Worker) -> None:
        """Take note that a worker was killed and is still there."""
        self._aside.add(worker)
        self._slow.add(worker)
        self._stuck.add(worker)

    def give_back(self, worker: Worker) -> None:
        """Take back a worker that has ended its work; whose process goes on is the next to work."""
        del self._at[worker]
        for group in (self._aside, self._slow, self._stuck):
            group.discard(worker)
        self._free.insert(len(self._free) if worker.process is not None else 0, worker)

    def _on(self, disk: Disk, workers: set[Worker]) -> int:
        return sum(disk is not None and self._at[worker].disk == disk for worker in workers)
