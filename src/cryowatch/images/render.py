"""From what an image is made of to the JPEG or PNG that a page shows.

Only what this module encodes anew is ever served.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from cryowatch.errors import ImageMissing
from cryowatch.images import mrc, pictures, shift_plot, spider
from cryowatch.images.contrast import centred, contrast, flattened, spectrum_contrast
from cryowatch.images.paths import opened
from cryowatch.images.plane import Plane, reduce, reduced_size
from cryowatch.images.spectrum import power_spectrum
from cryowatch.images.subject import Subject
from cryowatch.records import ImageKind

Opener = Callable[[Path], io.FileIO]

THUMBNAIL = 512
"""Pixels a side up to which an image is one of many on a page, and not looked at closely."""

_THUMBNAIL_QUALITY, _QUALITY = 44, 85  # of JPEGs, 0..100
_DRAWN_BITS = 2
"""Per pixel: what is drawn takes less as a PNG."""

_WORTH_IT = 0.67
"""Only a JPEG so much smaller than the PNG is worth its blurred lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An encoded image, its media type, and how many pixels its source has (None where it has none)."""

    data: bytes
    media_type: str
    width: int | None = None
    height: int | None = None


def render(subject: Subject, size: int) -> Picture:
    """Return a subject as an image of at most `size` pixels a side; raises an `ImageError`."""
    if subject.shifts is not None:
        return Picture(data=shift_plot.draw(subject.shifts, size), media_type="image/png")
    if subject.path is None:
        raise ImageMissing("there is nothing to make an image of")
    opener = _opener(subject.path, subject.project)
    for form in (mrc, spider):
        if form.is_called(subject.path):
            with form.opened(subject.path, subject.index, opener=opener) as plane:
                return _measured(plane, subject, subject.path, size)
    return _picture(subject, subject.path, size, opener)


def _opener(path: Path, project: Path | None) -> Opener:
    """Return what opens a file of a project, or of no project: of its own folder."""
    return partial(opened, path.parent if project is None else project)


def _measured(plane: Plane, subject: Subject, path: Path, size: int) -> Picture:
    """Return an image of measured numbers."""
    if subject.computed:
        spectrum = power_spectrum(plane, path.name)
        height, width = spectrum.shape
        shown = Image.fromarray(flattened(spectrum))
        rows, columns = reduced_size(height, width, size)
        return _encoded(shown.resize((columns, rows), Image.Resampling.BOX), "JPEG", width, height)
    reduced = reduce(plane, size)
    if subject.kind is ImageKind.POWER_SPECTRUM:
        greys = spectrum_contrast(centred(reduced) if spider.is_called(path) else reduced)
    else:
        greys = contrast(reduced)
    return _encoded(Image.fromarray(greys), "JPEG", plane.width, plane.height)


def _picture(subject: Subject, path: Path, size: int, opener: Opener) -> Picture:
    """Return a TIFF, PNG or JPEG reduced and encoded anew."""
    wanted = None if subject.computed else size
    with pictures.opened(path, subject.index, wanted, opener=opener) as (image, width, height):
        if subject.computed:
            grey = image if pictures.is_measured(image) else image.convert("L")
            return _measured(pictures.PicturePlane(grey), subject, path, size)
        if pictures.is_measured(image) and subject.kind is not ImageKind.SHIFT_PLOT:
            return _measured(pictures.PicturePlane(image), subject, path, size)
        kind = "PNG" if subject.kind is ImageKind.SHIFT_PLOT else "JPEG"
        return _encoded(pictures.flat(image, size), kind, width, height)


def _encoded(image: Image.Image, kind: str, width: int, height: int) -> Picture:
    """Return an image as a JPEG or, where it is drawn, a PNG; a plot that is a photograph after all is a JPEG too."""
    data, media_type = b"", "image/png"
    if kind == "PNG":
        data = _saved(image, "PNG", compress_level=6)
    if not data or len(data) * 8 > _DRAWN_BITS * image.width * image.height:
        quality = _THUMBNAIL_QUALITY if max(image.size) <= THUMBNAIL else _QUALITY
        jpeg = _saved(image, "JPEG", quality=quality, optimize=True)
        if not data or len(jpeg) < _WORTH_IT * len(data):
            data, media_type = jpeg, "image/jpeg"
    return Picture(data=data, media_type=media_type, width=width, height=height)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
