"""The machine that the agent runs on, by psutil: CPU, memory, swap, load, networks, disks and file systems.

Rates are differences of the kernel's counters between two samples, so the first sample has none; a counter that went
back (a device came anew) gives none either.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psutil

from cryowatch.model import DeviceSample, HostSample

Counters = Mapping[str, tuple[int, int]]
_NOT_PHYSICAL = ("loop", "ram", "zram", "dm-", "md", "sr", "fd")


class HostSource:
    """Samples one machine; `sample` never waits and is called from one thread."""

    def __init__(self, host: str, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._host = host
        self._clock = clock
        self._before: tuple[int, Counters, Counters] | None = None
        psutil.cpu_percent(None)

    def sample(self, paths: Iterable[Path]) -> HostSample:
        """Return the load now; `paths` are the folders whose file systems matter."""
        now = self._clock()
        networks, disks = _network_counters(), _disk_counters()
        cpu = None if self._before is None else psutil.cpu_percent(None)
        devices = list(_file_systems(paths))
        if self._before is not None and now > self._before[0]:
            seconds = (now - self._before[0]) / 1e9
            for name, sent, received in _rates(self._before[1], networks, seconds):
                devices.append(DeviceSample(kind="network", device=name, sent=sent, received=received))
            for name, read, written in _rates(self._before[2], disks, seconds):
                devices.append(DeviceSample(kind="disk", device=name, read=read, written=written))
        self._before = now, networks, disks
        swap = psutil.swap_memory()
        return HostSample(
            host=self._host,
            time=now,
            cpu=cpu,
            memory=psutil.virtual_memory().percent,
            swap=swap.percent if swap.total else None,
            load=os.getloadavg()[0],
            devices=tuple(devices),
        )


def _network_counters() -> Counters:
    """Return bytes sent and received of the interfaces that have ever carried any."""
    counters = psutil.net_io_counters(pernic=True)
    return {n: (c.bytes_sent, c.bytes_recv) for n, c in counters.items() if n != "lo" and c.bytes_sent + c.bytes_recv}


def _disk_counters() -> Counters:
    """Return bytes read and written of whole disks; partitions would count twice."""
    try:
        whole = {entry.name for entry in Path("/sys/block").iterdir() if not entry.name.startswith(_NOT_PHYSICAL)}
    except OSError:
        whole = set()
    counters = psutil.disk_io_counters(perdisk=True) or {}
    return {name: (c.read_bytes, c.write_bytes) for name, c in counters.items() if name in whole}


def _rates(before: Counters, now: Counters, seconds: float) -> Iterable[tuple[str, float, float]]:
    for name, (first, second) in now.items():
        old = before.get(name)
        if old is not None and first >= old[0] and second >= old[1]:
            yield name, (first - old[0]) / seconds, (second - old[1]) / seconds


def _file_systems(paths: Iterable[Path]) -> Iterable[DeviceSample]:
    """Yield one sample for each file system among the paths, named after where it is mounted."""
    seen: set[int] = set()
    for path in paths:
        try:
            device = path.stat().st_dev
            if device in seen:
                continue
            seen.add(device)
            usage = psutil.disk_usage(str(path))
            mount = _mount_point(path, device)
        except OSError:
            continue
        yield DeviceSample(kind="filesystem", device=str(mount), used=usage.percent, free=float(usage.free))


def _mount_point(path: Path, device: int) -> Path:
    point = path.resolve()
    while point != point.parent and point.parent.stat().st_dev == device:
        point = point.parent
    return point
