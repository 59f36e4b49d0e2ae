"""The kernel's counters, and what they say: rates of networks and disks, and how much of the CPU was at work.

Physical disks and interfaces are counted unless others are named.  What is built upon them (dm, md, bcache, bridges,
`veth` of containers) would count the same bytes again, and has a new name for each container.

A rate is a difference between two samples, so the first sample has none.  A counter that went back, because a device
came anew or its counter began again, has none either: never a negative one, and never one that was guessed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import psutil

from cryowatch.sources.names import readable

Counters = Mapping[str, tuple[int, int]]
SYS = Path("/sys")
_NO_DISKS = ("sr", "fd", "st")
"""Devices of their own that hold no data of a session: optical drives, floppy disks, tapes."""
_BUILT = re.compile(r"(?:loop|ram|zram|dm-|md|bcache|nbd|drbd|zd|sr|fd)\d.*|nvme\d+c\d+n\d+.*")
"""Names of disks that are built upon others, where /sys does not tell; `nvme0c1n1` is a path of `nvme0n1`."""
_BRIDGING = re.compile(r"(?:lo|veth.*|docker\d+|br-.*|virbr\d+.*|vnet\d+|cni\d+|cali.*|flannel.*|ifb\d+|dummy\d+)")
"""Names of interfaces that only connect containers and machines within this one."""
_PART = re.compile(r"(.*?\d)p\d+|(.*?\D)\d+")


def network_counters(wanted: Collection[str] | None = None, *, sys: Path = SYS) -> Counters:
    """Return bytes sent and received of the interfaces that have ever carried any: the physical ones, or those wanted.

    A container may see no physical one; then its own count.
    """
    try:
        counters = psutil.net_io_counters(pernic=True, nowrap=False)
    except OSError:
        return {}
    used = {name: (c.bytes_sent, c.bytes_recv) for name, c in counters.items() if c.bytes_sent + c.bytes_recv}
    if wanted is not None:
        return {readable(name): both for name, both in used.items() if readable(name) in wanted}
    interfaces = sys / "class/net"
    if any(_is_device(interfaces / name) for name in counters):
        return {readable(name): both for name, both in used.items() if _is_device(interfaces / name)}
    return {readable(name): both for name, both in used.items() if not _BRIDGING.fullmatch(name)}


def disk_counters(wanted: Collection[str] | None = None, *, sys: Path = SYS) -> Counters:
    """Return bytes read and written of whole physical disks, or of those wanted.

    In a container `/sys/block` may be missing: then names tell partitions and what is built upon disks.
    """
    try:
        counters = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    except (OSError, NotImplementedError):
        return {}
    if wanted is None:
        try:
            counted: Collection[str] = set(_physical(sys / "block"))
        except OSError:
            counted = {name for name in counters if _disk_of(name) not in counters and not _BUILT.fullmatch(name)}
    else:
        counted = wanted
    return {name: (c.read_bytes, c.write_bytes) for name, c in counters.items() if name in counted}


def _is_device(entry: Path) -> bool:
    """Return whether an entry of /sys is a device of this machine, or of its hypervisor, and not only a driver's."""
    try:
        return (entry / "device").exists()
    except OSError:
        return False


def _physical(blocks: Path) -> Iterator[str]:
    """Yield the names of physical disks as the counters have them, where /sys has `!` for `/`.

    An NVMe disk with several paths is counted once: its paths are hidden.
    """
    for entry in blocks.iterdir():
        if _is_device(entry) and not entry.name.startswith(_NO_DISKS) and not _is_hidden(entry):
            yield entry.name.replace("!", "/")


def _is_hidden(entry: Path) -> bool:
    with contextlib.suppress(OSError):
        return (entry / "hidden").read_text(encoding="ascii", errors="replace").strip() == "1"
    return False


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
    """Return the present counters of all cores together.

    Waiting for a disk is no work, and guests count in `user` already.
    """
    times = psutil.cpu_times()
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
