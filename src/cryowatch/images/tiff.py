"""What kind of numbers a TIFF holds, by the first directory in it (TIFF 6.0, and the 64-bit offsets of BigTIFF).

For a file that the image library does not open: it does not say whether the file grows still, or is of a kind that it
does not know.  Nothing but a few numbers is read, whatever the directory says.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import BinaryIO

from PIL import TiffImagePlugin

_WIDTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORDER, _SAMPLES, _FORMAT = 256, 258, 259, 262, 266, 277, 339
_DEFAULTS = {_BITS: 1, _COMPRESSION: 1, _PHOTOMETRIC: 1, _ORDER: 1, _SAMPLES: 1, _FORMAT: 1}
_TYPES = {3: "H", 4: "I", 16: "Q"}
_MOST_ENTRIES = 1000
_NAMES = {
    1: "unsigned whole numbers",
    2: "signed whole numbers",
    3: "floating-point numbers",
    5: "complex whole numbers",
    6: "complex numbers",
}
_EER = range(65000, 65003)


def unsupported(file: BinaryIO) -> str | None:
    """Return what kind of TIFF a file is where that kind is not known; None where it is, or is not said yet."""
    file.seek(0)
    head = file.read(16)
    try:
        tags = _directory(file, head) if head[:2] in (b"II", b"MM") else {}
    except struct.error:
        tags = {}
    return _kind(head[:2], {**_DEFAULTS, **tags}) if _WIDTH in tags else None


def _kind(mark: bytes, tags: Mapping[int, int]) -> str | None:
    bits, compression, photometric, order, samples, form = (tags[tag] for tag in _DEFAULTS)
    if compression in _EER:
        return "is an EER movie"
    if compression not in TiffImagePlugin.COMPRESSION_INFO:
        return f"is a TIFF with compression {compression}"
    if samples == 1:
        known = (mark, photometric, (form,), order, (bits,), ()) in TiffImagePlugin.OPEN_INFO
    else:
        known = bits in (8, 16) and form == 1
    return None if known else f"is a TIFF of {bits}-bit {_NAMES.get(form, 'values of an unknown kind')}"


def _directory(file: BinaryIO, head: bytes) -> Mapping[int, int]:
    """Return the tags whose values are numbers, of several the first; raises `struct.error` where the file ends."""
    mark = "<" if head[:2] == b"II" else ">"
    big = struct.unpack_from(f"{mark}H", head, 2)[0] == 43
    place, count, entry = ("Q", "Q", "HHQ8s") if big else ("I", "H", "HHI4s")
    (start,) = struct.unpack_from(mark + place, head, 8 if big else 4)
    file.seek(min(start, 2**62))
    (entries,) = struct.unpack(mark + count, file.read(struct.calcsize(mark + count)))
    size = struct.calcsize(mark + entry)
    content = file.read(min(entries, _MOST_ENTRIES) * size)
    tags = {}
    for tag, kind, values, value in struct.iter_unpack(mark + entry, content):
        if kind not in _TYPES:
            continue
        number = mark + _TYPES[kind]
        length = struct.calcsize(number)
        if values * length > len(value):
            file.seek(min(struct.unpack(mark + place, value)[0], 2**62))
            tags[tag] = struct.unpack(number, file.read(length))[0]
        else:
            tags[tag] = struct.unpack_from(number, value)[0]
    return tags
