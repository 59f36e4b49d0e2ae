"""Images are drawn as people expect to see them, and what cannot be drawn says why, at once."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cryowatch.errors import ImageError, ImageIncomplete, ImageMissing, ImageUnreadable
from cryowatch.images import pictures
from cryowatch.model import ImageKind
from tests.images.files import STAMPS, Order, header, mrc, peak, render

Plane = NDArray[Any]


def shown(path: Path, size: int = 256, kind: ImageKind = ImageKind.MICROGRAPH) -> Plane:
    """Return the greys (or colours) of a rendered image."""
    found = render(path, kind, size)
    with Image.open(io.BytesIO(found.data)) as image:
        assert image.get_format_mimetype() == found.media_type
        assert found.media_type in ("image/jpeg", "image/png")
        assert max(image.size) <= size
        return np.asarray(image).astype(float)


def ramp(height: int = 64, width: int = 96, low: float = 0.0, high: float = 100.0) -> Plane:
    """Return a plane that grows from its first column to its last."""
    return np.tile(np.linspace(low, high, width), (height, 1))


def noise(height: int, width: int) -> Plane:
    return np.random.default_rng(3).normal(100, 10, (height, width))


def rises(greys: Plane) -> bool:
    """Return whether an image runs from black at the left to white at the right."""
    columns = greys.mean(axis=0)
    return bool(columns[:2].mean() < 12 and columns[-2:].mean() > 243 and (np.diff(columns) > -6).all())


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


@pytest.mark.parametrize(("share", "kept"), [(0.05, 0.8), (0.2, 0.7), (0.4, 0.5)])
@pytest.mark.parametrize("step", [-300.0, 300.0])
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
@pytest.mark.parametrize("kind", [ImageKind.MICROGRAPH, ImageKind.POWER_SPECTRUM])
def test_a_constant_plane_is_grey(tmp_path: Path, value: float, kind: ImageKind) -> None:
    greys = shown(mrc(tmp_path / "1.mrc", np.full((64, 64), value)), kind=kind)
    assert np.ptp(greys) == 0
    assert 100 < greys.mean() < 150


def spectrum(fall: float, peak: float) -> Plane:
    """Return a power spectrum with rings, as high as `exp(-fall * radius)`, and a bright centre."""
    y, x = np.mgrid[-256:256, -256:256] / 512
    radius = np.hypot(x, y)
    plane: Plane = np.exp(-fall * radius) * (1.2 + np.cos(400 * radius**2))
    plane[radius < 0.02] = peak
    return plane


def rings(greys: Plane, inner: float = 0.3, outer: float = 0.45) -> float:
    """Return how strongly rings between two frequencies stand out: the spread of greys."""
    y, x = np.mgrid[-256:256, -256:256] / 512
    radius = np.hypot(x, y)
    return float(greys[(radius > inner) & (radius < outer)].std())


def test_rings_are_seen_beside_a_bright_centre(tmp_path: Path) -> None:
    path = mrc(tmp_path / "1.mrc", spectrum(fall=2, peak=1e7))
    assert rings(shown(path, 512, ImageKind.POWER_SPECTRUM)) > 40


def test_rings_are_seen_where_the_spectrum_falls_steeply(tmp_path: Path) -> None:
    path = mrc(tmp_path / "1.mrc", spectrum(fall=22, peak=1e7))
    greys = shown(path, 512, ImageKind.POWER_SPECTRUM)
    assert rings(greys) > 50
    assert rings(greys, 0.08, 0.2) > 50
    assert rings(shown(path, 512, ImageKind.MICROGRAPH), 0.08, 0.2) < 10


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


@pytest.mark.parametrize("mode", [-1, 3, 4, 5, 7, 99, 102])
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
    began = time.monotonic()
    with pytest.raises(ImageUnreadable, match="is larger than can be shown"):
        render(path, ImageKind.MICROGRAPH, 512)
    assert time.monotonic() - began < 1
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
    began = time.monotonic()
    with pytest.raises((ImageUnreadable, ImageIncomplete)):
        render(path, ImageKind.MICROGRAPH, 512)
    assert time.monotonic() - began < 1
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


# PNG, JPEG and TIFF.


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_pictures_of_a_growing_file_are_drawn_once_they_are_whole(tmp_path: Path, suffix: str) -> None:
    picture = Image.fromarray(noise(200, 200).clip(0, 255).astype(np.uint8))
    path = saved(tmp_path / f"1.{suffix}", picture)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageIncomplete, match="may still be being written"):
        render(path, ImageKind.MICROGRAPH, 128)
    path.write_bytes(whole)
    assert shown(path, 128).shape == (128, 128)


@pytest.mark.parametrize("kind", ["u1", "<u2", ">u2", "<i4", "<f4"])
def test_tiffs_of_every_depth_are_drawn(tmp_path: Path, kind: str) -> None:
    most = 255 if kind == "u1" else 4000
    path = saved(tmp_path / "1.tif", Image.fromarray(ramp(high=most).astype(kind)))
    assert rises(shown(path))


def test_a_compressed_tiff_is_drawn(tmp_path: Path) -> None:
    plane = ramp(high=60_000).astype(np.uint16)
    assert rises(shown(saved(tmp_path / "1.tiff", Image.fromarray(plane), compression="tiff_lzw")))


def test_sixteen_bits_of_a_png_are_drawn_with_contrast(tmp_path: Path) -> None:
    assert rises(shown(saved(tmp_path / "1.png", Image.fromarray(ramp(low=500, high=900).astype(np.uint16)))))


def test_a_float_tiff_with_a_hot_pixel_and_gaps_is_drawn(tmp_path: Path) -> None:
    plane = ramp(200, 200).astype(np.float32)
    plane[3, 3] = np.nan
    plane[50, 50] = 1e30
    assert rises(shown(saved(tmp_path / "1.tif", Image.fromarray(plane)), 200))


def test_what_is_transparent_is_drawn_on_white(tmp_path: Path) -> None:
    colours = np.zeros((40, 60, 4), np.uint8)
    colours[:, 30:] = (255, 0, 0, 255)
    for name, kind in (("1.png", ImageKind.SHIFT_PLOT), ("1.tif", ImageKind.MICROGRAPH)):
        found = shown(saved(tmp_path / name, Image.fromarray(colours)), kind=kind)
        assert found.shape == (40, 60, 3)
        assert found[:, :24].min() > 235
        assert found[:, 40:, 0].min() > 235
        assert found[:, 40:, 1:].max() < 25


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_pictures_of_every_kind_are_drawn(tmp_path: Path, mode: str) -> None:
    suffix = "tif" if mode in ("CMYK", "YCbCr") else "png"
    path = saved(tmp_path / f"1.{suffix}", Image.new("RGB", (50, 30), "white").convert(mode))
    found = shown(path, kind=ImageKind.SHIFT_PLOT)
    assert found.shape[:2] == (30, 50)
    assert found.min() > 245


def test_plots_stay_sharp_and_images_are_photographs(tmp_path: Path) -> None:
    path = saved(tmp_path / "1.png", Image.fromarray(ramp().astype(np.uint8)))
    assert render(path, ImageKind.SHIFT_PLOT, 128).data.startswith(b"\x89PNG")
    assert render(path, ImageKind.MICROGRAPH, 128).data.startswith(b"\xff\xd8\xff")
    assert render(mrc(tmp_path / "1.mrc", ramp()), ImageKind.SHIFT_PLOT, 128).data.startswith(b"\xff\xd8\xff")


def test_what_a_picture_carries_beside_its_pixels_is_not_served(tmp_path: Path) -> None:
    picture = Image.new("RGB", (20, 20), "white")
    exif = Image.Exif()
    exif[0x010E] = "<script>secret</script>"
    for suffix in ("png", "jpg"):
        path = saved(tmp_path / f"1.{suffix}", picture, exif=exif)
        with path.open("ab") as file:
            file.write(b"<script>secret</script>")
        for kind in ImageKind:
            assert b"secret" not in render(path, kind, 128).data


@pytest.mark.parametrize("size", [128, 512])
def test_pictures_are_never_larger_than_asked_nor_than_they_are(tmp_path: Path, size: int) -> None:
    for width, height in ((1, 1), (3000, 2), (2, 3000), (600, 400)):
        path = saved(tmp_path / "1.png", Image.new("RGB", (width, height)))
        found = shown(path, size, ImageKind.SHIFT_PLOT)
        assert max(found.shape[:2]) == min(size, max(width, height))


def test_another_format_under_an_image_s_name_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "1.png", Image.new("RGB", (20, 20)), format="GIF")
    (tmp_path / "2.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>")
    for name in ("1.png", "2.png"):
        with pytest.raises(ImageUnreadable, match="is not a PNG, JPEG, TIFF or MRC image"):
            render(tmp_path / name, ImageKind.SHIFT_PLOT, 128)


def test_any_image_of_a_tiff_movie_is_drawn(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((40, 40), 50, np.uint8)) for _ in range(3)]
    frames[2] = Image.fromarray(ramp(40, 40).astype(np.uint8))
    path = tmp_path / "1.tif"
    frames[0].save(path, save_all=True, append_images=frames[1:], compression="tiff_adobe_deflate")
    assert np.ptp(shown(path)) == 0
    with Image.open(io.BytesIO(render(path, index=2).data)) as image:
        assert rises(np.asarray(image).astype(float))
    with pytest.raises(ImageMissing, match="holds fewer than 4 images"):
        render(path, index=3)


def test_a_tiff_movie_s_few_counts_have_contrast(tmp_path: Path) -> None:
    counts = np.random.default_rng(5).poisson(1.0, (512, 512)).astype(np.uint8)
    counts[:, 256:] += np.random.default_rng(6).poisson(0.5, (512, 256)).astype(np.uint8)
    greys = shown(saved(tmp_path / "1.tif", Image.fromarray(counts), compression="tiff_lzw"), 64)
    assert greys[:, 36:].mean() - greys[:, :28].mean() > 60


def test_a_spectrum_in_a_tiff_is_drawn_as_one(tmp_path: Path) -> None:
    plane = spectrum(fall=22, peak=1e7).astype(np.float32)
    path = saved(tmp_path / "1.tif", Image.fromarray(plane))
    assert rings(shown(path, 512, ImageKind.POWER_SPECTRUM), 0.08, 0.2) > 50


def test_a_jpeg_is_decoded_no_larger_than_is_needed(tmp_path: Path) -> None:
    path = saved(tmp_path / "1.jpg", Image.new("L", (4000, 3000), 77))
    with pictures.opened(path, 0, 256) as (image, width, height):
        assert (width, height) == (4000, 3000)
        assert image.width <= 1000
    assert shown(path).shape == (192, 256)


@pytest.mark.parametrize(
    ("suffix", "mode", "options"),
    [("png", "RGB", {}), ("png", "L", {}), ("png", "P", {}), ("tif", "F", {}), ("jpg", "RGB", {"progressive": True})],
)
def test_what_would_take_too_much_memory_to_decode_is_refused_with_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, mode: str, options: dict[str, Any]
) -> None:
    path = saved(tmp_path / f"1.{suffix}", Image.new(mode, (1500, 1000)), **options)
    assert shown(path).shape[:2] == (171, 256)
    monkeypatch.setattr(pictures, "MOST_BYTES", 1_000_000)
    with pytest.raises(ImageUnreadable, match=r"would take \d+ MB to decode \(1500 x 1000 pixels\)"):
        render(path)


@settings(max_examples=150, deadline=None)
@given(
    suffix=st.sampled_from(["tif", "png", "jpg"]),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=12),
    length=st.integers(0, 3000),
)
def test_no_damaged_picture_makes_it_fail(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, changes: list[tuple[int, int]], length: int
) -> None:
    out = io.BytesIO()
    kinds = {"tif": "TIFF", "png": "PNG", "jpg": "JPEG"}
    Image.fromarray(ramp(40, 40).astype(np.uint8)).save(out, kinds[suffix])
    content = bytearray(out.getvalue())
    for place, value in changes:
        content[place % len(content)] = value
    path = tmp_path_factory.getbasetemp() / f"damaged.{suffix}"
    path.write_bytes(content[:length])
    with contextlib.suppress(ImageError):
        render(path, size=128)
    assert peak(path) < 20 * 2**20
