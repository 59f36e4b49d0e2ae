"""The plot of a movie's drift: where each frame was, in Å, on white.

Both axes have the same scale, so that a direction is a direction.  The colour of the path goes from the first frame to
the last.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from cryowatch.errors import ImageMissing
from cryowatch.images.subject import Shifts

_RATIO = 0.75
_LEAST_WITH_WORDS = 240
_MOST_DRAWN = 4096
_UNIT = 640
"""Lengths below are those of an image of this width, and grow with it; without words they are twice as large."""
_LEFT, _TOP, _RIGHT, _BOTTOM = 66, 46, 22, 56
_TEXT = 17
_LEAST_SPAN = 0.5
_BEYOND = 1e6
"""No frame is a tenth of a millimetre away from another: in Å."""

_INK = (40, 44, 52)
_FAINT = (106, 113, 124)
_GRID = (228, 231, 235)
_FIRST = (196, 78, 12)
_LAST = (0, 76, 153)
_PATH = ((240, 150, 60), (178, 62, 112), (0, 76, 153))
"""Colours of the path at its beginning, in the middle and at its end."""

Point = tuple[float, float]
Colour = tuple[int, int, int]


def draw(shifts: Shifts, size: int) -> bytes:
    """Return a PNG at most `size` pixels wide; raises `ImageMissing` where no frame's shift is a number.

    The total is the length of the path, as motion correction programs add it up; frames without a number are left out.
    """
    points = [(x, y) for x, y in zip(*shifts, strict=False) if abs(x) < _BEYOND and abs(y) < _BEYOND]
    if not points:
        raise ImageMissing("no shift of any frame is known")
    width, height = size, round(size * _RATIO)
    finer = max(1, min(4, _MOST_DRAWN // width))
    canvas = _Canvas(width * finer, height * finer, words=size >= _LEAST_WITH_WORDS)
    _plot(canvas, points, frames=max(len(axis) for axis in shifts))
    image = canvas.image if finer == 1 else canvas.image.reduce(finer)
    out = io.BytesIO()
    image.quantize(128, dither=Image.Dither.NONE).save(out, "PNG")
    return out.getvalue()


class _Canvas:
    """A white image on which lengths are given in units that grow with it."""

    def __init__(self, width: int, height: int, *, words: bool) -> None:
        self.words = words
        self.image = Image.new("RGB", (width, height), "white")
        self.pen = ImageDraw.Draw(self.image)
        self.unit = width / (_UNIT if words else _UNIT / 2)
        self._font = ImageFont.load_default(_TEXT * self.unit)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draw a line with round ends and bends."""
        thick = max(1, round(width * self.unit))
        self.pen.line(points, fill=colour, width=thick, joint="curve")

    def dot(self, place: Point, radius: float, colour: Colour, *, ring: Colour | None = None) -> None:
        """Draw a disc."""
        (x, y), r = place, radius * self.unit
        self.pen.ellipse([x - r, y - r, x + r, y + r], fill=colour, outline=ring, width=max(1, round(1.5 * self.unit)))

    def write(self, place: Point, text: str, anchor: str, colour: Colour = _INK) -> float:
        """Write one line and return its width; the font has no Å, so its ring is drawn above an A."""
        x, y = place
        plain = text.replace("Å", "A")
        length = self._font.getlength(plain)
        x -= {"l": 0.0, "m": length / 2, "r": length}[anchor[0]]
        self.pen.text((x, y), plain, fill=colour, font=self._font, anchor=f"l{anchor[1]}")
        for at in (i for i, letter in enumerate(text) if letter == "Å"):
            left, top, right, _ = self.pen.textbbox((0, y), "A", font=self._font, anchor=f"l{anchor[1]}")
            middle = x + self._font.getlength(plain[:at]) + (left + right) / 2
            radius, thick = 0.115 * _TEXT * self.unit, 0.06 * _TEXT * self.unit
            box = [middle - radius, top - 1.75 * radius, middle + radius, top + 0.25 * radius]
            self.pen.ellipse(box, fill="white", outline=colour, width=max(1, round(thick)))
        return length


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where in the image, and which part of the plane in Å around which centre."""

    left: float
    top: float
    right: float
    bottom: float
    x: float
    y: float
    scale: float

    def place(self, x: float, y: float) -> Point:
        """Return where a point of the plane is in the image; y grows upwards."""
        return (
            (self.left + self.right) / 2 + (x - self.x) * self.scale,
            (self.top + self.bottom) / 2 - (y - self.y) * self.scale,
        )

    @property
    def spans(self) -> tuple[float, float, float, float]:
        """Least and greatest x and y within the axes."""
        across, up = (self.right - self.left) / 2 / self.scale, (self.bottom - self.top) / 2 / self.scale
        return self.x - across, self.x + across, self.y - up, self.y + up


def _axes(canvas: _Canvas, points: Sequence[Point]) -> _Axes:
    width, height, unit = *canvas.image.size, canvas.unit
    margins = (_LEFT, _TOP, _RIGHT, _BOTTOM) if canvas.words else (4, 4, 4, 4)
    left, top, right, bottom = (margin * unit for margin in margins)
    right, bottom = width - right, height - bottom
    xs, ys = zip(*points, strict=True)
    around = 44 * unit
    across = max(max(xs) - min(xs), _LEAST_SPAN) / (right - left - around)
    up = max(max(ys) - min(ys), _LEAST_SPAN) / (bottom - top - around)
    return _Axes(left, top, right, bottom, (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2, 1 / max(across, up))


def _plot(canvas: _Canvas, points: Sequence[Point], *, frames: int) -> None:
    axes = _axes(canvas, points)
    unit = canvas.unit
    x0, x1, y0, y1 = axes.spans
    step = _step((y1 - y0) / 5)
    for x in _ticks(x0, x1, step):
        canvas.line([axes.place(x, y0), axes.place(x, y1)], _GRID, 1)
        if canvas.words:
            canvas.write((axes.place(x, y0)[0], axes.bottom + 7 * unit), _number(x), "mt", _FAINT)
    for y in _ticks(y0, y1, step):
        canvas.line([axes.place(x0, y), axes.place(x1, y)], _GRID, 1)
        if canvas.words:
            canvas.write((axes.left - 8 * unit, axes.place(x0, y)[1]), _number(y), "rm", _FAINT)
    border = max(1, round(1.2 * unit))
    canvas.pen.rectangle([axes.left, axes.top, axes.right, axes.bottom], outline=_FAINT, width=border)
    _path(canvas, [axes.place(x, y) for x, y in points])
    if canvas.words:
        _words(canvas, axes, points, frames)


def _path(canvas: _Canvas, places: Sequence[Point]) -> None:
    count = len(places)
    shares = [number / max(1, count - 1) for number in range(count)]
    for number in range(1, count):
        colour = _between((shares[number - 1] + shares[number]) / 2)
        canvas.line(places[number - 1 : number + 1], colour, 3.2)
        canvas.dot(places[number], 1.6, colour)
    if count <= 100:
        for place, share in zip(places[1:-1], shares[1:-1], strict=True):
            canvas.dot(place, 3.4, _between(share))
    if count > 1:
        canvas.dot(places[-1], 7, _LAST, ring=(255, 255, 255))
    canvas.dot(places[0], 7, (255, 255, 255), ring=_FIRST)
    canvas.dot(places[0], 3.4, _FIRST)


def _words(canvas: _Canvas, axes: _Axes, points: Sequence[Point], frames: int) -> None:
    unit = canvas.unit
    above = axes.top - 11 * unit
    canvas.write((axes.left, above), _caption(points, frames), "ls")
    x = axes.right
    for text, colour in (("last", _LAST), ("first", _FIRST)) if len(points) > 1 else (("first", _FIRST),):
        x -= canvas.write((x, above), text, "rs", colour) + 9 * unit
        hollow = colour == _FIRST
        spot = (x, above - 0.33 * _TEXT * unit)
        canvas.dot(spot, 5, (255, 255, 255) if hollow else colour, ring=colour)
        if hollow:
            canvas.dot(spot, 2.4, colour)
        x -= 15 * unit
    canvas.write(((axes.left + axes.right) / 2, canvas.image.height - 8 * unit), "x (Å)", "ms", _INK)
    canvas.write((10 * unit, above), "y (Å)", "ls", _INK)


def _caption(points: Sequence[Point], frames: int) -> str:
    known = len(points)
    every = f"{frames} frame" if frames == 1 else f"{frames} frames"
    without = frames - known
    counted = f"{without} of {every} {'has' if without == 1 else 'have'} no shift" if without else every
    if known < 2:
        return counted
    total = sum(math.dist(a, b) for a, b in itertools.pairwise(points))
    return f"total {_length(total)} Å, {counted}"


def _length(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _number(value: float) -> str:
    return f"{value + 0:.6g}"


def _between(share: float) -> Colour:
    half = min(1, int(share * 2))
    red, green, blue = (round(a + (b - a) * (2 * share - half)) for a, b in zip(*_PATH[half : half + 2], strict=True))
    return red, green, blue


def _step(least: float) -> float:
    """Return the round number at or above a step."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10, 20) if power * factor >= least)


def _ticks(low: float, high: float, step: float) -> list[float]:
    first, last = math.ceil(low / step), math.floor(high / step)
    return [number * step for number in range(first, last + 1)]
