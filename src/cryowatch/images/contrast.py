"""From numbers to greys, so that an ordinary image is seen whatever lies at its edge or in a single pixel.

Numbers are 0 (black) to 255 (white) in the result.  An image without any contrast is grey.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_GREY = 128
_CENTRE = 0.03
_STEEP = 10.0
_WIDEST = 3.5
_WINDOW = 0.01
_LEAST_WINDOW = 0.03
_ROUNDING = 2e-6
"""Numbers that differ by less, as a share of their size, are the same: means of equal ones differ by a third of it."""

_MANY = 0.3
_DARK, _BRIGHT = 84.0, 96.0
"""Where many numbers lie above the densest half's range: the last grey of that, the first of theirs."""

Floats = NDArray[np.float32]


def contrast(plane: Floats, low: float = 0.5, high: float = 99.5) -> NDArray[np.uint8]:
    """Return greys from one percentile to the other; what is not finite is drawn at the median.

    The percentiles leave out hot pixels.  A carbon edge or an ice crystal covers more than they leave out, so the
    range also ends 3.5 standard deviations from the densest half of the numbers, the standard deviation being
    that of a normal distribution of which half is spread as widely (the "shorth", Andrews et al. 1972).  Where
    three tenths or more are brighter than that, the densest half may be the metal or carbon around a hole: the ice in
    it, which is brighter, gets a range of its own, and most of the greys.
    """
    numbers = np.sort(plane[np.isfinite(plane)])
    if numbers.size == 0 or not _differ(float(numbers[0]), float(numbers[-1])):
        return np.full(plane.shape, _GREY, np.uint8)
    middle = _percentiles(numbers, (50,))[0]
    bottom, top = _range(numbers, low, high)
    brighter = numbers[np.searchsorted(numbers, top, "right") :]
    if brighter.size < _MANY * numbers.size or not _differ(float(brighter[0]), float(brighter[-1])):
        return _scaled(plane, bottom, middle, top)
    whole = np.where(np.isfinite(plane), plane, np.float32(middle))
    bright = _range(brighter, low, high)
    dark = _range(numbers[: numbers.size - brighter.size], low, high)
    return np.interp(whole, (*dark, *bright), (0, _DARK, _BRIGHT, 255)).astype(np.uint8)


def _range(numbers: Floats, low: float, high: float) -> tuple[float, float]:
    """Return from where to where the greys of ordered numbers run."""
    bottom, top = _percentiles(numbers, (low, high))
    if not _differ(bottom, top):
        bottom, top = float(numbers[0]), float(numbers[-1])  # nearly all are equal: what is not is still shown
    half = numbers.size // 2
    widths = numbers[half:].astype(np.float64) - numbers[: numbers.size - half]
    least = int(widths.argmin())
    first, last = float(numbers[least]), float(numbers[least + half])
    if _differ(first, last):
        spread, centre = (last - first) / 1.349, first / 2 + last / 2
        bottom, top = max(bottom, centre - _WIDEST * spread), min(top, centre + _WIDEST * spread)
    return bottom, top


def _differ(low: float, high: float) -> bool:
    """Return whether two numbers differ by more than rounding."""
    return high - low > _ROUNDING * max(abs(low), abs(high))


def spectrum_contrast(plane: Floats) -> NDArray[np.uint8]:
    """Return greys of a centred power spectrum as a program for the CTF wrote it, so that Thon rings are seen.

    Most have taken off the background: the bright centre is left out of the range.  One that falls steeply from the
    centre to the edge has not: see `flattened`.
    """
    squared = _squared_radius(plane)
    rings = plane[(squared > _CENTRE**2) & (squared <= 0.25) & np.isfinite(plane)]
    if rings.size == 0 or not _differ(float(rings.min()), float(rings.max())):
        return contrast(plane)
    if float(rings.min()) >= 0:
        inner = plane[(squared > _CENTRE**2) & (squared < (4 * _CENTRE) ** 2) & np.isfinite(plane)]
        outer = plane[(squared > 0.45**2) & (squared <= 0.25) & np.isfinite(plane)]
        if inner.size and outer.size and _median(inner) > _STEEP * _median(outer):
            return flattened(plane)
    bottom, middle, top = (float(number) for number in np.percentile(rings, (1, 50, 99.7)))
    return _scaled(plane, bottom, middle, top)


def centred(plane: Floats) -> Floats:
    """Return a power spectrum with zero frequency in the middle, also of one that has it in the corners.

    Xmipp writes both kinds.  A spectrum is much the same all along a circle around zero frequency, so the circles whose
    means leave the least variance are around it.
    """
    finite = np.isfinite(plane)
    if not finite.any():
        return plane
    ranks = np.argsort(np.argsort(np.where(finite, plane, np.median(plane[finite])).ravel())).reshape(plane.shape)
    moved = np.fft.fftshift(plane)
    shares = [_circular(values) for values in (ranks, np.fft.fftshift(ranks))]
    return moved if shares[1] > shares[0] else plane


def _circular(values: NDArray[np.intp]) -> float:
    """Return how much of the variance of values the means over circles around the middle have."""
    ring = np.round(np.sqrt(_squared_radius(values)) * min(values.shape)).astype(np.intp)
    counts = np.bincount(ring.ravel())
    means = _ring_means(values.astype(np.float64), ring, counts)
    return float(((means - values.mean()) ** 2 * counts).sum())


def flattened(plane: Floats) -> NDArray[np.uint8]:
    """Return greys of a centred power spectrum as it was measured: the same contrast at every frequency.

    The logarithm of the spectrum, blurred a little (1/4, 1/2, 1/4 in both directions) against its noise, less its
    background (a smooth curve through the means over circles), in units of its mean deviation at that frequency.
    """
    finite = plane[np.isfinite(plane) & (plane > 0)]
    if finite.size == 0 or not _differ(float(finite.min()), float(finite.max())):
        return np.full(plane.shape, _GREY, np.uint8)
    least, most = float(np.percentile(finite, 0.1)), float(finite.max())
    positive = np.clip(np.where(np.isfinite(plane), plane, np.float32(least)).astype(np.float64), least, most)
    power = np.log(_blurred(positive / least))
    radius = np.sqrt(_squared_radius(plane))
    ring = np.round(radius * min(plane.shape)).astype(np.intp)
    counts = np.bincount(ring.ravel())
    frequency = np.arange(counts.size) / min(plane.shape)
    fitted = np.flatnonzero((counts > 0) & (frequency > _CENTRE))
    if fitted.size < 16:
        return contrast(power.astype(np.float32))
    near = frequency[fitted]
    background = _smooth(near, _ring_means(power, ring, counts)[fitted])
    power -= np.interp(frequency, near, background)[ring]
    deviations = np.maximum(_ring_means(np.abs(power), ring, counts)[fitted], 1e-6)
    power /= np.exp(np.interp(frequency, near, _smooth(near, np.log(deviations))))[ring]
    shown = power[(radius > _CENTRE) & (radius <= 0.5)]
    bottom, middle, top = (float(number) for number in np.percentile(shown, (1, 50, 99)))
    return _scaled(power.astype(np.float32), bottom, middle, top)


def _percentiles(ordered: Floats, shares: tuple[float, ...]) -> list[float]:
    """Return numbers of an ordered array; not between two of them, which may be too far apart for a float32."""
    return [float(ordered[round(share / 100 * (ordered.size - 1))]) for share in shares]


def _median(numbers: Floats) -> float:
    return float(np.median(numbers.astype(np.float64)))


def _scaled(plane: Floats, bottom: float, middle: float, top: float) -> NDArray[np.uint8]:
    if not top > bottom:
        return np.full(plane.shape, _GREY, np.uint8)
    with np.errstate(all="ignore"):
        whole = np.where(np.isfinite(plane), plane, np.float32(middle)).astype(np.float64)
        return np.clip((whole - bottom) * (255.0 / (top - bottom)), 0, 255).astype(np.uint8)


def _squared_radius(plane: NDArray[Any]) -> NDArray[np.float64]:
    """Return the squared distance of each pixel to zero frequency, in cycles a pixel."""
    height, width = plane.shape
    y, x = np.ogrid[:height, :width]
    squared: NDArray[np.float64] = ((y - height // 2) / height) ** 2 + ((x - width // 2) / width) ** 2
    return squared


def _ring_means(values: NDArray[np.float64], ring: NDArray[np.intp], counts: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.bincount(ring.ravel(), values.ravel(), counts.size) / np.maximum(counts, 1)


def _blurred(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(plane, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16


def _smooth(frequency: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a curve through values that does not follow Thon rings.

    At each frequency a straight line in the squared frequency, fitted with weights to the values near by (Cleveland
    1979, J. Am. Stat. Assoc. 74, 829-836): the rings are about equally far apart in it, and the envelope is straight.
    """
    x = frequency * frequency
    away = x[None, :] - x[:, None]
    widths = np.maximum(_WINDOW, 2 * frequency * _LEAST_WINDOW)
    weights = np.clip(1 - np.abs(away / widths[:, None]) ** 3, 0, 1) ** 3
    weights /= weights.sum(axis=1, keepdims=True)
    mean_x, mean = (weights * away).sum(axis=1), weights @ values
    variance = (weights * away**2).sum(axis=1) - mean_x**2
    covariance = (weights * away) @ values - mean_x * mean
    curve: NDArray[np.float64] = mean - mean_x * covariance / np.maximum(variance, 1e-12)
    return curve
