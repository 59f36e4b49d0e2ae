"""The plot of a movie's drift, as alignment programs draw it: the path of the frames in x and y."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_SIZE = (640, 480)
_MARGIN = (64, 40, 20, 52)
_INK = (40, 44, 52)
_LINE = (0, 92, 175)


def draw(shifts: Sequence[tuple[float, float]]) -> bytes:
    """Return a PNG of shifts in pixels, the first frame's at the origin."""
    twice = 2
    image = Image.new("RGB", (_SIZE[0] * twice, _SIZE[1] * twice), "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(15 * twice)
    left, top, right, bottom = (_MARGIN[0], _MARGIN[1], _SIZE[0] - _MARGIN[2], _SIZE[1] - _MARGIN[3])
    xs, ys = zip(*shifts, strict=True)
    step = _step(max(max(xs) - min(xs), max(ys) - min(ys), 0.5) / 4)
    x0, x1 = math.floor(min(xs) / step) * step - step / 2, math.ceil(max(xs) / step) * step + step / 2
    y0, y1 = math.floor(min(ys) / step) * step - step / 2, math.ceil(max(ys) / step) * step + step / 2

    def place(x: float, y: float) -> tuple[float, float]:
        across = left + (x - x0) / (x1 - x0) * (right - left)
        down = bottom - (y - y0) / (y1 - y0) * (bottom - top)
        return across * twice, down * twice

    for value in _ticks(x0, x1, step):
        pen.line([place(value, y0), place(value, y1)], fill=(225, 228, 232), width=twice)
        x, y = place(value, y0)
        pen.text((x, y + 6 * twice), f"{value:g}", fill=_INK, font=font, anchor="mt")
    for value in _ticks(y0, y1, step):
        pen.line([place(x0, value), place(x1, value)], fill=(225, 228, 232), width=twice)
        x, y = place(x0, value)
        pen.text((x - 6 * twice, y), f"{value:g}", fill=_INK, font=font, anchor="rm")
    pen.rectangle([place(x0, y1), place(x1, y0)], outline=_INK, width=twice)
    points = [place(x, y) for x, y in shifts]
    pen.line(points, fill=_LINE, width=3 * twice, joint="curve")
    for number, (x, y) in enumerate(points):
        radius = (5 if number == 0 else 3) * twice
        colour = (200, 60, 30) if number == 0 else _LINE
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
    pen.text((_SIZE[0] * twice / 2, 12 * twice), "Global shift", fill=_INK, font=font, anchor="mt")
    pen.text(((left + right) / 2 * twice, (_SIZE[1] - 8) * twice), "x (pixels)", fill=_INK, font=font, anchor="mb")
    pen.text((8 * twice, top * twice), "y (pixels)", fill=_INK, font=font, anchor="lb")
    out = io.BytesIO()
    image.reduce(twice).quantize(32, Image.Quantize.FASTOCTREE).save(out, "PNG")
    return out.getvalue()


def _step(least: float) -> float:
    """Return the round number at or above a step."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)


def _ticks(low: float, high: float, step: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 6) for n in range(first, math.floor(high / step + 1e-9) + 1)]
