"""One image as rows of numbers, and its reduction to the size in which it is shown."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

MOST_PIXELS = 400_000_000
MOST_SIDE = 32_768

_PIECE = 1_000_000


class Plane(Protocol):
    """An image that is read from its first row to its last, in bands that are thrown away again."""

    @property
    def height(self) -> int:
        """Number of rows."""

    @property
    def width(self) -> int:
        """Number of columns."""

    def rows(self, first: int, last: int) -> NDArray[Any]:
        """Return the rows from `first` up to, not including, `last`; raises an `ImageError`.

        Neither number may be below that of the call before: a compressed file is read forwards only.  The rows of the
        call before are not to be used any more.
        """


def too_large(width: int, height: int) -> bool:
    """Return whether an image is not even begun to be read."""
    return max(width, height) > MOST_SIDE or width * height > MOST_PIXELS


def reduced_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Return height and width of an image of which no side is longer than `size`, right to half a pixel."""
    longest = max(height, width)
    if longest <= size:
        return height, width
    return max(1, (2 * height * size + longest) // (2 * longest)), max(1, (2 * width * size + longest) // (2 * longest))


def reduce(plane: Plane, size: int) -> NDArray[np.float32]:
    """Return the means of the areas that the pixels of a smaller image cover; nothing is cut off.

    An area's border runs through pixels, which then count by their share, so a length in the reduced image is true
    everywhere.  Works row by row: only the result and a band of about a megapixel are ever in memory.
    """
    rows, columns = reduced_size(plane.height, plane.width, size)
    reduced = np.empty((rows, columns), np.float32)
    step = max(1, _PIECE // plane.width)
    with np.errstate(all="ignore"):
        if (rows, columns) == (plane.height, plane.width):
            for start in range(0, rows, step):
                stop = min(rows, start + step)
                reduced[start:stop] = plane.rows(start, stop)
            return reduced
        parts = _Columns(plane.width, columns)
        for row in range(rows):
            first, last, weights = _shares(row, plane.height, rows)
            line = np.zeros(plane.width + 1, np.float32)
            for start in range(first, last, step):
                stop = min(last, start + step)
                band = plane.rows(start, stop).astype(np.float32, copy=False)
                line[:-1] += weights[start - first : stop - first] @ band
            reduced[row] = parts.means(line)
    return reduced


def _shares(row: int, height: int, rows: int) -> tuple[int, int, NDArray[np.float32]]:
    """Return which rows of the source lie under one of the reduced image, and their weights, in all 1."""
    first, before = divmod(row * height, rows)
    last = -(-(row + 1) * height // rows)
    weights = np.ones(last - first)
    weights[0] -= before / rows
    weights[-1] -= last - (row + 1) * height / rows
    return first, last, (weights * (rows / height)).astype(np.float32)


class _Columns:
    """The parts of equal length into which a line is divided, of which a zero follows the end."""

    def __init__(self, width: int, columns: int) -> None:
        borders = np.arange(columns + 1) * width
        self._first, last = borders[:-1] // columns, -(-borders[1:] // columns)
        self._last = last - 1
        self._parts = np.stack([self._first, last], axis=1).ravel()
        self._scale = np.float32(columns / width)
        self._before = ((borders[:-1] % columns) / columns).astype(np.float32)
        self._after = ((-borders[1:] % columns) / columns).astype(np.float32)

    def means(self, line: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the means of the parts; the line is not to be used any more."""
        line *= self._scale
        sums: NDArray[np.float32] = np.add.reduceat(line, self._parts)[::2]
        sums -= line[self._first] * self._before
        sums -= line[self._last] * self._after
        return sums
