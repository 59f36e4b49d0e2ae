"""The power spectrum of a micrograph (Welch 1967, IEEE Trans. Audio Electroacoust. 15, 70-73).

P(k) = mean over tiles of |FFT(w (x - mean of x) / s)|^2 / sum of w^2, where `s` is the standard deviation of the tile
and `w` a window that falls to 0 at the edges, over 64 pixels, as half a cosine wave (Tukey's).  So P is a share of the
variance, without a unit, and 1 at every frequency of white noise.  Divided by `s`, a tile with a carbon edge or an ice
crystal counts no more than the others.  The tiles, of 512 x 512 pixels, overlap by half or, so that a large micrograph
takes no longer, less.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryowatch.errors import ImageUnreadable
from cryowatch.images.plane import Plane

TILE = 512
MOST_TILES = 120

_LEAST = 32
_SAMPLE = 8
_TAPER = 1 / 8


def power_spectrum(plane: Plane, name: str) -> NDArray[np.float32]:
    """Return the power spectrum, zero frequency in the middle, `TILE` pixels a side or less of a small micrograph.

    A tile with one value only, or with more than a tenth of its pixels no number, does not count; in one that counts,
    outliers (hot pixels) are cut off.  Raises `ImageUnreadable` where none counts.
    """
    side = min(TILE, plane.height // 2 * 2, plane.width // 2 * 2)
    if side < _LEAST:
        what = f"is too small for a power spectrum ({plane.width} x {plane.height} pixels)"
        raise ImageUnreadable(what, where=name)
    tops, lefts = tile_places(plane.height, plane.width, side)
    taper = np.minimum(np.arange(side) + 0.5, side - 0.5 - np.arange(side)) / (side * _TAPER)
    line = (0.5 - 0.5 * np.cos(math.pi * np.minimum(taper, 1))).astype(np.float32)
    window = line[:, None] * line[None, :]
    total = np.zeros((side, side // 2 + 1))
    count = 0
    with np.errstate(all="ignore"):
        for top in tops:
            band = plane.rows(top, top + side)
            for left in lefts:
                tile = _standardised(band[:, left : left + side])
                if tile is None:
                    continue
                transform = np.fft.rfft2(tile * window)
                total += transform.real**2 + transform.imag**2
                count += 1
    if not count:
        raise ImageUnreadable("has no power spectrum: it is empty, or the same everywhere", where=name)
    total /= count * float((window * window).sum(dtype=np.float64))
    return _whole(total).astype(np.float32)


def tile_places(height: int, width: int, side: int) -> tuple[list[int], list[int]]:
    """Return the first rows and the first columns of the tiles, spread evenly from edge to edge."""
    step = side / 2
    while (places := (_places(height, side, step), _places(width, side, step))) and (
        len(places[0]) * len(places[1]) > MOST_TILES
    ):
        step *= 1.05
    return places


def _places(length: int, side: int, step: float) -> list[int]:
    count = max(1, round((length - side) / step) + 1)
    return [round(place) for place in np.linspace(0, length - side, count)]


def _standardised(tile: NDArray[Any]) -> NDArray[np.float32] | None:
    """Return a tile with mean 0 and standard deviation 1, outliers cut off; None where it does not count.

    An outlier is what lies farther from the middle 98 % of the numbers than they are wide.
    """
    sample = tile[::_SAMPLE, ::_SAMPLE].astype(np.float64)
    finite = sample[np.isfinite(sample)]
    if finite.size < 0.9 * sample.size:
        return None
    low, middle, high = (float(number) for number in np.percentile(finite, (1, 50, 99)))
    spread = high - low
    if not spread > 0:
        return None
    numbers: NDArray[np.float32] = np.subtract(tile, middle, dtype=np.float32) / np.float32(spread)
    np.nan_to_num(numbers, copy=False, nan=0.0)
    np.clip(numbers, (low - middle) / spread - 1, (high - middle) / spread + 1, out=numbers)
    numbers -= numbers.mean()
    numbers /= numbers.std()
    return numbers


def _whole(half: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the whole spectrum, centred, of the half that the transform of real numbers gives."""
    side = len(half)
    whole = np.empty((side, side))
    whole[:, : side // 2 + 1] = half
    mirrored = half[-np.arange(side) % side, 1 : side // 2]
    whole[:, side // 2 + 1 :] = mirrored[:, ::-1]
    return np.fft.fftshift(whole)
