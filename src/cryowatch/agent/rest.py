"""How rarely a project is looked at in which nobody works, and how it is told that nothing has changed in it.

A facility's folder holds years of finished projects.  Whatever Scipion does in one it writes into the project's own
file, and a new run makes a folder among those of the runs.  So an old project *rests*: as long as these show no change
from outside it is as good as read, and it is only opened now and then, for what leaves no trace there.
"""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryowatch.system.reach import MARK
from cryowatch.times import SECOND

REST_AFTER = 86_400.0
"""Seconds without a change after which a project without a run at work rests."""

WHOLE_SECONDS = 3_600.0
"""How often one that rests is read all the same."""

TROUBLED_SECONDS = 300.0
"""The same for one of which something could not be read: it may be back."""

CROWD_SHARE = 0.01
CROWD_SECONDS = 120.0
"""A crowd of projects that do not rest yet, though no run is at work, takes this share; each is looked at so often."""

_BESIDE = (f"{MARK}-journal", f"{MARK}-wal", "Runs")


def pause(interval: float, *, active: bool, quiet: float, took: float = 0.0, crowd: int = 1) -> float:
    """Return the seconds to the next look at a project.

    A project with a run at work is looked at every `interval`; one without, in which nothing has changed for `quiet`
    seconds, more rarely, and where there is a `crowd` of such, each as long as this (`took` seconds), so rarely that
    all of them together take a small share of a processor.
    """
    if active:
        return interval
    wait = 0.0 if quiet < 600 else 5.0 if quiet < REST_AFTER else 30.0
    return max(interval, wait, min(took * crowd / CROWD_SHARE, CROWD_SECONDS))


@dataclass(frozen=True, slots=True)
class Outside:
    """What shows of a project without opening anything.

    `device` is that of its file, `written` when that was last written (UTC ns), and `stamps` what changes with it,
    with its journal and with the folder of the runs: `touch` and `rsync -t` cannot put back the system's own time.
    """

    device: int
    written: int
    stamps: str


def outside(project: Path) -> Outside | None:
    """Return what shows of a project; None where its file is not there or cannot be looked at."""
    try:
        found = (project / MARK).stat()
    except OSError:
        return None
    stamps = [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    for name in _BESIDE:
        with suppress(OSError):
            beside = (project / name).stat()
            stamps += [beside.st_ino, beside.st_mtime_ns, beside.st_ctime_ns]
    return Outside(device=found.st_dev, written=found.st_mtime_ns, stamps=" ".join(map(str, stamps)))


class Rest:
    """Whether a project rests, which begins with `begin`; `now` is the time in UTC ns."""

    def __init__(self) -> None:
        self._stamps = ""
        self._until = 0

    def begin(self, seen: Outside, *, now: int, troubled: bool = False, known_before: bool = False) -> None:
        """Let a project rest of which all had been read when it was `seen` like that.

        Where that was `known_before` an agent's start, it is read some time within the usual span, and others then.
        """
        span = TROUBLED_SECONDS if troubled else WHOLE_SECONDS
        self._stamps = seen.stamps
        self._until = now + round(span * (random.random() if known_before else 1.0) * SECOND)  # noqa: S311

    def lasts(self, seen: Outside | None, *, now: int) -> bool:
        """Return whether a project rests that is seen like that."""
        return seen is not None and seen.stamps == self._stamps and now < self._until
