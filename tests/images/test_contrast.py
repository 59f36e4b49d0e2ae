"""A power spectrum is flattened so that rings are seen at every frequency, and none where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from cryowatch.images.contrast import flattened
from tests.support.image_files import Plane

SIDE = 512
Y, X = np.mgrid[:SIDE, :SIDE] - SIDE // 2
RADIUS = np.hypot(X, Y) / SIDE
RING = np.round(RADIUS * SIDE).astype(int)
RINGS = np.cos(700 * RADIUS**2)


def spectrum(strength: Plane, *, tiles: int = 100) -> Plane:
    """Return a spectrum of so many tiles: a steep fall to a floor of noise, rings on the fall of a strength (0..1)."""
    fall = 300 * np.exp(-30 * RADIUS) + 4 * np.exp(-20 * RADIUS**2)
    power = fall * (1 + strength * RINGS) + 1
    noisy: Plane = power * np.random.default_rng(4).gamma(tiles, 1 / tiles, (SIDE, SIDE))
    noisy[SIDE // 2, SIDE // 2] = 1e9
    return noisy.astype(np.float32)


def profile(greys: Plane) -> Plane:
    """Return the mean grey at each distance to the centre, in pixels."""
    means: Plane = np.bincount(RING.ravel(), greys.ravel().astype(float)) / np.bincount(RING.ravel())
    return means


def test_where_there_are_no_rings_none_are_drawn() -> None:
    means = profile(flattened(spectrum(np.zeros(1))))[60:330]
    running = np.convolve(means, np.full(9, 1 / 9), "valid")
    assert np.ptp(running) < 45
    assert 100 < running.mean() < 155


@pytest.mark.parametrize("strength", [0.1, 0.3, 0.9])
@pytest.mark.parametrize(("inner", "outer"), [(0.06, 0.1), (0.15, 0.2), (0.25, 0.3), (0.35, 0.45)])
def test_the_contrast_is_the_same_at_every_frequency(inner: float, outer: float, strength: float) -> None:
    greys = flattened(spectrum(np.full(1, strength)))
    assert 40 < greys[(inner < RADIUS) & (outer > RADIUS)].std() < 90


def test_rings_stand_out_of_the_noise() -> None:
    strength = np.clip(0.9 - 2 * RADIUS, 0, 1)
    greys = flattened(spectrum(strength, tiles=60))
    for inner, outer, least in ((0.06, 0.12, 0.95), (0.15, 0.2, 0.95), (0.25, 0.3, 0.85)):
        ring = (inner < RADIUS) & (outer > RADIUS)
        assert np.corrcoef(greys[ring], RINGS[ring])[0, 1] > least


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, np.nan, np.inf])
def test_a_spectrum_with_one_value_is_grey(value: float) -> None:
    assert (flattened(np.full((64, 64), value, np.float32)) == 128).all()


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 300), (5, 7), (16, 16), (33, 64), (511, 300)])
def test_spectra_of_every_shape_are_drawn(shape: tuple[int, int]) -> None:
    plane = np.random.default_rng(1).gamma(2, 1, shape).astype(np.float32)
    assert flattened(plane).shape == shape
