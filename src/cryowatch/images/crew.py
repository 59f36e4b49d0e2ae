"""The processes that render: how many of them may work at once, and which disks hold some of them up.

As many work as were asked for.  One that takes long does not count among them any more, and a spare may work in its
place; but a disk that holds as many as were asked for gets no spare, so that one that does not answer never holds all
of them.  Spares are few: where that many disks do not answer, the others wait.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryowatch.images.process import Worker

SLOW_SECONDS = 2.0
"""How long a rendering may take before another may begin in its place; most take a tenth of that."""

SPARES = 2

Disk = int | None
"""The device that a file lies on, as `stat` names it; None for an image that is drawn without a file."""


class Crew:
    """Workers, of which `workers` may work at once besides those that take long; used from one event loop."""

    def __init__(self, workers: int) -> None:
        self._most = workers
        self._all = [Worker() for _ in range(workers + SPARES)]
        self._free = self._all[::-1]
        self._at: dict[Worker, Disk] = {}
        self._slow: set[Worker] = set()
        self._stuck: set[Worker] = set()

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._all)

    @property
    def full(self) -> bool:
        """Whether nothing more may begin now."""
        return not self._free or len(self._at) - len(self._slow) >= self._most

    def held_up(self, disk: Disk) -> bool:
        """Return whether a disk holds so many workers for long that it gets no more."""
        return self._on(disk, self._slow) >= self._most

    def dead(self, disk: Disk) -> bool:
        """Return whether nothing on a disk can be rendered: workers that cannot even be killed are all it may have."""
        return len(self._stuck) == len(self._all) or self._on(disk, self._stuck) >= self._most

    def take(self, disk: Disk) -> Worker:
        """Return a free worker, which begins with a file on a disk; there has to be one."""
        worker = self._free.pop()
        self._at[worker] = disk
        return worker

    def late(self, worker: Worker) -> None:
        """Take note that a worker takes long."""
        if worker in self._at:
            self._slow.add(worker)

    def stuck(self, worker: Worker) -> None:
        """Take note that a worker was killed and is still there."""
        self._slow.add(worker)
        self._stuck.add(worker)

    def give_back(self, worker: Worker) -> None:
        """Take back a worker that has ended its work; whose process goes on is the next to work."""
        del self._at[worker]
        self._slow.discard(worker)
        self._stuck.discard(worker)
        self._free.insert(len(self._free) if worker.process is not None else 0, worker)

    def _on(self, disk: Disk, workers: set[Worker]) -> int:
        return sum(disk is not None and self._at[worker] == disk for worker in workers)
