"""The power spectrum that is computed where a project has none shows the Thon rings where they are."""

from __future__ import annotations

import gzip
import io
import math
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cryowatch.demo.optics import Defocus, Optics, grid, transfer
from cryowatch.errors import ImageUnreadable
from cryowatch.images import mrc as mrc_module
from cryowatch.images.spectrum import MOST_TILES, TILE, power_spectrum, tile_places
from cryowatch.records import ImageKind
from tests.support.image_files import Plane, mrc, peak, render

PIXEL_SIZE = 1.4
OPTICS = Optics()


def micrograph(defocus: Defocus, height: int = 1600, width: int = 2100, *, shot: float = 1.0) -> Plane:
    """Return noise behind a lens: Å, with `shot` noise of the detector."""
    random = np.random.default_rng(11)
    frequency, theta = grid(height, width, PIXEL_SIZE)
    half = width // 2 + 1
    frequency, theta = np.fft.ifftshift(frequency)[:, :half], np.fft.ifftshift(theta)[:, :half]
    spectrum = np.fft.rfft2(random.normal(0, 1, (height, width)))
    spectrum *= transfer(frequency, theta, OPTICS, defocus) * np.exp(-12 * frequency**2)
    seen: Plane = 20 * np.fft.irfft2(spectrum, (height, width)) + random.normal(200, 20 * shot, (height, width))
    return seen


def computed(path: Path) -> Plane:
    with mrc_module.opened(path) as plane:
        return power_spectrum(plane, path.name)


def zeros(underfocus: float, count: int) -> list[float]:
    """Return the radii, in pixels of the spectrum, at which the contrast transfer function is 0 first."""
    wavelength, found = OPTICS.wavelength, []
    for order in range(1, count + 1):
        low, high = 0.0, 1.0
        wanted = order * math.pi - math.asin(OPTICS.amplitude_contrast)
        for _ in range(60):
            middle = (low + high) / 2
            phase = math.pi * wavelength * middle**2 * underfocus
            phase -= math.pi / 2 * wavelength**3 * OPTICS.spherical_aberration * 1e7 * middle**4
            low, high = (middle, high) if phase < wanted else (low, middle)
        found.append(low * PIXEL_SIZE * TILE)
    return found


def profile(spectrum: Plane, angle: float, within: float = 8.0) -> Plane:
    """Return the means over arcs of one pixel's width, of both directions along an angle (degrees, y down)."""
    side = len(spectrum)
    y, x = np.mgrid[:side, :side] - side // 2
    away = np.abs((np.degrees(np.arctan2(y, x)) - angle + 90) % 180 - 90)
    ring = np.round(np.hypot(x, y)).astype(int)
    chosen = away < within
    sums = np.bincount(ring[chosen], spectrum[chosen], side)
    means: Plane = sums / np.maximum(np.bincount(ring[chosen], minlength=side), 1)
    return means


@pytest.mark.parametrize(("underfocus", "count"), [(6_000.0, 4), (12_000.0, 7), (25_000.0, 7)])
def test_rings_are_dark_where_the_lens_transfers_nothing(tmp_path: Path, underfocus: float, count: int) -> None:
    seen = micrograph(Defocus(u=underfocus, v=underfocus, angle=0))
    means = profile(computed(mrc(tmp_path / "1.mrc", seen)), 0, 90)
    for radius in zeros(underfocus, count):
        near = np.arange(round(radius) - 4, round(radius) + 5)
        assert abs(near[means[near].argmin()] - radius) <= 1


@pytest.mark.parametrize("angle", [0.0, 30.0, 120.0])
def test_astigmatism_is_seen_along_its_axes(tmp_path: Path, angle: float) -> None:
    spectrum = computed(mrc(tmp_path / "1.mrc", micrograph(Defocus(u=16_000, v=11_000, angle=angle))))
    for underfocus, direction in ((16_000, angle), (11_000, angle + 90)):
        radius = zeros(underfocus, 3)[2]
        near = np.arange(round(radius) - 4, round(radius) + 5)
        assert abs(near[profile(spectrum, direction)[near].argmin()] - radius) <= 1.5


def test_rings_are_seen_in_the_image_near_the_centre_and_far_from_it(tmp_path: Path) -> None:
    seen = micrograph(Defocus(u=9_000, v=9_000, angle=0))
    picture = render(mrc(tmp_path / "1.mrc", seen), ImageKind.POWER_SPECTRUM, 512, computed=True)
    assert (picture.width, picture.height, picture.media_type) == (TILE, TILE, "image/jpeg")
    with Image.open(io.BytesIO(picture.data)) as image:
        means = profile(np.asarray(image).astype(float), 0, 90)
    radii = zeros(9_000, 9)
    for inner, outer in ((radii[1], radii[2]), (radii[6], radii[7])):
        bright = means[round((inner**2 / 2 + outer**2 / 2) ** 0.5)]
        assert bright - max(means[round(inner)], means[round(outer)]) > 50


def test_white_noise_has_the_power_1_at_every_frequency(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).normal(500, 33, (1500, 1500))
    spectrum = computed(mrc(tmp_path / "1.mrc", noise))
    assert spectrum.shape == (TILE, TILE)
    assert spectrum.mean() == pytest.approx(1, abs=0.02)
    assert profile(spectrum, 0, 90)[10:250] == pytest.approx(np.ones(240), abs=0.12)


def test_a_wave_is_where_its_frequency_is_and_opposite(tmp_path: Path) -> None:
    y, x = np.mgrid[:600, :700]
    wave = np.cos(2 * np.pi * (40 * x + 25 * y) / TILE) + np.random.default_rng(1).normal(0, 0.1, (600, 700))
    spectrum = computed(mrc(tmp_path / "1.mrc", wave))
    highest = {(int(place) // TILE - TILE // 2, int(place) % TILE - TILE // 2) for place in spectrum.argsort(None)[-2:]}
    assert highest == {(25, 40), (-25, -40)}
    assert np.allclose(spectrum[1:, 1:], spectrum[:0:-1, :0:-1], rtol=1e-3)


def test_a_gradient_over_the_micrograph_draws_no_cross(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).normal(0, 1, (1500, 1500)) + np.linspace(0, 300, 1500)
    spectrum = computed(mrc(tmp_path / "1.mrc", noise))
    middle = TILE // 2
    assert np.median(spectrum[middle, middle + 40 :]) < 2 * np.median(spectrum[middle + 40 :, middle + 40 :])


def test_hot_pixels_gaps_and_a_carbon_edge_do_not_hide_the_rings(tmp_path: Path) -> None:
    seen = micrograph(Defocus(u=12_000, v=12_000, angle=0))
    clean = profile(computed(mrc(tmp_path / "1.mrc", seen)), 0, 90)[20:200]
    seen[100, 100], seen[900, 700], seen[700, 1500] = 1e30, -np.inf, np.nan
    seen[:, 1900:] -= 400
    found = profile(computed(mrc(tmp_path / "1.mrc", seen)), 0, 90)[20:200]
    assert np.corrcoef(np.log(clean), np.log(found))[0, 1] > 0.98


@pytest.mark.parametrize("plane", [np.zeros((600, 600)), np.full((600, 600), np.nan), np.full((600, 600), 3e38)])
def test_what_is_empty_or_the_same_everywhere_has_no_spectrum(tmp_path: Path, plane: Plane) -> None:
    with pytest.raises(ImageUnreadable, match="has no power spectrum: it is empty, or the same everywhere"):
        computed(mrc(tmp_path / "1.mrc", plane))


def test_small_micrographs_have_small_spectra(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).normal(0, 1, (400, 301))
    assert computed(mrc(tmp_path / "1.mrc", noise)).shape == (300, 300)
    with pytest.raises(ImageUnreadable, match="too small for a power spectrum \\(20 x 400 pixels\\)"):
        computed(mrc(tmp_path / "1.mrc", noise[:, :20]))


@pytest.mark.parametrize(("height", "width"), [(512, 512), (513, 5000), (1023, 1440), (4092, 5760), (8184, 11_520)])
def test_tiles_cover_a_micrograph_from_edge_to_edge_and_are_not_too_many(height: int, width: int) -> None:
    tops, lefts = tile_places(height, width, TILE)
    assert len(tops) * len(lefts) <= MOST_TILES
    for places, length in ((tops, height), (lefts, width)):
        assert places[0] == 0 or length == TILE
        assert len(places) == 1 or places[-1] == length - TILE
        assert places == sorted(set(places))
        assert len(places) == 1 or max(np.diff(places)) < 1100


def test_the_spectrum_of_a_large_micrograph_takes_neither_long_nor_much_memory(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).normal(0, 1, (1024, 5760)).astype(np.float32)
    path = mrc(tmp_path / "1.mrc", np.tile(noise, (4, 1)))
    began = time.process_time()
    render(path, ImageKind.POWER_SPECTRUM, 512, computed=True)
    assert time.process_time() - began < 3
    assert peak(path, computed=True) < 60 * 2**20


def test_compressed_micrographs_and_pictures_have_the_same_spectrum(tmp_path: Path) -> None:
    seen = micrograph(Defocus(u=12_000, v=12_000, angle=0), 1300, 1300).clip(0, 400).astype(np.uint16)
    path = mrc(tmp_path / "1.mrc", seen, 6)
    (tmp_path / "1.mrc.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
    Image.fromarray(seen).save(tmp_path / "1.tif", compression="tiff_lzw")
    wanted = render(path, ImageKind.POWER_SPECTRUM, 256, computed=True)
    for name in ("1.mrc.gz", "1.tif"):
        assert render(tmp_path / name, ImageKind.POWER_SPECTRUM, 256, computed=True).data == wanted.data
