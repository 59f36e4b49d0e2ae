"""From an image file to the JPEG or PNG that a page shows.

Only what this module encodes anew is ever served.  Row 0 of an MRC file is drawn at the top, as Scipion's own viewers
draw it.
"""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cryowatch.errors import ImageIncomplete, ImageMissing, ImageUnreadable
from cryowatch.images.subject import Subject
from cryowatch.model import ImageKind

MOST_PIXELS = 400_000_000
_MRC = frozenset({".mrc", ".mrcs", ".map", ".st"})
_HEADER = 1024
_BYTES = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}
_GROWING = "It may still be being written; it is tried again"

Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2

Plane = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An encoded image, its media type, and how many pixels its source has (None where it has none)."""

    data: bytes
    media_type: str
    width: int | None = None
    height: int | None = None


def render(subject: Subject, size: int) -> Picture:
    """Return a subject as an image of at most `size` pixels a side.

    Raises `ImageMissing`, `ImageIncomplete` or `ImageUnreadable`.
    """
    if subject.path is None:
        raise ImageMissing("no shift plot can be drawn")
    data, media_type = _render(subject.path, subject.kind, size)
    return Picture(data=data, media_type=media_type)


def _render(path: Path, kind: ImageKind, size: int) -> tuple[bytes, str]:
    if path.suffix.lower() not in _MRC:
        return _picture(path, kind, size)
    plane = _first_plane(path)
    reduced = reduce(plane, size)
    grey = power_spectrum_contrast(reduced) if kind is ImageKind.POWER_SPECTRUM else contrast(reduced)
    image = Image.fromarray(grey)
    image.thumbnail((size, size), Image.Resampling.BOX, reducing_gap=None)
    return _encoded(image, "JPEG")


def _first_plane(path: Path) -> Plane:
    """Return the first image of an MRC file as a memory map."""
    try:
        length = path.stat().st_size
        if length < _HEADER:
            raise ImageIncomplete("holds no complete MRC header", where=path.name, remedy=_GROWING)
        with path.open("rb") as file:
            order, width, height, mode, extended = _fields(file.read(_HEADER))
    except FileNotFoundError as error:
        raise ImageMissing("is not there", where=path.name) from error
    except (OSError, struct.error) as error:
        raise ImageUnreadable(f"is not an MRC file: {error}", where=path.name) from error
    skip = _HEADER + extended
    if mode not in _BYTES or width < 1 or height < 1 or skip < _HEADER:
        what = f"has an MRC header that cannot be right (mode {mode}, {width} x {height} pixels)"
        raise ImageUnreadable(what, where=path.name)
    if width * height > MOST_PIXELS:
        raise ImageUnreadable(f"is larger than can be shown ({width} x {height} pixels)", where=path.name)
    needed = skip + width * height * _BYTES[mode]
    if length < needed:
        what = f"is shorter than its header says ({length:,} of {needed:,} bytes)"
        raise ImageIncomplete(what, where=path.name, remedy=_GROWING)
    kinds = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
    return np.memmap(path, dtype=f"{order}{kinds[mode]}", mode="r", offset=skip, shape=(height, width))


def _fields(header: bytes) -> tuple[str, int, int, int, int]:
    """Return byte order, width, height, mode and length of the extended header (MRC2014, ccpem.ac.uk/mrc_format).

    As in mrcfile, a machine stamp under which the mode is none gives way to the other byte order.  mrcfile itself
    would set aside as much memory as the extended header claims to be long, in a text file 2 GB.
    """
    stamped = ">" if header[212:213] == b"\x11" else "<"
    other = "<" if stamped == ">" else ">"
    order = next((o for o in (stamped, other) if struct.unpack_from(f"{o}i", header, 12)[0] in _BYTES), stamped)
    width, height, _, mode = struct.unpack_from(f"{order}4i", header)
    return order, width, height, mode, struct.unpack_from(f"{order}i", header, 92)[0]


def reduce(plane: Plane, size: int) -> NDArray[np.float32]:
    """Return the means of square blocks, as large as leave at least `size` pixels on the longer side.

    Works through the rows band by band, so that only the result is ever held in memory.
    """
    height, width = plane.shape
    block = max(1, max(height, width) // size)
    rows, columns = max(1, height // block), max(1, width // block)
    block_rows, block_columns = min(block, height), min(block, width)
    reduced = np.empty((rows, columns), np.float32)
    used = columns * block_columns
    with np.errstate(all="ignore"):
        for row in range(rows):
            band = plane[row * block_rows : (row + 1) * block_rows, :used]
            line = band.sum(axis=0, dtype=np.float32) if block_rows > 1 else band[0].astype(np.float32)
            reduced[row] = line.reshape(columns, block_columns).sum(axis=1)
        reduced /= block_rows * block_columns
    return reduced


def contrast(plane: NDArray[np.float32], low: float = 0.5, high: float = 99.5) -> NDArray[np.uint8]:
    """Return greys that run from one percentile to the other; what is not finite is drawn at the median."""
    finite = plane[np.isfinite(plane)]
    if finite.size == 0:
        return np.full(plane.shape, 128, np.uint8)
    bottom, middle, top = (float(p) for p in np.percentile(finite, (low, 50, high)))
    if not top > bottom:
        return np.full(plane.shape, 128, np.uint8)
    with np.errstate(all="ignore"):
        whole = np.where(np.isfinite(plane), plane, np.float32(middle))
        return np.clip((whole - bottom) * (255.0 / (top - bottom)), 0, 255).astype(np.uint8)


def power_spectrum_contrast(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return greys in which Thon rings are seen: the bright centre does not count, a steep fall is made logarithmic."""
    height, width = plane.shape
    y, x = np.ogrid[:height, :width]
    radius = np.hypot((y - height / 2) / height, (x - width / 2) / width)
    rings = plane[(radius > 0.03) & np.isfinite(plane)]
    if rings.size == 0:
        return contrast(plane)
    middle, top = (float(p) for p in np.percentile(rings, (50, 99.8)))
    if float(rings.min()) >= 0 and middle > 0 and top / middle > 50:
        with np.errstate(all="ignore"):
            plane = np.log1p(np.maximum(plane, 0) / middle)
        rings = plane[(radius > 0.03) & np.isfinite(plane)]
    bottom, top = (float(p) for p in np.percentile(rings, (1, 99.7)))
    return contrast(np.clip(plane, bottom, top), 0, 100)


def _picture(path: Path, kind: ImageKind, size: int) -> tuple[bytes, str]:
    """Return a TIFF, PNG or JPEG reduced and encoded anew."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("PNG", "JPEG", "TIFF")) as image:
                if image.width * image.height > MOST_PIXELS // 2:
                    what = f"is larger than can be shown ({image.width} x {image.height} pixels)"
                    raise ImageUnreadable(what, where=path.name)
                image.load()
                grey = image.mode in ("F", "I", "I;16", "I;16B")
                shown = Image.fromarray(contrast(reduce(np.asarray(image), size))) if grey else _flat(image)
    except FileNotFoundError as error:
        raise ImageMissing("is not there", where=path.name) from error
    except Image.DecompressionBombError as error:
        raise ImageUnreadable("is larger than can be shown", where=path.name) from error
    except UnidentifiedImageError as error:
        if path.stat().st_size == 0:
            raise ImageIncomplete("is empty", where=path.name, remedy=_GROWING) from error
        raise ImageUnreadable("is not a PNG, JPEG, TIFF or MRC image", where=path.name) from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise ImageIncomplete(f"cannot be read to its end ({error})", where=path.name, remedy=_GROWING) from error
    shown.thumbnail((size, size), Image.Resampling.LANCZOS)
    return _encoded(shown, "PNG" if kind is ImageKind.SHIFT_PLOT else "JPEG")


def _flat(image: Image.Image) -> Image.Image:
    """Return an image without transparency, on white, or grey where it is grey."""
    if image.mode in ("L", "1"):
        return image.convert("L")
    coloured = image.convert("RGBA")
    white = Image.new("RGBA", coloured.size, "white")
    return Image.alpha_composite(white, coloured).convert("RGB")


def _encoded(image: Image.Image, kind: str) -> tuple[bytes, str]:
    out = io.BytesIO()
    if kind == "PNG":
        image.save(out, "PNG", optimize=False, compress_level=6)
        return out.getvalue(), "image/png"
    image.save(out, "JPEG", quality=85)
    return out.getvalue(), "image/jpeg"
