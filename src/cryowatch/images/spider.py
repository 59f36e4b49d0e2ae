"""SPIDER files, single images and stacks, as SPIDER and Xmipp write them (spider.wadsworth.org, doc/image_doc.html).

All numbers are float32 in one byte order, of which nothing in the file says which it is: it is the one in which the
header makes sense.  The header takes as many bytes as the fewest rows that hold 1,024; it stands before the image and,
in a stack, once more before each.  There is no mark that tells such a file from another one, so nothing that it says
of itself is told to people.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryowatch.errors import ImageIncomplete, ImageMissing, ImageUnreadable, ImageUnsupported
from cryowatch.images.paths import SPIDER_SUFFIXES, unreachable
from cryowatch.images.plane import MOST_SIDE, too_large
from cryowatch.images.rows import GROWING, Rows, fill

_HEADER = 1024
_SLICES, _ROWS, _KIND, _COLUMNS, _STACK, _LAST = 0, 1, 4, 11, 23, 25  # places of numbers in the header, from 0
_IMAGE, _VOLUME = 1, 3
_TRANSFORMS = (-11, -12, -21, -22)
_MOST_IMAGES = 10**7


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """What a header says: pixels, number of images, bytes before the first and bytes from each to the next."""

    width: int
    height: int
    images: int
    order: str
    before: int
    apart: int

    def start(self, index: int) -> int:
        """Return where the rows of an image begin."""
        return self.before + index * self.apart


def is_called(path: Path) -> bool:
    """Return whether a file's name is that of a SPIDER file."""
    return path.name.lower().endswith(SPIDER_SUFFIXES)


@contextmanager
def opened(path: Path, index: int = 0, *, opener: Callable[[Path], io.FileIO] = io.FileIO) -> Iterator[Rows]:
    """Give one image of a SPIDER file, which is opened by `opener`; raises an `ImageError`, also while used."""
    name = path.name
    try:
        with opener(path) as file:
            header = _checked(file, name)
            if index >= header.images:
                raise ImageMissing(f"holds no image {index + 1:,}", where=name)
            start = header.start(index)
            if os.fstat(file.fileno()).st_size < start + header.width * header.height * 4:
                raise ImageIncomplete("is shorter than its header says", where=name, remedy=GROWING)
            yield Rows(file, width=header.width, height=header.height, start=start, kind=f"{header.order}f4", name=name)
    except OSError as error:
        raise unreachable(error, name) from error


def _checked(file: io.FileIO, name: str) -> _Header:
    """Return the header of an image that can be shown."""
    content = bytearray(_HEADER)
    try:
        fill(file, memoryview(content), name)
    except ImageIncomplete:
        raise ImageIncomplete("holds no complete SPIDER header", where=name, remedy=GROWING) from None
    if not any(content):
        raise ImageIncomplete("begins with nothing but zeros", where=name, remedy=GROWING)
    for order in "<>":
        header = _understood(content, order, name)
        if header is not None:
            return header
    raise ImageUnreadable("is not a SPIDER image", where=name)


def _understood(content: bytearray, order: str, name: str) -> _Header | None:
    """Return what a header says in a byte order, None where that makes no sense."""
    numbers = struct.unpack_from(f"{order}256f", content)
    kind, height, width = (_whole(numbers[place]) for place in (_KIND, _ROWS, _COLUMNS))
    if kind is None or height is None or width is None or min(width, height) < 1:
        return None
    if kind in _TRANSFORMS:
        raise ImageUnsupported("is a Fourier transform; this kind of image is not shown", where=name)
    slices = abs(_whole(numbers[_SLICES]) or 0)  # old files say it with a minus
    if kind not in (_IMAGE, _VOLUME) or slices < 1:
        return None
    if too_large(width, height):
        raise ImageUnreadable("is larger than can be shown", where=name)
    row = 4 * width
    length = -(-_HEADER // row) * row
    plane = row * height
    if not numbers[_STACK] > 0:
        return _Header(width=width, height=height, images=slices, order=order, before=length, apart=plane)
    images = _whole(numbers[_LAST], most=_MOST_IMAGES)
    if images is None or slices > 1:
        return None
    return _Header(
        width=width, height=height, images=max(1, images), order=order, before=2 * length, apart=length + plane
    )


def _whole(number: float, *, most: int = 2 * MOST_SIDE) -> int | None:
    """Return a number as what it counts, None where it counts nothing."""
    return int(number) if abs(number) <= most and number == int(number) else None
