"""What happens in the made-up session: every exposure's numbers, by its own number, the same in every run.

A plausible session on a 300 kV microscope: targets of 1.0 to 2.0 µm in turn, ice of varying thickness, an astigmatism
that wanders, a focus that runs away for a while until somebody mends it, some drift, some crystalline ice, some
images without any fit, and a pause in which nothing comes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cryowatch.demo.optics import Defocus

PIXEL_SIZE = 0.83
FRAMES = 40
DOSE_PER_FRAME = 1.02
PAUSE = 22
"""How many exposures the pause is long."""

_TARGETS = (1.0, 1.4, 1.8, 1.2, 1.6, 2.0)
_FRAMES_EARLY = round(4 / DOSE_PER_FRAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One exposure: how it really is, and what the programs find; lengths in Å, shifts in pixels."""

    number: int
    name: str
    defocus: Defocus
    fitted: bool
    resolution: float
    fit_quality: float
    shifts: tuple[tuple[float, float], ...]
    particles: int
    thickness: float
    drift: tuple[float, float]
    crystals: int
    edge: bool

    @property
    def motion(self) -> tuple[float, float, float]:
        """Accumulated motion in Å: total, and before and after 4 e/Å² (as RELION divides it)."""
        steps = [math.dist(a, b) * PIXEL_SIZE for a, b in zip(self.shifts, self.shifts[1:], strict=False)]
        early = sum(steps[: _FRAMES_EARLY - 1])
        return sum(steps), early, sum(steps) - early


def exposure(number: int, seed: int) -> Exposure:
    """Return the exposure of this number, from 1."""
    random = np.random.default_rng((seed, number))
    luck = random.random()
    drifted, icy, empty = luck < 0.03, 0.03 <= luck < 0.06, 0.06 <= luck < 0.085
    thickness = 1.0 + 0.45 * (1 + math.sin(number / 17)) * random.uniform(0.6, 1.4) + (1.6 if empty else 0)
    target = _TARGETS[number % len(_TARGETS)] + random.normal(0, 0.05) + _run_away(number)
    astigmatism = 190 + 110 * math.sin(number / 41) + abs(random.normal(0, 70))
    mean = target * 1e4
    angle = 38 + 9 * math.sin(number / 41) + random.normal(0, 700 / astigmatism)
    drift = (random.uniform(7, 12), random.uniform(0, math.pi)) if drifted else (0.0, 0.0)
    resolution = 2.55 + 0.42 * thickness + 0.3 * max(0.0, target - 1.2) + abs(random.normal(0, 0.22))
    if drifted:
        resolution = random.uniform(5.5, 9)
    if icy:
        resolution = random.uniform(4.8, 11)
    shifts = _shifts(random, 6.0 if drifted else 1.0)
    return Exposure(
        number=number,
        name=f"FoilHole_{30_000 + number * 7}_Data_{number:06d}",
        defocus=Defocus(u=mean + astigmatism / 2, v=mean - astigmatism / 2, angle=angle % 180),
        fitted=not empty,
        resolution=math.inf if empty else resolution,
        fit_quality=max(0.012, 0.30 - 0.032 * resolution + random.normal(0, 0.012)) if not empty else 0.0,
        shifts=shifts,
        particles=4 if empty else int(random.normal(230, 30) / (2.5 if icy else 1)),
        thickness=thickness,
        drift=drift,
        crystals=int(random.integers(5, 12)) if icy else int(luck > 0.96),
        edge=0.2 < luck < 0.27,
    )


def _run_away(number: int) -> float:
    """Return by how many µm the focus has run away: for some thirty exposures in every hundred and fifty."""
    phase = number % 150 - 92
    return 3.1 * (phase / 28) ** 1.6 if 0 < phase <= 28 else 0.0


def _shifts(random: np.random.Generator, factor: float) -> tuple[tuple[float, float], ...]:
    """Return the path of the frames in pixels: a quick start that settles, and some jitter."""
    direction = random.uniform(0, 2 * math.pi)
    length = abs(random.normal(7, 2.5)) * factor
    slow = random.uniform(2, 5) * factor
    turn = random.normal(0, 0.6)
    path = []
    for frame in range(FRAMES):
        far = length * (1 - math.exp(-frame / 4)) + slow * frame / FRAMES
        angle = direction + turn * frame / FRAMES
        path.append((far * math.cos(angle) + random.normal(0, 0.12), far * math.sin(angle) + random.normal(0, 0.12)))
    x, y = path[0]
    return tuple((a - x, b - y) for a, b in path)
