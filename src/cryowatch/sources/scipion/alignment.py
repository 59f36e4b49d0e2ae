"""Where the frames of aligned movies were, and which of the numbers that programs write are no shifts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cryowatch.reading import Shifts

_MOTIONS = {"motion_total", "motion_early", "motion_late"}
_BEYOND = 9_000
"""No frame was so far away, in pixels: programs find a shift where most of two frames overlap, and RELION writes -9999
for a frame that it left out (`Micrograph::NOT_OBSERVED`), from which plugins may have subtracted the first one's."""


def shifts_of(
    values: Mapping[str, Sequence[Any]], x_shifts: Sequence[tuple[float, ...]], y_shifts: Sequence[tuple[float, ...]]
) -> dict[str, Shifts]:
    """Return the shifts of the movies that have them and a pixel size, in Å, by name."""
    found: dict[str, Shifts] = {}
    if any(x_shifts):
        known = zip(values["name"], values.get("pixel_size", ()), x_shifts, y_shifts, strict=False)
        for name, pixel_size, x, y in known:
            if pixel_size and x and len(x) == len(y):
                shifts = _path(x, y, pixel_size)
                if shifts is not None:
                    found[name] = shifts
    return found


def _path(x: Sequence[float], y: Sequence[float], pixel_size: float) -> Shifts | None:
    """Return where each frame was, in Å, nan for one of which that is not known; None where it is of no frame.

    A path that never leaves zero is none either: it is written for movies that were saved with their frames aligned.
    """
    if not 0 < sum(map(abs, x)) + sum(map(abs, y)) < _BEYOND:  # else no single one is nan, or beyond
        known = [abs(a) < _BEYOND and abs(b) < _BEYOND for a, b in zip(x, y, strict=True)]
        if not any(there and (a or b) for there, a, b in zip(known, x, y, strict=True)):
            return None
        x, y = ([a if there else math.nan for there, a in zip(known, axis, strict=True)] for axis in (x, y))
    return tuple(pixel_size * a for a in x), tuple(pixel_size * b for b in y)


def drop_impossible_motion(values: dict[str, Sequence[Any]]) -> None:
    """Drop motions that a program added up over frames without a shift: they are longer than any that can be found."""
    for name in _MOTIONS & values.keys():
        known = zip(values[name], values.get("pixel_size", ()), strict=False)
        if any(motion and size and motion >= _BEYOND * size for motion, size in known):
            values[name] = [
                None if motion and size and motion >= _BEYOND * size else motion
                for motion, size in zip(values[name], values["pixel_size"], strict=True)
            ]
