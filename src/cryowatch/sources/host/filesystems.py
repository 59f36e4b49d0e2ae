"""Free space of the file systems that hold the projects and cryowatch's own data.

`statvfs` on the mount of a dead server may never return.  So paths are put together by the mount that their names lead
to, which `/proc/self/mountinfo` tells without touching any of them, and each mount is asked in a thread of its own: one
that hangs keeps nobody else waiting, and is reported as not answering once its last answer is too old.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryowatch.records import DeviceSample
from cryowatch.sources.host.trend import Trend
from cryowatch.sources.names import readable
from cryowatch.system.aside import STALE, Aside
from cryowatch.times import duration

MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class _Space:
    """A file system: its device number, where it is mounted, and what it holds in bytes."""

    device: int
    mount: str
    used: float
    free: float
    total: float


@dataclass(slots=True)
class _Mount:
    """Paths that lie on one mount, as far as their names tell."""

    place: str
    usage: Callable[[str], os.statvfs_result]
    clock: Callable[[], float]
    paths: tuple[str, ...] = ()
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Paths that lead to another mount by a link, and their real names."""
    known: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Device number and mount of the paths that were looked at."""
    aside: Aside[tuple[_Space, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self.aside = Aside(self.look, f"file system {self.place}", clock=self.clock)

    def look(self) -> tuple[_Space, ...]:
        """Return the file systems of the paths; may hang."""
        for path in self.paths:
            if path not in self.known:
                self._find(path)
        found = []
        for device, mount in sorted(set(self.known.values())):
            try:
                if os.stat(mount).st_dev != device:  # noqa: PTH116  not mounted any more
                    raise FileNotFoundError(mount)
                usage = self.usage(mount)
            except OSError:
                self.known = {path: place for path, place in self.known.items() if place != (device, mount)}
                continue
            size = usage.f_frsize
            total, free = usage.f_blocks * size, usage.f_bavail * size
            used = (usage.f_blocks - usage.f_bfree) * size
            if total > 0:
                found.append(_Space(device, mount, 100 * used / (used + free) if used + free else 100.0, free, total))
        return tuple(found)

    def _find(self, path: str) -> None:
        """Learn where a path really lies; one that is not there is looked for again next time."""
        try:
            real = os.path.realpath(path, strict=True)
            device = os.stat(real).st_dev  # noqa: PTH116
            mount = _mount_point(real, device)
        except OSError:
            return
        if _mounted_on(real, _mounts()) == self.place:
            self.known[path] = device, mount
        else:
            self.elsewhere[path] = real


class FileSystems:
    """Asks for the free space below some paths; `usage` is `os.statvfs`, `clock` gives monotonic seconds."""

    def __init__(
        self,
        *,
        usage: Callable[[str], os.statvfs_result] = os.statvfs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._usage = usage
        self._clock = clock
        self._mounts: dict[str, _Mount] = {}
        self._asked: list[_Mount] = []
        self._trends: dict[str, Trend] = {}

    def recall(self, known: Iterable[tuple[str, int, float, float]]) -> None:
        """Take up what was known before a start: of each mount in order of time (UTC ns) its free and total bytes."""
        for mount, time_, free, total in known:
            self._trends.setdefault(mount, Trend()).take(time_ / 1e9, free, total)

    def ask(self, paths: Iterable[Path]) -> None:
        """Begin to ask for the file systems of these folders."""
        mounts = _mounts()
        wanted: dict[str, list[str]] = {}
        links = {path: real for mount in self._mounts.values() for path, real in mount.elsewhere.items()}
        for path in map(os.path.abspath, paths):
            real = links.get(path, path)
            wanted.setdefault(_mounted_on(real, mounts), []).append(real)
        self._asked = []
        for place, names in sorted(wanted.items()):
            mount = self._mounts.get(place)
            if mount is None:
                mount = self._mounts[place] = _Mount(place, self._usage, self._clock)
            mount.paths = tuple(dict.fromkeys(names))
            mount.aside.ask()
            self._asked.append(mount)

    def answered(self, now: int, deadline: float) -> list[DeviceSample]:
        """Return each file system once; `now` is the time in ns, `deadline` until when to wait (monotonic)."""
        samples: list[DeviceSample] = []
        seen: set[int] = set()
        for mount in self._asked:
            spaces = mount.aside.answer(deadline)
            silent = mount.aside.silent
            if silent >= STALE:
                places = [space.mount for space in spaces or ()] or [mount.place]
                note = f"has not answered for {duration(silent)}"
                samples += [DeviceSample(kind="filesystem", device=readable(place), note=note) for place in places]
                continue
            for space in spaces or ():
                if space.device not in seen:
                    seen.add(space.device)
                    samples.append(self._sample(space, now))
        return samples

    def _sample(self, space: _Space, now: int) -> DeviceSample:
        name = readable(space.mount)
        trend = self._trends.setdefault(name, Trend())
        return DeviceSample(
            kind="filesystem",
            device=name,
            used=space.used,
            free=space.free,
            total=space.total,
            full_in=trend.full_in(now / 1e9, space.free, space.total),
        )


def _mounts() -> Sequence[str]:
    """Return the places where file systems are mounted, longest first."""
    try:
        lines = MOUNTS.read_bytes().splitlines()
    except OSError:
        return ("/",)
    places = {_ESCAPED.sub(lambda m: chr(int(m[1], 8)), os.fsdecode(line.split(b" ")[4])) for line in lines}
    return sorted(places | {"/"}, key=len, reverse=True)


def _mounted_on(path: str, mounts: Sequence[str]) -> str:
    """Return on which of the mounts a path lies by its name."""
    return next((m for m in mounts if path == m or path.startswith(f"{m.rstrip('/')}/")), "/")


def _mount_point(path: str, device: int) -> str:
    """Return the highest folder above a path that lies on the same device."""
    point = Path(path)
    while point != point.parent and point.parent.stat().st_dev == device:
        point = point.parent
    return str(point)
