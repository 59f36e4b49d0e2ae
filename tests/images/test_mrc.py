"""MRC files are read in all their modes, plain or compressed, and none takes more memory than its rows."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cryowatch.errors import ImageError, ImageIncomplete, ImageMissing, ImageUnreadable, ImageUnsupported
from cryowatch.images import mrc as mrc_module
from tests.support.image_files import STAMPS, Order, header, mrc, peak, render

COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress}


def rows(path: Path, index: int = 0) -> NDArray[Any]:
    """Return the numbers of one image."""
    with mrc_module.opened(path, index) as plane:
        return np.vstack([plane.rows(row, min(row + 7, plane.height)).copy() for row in range(0, plane.height, 7)])


def counts(height: int = 31, width: int = 45) -> NDArray[Any]:
    return np.arange(height * width).reshape(height, width) % 16


def nibbles(path: Path, plane: NDArray[Any], order: Order = "<") -> Path:
    """Write 4-bit pixels: two to a byte, the first in the low half, each row from a new byte on."""
    padded = np.pad(plane, ((0, 0), (0, plane.shape[1] % 2))).astype(np.uint8)
    packed = padded[:, ::2] | (padded[:, 1::2] << 4)
    path.write_bytes(header(plane.shape[1], plane.shape[0], 101, order=order) + packed.tobytes())
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("width", [44, 45])
def test_pixels_of_four_bits_are_unpacked(tmp_path: Path, width: int, order: Order) -> None:
    plane = counts(31, width)
    assert (rows(nibbles(tmp_path / "1.mrc", plane, order)) == plane).all()


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mode", [0, 1, 2, 6, 12])
def test_compressed_files_hold_the_same(tmp_path: Path, mode: int, order: Order, compression: str) -> None:
    path = mrc(tmp_path / "1.mrc", counts(), mode, order=order, extended=3072)
    packed = tmp_path / f"1.mrc.{compression}"
    packed.write_bytes(COMPRESS[compression](path.read_bytes()))
    assert (rows(packed) == counts()).all()
    assert render(packed).data == render(path).data


def test_bytes_of_imod_are_unsigned_unless_it_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "1.st"
    for flags, expected in ((0, 200), (1, -56), (4, 200), (5, -56)):
        head = bytearray(header(3, 2, 0))
        struct.pack_into("<2i", head, 152, 1_146_047_817, flags)
        path.write_bytes(bytes(head) + bytes([200] * 6))
        assert rows(path)[0, 0] == expected


def in_bytes(
    path: Path, plane: NDArray[Any], *, least: float = 0, most: float = 0, order: Order = "<", stamp: bytes = b""
) -> Path:
    """Write bytes, with the least and the greatest value that a header may tell."""
    head = bytearray(header(plane.shape[1], plane.shape[0], 0, order=order, stamp=stamp))
    struct.pack_into(f"{order}2f", head, 76, least, most)
    path.write_bytes(bytes(head) + plane.tobytes())
    if path.suffix[1:] in COMPRESS:
        path.write_bytes(COMPRESS[path.suffix[1:]](path.read_bytes()))
    return path


def spread(middle: float, width: float = 30) -> NDArray[Any]:
    return np.random.default_rng(1).normal(middle, width, (60, 90)).round()


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize(
    ("middle", "kind"), [(128, np.uint8), (40, np.uint8), (170, np.uint8), (0, np.int8), (-30, np.int8)]
)
def test_bytes_are_signed_or_unsigned_as_their_range_tells_and_else_as_they_look(
    tmp_path: Path, middle: int, kind: type, order: Order, suffix: str, *, told: bool
) -> None:
    limits = np.iinfo(kind)
    plane: NDArray[Any] = spread(middle).clip(limits.min, limits.max).astype(kind)
    most = 130.0 if middle == 40 else float(plane.max())
    least, most = (float(plane.min()), most) if told else (0.0, 0.0)
    path = in_bytes(tmp_path / f"1.mrc{suffix}", plane, least=least, most=most, order=order)
    found = rows(path)
    assert (found == plane).all()
    expected = rows(mrc(tmp_path / "expected.mrc", plane.astype(float), 2))
    assert np.corrcoef(found.ravel().astype(float), expected.ravel())[0, 1] == pytest.approx(1)


def test_bytes_that_say_nothing_either_way_are_signed_as_the_format_has_it(tmp_path: Path) -> None:
    plane = np.full((20, 30), 200, np.uint8)
    for least, most in ((0, 0), (1, 0), (-1e9, 1e9), (float("nan"), 200), (-5, 200), (0, float("inf"))):
        assert (rows(in_bytes(tmp_path / "1.mrc", plane, least=least, most=most)) == -56).all()
    assert (rows(in_bytes(tmp_path / "1.mrc", plane, least=200, most=200)) == 200).all()


@pytest.mark.parametrize("mode", [0, 1, 2, 6, 12])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_stamp_of_the_wrong_byte_order_gives_way_to_sizes_that_fit(tmp_path: Path, mode: int, order: Order) -> None:
    wrong = STAMPS[">" if order == "<" else "<"]
    path = mrc(tmp_path / "1.mrc", counts(), mode, order=order, stamp=wrong)
    assert (rows(path) == counts()).all()
    assert render(path).width == 45


@pytest.mark.parametrize("mode", [3, 4, 16])
def test_a_mode_that_is_not_shown_is_refused_by_its_kind(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "1.mrc"
    path.write_bytes(header(8, 8, mode) + bytes(1000))
    with pytest.raises(ImageUnsupported, match=rf"\(mode {mode}\); this kind of image is not shown$"):
        render(path)
    unmarked = bytearray(path.read_bytes())
    unmarked[208:212] = bytes(4)
    path.write_bytes(unmarked)
    with pytest.raises(ImageUnreadable, match=r"has an MRC header that cannot be right$"):
        render(path)


@pytest.mark.parametrize("compression", ["", "gz", "bz2"])
def test_any_image_of_a_stack_is_read(tmp_path: Path, compression: str) -> None:
    stack = np.stack([np.full((6, 9), number) for number in range(5)])
    path = mrc(tmp_path / "1.mrcs", stack, 1, extended=100)
    if compression:
        path = tmp_path / f"1.mrcs.{compression}"
        path.write_bytes(COMPRESS[compression]((tmp_path / "1.mrcs").read_bytes()))
    for number in (0, 2, 4):
        assert (rows(path, number) == number).all()
    with pytest.raises(ImageMissing, match="holds 5 images, not 6"):
        rows(path, 5)


def test_what_was_read_already_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "1.mrc.gz"
    plane = np.random.default_rng(1).normal(0, 1, (64, 40)).astype(np.float32)
    path.write_bytes(gzip.compress(mrc(tmp_path / "1.mrc", plane).read_bytes()))
    steps: list[int] = []
    seek = gzip.GzipFile.seek

    def followed(file: gzip.GzipFile, place: int, whence: int = 0) -> int:
        steps.append(place - seek(file, 0, 1))
        return seek(file, place, whence)

    monkeypatch.setattr(gzip.GzipFile, "seek", followed)
    with mrc_module.opened(path) as opened:
        for first, last in ((0, 20), (10, 30), (10, 30), (30, 31), (50, 64)):
            assert (opened.rows(first, last) == plane[first:last]).all()
    assert min(steps) >= 0, "it would be unpacked from its beginning again"


def test_band_after_band_takes_the_memory_of_one(tmp_path: Path) -> None:
    band = 200 * 10_000 * 4
    with mrc_module.opened(mrc(tmp_path / "1.mrc", np.zeros((1_000, 10_000)))) as opened:
        tracemalloc.start()
        for first in range(0, 800, 100):
            rows = opened.rows(first, first + 200)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert rows.shape == (200, 10_000)
    assert most < 1.6 * band  # half of it once more while that is moved up


def test_what_is_unpacked_is_in_memory_once(tmp_path: Path) -> None:
    path = tmp_path / "1.mrc.gz"
    path.write_bytes(gzip.compress(header(10_000, 200, 2) + bytes(10_000 * 200 * 4)))
    with mrc_module.opened(path) as opened:
        tracemalloc.start()
        opened.rows(0, 200)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 12_000_000


# What cannot be shown.


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.9])
def test_a_compressed_file_that_grows_is_drawn_once_it_is_whole(tmp_path: Path, compression: str, part: float) -> None:
    noise = np.random.default_rng(1).normal(0, 1, (256, 256))
    whole = COMPRESS[compression](mrc(tmp_path / "1.mrc", noise).read_bytes())
    path = tmp_path / f"1.mrc.{compression}"
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ImageIncomplete, match="may still be being written"):
        render(path)
    path.write_bytes(whole)
    assert render(path).width == 256


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_compressed_file_that_is_none_is_refused(tmp_path: Path, compression: str) -> None:
    path = tmp_path / f"1.mrc.{compression}"
    for content in (
        b"Micrograph DefocusU\n" * 200,
        header(8, 8, 2) + bytes(1000),
        gzip.compress(b"")[:10] + b"\xff" * 99,
    ):
        path.write_bytes(content)
        with pytest.raises(ImageUnreadable, match="cannot be read"):
            render(path)


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_bomb_is_unpacked_only_as_far_as_its_header_says(tmp_path: Path, compression: str) -> None:
    path = tmp_path / f"1.mrc.{compression}"
    zeros = COMPRESS[compression](bytes(20_000_000))
    path.write_bytes(COMPRESS[compression](header(64, 64, 2) + bytes(64 * 64 * 4)) + zeros * 50)
    began = time.process_time()
    assert render(path).width == 64
    assert time.process_time() - began < 1
    assert peak(path) < 20 * 2**20


def test_a_bomb_that_claims_to_be_huge_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "1.mrc.gz"
    for head in (header(100_000, 100_000, 2), header(64, 64, 2, extended=2_000_000_000)):
        path.write_bytes(gzip.compress(head + bytes(20_000_000)))
        began = time.process_time()
        with pytest.raises(ImageUnreadable):
            render(path)
        assert time.process_time() - began < 0.5
        assert peak(path) < 20 * 2**20


def test_a_file_that_is_cut_while_it_is_read_harms_nobody(tmp_path: Path) -> None:
    path = mrc(tmp_path / "1.mrc", np.zeros((512, 512)))
    with pytest.raises(ImageIncomplete), mrc_module.opened(path) as plane:  # noqa: PT012  the cut is what is tested
        plane.rows(0, 16)
        with path.open("r+b") as file:
            file.truncate(1024 + 20_000)
        plane.rows(16, 512)


numbers = st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-2, 600), st.sampled_from([32_768, 32_769, 100_000]))


@settings(max_examples=150, deadline=None)
@given(
    width=numbers,
    height=numbers,
    planes=numbers,
    mode=st.one_of(st.sampled_from([0, 1, 2, 4, 6, 12, 101]), numbers),
    extended=numbers,
    order=st.sampled_from(["<", ">"]),
    rest=st.binary(max_size=300),
    body=st.integers(0, 20_000),
    packed=st.booleans(),
    computed=st.booleans(),
    size=st.sampled_from([1, 128, 512]),
)
@example(
    width=32_768,
    height=1,
    planes=1,
    mode=0,
    extended=0,
    order="<",
    rest=b"",
    body=32_768,
    packed=True,
    computed=False,
    size=1,
)
def test_no_header_makes_it_fail_or_take_memory(
    *,
    tmp_path_factory: pytest.TempPathFactory,
    width: int,
    height: int,
    planes: int,
    mode: int,
    extended: int,
    order: Order,
    rest: bytes,
    body: int,
    packed: bool,
    computed: bool,
    size: int,
) -> None:
    content = bytearray(header(width, height, mode, planes=planes, order=order, extended=extended))
    content[100 : 100 + len(rest)] = rest
    content += np.random.default_rng(body).bytes(body)
    path = tmp_path_factory.getbasetemp() / ("fuzz.mrc.gz" if packed else "fuzz.mrc")
    path.write_bytes(gzip.compress(bytes(content)) if packed else bytes(content))
    with contextlib.suppress(ImageError):
        picture = render(path, size=size, computed=computed)
        with Image.open(io.BytesIO(picture.data)) as image:
            assert 1 <= max(image.size) <= size
    assert peak(path, computed=computed) < (100 if computed else 20) * 2**20
