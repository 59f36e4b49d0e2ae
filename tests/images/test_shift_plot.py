"""A movie's drift is drawn as what it is: a path in Å, the first frame marked."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cryowatch.errors import ImageMissing
from cryowatch.images import shift_plot
from cryowatch.images.render import render
from cryowatch.images.subject import Shifts, Subject
from cryowatch.records import ImageKind

DRIFT: Shifts = ((0.0, 4.0, 7.0, 9.0, 10.0), (0.0, -1.0, -1.5, -1.0, 0.0))
ORANGE, BLUE = (196, 78, 12), (0, 76, 153)


def drawn(shifts: Shifts, size: int = 512) -> NDArray[Any]:
    """Return the colours of a plot."""
    picture = render(Subject(kind=ImageKind.SHIFT_PLOT, shifts=shifts), size)
    assert picture.media_type == "image/png"
    assert picture.width is None
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.format == "PNG"
        assert image.size == (size, round(size * 0.75))
        return np.asarray(image.convert("RGB")).astype(int)


def written(shifts: Shifts, monkeypatch: pytest.MonkeyPatch, size: int = 512) -> list[str]:
    """Return the lines of text in a plot."""
    lines: list[str] = []
    write = ImageDraw.ImageDraw.text

    def text(pen: ImageDraw.ImageDraw, place: Any, line: str, *more: Any, **options: Any) -> None:
        lines.append(line)
        write(pen, place, line, *more, **options)

    with monkeypatch.context() as patched:
        patched.setattr(ImageDraw.ImageDraw, "text", text)
        drawn(shifts, size)
    return lines


def middle(colours: NDArray[Any], colour: tuple[int, int, int]) -> tuple[float, float]:
    """Return row and column of the middle of what has a colour, below the words."""
    found = np.abs(colours - colour).max(axis=2) < 12
    found[: round(len(colours) * 0.1)] = False
    rows, columns = np.nonzero(found)
    assert rows.size
    return float(np.median(rows)), float(np.median(columns))


@pytest.mark.parametrize("size", [128, 256, 512, 1024, 2048])
def test_first_and_last_frame_are_where_they_belong(size: int) -> None:
    colours = drawn(DRIFT, size)
    assert (colours[0, 0] == 255).all()
    first, last = middle(colours, ORANGE), middle(colours, BLUE)
    assert first[0] == pytest.approx(last[0], abs=size / 60), "both are at y = 0"
    assert last[1] - first[1] > size * 0.6


def test_y_grows_upwards_and_both_axes_have_one_scale() -> None:
    right = drawn(((0.0, 5.0), (0.0, 0.0)))
    up = drawn(((0.0, 5.0), (0.0, 5.0)))
    assert middle(right, BLUE)[0] == pytest.approx(middle(right, ORANGE)[0], abs=3)
    rise = middle(up, ORANGE)[0] - middle(up, BLUE)[0]
    run = middle(up, BLUE)[1] - middle(up, ORANGE)[1]
    assert rise > 100
    assert rise == pytest.approx(run, abs=6)


def test_axes_are_in_angstroms_and_the_total_is_the_length_of_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = written(DRIFT, monkeypatch)
    total = sum(
        math.hypot(DRIFT[0][i + 1] - DRIFT[0][i], DRIFT[1][i + 1] - DRIFT[1][i]) for i in range(len(DRIFT[0]) - 1)
    )
    assert f"total {total:.1f} A, 5 frames" in lines, "the ring of the Å is drawn"
    assert {"x (A)", "y (A)", "first", "last", "0", "2", "10", "-2"} <= set(lines)


def test_a_small_plot_has_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(DRIFT, monkeypatch, 128) == []


def test_one_frame_and_two_at_one_place_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "1 frame" in written(((3.0,), (-2.0,)), monkeypatch)
    assert "last" not in written(((3.0,), (-2.0,)), monkeypatch)
    assert "total 0.00 A, 2 frames" in written(((1.0, 1.0), (1.0, 1.0)), monkeypatch)
    assert "total 5.00 A, 2 frames" in written(((1.0, 4.0), (1.0, 5.0)), monkeypatch)


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf, 1e308])
def test_frames_without_a_shift_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch, strange: float) -> None:
    lines = written(((0.0, strange, 3.0, 3.0), (0.0, 1.0, 4.0, strange)), monkeypatch)
    assert "total 5.00 A, 2 of 4 frames have no shift" in lines
    assert "1 of 2 frames has no shift" in written(((3.0, strange), (4.0, 1.0)), monkeypatch)


@pytest.mark.parametrize("shifts", [((), ()), ((math.nan,), (1.0,)), ((math.inf, 2.0), (0.0, math.nan))])
def test_no_shift_at_all_is_a_missing_image(shifts: Shifts) -> None:
    with pytest.raises(ImageMissing, match="no shift of any frame is known"):
        render(Subject(kind=ImageKind.SHIFT_PLOT, shifts=shifts), 512)


@pytest.mark.parametrize("scale", [1e-300, 1e-6, 0.01, 1.0, 50.0, 9e4])
def test_every_length_has_its_axes(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    shifts = (tuple(x * scale for x in DRIFT[0]), tuple(y * scale for y in DRIFT[1]))
    ticks = [line for line in written(shifts, monkeypatch) if line.lstrip("-").replace(".", "").isdigit()]
    assert 5 <= len(ticks) <= 25


def test_a_long_movie_is_drawn() -> None:
    random = np.random.default_rng(1)
    x, y = (tuple(float(s) for s in np.cumsum(random.normal(0, 0.3, 1500))) for _ in range(2))
    assert len(shift_plot.draw((x, y), 512)) < 40_000
