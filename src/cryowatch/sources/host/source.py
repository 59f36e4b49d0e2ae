"""One sample of a machine, put together.

A sample costs a millisecond and waits for nothing: what may hang (file systems on a dead server, a GPU's driver) is
asked in threads of its own, and counts with what it answered last.  What a machine does not have is left out, and
never an error.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from cryowatch.records import DeviceSample, HostSample
from cryowatch.sources.host.counters import (
    SYS,
    Counters,
    cpu_times,
    disk_counters,
    network_counters,
    rates,
    share_at_work,
)
from cryowatch.sources.host.filesystems import FileSystems
from cryowatch.sources.host.gpus import Gpus
from cryowatch.sources.host.pressure import pressure
from cryowatch.system.aside import STALE, Aside
from cryowatch.times import duration

PATIENCE = 0.002
"""For how many seconds a sample waits at most for what is asked aside; what takes longer counts at the next one."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Which parts of a machine are sampled: every GPU, physical interface and disk where none are named.

    File systems always are.
    """

    gpus: Collection[int] | None = None
    interfaces: Collection[str] | None = None
    disks: Collection[str] | None = None
    disk_rates: bool = True


EVERYTHING = Parts()


class HostSource:
    """Samples one machine; `sample` is called from one thread."""

    def __init__(
        self,
        host: str,
        *,
        clock: Callable[[], int] = time.time_ns,
        file_systems: FileSystems | None = None,
        gpus: Gpus | None = None,
        parts: Parts = EVERYTHING,
        sys: Path = SYS,
    ) -> None:
        self._host = host
        self._parts = parts
        self._sys = sys
        self._clock = clock
        self._before: tuple[int, Counters, Counters] | None = None
        self._cpu = cpu_times()
        self._file_systems = file_systems or FileSystems()
        self._gpus = Aside((gpus or Gpus(only=parts.gpus)).read, "GPUs")

    def sample(self, paths: Iterable[Path]) -> HostSample:
        """Return the load now; `paths` are the folders whose file systems matter."""
        now = self._clock()
        self._file_systems.ask(paths)
        self._gpus.ask()
        first = self._before is None
        devices = self._rates(now)
        before, self._cpu = self._cpu, cpu_times()
        swap = psutil.swap_memory()
        waiting, memory, io = (pressure(of) for of in ("cpu", "memory", "io"))
        deadline = time.monotonic() + PATIENCE
        return HostSample(
            host=self._host,
            time=now,
            cpu=None if first else share_at_work(before, self._cpu),
            memory=psutil.virtual_memory().percent,
            swap=swap.percent if swap.total else None,
            load=os.getloadavg()[0],
            cores=psutil.cpu_count(),
            pressure_cpu=waiting,
            pressure_memory=memory,
            pressure_io=io,
            devices=(*self._file_systems.answered(now, deadline), *devices, *self._gpu_samples(deadline)),
        )

    def _rates(self, now: int) -> list[DeviceSample]:
        """Return what networks and disks carried since the last sample; nothing at the first one."""
        before, self._before = self._before, (now, *self._counters())
        if before is None or now <= before[0]:
            return []
        seconds = (now - before[0]) / 1e9
        _, networks, disks = self._before
        return [
            *(
                DeviceSample(kind="network", device=name, sent=sent, received=received)
                for name, sent, received in rates(before[1], networks, seconds)
            ),
            *(
                DeviceSample(kind="disk", device=name, read=read, written=written)
                for name, read, written in rates(before[2], disks, seconds)
            ),
        ]

    def _counters(self) -> tuple[Counters, Counters]:
        networks = network_counters(self._parts.interfaces, sys=self._sys)
        return networks, disk_counters(self._parts.disks, sys=self._sys) if self._parts.disk_rates else {}

    def _gpu_samples(self, deadline: float) -> tuple[DeviceSample, ...]:
        answer = self._gpus.answer(deadline)
        if self._gpus.silent < STALE:
            return () if answer is None else answer
        note = f"the NVIDIA driver has not answered for {duration(self._gpus.silent)}"
        return (DeviceSample(kind="gpu", device="", note=note),)
