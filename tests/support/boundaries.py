"""Estimates whose values lie on limits and on edges of bins: where two ways to compute differ, if they do."""

from __future__ import annotations

from typing import Any

from cryowatch.records import Micrograph
from tests.support.records import SECOND, START, micrograph

LIMITS = {"defocus_max": 2.3, "resolution_max": 4.7, "astigmatism_max": 30.7}
"""Limits that readers may choose; as binary fractions none of them is exact."""

_DEFOCI = (0.1, 0.2, 0.3, 0.7, 1.1, 2.3, 4.0, 4.1, 4.7, 5.9, 6.0)
_RESOLUTIONS = (2.0, 2.25, 3.3, 4.7, 5.75, 6.0, 19.75, 20.0)
_ASTIGMATISMS = (0.0, 5.0, 30.7, 100.0, 245.0, 250.0)
_FAILED: dict[str, Any] = {"defocus_u": None, "defocus_v": None, "defocus_angle": None, "resolution": None}


def estimates(*, run: str = "135", name: str = "", start: int = START) -> list[Micrograph]:
    """Return estimates of one run, twelve seconds apart: on every boundary, some failed, some disabled."""
    values: list[dict[str, Any]] = []
    for defocus in _DEFOCI:
        values += [_fit(round(defocus * 10_000)), _fit(round(defocus * 10_000) + 1), _fit(round(defocus * 10_000) - 1)]
    values += [_fit(15_000, resolution=resolution) for resolution in _RESOLUTIONS]
    values += [_fit(15_000, astigmatism=round(10 * a)) for a in _ASTIGMATISMS]
    values += [_FAILED] * 7
    values += [{**_fit(15_000), "resolution": None}] * 2
    values += [{**_fit(90_000), "enabled": False}, {**_FAILED, "enabled": False}, {**_fit(15_000), "enabled": False}]
    values += [_fit(12_000 + 7 * i, resolution=3 + i / 50) for i in range(60)]
    return [
        micrograph(i, run=run, name=f"{name}mic_{i:04}", time=start + 12 * i * SECOND, **one)
        for i, one in enumerate(values, 1)
    ]


def _fit(defocus: int, *, astigmatism: int = 200, resolution: float = 3.5) -> dict[str, Any]:
    """Return a fit by its mean defocus and astigmatism in whole Å, which binary fractions hold exactly."""
    return {
        "defocus_u": defocus + astigmatism / 2,
        "defocus_v": defocus - astigmatism / 2,
        "resolution": resolution,
    }
