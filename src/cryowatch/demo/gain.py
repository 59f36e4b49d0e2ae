"""The made-up session's gain residuals, written as Xmipp's movie gain protocol writes them.

Every tenth movie has one.  The camera's reference ages: the residual grows slowly, and after a while a pixel is hot
that the reference does not know, until somebody takes a new one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EVERY = 10
_LASTS = 260
"""How many exposures a reference is in use."""

_HOT_FROM = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """What is left of the gain after its correction: standard deviation, 2.5 and 97.5 percentile, maximum."""

    stddev: float
    low: float
    high: float
    most: float


def residual(number: int, seed: int) -> Residual:
    """Return the residual of the movie of this number, from 1."""
    random = np.random.default_rng((seed, number, 1))
    age = number % _LASTS
    stddev = 0.0135 + 0.013 * (age / _LASTS) ** 1.5 + random.normal(0, 0.0009)
    spread = 1.7 * stddev
    low, high = 1 - spread + random.normal(0, 0.0012), 1 + spread + random.normal(0, 0.0012)
    most = 5.1 + random.normal(0, 0.35) if age >= _HOT_FROM else 2.1 + age / _LASTS + abs(random.normal(0, 0.25))
    return Residual(stddev=float(stddev), low=float(low), high=float(high), most=float(most))


class GainFile:
    """The files of the run in a folder: `summaryForMonitor.txt`, and an image of each residual beside it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed

    def append(self, number: int, created: float) -> None:
        """Add what a movie has, if it is one of those that count; its image, empty here, is from that time."""
        if number % EVERY != 1:
            return
        name = f"movie_{number:06d}_residual"
        image = self._folder / "extra" / f"{name}_gain.xmp"
        image.touch()
        os.utime(image, (created, created))
        found = residual(number, self._seed)
        with (self._folder / "summaryForMonitor.txt").open("a", encoding="ascii") as summary:
            summary.write(f"{name}: {found.stddev:f} {found.low:f} {found.high:f} {found.most:f}\n")
