"""PNG, JPEG and TIFF files are drawn as they are meant, and none takes more memory than is allowed."""

from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cryowatch.errors import ImageError, ImageIncomplete, ImageMissing, ImageUnreadable, ImageUnsupported
from cryowatch.images import pictures
from cryowatch.records import ImageKind
from tests.support.image_files import (
    Order,
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
    tiff,
)


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


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "f4"])
def test_numbers_of_every_kind_that_a_tiff_shows_are_those_that_were_written(
    tmp_path: Path, kind: str, order: Order
) -> None:
    limits = np.finfo(kind) if kind[0] == "f" else np.iinfo(kind)
    least, most = (-1000.0, 1000.0) if kind[0] == "f" else (float(limits.min), float(limits.max) * 0.999)
    plane = ramp(low=least, high=most).astype(kind)
    path = tiff(tmp_path / "1.tif", plane, order=order)
    if (kind, order) == ("u4", ">"):
        with pytest.raises(ImageUnsupported, match="32-bit unsigned whole numbers; this kind of image is not shown"):
            render(path)
        return
    with pictures.opened(path, 0, None) as (image, _, _):
        assert (pictures.PicturePlane(image).rows(0, 64) == plane).all()
    assert rises(shown(path))
    assert shown(path) == pytest.approx(shown(mrc(tmp_path / "1.mrc", plane)), abs=12)


@pytest.mark.parametrize("kind", ["u2", "i4", "f4"])
def test_a_tiff_in_which_white_is_zero_is_not_drawn_as_a_negative(tmp_path: Path, kind: str) -> None:
    path = tiff(tmp_path / "1.tif", ramp()[:, ::-1].astype(kind), photometric=0)
    try:
        assert rises(shown(path))
    except ImageUnsupported:
        assert kind == "i4"


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("f2", "16-bit floating-point numbers"),
        ("f8", "64-bit floating-point numbers"),
        ("i8", "64-bit signed whole numbers"),
        ("u8", "64-bit unsigned whole numbers"),
        ("c8", "64-bit complex numbers"),
    ],
)
def test_a_tiff_of_a_kind_that_is_not_shown_is_refused_by_its_name(
    tmp_path: Path, kind: str, name: str, order: Order, *, big: bool
) -> None:
    path = tiff(tmp_path / "1.tif", ramp().astype(kind), order=order, big=big)
    with pytest.raises(ImageUnsupported, match=rf"^1\.tif: is a TIFF of {name}; this kind of image is not shown$"):
        render(path)


@pytest.mark.parametrize("compression", [65000, 65001, 65002, 12345])
def test_a_movie_of_events_is_refused_by_its_name(tmp_path: Path, compression: int) -> None:
    path = tiff(tmp_path / "1.tif", ramp().astype(np.uint8), compression=compression)
    what = "is an EER movie" if compression >= 65000 else "is a TIFF with compression 12345"
    with pytest.raises(ImageUnsupported, match=rf"^1\.tif: {what}; this kind of image is not shown$"):
        render(path)


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


def test_a_plot_that_is_a_photograph_is_sent_in_less_space(tmp_path: Path) -> None:
    path = saved(tmp_path / "1.png", Image.fromarray(noise(300, 400).astype(np.uint8)))
    rendered = render(path, ImageKind.SHIFT_PLOT, 512)
    assert rendered.media_type == "image/jpeg"
    assert len(rendered.data) < 0.67 * path.stat().st_size
    drawn = np.full((300, 400), 255, np.uint8)
    drawn[np.arange(300), np.arange(300)] = 0
    assert (
        render(saved(tmp_path / "2.png", Image.fromarray(drawn)), ImageKind.SHIFT_PLOT, 512).media_type == "image/png"
    )


def test_an_image_that_is_enlarged_is_encoded_better_than_a_thumbnail(tmp_path: Path) -> None:
    path = saved(tmp_path / "1.tif", Image.fromarray(noise(700, 700).astype(np.float32)))
    bits = [len(render(path, ImageKind.MICROGRAPH, size).data) / size**2 for size in (512, 640)]
    assert bits[0] < 0.9 * bits[1]


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


def test_a_tile_larger_than_its_image_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = saved(tmp_path / "1.tif", Image.new("L", (64, 64)), compression="tiff_adobe_deflate")
    tags = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: 46_000, 323: 46_000, 324: 146, 325: 90}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(100))
    with pytest.raises(ImageUnreadable, match=r"would take 2,116 MB to decode \(64 x 64 pixels\)"):
        render(path)


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
@pytest.mark.parametrize("length", [4, 8, 20, 400])
def test_a_picture_of_which_only_the_beginning_is_there_yet_is_tried_again(
    tmp_path: Path, suffix: str, length: int
) -> None:
    options = {"compression": "tiff_lzw"} if suffix == "tif" else {}
    path = saved(tmp_path / f"1.{suffix}", Image.fromarray(noise(200, 200).astype(np.uint8)), **options)
    content = path.read_bytes()
    if suffix == "tif":
        place = struct.unpack_from("<I", content, 4)[0]
        assert place > length  # its directory comes last
    path.write_bytes(content[:length])
    with pytest.raises(ImageIncomplete, match="tried again"):
        render(path)


def test_a_part_that_claims_to_be_long_takes_no_memory(tmp_path: Path) -> None:
    path = saved(tmp_path / "1.png", Image.fromarray(noise(200, 200).astype(np.uint8)))
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT") - 4
    content[place : place + 4] = b"\x7f\xff\xff\xff"
    path.write_bytes(content[:600])
    assert peak(path) < 2**20


def test_a_picture_is_not_mapped_into_memory(tmp_path: Path) -> None:
    path = saved(tmp_path / "1.tif", Image.fromarray(noise(400, 400).astype(np.uint8)))
    with pictures.opened(path, 0, None) as (image, _, _):
        path.write_bytes(b"")
        assert np.asarray(image).mean() > 90


def test_what_may_not_be_read_says_so(tmp_path: Path) -> None:
    for name in ("1.png", "1.mrc"):
        (tmp_path / name).mkdir()
        with pytest.raises(ImageMissing, match=f"{name}: is no file$"):
            render(tmp_path / name)


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
