"""Rendered images made smaller once more, where many of them have to fit into one file."""

from __future__ import annotations

import io

from PIL import Image

from cryowatch.images.process import Rendered

_COLOURS = 32


def reduced(image: Rendered, *, size: int | None, quality: int) -> Rendered:
    """Return an image with at most `size` pixels a side (None: as many as it has), encoded anew in less space.

    JPEGs are of this quality (0..100); a plot stays a PNG, with few colours.  The image must be one that this package
    rendered.
    """
    with Image.open(io.BytesIO(image.data)) as whole:
        shown = whole.convert("RGB" if image.media_type == "image/png" else whole.mode)
    if size is not None:
        shown.thumbnail((size, size), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    if image.media_type == "image/png":
        shown.quantize(_COLOURS).save(out, "PNG", optimize=True)
    else:
        shown.save(out, "JPEG", quality=quality, optimize=True)
    return Rendered(data=out.getvalue(), media_type=image.media_type, width=image.width, height=image.height)
