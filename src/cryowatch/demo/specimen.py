"""Micrographs of barrel-shaped particles in ice, as a direct detector records them behind an underfocused lens."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cryowatch.demo.optics import Defocus, Optics, Plane, grid, transfer

_RINGS = ((-55.0, 34.0), (-19.0, 38.0), (19.0, 38.0), (55.0, 34.0))
"""Height and radius in Å of the four rings of seven subunits, about those of a 20S proteasome."""

_BLOB = 10.0
_BOX = 240.0


class Specimen:
    """Projections of one particle from many sides, and the micrographs that hold them."""

    def __init__(self, random: np.random.Generator, optics: Optics, *, height: int, width: int, pixel_size: float):
        self._random = random
        self._optics = optics
        self._shape = (height, width)
        self._pixel_size = pixel_size
        self._views = [self._view() for _ in range(160)]
        frequency, theta = grid(height, width, pixel_size)
        half = width // 2 + 1
        self._frequency = np.fft.ifftshift(frequency)[:, :half]
        self._theta = np.fft.ifftshift(theta)[:, :half]

    def micrograph(
        self,
        defocus: Defocus,
        *,
        particles: int,
        thickness: float,
        drift: tuple[float, float],
        crystals: int,
        edge: bool,
    ) -> NDArray[np.int8]:
        """Return one micrograph, rows first; particles are dark.

        `thickness` of the ice (1: good) adds noise and weakens the particles; `drift` (Å, direction in radians) blurs;
        `crystals` is the number of ice crystals, `edge` whether the carbon's edge is in view.
        """
        density = self._ice(thickness) + self._particles(particles) * np.float32(2.6 / math.sqrt(thickness))
        for _ in range(crystals):
            self._crystal(density)
        film = self._carbon() if edge else None
        if film is not None:
            density += film * self._random.normal(0, 0.8, self._shape).astype(np.float32)
        spectrum = np.fft.rfft2(density)
        spectrum *= -transfer(self._frequency, self._theta, self._optics, defocus)
        length, direction = drift
        if length:
            spectrum *= np.exp(-2.5 * (self._frequency * length * np.cos(self._theta - direction)) ** 2)
        image = np.fft.irfft2(spectrum, self._shape).astype(np.float32)
        exposure = -image * 26 + self._random.normal(0, 8 + 4 * thickness, self._shape).astype(np.float32)
        exposure += self._shading() * 9
        if film is not None:
            exposure -= film * 26
        greys: NDArray[np.int8] = np.clip(exposure, -127, 127).astype(np.int8)
        return greys

    def _view(self) -> Plane:
        """Return the projection of the particle in a random direction, peak about 1; most are side views."""
        pixels = round(_BOX / self._pixel_size)
        axis = (np.arange(pixels, dtype=np.float32) - pixels / 2) * self._pixel_size
        tilt = (
            math.acos(self._random.uniform(-0.45, 0.45))
            if self._random.random() < 0.7
            else self._random.uniform(0, 0.3)
        )
        turn, spin = self._random.uniform(0, 2 * math.pi, 2)
        centres = []
        for level, (height, radius) in enumerate(_RINGS):
            for subunit in range(7):
                angle = 2 * math.pi * (subunit + level / 2) / 7 + spin
                x, y = radius * math.cos(angle), radius * math.sin(angle)
                sideways = x * math.cos(tilt) + height * math.sin(tilt)
                centres.append(
                    (sideways * math.cos(turn) - y * math.sin(turn), sideways * math.sin(turn) + y * math.cos(turn))
                )
        places = np.asarray(centres, np.float32)
        along_x = np.exp(-(((axis[None, :] - places[:, :1]) / _BLOB) ** 2))
        along_y = np.exp(-(((axis[None, :] - places[:, 1:]) / _BLOB) ** 2))
        projection: Plane = along_y.T @ along_x / 2.2
        return projection

    def _particles(self, number: int) -> Plane:
        height, width = self._shape
        box = self._views[0].shape[0]
        plane = np.zeros((height + 2 * box, width + 2 * box), np.float32)
        taken: list[tuple[float, float]] = []
        least = 0.62 * box
        for _ in range(number * 3):
            if len(taken) >= number:
                break
            y, x = self._random.uniform(0, height + box), self._random.uniform(0, width + box)
            if any((y - b) ** 2 + (x - a) ** 2 < least**2 for a, b in taken):
                continue
            taken.append((x, y))
            top, left = int(y), int(x)
            plane[top : top + box, left : left + box] += self._views[int(self._random.integers(len(self._views)))]
        return plane[box : box + height, box : box + width]

    def _ice(self, thickness: float) -> Plane:
        """Vitreous ice: density fluctuations that the lens turns into Thon rings."""
        noise: Plane = self._random.normal(0, 0.3 + 0.2 * thickness, self._shape).astype(np.float32)
        return noise

    def _crystal(self, density: Plane) -> None:
        height, width = self._shape
        y, x = self._random.uniform(0, height), self._random.uniform(0, width)
        radius = self._random.uniform(120, 420) / self._pixel_size
        top, bottom = max(0, int(y - 2 * radius)), min(height, int(y + 2 * radius))
        left, right = max(0, int(x - 2 * radius)), min(width, int(x + 2 * radius))
        if bottom <= top or right <= left:
            return
        rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32)
        distance = np.hypot(rows - y, columns - x) / radius
        corners = 1 + 0.12 * np.cos(6 * np.arctan2(rows - y, columns - x) + self._random.uniform(0, 6))
        density[top:bottom, left:right] += 3.6 / (1 + np.exp(np.clip((distance * corners - 0.8) * 14, -40, 40)))

    def _carbon(self) -> Plane:
        """Return 1 on the carbon film beside the hole, 0 in the hole."""
        height, width = self._shape
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        radius = 1.15 * width
        angle = self._random.uniform(0, 2 * math.pi)
        y = height / 2 + math.sin(angle) * (radius - 0.3 * width)
        x = width / 2 + math.cos(angle) * (radius - 0.3 * width)
        distance = np.hypot(rows - y, columns - x)
        film: Plane = (1 / (1 + np.exp(np.clip((radius - distance) / 3, -40, 40)))).astype(np.float32)
        return film

    def _shading(self) -> Plane:
        """Return how the thickness of the ice changes over the hole, about -1 to 1."""
        height, width = self._shape
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        a, b, c = self._random.normal(0, 0.35, 3)
        shade: Plane = (a * x + b * y + c * (x * x + y * y - 0.7)).astype(np.float32)
        return shade
