"""Images are drawn as people expect to see them, and what cannot be drawn says why, at once."""

from __future__ import annotations

import struct
import time
import zlib
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from PIL import Image

from cryowatch.errors import ImageError, ImageIncomplete, ImageMissing, ImageUnreadable
from cryowatch.records import ImageKind
from tests.support.image_files import (
    STAMPS,
    Order,
    header,
    mrc,
    noise,
    peak,
    ramp,
    render,
    rings,
    rises,
    saved,
    shown,
    spectrum,
)

# MRC files.


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mode", [0, 1, 2, 6, 12])
def test_every_mode_is_drawn_in_both_byte_orders(tmp_path: Path, mode: int, order: Order) -> None:
    low = 0.0 if mode == 6 else -100.0
    path = mrc(tmp_path / "1.mrc", ramp(low=low), mode, order=order)
    greys = shown(path)
    assert greys.shape == (64, 96)
    assert rises(greys)


def test_large_unsigned_counts_are_not_taken_for_negative_ones(tmp_path: Path) -> None:
    assert rises(shown(mrc(tmp_path / "1.mrc", ramp(high=65_535), 6)))


@pytest.mark.parametrize("kind", ["i1", "i2", "f4", "u2", "f2"])
def test_files_as_mrcfile_writes_them_are_drawn(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "1.mrc"
    mrcfile.write(path, ramp().astype(kind), voxel_size=0.83)
    assert rises(shown(path))


def test_the_first_row_is_drawn_at_the_top(tmp_path: Path) -> None:
    plane = np.zeros((60, 60))
    plane[:20] = 100
    greys = shown(mrc(tmp_path / "1.mrc", plane))
    assert greys[:18].mean() > 245
    assert greys[22:].mean() < 10


def test_of_a_stack_the_first_plane_is_drawn(tmp_path: Path) -> None:
    falling = ramp()[:, ::-1]
    path = mrc(tmp_path / "1.mrcs", np.stack([ramp(), falling, falling, falling]))
    assert rises(shown(path))


def test_an_extended_header_is_skipped(tmp_path: Path) -> None:
    assert rises(shown(mrc(tmp_path / "1.mrc", ramp(), extended=3072)))


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_wrong_machine_stamp_does_not_matter(tmp_path: Path, order: Order) -> None:
    for stamp in (STAMPS["<"], STAMPS[">"], b"\0\0\0\0", b"\x44\x41\0\0"):
        if order == ">" and stamp == b"\0\0\0\0":
            continue
        assert rises(shown(mrc(tmp_path / "1.mrc", ramp(), 1, order=order, stamp=stamp))), stamp


@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("hot", [1e9, 1e30, -1e30])
def test_one_hot_pixel_does_not_darken_the_rest(tmp_path: Path, size: int, hot: float) -> None:
    plane = noise(256, 256)
    clean = shown(mrc(tmp_path / "clean.mrc", plane), size)
    plane[100, 100] = hot
    greys = shown(mrc(tmp_path / "hot.mrc", plane), size)
    assert np.abs(greys - clean).mean() < 3
    assert greys.std() > 30


@pytest.mark.parametrize(
    ("share", "kept", "step"),
    [(0.05, 0.8, -300.0), (0.05, 0.8, 300.0), (0.2, 0.7, -300.0), (0.2, 0.7, 300.0), (0.4, 0.45, -300.0)],
)
def test_a_carbon_edge_does_not_take_the_contrast_from_the_rest(
    tmp_path: Path, share: float, kept: float, step: float
) -> None:
    plane = noise(512, 512)
    clean = shown(mrc(tmp_path / "clean.mrc", plane), 256)
    edge = round(512 * (1 - share))
    plane[:, edge:] += step
    greys = shown(mrc(tmp_path / "edge.mrc", plane), 256)
    assert greys[:, : edge // 2 - 2].std() > kept * clean.std()
    assert abs(greys[:, edge // 2 + 2 :].mean() - (255 if step > 0 else 0)) < 10


@pytest.mark.parametrize("share", [0.35, 0.45])
@pytest.mark.parametrize("foil", [1.0, 8.0])
def test_ice_in_a_hole_is_seen_where_the_foil_around_it_covers_more(tmp_path: Path, share: float, foil: float) -> None:
    plane = noise(512, 512)
    clean = shown(mrc(tmp_path / "clean.mrc", plane), 256)
    y, x = np.mgrid[-256:256, -256:256]
    hole = np.hypot(x, y) < 512 * np.sqrt(share / np.pi)
    plane[~hole] = np.random.default_rng(4).normal(20, foil, int((~hole).sum()))
    greys = shown(mrc(tmp_path / "foil.mrc", plane), 256)
    inside, outside = greys[100:156, 100:156], greys[:, :20]
    assert inside.std() > 0.4 * clean.std()
    assert outside.std() > 0.15 * clean.std()
    assert 120 < inside.mean() < 220
    assert 20 < outside.mean() < 84


def test_what_is_in_few_pixels_only_is_seen(tmp_path: Path) -> None:
    plane = np.zeros((256, 256))
    plane[100, 50] = 3
    greys = shown(mrc(tmp_path / "1.mrc", plane))
    assert greys[100, 50] > 150
    assert greys[150:].max() < 10


def test_a_movie_s_few_counts_have_contrast(tmp_path: Path) -> None:
    counts = np.random.default_rng(5).poisson(1.0, (512, 512))
    counts[:, 256:] += np.random.default_rng(6).poisson(0.5, (512, 256))
    greys = shown(mrc(tmp_path / "1.mrc", counts, 0), 64)
    assert greys[:, 36:].mean() - greys[:, :28].mean() > 60


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [ImageKind.MICROGRAPH, ImageKind.POWER_SPECTRUM])
def test_a_plane_without_any_number_is_grey(tmp_path: Path, strange: float, kind: ImageKind) -> None:
    greys = shown(mrc(tmp_path / "1.mrc", np.full((64, 64), strange)), kind=kind)
    assert np.ptp(greys) == 0
    assert 100 < greys.mean() < 150


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [64, 128])
def test_what_is_no_number_leaves_the_rest_as_it_is(tmp_path: Path, strange: float, size: int) -> None:
    plane = ramp(128, 128)
    plane[:, 56:72] = strange
    columns = shown(mrc(tmp_path / "1.mrc", plane), size).mean(axis=0)
    middle = columns[size // 2 - 4 : size // 2 + 4]
    assert columns[:2].mean() < 12
    assert columns[-2:].mean() > 243
    assert ((middle > 100) & (middle < 155)).all()


@pytest.mark.parametrize("value", [0.0, -7.5, 3.0e38])
@pytest.mark.parametrize("shape", [(64, 64), (682, 959)])
@pytest.mark.parametrize("kind", [ImageKind.MICROGRAPH, ImageKind.POWER_SPECTRUM])
def test_a_constant_plane_is_grey(tmp_path: Path, value: float, shape: tuple[int, int], kind: ImageKind) -> None:
    greys = shown(mrc(tmp_path / "1.mrc", np.full(shape, value)), kind=kind)
    assert np.ptp(greys) == 0
    assert 100 < greys.mean() < 150


def test_of_a_constant_plane_with_a_hot_pixel_only_that_is_seen(tmp_path: Path) -> None:
    plane = np.full((682, 959), 7.5)
    plane[100, 50] = 1e30
    greys = shown(mrc(tmp_path / "1.mrc", plane))
    assert greys.max() > 150
    assert np.ptp(greys[40:]) == 0


def test_rings_are_seen_beside_a_bright_centre(tmp_path: Path) -> None:
    path = mrc(tmp_path / "1.mrc", spectrum(fall=2, peak=1e7))
    assert rings(shown(path, 512, ImageKind.POWER_SPECTRUM)) > 40


def test_rings_are_seen_where_the_spectrum_falls_steeply(tmp_path: Path) -> None:
    path = mrc(tmp_path / "1.mrc", spectrum(fall=22, peak=1e7))
    greys = shown(path, 512, ImageKind.POWER_SPECTRUM)
    assert rings(greys) > 50
    assert rings(greys, 0.08, 0.2) > max(50, 1.3 * rings(shown(path, 512, ImageKind.MICROGRAPH), 0.08, 0.2))


def test_a_spectrum_of_one_pixel_is_drawn(tmp_path: Path) -> None:
    assert shown(mrc(tmp_path / "1.mrc", np.ones((1, 1))), kind=ImageKind.POWER_SPECTRUM).shape == (1, 1)


@pytest.mark.parametrize("size", [128, 512])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 4000), (700, 1000), (129, 127), (512, 512)])
def test_images_are_never_larger_than_asked_nor_than_they_are(
    tmp_path: Path, shape: tuple[int, int], size: int
) -> None:
    greys = shown(mrc(tmp_path / "1.mrc", noise(*shape)), size)
    height, width = greys.shape
    assert max(height, width) == min(size, max(shape))
    assert 1 <= height <= shape[0]
    assert 1 <= width <= shape[1]
    if min(shape) > 100:
        assert width / height == pytest.approx(shape[1] / shape[0], rel=0.02)


def test_a_large_plane_is_never_held_whole(tmp_path: Path) -> None:
    path = tmp_path / "1.mrc"
    with path.open("wb") as file:
        file.write(header(6000, 6000, 2))
        file.truncate(1024 + 6000 * 6000 * 4)
    assert peak(path) < 20 * 2**20


# What cannot be drawn.


@pytest.mark.parametrize("name", ["1.mrc", "1.png", "1.tif"])
def test_a_missing_image_says_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageMissing, match=f"{name}: is not there"):
        render(tmp_path / name, ImageKind.MICROGRAPH, 128)


@pytest.mark.parametrize("name", ["1.mrc", "1.png", "1.tif", "1.jpg"])
def test_an_empty_file_may_still_be_being_written(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ImageIncomplete, match="may still be being written"):
        render(tmp_path / name, ImageKind.MICROGRAPH, 128)


@pytest.mark.parametrize("name", ["1.mrc", "1.mrcs", "1.png", "1.tif", "1.jpg"])
def test_a_text_file_is_no_image(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Micrograph  DefocusU  DefocusV\n" * 200)
    with pytest.raises(ImageUnreadable):
        render(tmp_path / name, ImageKind.MICROGRAPH, 128)


@pytest.mark.parametrize("name", ["1.mrc", "1.png"])
def test_a_folder_is_no_image(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ImageError, match=name):
        render(tmp_path / name, ImageKind.MICROGRAPH, 128)


@pytest.mark.parametrize("mode", [-1, 5, 7, 99, 102])
def test_an_unknown_mode_is_named(tmp_path: Path, mode: int) -> None:
    (tmp_path / "1.mrc").write_bytes(header(8, 8, mode) + bytes(1024))
    with pytest.raises(ImageUnreadable, match=f"mode {mode}, 8 x 8 pixels"):
        render(tmp_path / "1.mrc", ImageKind.MICROGRAPH, 128)


@pytest.mark.parametrize(("width", "height"), [(0, 8), (8, 0), (-8, 8), (-8, -8), (-(2**31), 2)])
def test_an_impossible_size_is_named(tmp_path: Path, width: int, height: int) -> None:
    (tmp_path / "1.mrc").write_bytes(header(width, height, 2) + bytes(1024))
    with pytest.raises(ImageUnreadable, match=f"{width} x {height} pixels"):
        render(tmp_path / "1.mrc", ImageKind.MICROGRAPH, 128)


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def huge_png() -> bytes:
    """Return a PNG that claims to have a million times a million pixels."""
    size = struct.pack(">IIBBBBB", 10**6, 10**6, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(64)))


def huge_tiff() -> bytes:
    """Return a TIFF that claims to have a million times a million pixels."""
    tags = {256: 10**6, 257: 10**6, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 10**6, 279: 10**9}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(64)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("huge.mrc", header(10**6, 10**6, 2) + bytes(4096)),
        ("huge-8.mrc", header(2**31 - 1, 2**31 - 1, 0) + bytes(4096)),
        ("huge-4.mrc", header(100_000, 100_000, 101) + bytes(4096)),
        ("wide.mrc", header(300_000_000, 1, 0) + bytes(4096)),
        ("huge.png", huge_png()),
        ("huge.tif", huge_tiff()),
    ],
    ids=["mrc", "largest mrc", "packed mrc", "wide mrc", "png", "tiff"],
)
def test_a_claim_of_too_many_pixels_is_refused_at_once(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    began = time.process_time()
    with pytest.raises(ImageUnreadable, match="is larger than can be shown"):
        render(path, ImageKind.MICROGRAPH, 512)
    assert time.process_time() - began < 1
    assert peak(path) < 20 * 2**20


@pytest.mark.parametrize(
    "content",
    [
        header(64, 64, 2, extended=2_000_000_000) + bytes(4096),
        b"Micrograph  DefocusU  DefocusV\n" * 200,
        header(20_000, 20_000, 2) + bytes(4096),
        header(64, 64, 2, extended=-100) + bytes(4096),
    ],
    ids=["extended header", "text", "not written yet", "negative extended header"],
)
def test_a_wrong_header_takes_neither_time_nor_memory(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "1.mrc"
    path.write_bytes(content)
    began = time.process_time()
    with pytest.raises((ImageUnreadable, ImageIncomplete)):
        render(path, ImageKind.MICROGRAPH, 512)
    assert time.process_time() - began < 1
    assert peak(path) < 20 * 2**20


@pytest.mark.parametrize("length", [1, 1023, 1024, 1025, 1024 + 64 * 96 * 4 - 1])
def test_a_file_that_grows_is_drawn_once_it_is_whole(tmp_path: Path, length: int) -> None:
    path = mrc(tmp_path / "1.mrc", ramp())
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    with pytest.raises(ImageIncomplete, match="may still be being written"):
        render(path, ImageKind.MICROGRAPH, 128)
    with path.open("ab") as file:
        file.write(whole[length:])
    assert rises(shown(path))


def test_a_stack_is_drawn_as_soon_as_its_first_plane_is_there(tmp_path: Path) -> None:
    path = mrc(tmp_path / "1.mrcs", np.stack([ramp()] * 8))
    path.write_bytes(path.read_bytes()[: 1024 + 64 * 96 * 4])
    assert rises(shown(path))


@pytest.mark.parametrize(
    "name", ["new\nline.mrc", "\U0001f9ca.mrc", "a b'\"\\.mrc", "caf\udce9.mrc", "x" * 200 + ".mrc"]
)
def test_strange_names_are_no_hindrance_and_reasons_are_one_line(tmp_path: Path, name: str) -> None:
    path = mrc(tmp_path / name, ramp())
    assert rises(shown(path))
    path.write_bytes(b"")
    with pytest.raises(ImageIncomplete) as caught:
        render(path)
    assert str(caught.value).isprintable()


def test_the_size_of_the_source_is_told(tmp_path: Path) -> None:
    for path in (
        mrc(tmp_path / "1.mrc", ramp(300, 700)),
        saved(tmp_path / "1.png", Image.new("L", (700, 300))),
        saved(tmp_path / "1.jpg", Image.new("RGB", (700, 300))),
        saved(tmp_path / "1.tif", Image.new("I;16", (700, 300))),
    ):
        picture = render(path, size=128)
        assert (picture.width, picture.height) == (700, 300)
