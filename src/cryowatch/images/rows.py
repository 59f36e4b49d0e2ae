"""The rows of one image in an open file, read forwards in bands.

Nothing is mapped into memory: a mapped file that somebody shortens ends the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cryowatch.errors import ImageIncomplete

GROWING = "It may still be being written; it is tried again"

_PIECE = 2**20

Convert = Callable[[NDArray[Any]], NDArray[Any]]


class File(Protocol):
    """A file, plain or compressed."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill a buffer, or a part of it, and return how many bytes that were."""

    def seek(self, offset: int, /) -> int:
        """Go to a place."""


def fill(file: File, buffer: memoryview, name: str) -> None:
    """Read as much as a buffer holds; raises `ImageIncomplete` where there is less."""
    done = 0
    while done < len(buffer):
        read = file.readinto(buffer[done : done + _PIECE])  # what is unpacked lies in memory a second time
        if not read:
            raise ImageIncomplete("is shorter than its header says", where=name, remedy=GROWING)
        done += read


class Rows:
    """A `Plane` of an image whose rows lie one behind the other from `start` on: `stored` numbers of a `kind` each.

    `convert` makes pixels of the numbers of a band, where they are not the pixels themselves.
    """

    def __init__(
        self,
        file: File,
        *,
        width: int,
        height: int,
        start: int,
        kind: str,
        name: str,
        stored: int | None = None,
        convert: Convert | None = None,
    ) -> None:
        self.width, self.height = width, height
        self._file = file
        self._stored = width if stored is None else stored
        self._kind = np.dtype(kind)
        self._start = start
        self._name = name
        self._convert = convert
        self._band = np.empty((0, self._stored), self._kind)
        self._end = 0

    def rows(self, first: int, last: int) -> NDArray[Any]:
        """Return rows; those that the band before held already are not read again, and its memory is used again."""
        known = max(0, self._end - first)
        band = self._band
        if len(band) != last - first:
            band = np.empty((last - first, self._stored), self._kind)
        band[:known] = self._band[len(self._band) - known :]
        self._file.seek(self._start + (first + known) * self._stored * self._kind.itemsize)
        fill(self._file, band[known:].reshape(-1).view(np.uint8).data, self._name)
        self._band, self._end = band, last
        return band if self._convert is None else self._convert(band)
