"""The kernel's counters, and what they say: rates of networks and disks, and how much of the CPU was at work.

A rate is a difference between two samples, so the first sample has none.  A counter that went back, because a device
came anew or its counter began again, has none either: never a negative one, and never one that was guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from cryowatch.sources.names import readable

Counters = Mapping[str, tuple[int, int]]
_BLOCKS = Path("/sys/block")
_NOT_PHYSICAL = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd")
_PART = re.compile(r"(.*?\d)p\d+|(.*?\D)\d+")


def network_counters() -> Counters:
    """Return bytes sent and received of the interfaces that have ever carried any."""
    try:
        counters = psutil.net_io_counters(pernic=True, nowrap=False)
    except OSError:
        return {}
    used = {name: c for name, c in counters.items() if name != "lo" and c.bytes_sent + c.bytes_recv}
    return {readable(name): (c.bytes_sent, c.bytes_recv) for name, c in used.items()}


def disk_counters() -> Counters:
    """Return bytes read and written of whole disks; partitions would count twice.

    In a container `/sys/block` may be missing: then a name that continues another one's is a partition.
    """
    try:
        counters = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    except (OSError, NotImplementedError):
        return {}
    try:
        whole = {entry.name for entry in _BLOCKS.iterdir()}
    except OSError:
        whole = {name for name in counters if _disk_of(name) not in counters}
    return {
        name: (c.read_bytes, c.write_bytes)
        for name, c in counters.items()
        if name in whole and not name.startswith(_NOT_PHYSICAL)
    }


def _disk_of(name: str) -> str | None:
    """Return the disk that a partition's name continues."""
    matched = _PART.fullmatch(name)
    return None if matched is None else matched[1] or matched[2]


def rates(before: Counters, now: Counters, seconds: float) -> Iterable[tuple[str, float, float]]:
    """Yield name and both rates, a second, of what was there before."""
    for name, (first, second) in now.items():
        old = before.get(name)
        if old is not None and first >= old[0] and second >= old[1]:
            yield name, (first - old[0]) / seconds, (second - old[1]) / seconds


CpuTimes = tuple[float, float]
"""Seconds at work, and all seconds, of all cores since the machine started."""


def cpu_times() -> CpuTimes:
    """Return the present counters of all cores together."""
    return _work(psutil.cpu_times())


def core_times() -> tuple[CpuTimes, ...]:
    """Return the present counters of each core."""
    return tuple(_work(times) for times in psutil.cpu_times(percpu=True))


def _work(times: tuple[float, ...]) -> CpuTimes:
    """Return what a core's times come to; waiting for a disk is no work, and guests count in `user` already."""
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    every = sum(times) - guests
    idle = getattr(times, "idle", 0.0) + getattr(times, "iowait", 0.0)
    return every - idle, every


def share_at_work(before: CpuTimes, now: CpuTimes) -> float | None:
    """Return the share in percent of the time between two counts; None where no time has passed."""
    every = now[1] - before[1]
    if every <= 0:
        return None
    return min(100.0, max(0.0, 100 * (now[0] - before[0]) / every))
