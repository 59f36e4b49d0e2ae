"""When a file system will be full, by the trend of its free space.

The slope is the median of the slopes between all pairs of points (Theil 1950, Sen 1968), so that a few odd points do
not matter: that of the last hour or that of its last third, whichever is slower, so that a large copy that is over does
not matter either.  What was before somebody freed space, or resized the file system, does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import median

WINDOW = 3600.0
RECENT = WINDOW / 3
EVERY = 60.0
LEAST = 600.0
"""For how many seconds the free space has to be known."""

FARTHEST = 30 * 86_400.0
"""In how many seconds at most; what is farther away is not told, as an hour's trend cannot."""

_FREED = 0.005
_MOST_RISING = 0.25


class Trend:
    """The free space of one file system over the last hour, a point a minute."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []
        self._total = 0.0
        self._slope = 0.0

    def full_in(self, now: float, free: float, total: float) -> float | None:
        """Return in how many seconds nothing will be free; `now` in s, `free` and `total` in bytes.

        None where the free space does not clearly shrink, or where too little is known of it.
        """
        if self.take(now, free, total):
            self._slope = self._fitted()
        if self._slope >= 0:
            return None
        seconds = free / -self._slope
        return seconds if seconds <= FARTHEST else None

    def take(self, now: float, free: float, total: float) -> bool:
        """Take note of the free space at a time; returns whether that is a new point.  Units as in `full_in`."""
        last = self._points[-1] if self._points else (now, free)
        if total != self._total or now < last[0] or free - last[1] > _FREED * total:
            self._points = []
            self._total = total
            self._slope = 0.0
        if self._points and now - self._points[-1][0] < EVERY:
            return False
        self._points = [(time, value) for time, value in self._points if now - time <= WINDOW]
        self._points.append((now, free))
        return True

    def _fitted(self) -> float:
        """Return the slope in bytes per second; 0 where it is not clearly a fall."""
        points = self._points
        end = points[-1][0]
        if end - points[0][0] < LEAST:
            return 0.0
        return max(_fall(points), _fall([point for point in points if end - point[0] <= RECENT]))


def _fall(points: Sequence[tuple[float, float]]) -> float:
    """Return the median slope of all pairs where that is negative and few pairs say otherwise, else 0."""
    slopes = [(b - a) / (after - before) for (before, a), (after, b) in combinations(points, 2)]
    rising = sum(slope > 0 for slope in slopes)
    return min(0.0, median(slopes)) if slopes and rising <= _MOST_RISING * len(slopes) else 0.0
