"""TIFF, PNG and JPEG files, as Pillow reads them.

Pillow decodes an image whole (a JPEG at half, a quarter or an eighth of its size), so what it would need is counted
first.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from cryowatch.errors import ImageError, ImageIncomplete, ImageMissing, ImageUnreadable, ImageUnsupported
from cryowatch.images import tiff
from cryowatch.images.paths import unreachable
from cryowatch.images.plane import MOST_PIXELS, too_large
from cryowatch.images.rows import GROWING

MOST_BYTES = 400_000_000

_DEEP = ("F", "I", "I;16", "I;16B", "I;16L", "I;16N")
_PIXEL_BYTES = {"1": 2, "L": 1, "RGB": 4, "P": 5, "F": 4, "I": 4, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_MOST_PIXEL_BYTES = 8
"""Of kinds that are not listed: a pixel takes four bytes, and again where it is converted."""

_MISTAKEN = {("L", (8,), (2,)): np.int8, ("I", (32,), (1,)): np.uint32}
"""By mode, bits and format of a TIFF's numbers: what they are where Pillow mistakes signed ones and unsigned ones."""

_WHITE_IS_ZERO = 0
"""Pillow heeds this in pictures of up to 8 bits."""

_BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, TypeError, struct.error, ArithmeticError, LookupError)
"""With any of these Pillow answers to a damaged file."""

Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # it warns above this, and refuses above twice as much


class _File(io.BufferedReader):
    """A file of which nothing is read, nor memory taken, beyond its end, whatever it says of its own parts.

    Pillow would map one that it opens itself into memory: when somebody shortens that, the process ends.
    """

    def __init__(self, file: io.FileIO) -> None:
        super().__init__(file)
        self.length = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self.length - self.tell()) if self.seekable() else sys.maxsize
        return super().read(size if size is None or size < 0 else min(size, left))


class PicturePlane:
    """A grey picture as rows of numbers."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image
        self.width, self.height = image.size
        tags = getattr(image, "tag_v2", {})
        bits, form = (tags.get(tag, (1,)) for tag in (TiffImagePlugin.BITSPERSAMPLE, TiffImagePlugin.SAMPLEFORMAT))
        self._kind = _MISTAKEN.get((image.mode, bits, form))
        self._negative = image.mode in _DEEP and tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO

    def rows(self, first: int, last: int) -> NDArray[Any]:
        """Return rows of the picture."""
        band = np.asarray(self._image.crop((0, first, self.width, last)))
        if self._kind is not None:
            band = band.view(self._kind)
        return np.negative(band, dtype=np.float32) if self._negative else band


def is_measured(image: Image.Image) -> bool:
    """Return whether the numbers of a picture are measured ones, which have to be given contrast."""
    return image.mode in _DEEP or (image.format == "TIFF" and image.mode == "L")


@contextlib.contextmanager
def opened(
    path: Path, index: int, size: int | None, *, opener: Callable[[Path], io.FileIO] = io.FileIO
) -> Iterator[tuple[Image.Image, int, int]]:
    """Give a decoded picture, and width and height of what is in the file; raises an `ImageError`.

    The file is opened by `opener`.  A JPEG that is only wanted `size` pixels large is not decoded at its full size.
    """
    try:
        file = _File(opener(path))
    except OSError as error:
        raise unreachable(error, path.name) from error
    with file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(file, formats=("PNG", "JPEG", "TIFF"))
        except Image.DecompressionBombError as error:
            raise ImageUnreadable("is larger than can be shown", where=path.name) from error
        except UnidentifiedImageError as error:
            if file.length == 0:
                raise ImageIncomplete("is empty", where=path.name, remedy=GROWING) from error
            if (kind := _kind(file)) is not None:
                raise _unsupported(path, kind) from error
            if _begins_as_picture(file):  # a TIFF's directory, as most programs write it, comes last
                raise _incomplete(path, error) from error
            raise ImageUnreadable("is not a PNG, JPEG, TIFF or MRC image", where=path.name) from error
        except _DAMAGED as error:
            raise _incomplete(path, error) from error
        with image:
            width, height = _load(image, path, index, size)
            yield image, width, height


def flat(image: Image.Image, size: int) -> Image.Image:
    """Return a picture without transparency, on white, or grey where it is grey, at most `size` pixels large.

    The picture that is given is not to be used any more: it may be made small itself.
    """
    transparent = "A" in image.mode or "transparency" in image.info
    wanted = "RGBA" if transparent else "L" if image.mode in ("L", "1") else "RGB"
    coloured = image if image.mode == wanted else image.convert(wanted)
    coloured.thumbnail((size, size), Image.Resampling.LANCZOS)
    if not transparent:
        return coloured
    white = Image.new("RGBA", coloured.size, "white")
    return Image.alpha_composite(white, coloured).convert("RGB")


def _load(image: Image.Image, path: Path, index: int, size: int | None) -> tuple[int, int]:
    """Decode one image of a file, if that takes no more memory than it may; return its width and height."""
    try:
        image.seek(index)
    except EOFError as error:
        raise ImageMissing(f"holds fewer than {index + 1:,} images", where=path.name) from error
    except (SyntaxError, KeyError) as error:  # what Pillow answers to kinds of pixels and compression that it lacks
        raise _unsupported(path, f"holds an image {index + 1:,} of another kind") from error
    except _DAMAGED as error:
        raise _incomplete(path, error) from error
    width, height = image.size
    if too_large(width, height):
        raise ImageUnreadable(f"is larger than can be shown ({width} x {height} pixels)", where=path.name)
    try:
        # A progressive JPEG is decoded from coefficients of 2 bytes, which are all kept.
        kept = 2 * width * height * len(image.getbands()) if image.info.get("progressive") else _tile_bytes(image)
        if size is not None:
            image.draft(None, (2 * size, 2 * size))
        needed = kept + image.width * image.height * _PIXEL_BYTES.get(image.mode, _MOST_PIXEL_BYTES)
        if needed > MOST_BYTES:
            what = f"would take {needed / 1e6:,.0f} MB to decode ({width} x {height} pixels), more than is allowed"
            raise ImageUnreadable(what, where=path.name, remedy=f"Up to {MOST_BYTES / 1e6:,.0f} MB are")
        image.load()
    except _DAMAGED as error:
        raise _incomplete(path, error) from error
    return width, height


def _tile_bytes(image: Image.Image) -> int:
    """Return how much one tile of a TIFF takes, which may be larger than the image."""
    tags = getattr(image, "tag_v2", {})
    width, height = (int(tags.get(tag, 0)) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
    return width * height * _PIXEL_BYTES.get(image.mode, _MOST_PIXEL_BYTES)


def _begins_as_picture(file: _File) -> bool:
    with contextlib.suppress(OSError):
        file.seek(0)
        return file.read(8).startswith(_BEGINNINGS)
    return False


def _kind(file: _File) -> str | None:
    with contextlib.suppress(OSError):
        return tiff.unsupported(file)
    return None


def _unsupported(path: Path, kind: str) -> ImageUnsupported:
    return ImageUnsupported(f"{kind}; this kind of image is not shown", where=path.name)


def _incomplete(path: Path, error: Exception) -> ImageError:
    """Return what an error means; Pillow's own words may quote bytes of the file, and are not told."""
    if isinstance(error, OSError) and error.errno is not None:  # the system's, not Pillow's own
        return unreachable(error, path.name)
    return ImageIncomplete("cannot be read to its end", where=path.name, remedy=GROWING)
