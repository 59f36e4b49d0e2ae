"""SPIDER files, as Xmipp writes its power spectra, are drawn in both byte orders, and none takes more than its rows."""

from __future__ import annotations

import contextlib
import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cryowatch.errors import ImageError, ImageIncomplete, ImageMissing, ImageUnreadable, ImageUnsupported
from cryowatch.images import spider as spider_module
from cryowatch.records import ImageKind
from tests.scipion.framework import PYTHON
from tests.support.image_files import Order, mrc, noise, peak, ramp, render, rings, rises, saved, shown, spectrum

XMIPP = """
import sys, numpy, xmippLib
planes = numpy.load(sys.argv[1])
image = xmippLib.Image()
for number, plane in enumerate(planes, 1):
    image.setData(plane)
    image.write(f"{number}@{sys.argv[2]}" if len(planes) > 1 else sys.argv[2])
"""


def head(width: float, height: float, *, order: Order = "<", kind: float = 1, slices: float = 1) -> NDArray[Any]:
    """Return the numbers of a header, as many as whole rows of 1,024 bytes or more take."""
    rows = -(-1024 // (4 * int(width)))
    numbers = np.zeros(rows * int(width), f"{order}f4")
    places = {0: slices, 1: height, 2: rows + height, 4: kind, 11: width, 12: rows}
    for place, number in (places | {21: rows * 4 * width, 22: 4 * width}).items():
        numbers[place] = number
    return numbers


def spider(path: Path, plane: NDArray[Any], *, order: Order = "<") -> Path:
    """Write a plane, or a stack of them, as a SPIDER file."""
    planes = plane if plane.ndim == 3 else plane[np.newaxis]
    first = head(planes.shape[2], planes.shape[1], order=order)
    stacked = first.copy()
    stacked[[23, 25]] = 2, len(planes)
    parts = [stacked] if plane.ndim == 3 else []
    for one in planes:
        parts += [first, one.astype(f"{order}f4").ravel()]
    path.write_bytes(np.concatenate(parts).tobytes())
    return path


def rows(path: Path, index: int = 0) -> NDArray[Any]:
    """Return the numbers of one image."""
    with spider_module.opened(path, index) as plane:
        return np.vstack([plane.rows(row, min(row + 7, plane.height)).copy() for row in range(0, plane.height, 7)])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", ["psd", "xmp", "spi", "XMP"])
def test_spider_images_are_drawn_in_both_byte_orders(tmp_path: Path, suffix: str, order: Order) -> None:
    path = spider(tmp_path / f"1.{suffix}", ramp(), order=order)
    assert (rows(path) == ramp().astype(np.float32)).all()
    assert rises(shown(path))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("width", [30, 300])
def test_any_image_of_a_spider_stack_is_read(tmp_path: Path, width: int, order: Order) -> None:
    stack = np.random.default_rng(1).normal(0, 1, (4, 20, width)).astype(np.float32)
    path = spider(tmp_path / "1.stk", stack, order=order)
    for number in range(4):
        assert (rows(path, number) == stack[number]).all()
    with pytest.raises(ImageMissing, match="holds no image 5"):
        rows(path, 4)


@pytest.mark.skipif(not PYTHON.exists(), reason="Scipion's environment is not installed")
@pytest.mark.parametrize("name", ["1.psd", "1.xmp", "1.spi", "1.stk"])
def test_files_as_xmipp_writes_them_are_read(tmp_path: Path, name: str) -> None:
    stack = np.random.default_rng(1).normal(0, 1, (3 if name == "1.stk" else 1, 40, 52)).astype(np.float32)
    np.save(tmp_path / "planes.npy", stack)
    command = [str(PYTHON), "-c", XMIPP, "planes.npy", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    if done.returncode and b"ModuleNotFoundError" in done.stderr:
        pytest.skip("Xmipp is not in Scipion's environment")
    assert done.returncode == 0, done.stderr
    for number, plane in enumerate(stack):
        assert (rows(tmp_path / name, number) == plane).all()


def test_files_as_pillow_writes_them_are_read(tmp_path: Path) -> None:
    plane = ramp(40, 70).astype(np.float32)
    path = saved(tmp_path / "1.spi", Image.fromarray(plane), format="SPIDER")
    assert (rows(path) == plane).all()


@pytest.mark.parametrize("corner", [False, True])
def test_rings_are_seen_wherever_xmipp_put_zero_frequency(tmp_path: Path, *, corner: bool) -> None:
    plane = spectrum(fall=9, peak=1e6) * np.random.default_rng(2).exponential(1, (512, 512))
    expected = shown(mrc(tmp_path / "1.mrc", plane), 512, ImageKind.POWER_SPECTRUM)
    path = spider(tmp_path / "1.psd", np.fft.ifftshift(plane) if corner else plane)
    greys = shown(path, 512, ImageKind.POWER_SPECTRUM)
    assert np.corrcoef(greys.ravel(), expected.ravel())[0, 1] > 0.99
    assert rings(greys) > 20
    assert shown(path, 128, ImageKind.POWER_SPECTRUM).shape == (128, 128)


# What cannot be shown.


def test_a_spider_file_that_grows_is_drawn_once_it_is_whole(tmp_path: Path) -> None:
    whole = spider(tmp_path / "1.psd", noise(128, 128)).read_bytes()
    for length in (0, 100, 1500, len(whole) - 4):
        (tmp_path / "1.psd").write_bytes(whole[:length])
        with pytest.raises(ImageIncomplete, match="tried again"):
            render(tmp_path / "1.psd")
    (tmp_path / "1.psd").write_bytes(bytes(5000))
    with pytest.raises(ImageIncomplete, match="zeros"):
        render(tmp_path / "1.psd")


@pytest.mark.parametrize("content", [b"8BPS\0\x01" + bytes(range(250)) * 8, b"<x:xmpmeta secret='1'/>" * 99])
def test_another_format_under_a_spider_name_is_refused_and_nothing_of_it_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "1.xmp").write_bytes(content)
    with pytest.raises(ImageUnreadable, match=r"^1\.xmp: is not a SPIDER image$"):
        render(tmp_path / "1.xmp")


def test_a_fourier_transform_is_refused_by_its_kind(tmp_path: Path) -> None:
    numbers = head(64, 64, kind=-12)
    (tmp_path / "1.spi").write_bytes(numbers.tobytes() + bytes(64 * 64 * 4))
    with pytest.raises(ImageUnsupported, match="Fourier transform; this kind of image is not shown"):
        render(tmp_path / "1.spi")


def test_a_header_that_claims_to_be_huge_costs_nothing(tmp_path: Path) -> None:
    for width, height in ((60_000, 60_000), (32_000, 32_000)):
        numbers = head(64, 64)
        numbers[[1, 11]] = height, width
        (tmp_path / "1.psd").write_bytes(numbers.tobytes())
        with pytest.raises(ImageUnreadable, match="larger than can be shown"):
            render(tmp_path / "1.psd")
        assert peak(tmp_path / "1.psd") < 2**20


numbers = st.one_of(st.floats(width=32), st.sampled_from([0.0, 1.0, 2.0, 3.0, -1.0, 8.0, 64.0, 512.0, 40_000.0, -12.0]))


@settings(max_examples=150, deadline=None)
@given(
    changes=st.dictionaries(st.sampled_from([0, 1, 2, 4, 11, 12, 21, 22, 23, 25, 26]), numbers),
    order=st.sampled_from(["<", ">"]),
    body=st.integers(0, 20_000),
    index=st.sampled_from([0, 1, 10**9]),
    kind=st.sampled_from([ImageKind.MICROGRAPH, ImageKind.POWER_SPECTRUM]),
)
def test_no_spider_header_makes_it_fail_or_take_memory(
    *,
    tmp_path_factory: pytest.TempPathFactory,
    changes: dict[int, float],
    order: Order,
    body: int,
    index: int,
    kind: ImageKind,
) -> None:
    content = head(64, 64, order=order)
    for place, number in changes.items():
        content[place] = number
    path = tmp_path_factory.getbasetemp() / "fuzz.psd"
    path.write_bytes(content.tobytes() + np.random.default_rng(body).bytes(body))
    with contextlib.suppress(ImageError):
        picture = render(path, kind, 128, index=index)
        with Image.open(io.BytesIO(picture.data)) as image:
            assert 1 <= max(image.size) <= 128
    assert peak(path) < 20 * 2**20
