"""MRC files, plain or compressed with gzip or bzip2, row by row (MRC2014, www.ccpem.ac.uk/mrc_format/mrc2014.php).

Row 0 comes first, and is drawn at the top, as Scipion's own viewers draw it.
"""

from __future__ import annotations

import bz2
import gzip
import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowatch.errors import ImageIncomplete, ImageMissing, ImageUnreadable, ImageUnsupported
from cryowatch.images.paths import COMPRESSIONS, MRC_SUFFIXES, unreachable
from cryowatch.images.plane import too_large
from cryowatch.images.rows import GROWING, File, Rows, fill

_HEADER = 1024
_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2", 101: "u1"}
_NIBBLES = 101
_NOT_SHOWN = {3: "a Fourier transform", 4: "a Fourier transform", 16: "colours"}
_BYTES = "V1"
"""Of bytes of which the header does not say whether they are signed."""

_SAMPLE = 32
_MARK = b"MAP "
_IMOD = 1_146_047_817
_MOST_EXTENDED = 2**28


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """What a header says: pixels, number of images, type of a stored number, bytes of the extended header.

    `marked` says whether the file calls itself an MRC file.  Only then are its numbers told to people: of any other
    file they are its contents.
    """

    width: int
    height: int
    planes: int
    mode: int
    kind: str
    extended: int
    marked: bool

    @property
    def stored(self) -> int:
        """How many numbers are stored for a row: 4-bit pixels share a byte, but not over a row's end."""
        return (self.width + 1) // 2 if self.mode == _NIBBLES else self.width

    @property
    def row(self) -> int:
        """Bytes of a row."""
        return self.stored * np.dtype(self.kind).itemsize

    def start(self, index: int) -> int:
        """Return where the rows of an image begin."""
        return _HEADER + self.extended + index * self.height * self.row


def is_called(path: Path) -> bool:
    """Return whether a file's name is that of an MRC file."""
    name = path.name.lower()
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    return name.endswith(MRC_SUFFIXES)


@contextmanager
def opened(path: Path, index: int = 0, *, opener: Callable[[Path], io.FileIO] = io.FileIO) -> Iterator[Rows]:
    """Give one image of an MRC file, which is opened by `opener`; raises an `ImageError`, also while used."""
    name = path.name
    try:
        with opener(path) as plain, _unpacked(plain, path) as file:
            header = _checked(file, name)
            if index >= header.planes:
                held = f"{header.planes:,} images, not {index + 1:,}" if header.marked else f"no image {index + 1:,}"
                raise ImageMissing(f"holds {held}", where=name)
            if file is plain:
                _check_length(plain, header, index, name)
            kind = header.kind
            if kind == _BYTES:
                kind = "u1" if _look_unsigned(file, header, index, name, compressed=file is not plain) else "i1"
            yield Rows(
                file,
                width=header.width,
                height=header.height,
                start=header.start(index),
                kind=kind,
                name=name,
                stored=header.stored,
                convert=_nibbles(header.width) if header.mode == _NIBBLES else None,
            )
    except EOFError as error:
        raise ImageIncomplete("ends in the middle of what is compressed", where=name, remedy=GROWING) from error
    except OSError as error:
        raise unreachable(error, name) from error
    except zlib.error as error:
        raise ImageUnreadable(f"cannot be read: {error}", where=name) from error


@contextmanager
def _unpacked(plain: io.FileIO, path: Path) -> Iterator[File]:
    match path.suffix.lower():
        case ".gz":
            with io.BufferedReader(plain) as packed, gzip.GzipFile(fileobj=packed, mode="rb") as file:
                yield file
        case ".bz2":
            with io.BufferedReader(plain) as packed, bz2.BZ2File(packed, "rb") as file:
                yield file
        case _:
            yield plain


def _nibbles(width: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return what unpacks rows of 4-bit pixels, two to a byte, the first in its lower half."""

    def unpacked(band: NDArray[Any]) -> NDArray[Any]:
        pixels = np.empty((len(band), 2 * band.shape[1]), np.uint8)
        np.bitwise_and(band, 15, out=pixels[:, ::2])
        np.right_shift(band, 4, out=pixels[:, 1::2])
        return pixels[:, :width]

    return unpacked


def _checked(file: File, name: str) -> _Header:
    """Return the header of an image that can be shown.

    A machine stamp under which the mode is none, or the sizes are none that an image has, gives way to the other byte
    order: no two sizes are right in both.  mrcfile, which does the same for the mode,
    would set aside as much memory as the extended header claims to be long, in a text file 2 GB.
    """
    content = bytearray(_HEADER)
    try:
        fill(file, memoryview(content), name)
    except ImageIncomplete:
        raise ImageIncomplete("holds no complete MRC header", where=name, remedy=GROWING) from None
    if not any(content):
        raise ImageIncomplete("begins with nothing but zeros", where=name, remedy=GROWING)
    stamped = ">" if content[212:213] == b"\x11" else "<"
    other = "<" if stamped == ">" else ">"
    orders = [o for o in (stamped, other) if struct.unpack_from(f"{o}i", content, 12)[0] in (*_TYPES, *_NOT_SHOWN)]
    order = next((o for o in orders if _fits(content, o)), next(iter(orders), stamped))
    marked = content[208:212] == _MARK
    width, height, planes, mode = struct.unpack_from(f"{order}4i", content)
    extended = struct.unpack_from(f"{order}i", content, 92)[0]
    if marked and mode in _NOT_SHOWN:
        what = f"holds {_NOT_SHOWN[mode]} (mode {mode}); this kind of image is not shown"
        raise ImageUnsupported(what, where=name)
    if mode not in _TYPES or width < 1 or height < 1 or not 0 <= extended <= _MOST_EXTENDED:
        what = f" (mode {mode}, {width} x {height} pixels)" if marked else ""
        raise ImageUnreadable(f"has an MRC header that cannot be right{what}", where=name)
    if too_large(width, height):
        pixels = f" ({width} x {height} pixels)" if marked else ""
        raise ImageUnreadable(f"is larger than can be shown{pixels}", where=name)
    kind = f"{order}{_TYPES[mode]}"
    if mode == 0 and (unsigned := _unsigned(content, order)) is not False:
        kind = "u1" if unsigned else _BYTES
    planes = max(1, planes)
    return _Header(width=width, height=height, planes=planes, mode=mode, kind=kind, extended=extended, marked=marked)


def _fits(content: bytearray, order: str) -> bool:
    """Return whether a header's sizes are those of an image in a byte order."""
    width, height = struct.unpack_from(f"{order}2i", content)
    return min(width, height) > 0 and not too_large(width, height)


def _unsigned(content: bytearray, order: str) -> bool | None:
    """Return whether a header says that bytes are unsigned; None where it does not say.

    MRC2014's bytes are signed.  IMOD's are only where it says so (bio3d.colorado.edu/imod/doc/mrc_format.txt).  Other
    programs write unsigned ones without a word: then the least and the greatest value tell.
    """
    stamp, flags = struct.unpack_from(f"{order}2i", content, 152)
    if stamp == _IMOD:
        return not flags & 1
    least, most = struct.unpack_from(f"{order}2f", content, 76)
    if -128 <= least < 0 and least <= most <= 127:
        return False
    if 0 <= least <= most and 127 < most <= 255:
        return True
    return None


def _look_unsigned(file: File, header: _Header, index: int, name: str, *, compressed: bool) -> bool:
    """Return whether bytes make smoother rows as unsigned numbers than as signed ones.

    Where a number is taken for the wrong kind, it lies 256 from its neighbours.  Bytes that make the same rows either
    way are signed, as MRC2014 says.  Of a compressed file the first rows are looked at, else rows all over the image.
    """
    count = min(_SAMPLE, header.height)
    rows = range(count) if compressed else (number * header.height // count for number in range(count))
    line = np.empty(header.width, np.uint8)
    unsigned = signed = 0
    for row in rows:
        file.seek(header.start(0 if compressed else index) + row * header.width)
        fill(file, line.data, name)
        unsigned += int(np.abs(np.diff(line.astype(np.int16))).sum(dtype=np.int64))
        signed += int(np.abs(np.diff(line.view(np.int8).astype(np.int16))).sum(dtype=np.int64))
    return unsigned < signed


def _check_length(file: io.FileIO, header: _Header, index: int, name: str) -> None:
    """Raise `ImageIncomplete` where a plain file does not hold an image yet; of a compressed one nobody knows."""
    length, needed = os.fstat(file.fileno()).st_size, header.start(index + 1)
    if length < needed:
        lengths = f" ({length:,} of {needed:,} bytes)" if header.marked else ""
        raise ImageIncomplete(f"is shorter than its header says{lengths}", where=name, remedy=GROWING)
