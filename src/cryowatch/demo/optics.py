"""The contrast transfer function, and the power spectra that show it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """The microscope: kV, mm, fraction of amplitude contrast."""

    voltage: float = 300.0
    spherical_aberration: float = 2.7
    amplitude_contrast: float = 0.1

    @property
    def wavelength(self) -> float:
        """Relativistic wavelength of the electrons in Å (Reimer & Kohl, Transmission Electron Microscopy, eq. 2.5)."""
        volts = self.voltage * 1e3
        return 12.2643 / math.sqrt(volts * (1 + 0.978466e-6 * volts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Defocus:
    """Underfocus along the two axes in Å, and the angle of the U axis to x in degrees."""

    u: float
    v: float
    angle: float

    def along(self, theta: NDArray[Any]) -> NDArray[Any]:
        """Return the underfocus in Å in directions in radians."""
        mean, half = (self.u + self.v) / 2, (self.u - self.v) / 2
        return mean + half * np.cos(2 * (theta - math.radians(self.angle)))


def transfer(frequency: Plane, theta: Plane, optics: Optics, defocus: Defocus) -> Plane:
    """Return the contrast transfer function at frequencies in 1/Å (Rohou & Grigorieff 2015, eq. 2 to 4)."""
    wavelength = optics.wavelength
    squared = frequency * frequency
    aberration = 0.5 * wavelength**2 * optics.spherical_aberration * 1e7 * squared
    phase = math.pi * wavelength * squared * (defocus.along(theta) - aberration)
    plane: Plane = (-np.sin(phase + math.asin(optics.amplitude_contrast))).astype(np.float32)
    return plane


def grid(height: int, width: int, pixel_size: float) -> tuple[Plane, Plane]:
    """Return frequency in 1/Å and direction in radians of each pixel of a centred spectrum."""
    y = np.fft.fftshift(np.fft.fftfreq(height, pixel_size)).astype(np.float32)[:, None]
    x = np.fft.fftshift(np.fft.fftfreq(width, pixel_size)).astype(np.float32)[None, :]
    return np.hypot(x, y), np.arctan2(y, x)


def power_spectrum(
    random: np.random.Generator,
    optics: Optics,
    defocus: Defocus,
    *,
    size: int,
    pixel_size: float,
    resolution: float,
    drift: tuple[float, float] = (0.0, 0.0),
    ice: float = 0.0,
) -> Plane:
    """Return a spectrum as CTFFIND draws it: background taken off, the fitted rings in the left half.

    The rings fade out round `resolution` (Å); `drift` (Å, direction in radians) blurs them one way, and `ice` adds the
    ring of crystalline ice at 3.7 Å.
    """
    frequency, theta = grid(size, size, pixel_size)
    rings = transfer(frequency, theta, optics, defocus) ** 2
    damping = np.exp(-1.7 * (frequency * resolution) ** 2)
    length, direction = drift
    if length:
        damping *= np.exp(-2.5 * (frequency * length * np.cos(theta - direction)) ** 2)
    noise = random.normal(0, 0.11, (size, size)).astype(np.float32)
    measured = 0.1 + rings * damping * (0.55 + 0.45 * np.exp(-frequency * 14)) + noise * (0.55 + 0.45 * damping)
    if ice:
        spots = random.gamma(0.35, 2.2, (size, size)).astype(np.float32)
        measured += ice * spots * np.exp(-(((frequency - 1 / 3.7) / 0.006) ** 2))
    fitted = 0.1 + rings * np.float32(0.8)
    left = np.broadcast_to(np.arange(size)[None, :] < size // 2, (size, size))
    shown = np.where(left & (frequency < 1 / max(resolution, 2.05 * pixel_size)), fitted, measured)
    shown[frequency < 1 / 60] = 0.9
    result: Plane = shown.astype(np.float32)
    return result
