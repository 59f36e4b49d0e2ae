"""What a benchmark prints: medians of rounds with their spread, ratios against a baseline, and the machine."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Rounds:
    """The values of one quantity in all rounds."""

    values: Sequence[float]
    unit: str = "s"

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        low, high, n = min(self.values), max(self.values), len(self.values)
        spread = f" ({short(low)} to {short(high)} in {n})" if n > 1 else ""
        return f"{short(self.median)} {self.unit}{spread}"


def short(value: float) -> str:
    """Return a number with three significant digits or all those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which a share (0..1) of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show(what: str, value: Rounds, *, goal: float | None = None) -> None:
    """Print a quantity, and whether its median reaches its goal."""
    reached = "" if goal is None else f"; goal {short(goal)} {value.unit}: {_word(value.median, goal)}"
    print(f"  {what}: {value}{reached}")


def _word(value: float, goal: float) -> str:
    return "reached" if value <= goal else "MISSED"


def ratio(value: Rounds, baseline: Rounds, what: str, *, goal: float | None = None) -> None:
    """Print how many times the baseline a quantity is, and whether it is no more than a goal."""
    if baseline.median <= 0:
        print(f"  nothing to compare with: {what} took nothing that could be measured")
        return
    times = value.median / baseline.median
    reached = "" if goal is None else f"; goal {short(goal)}: {_word(times, goal)}"
    print(f"  {short(times)} times the {short(baseline.median)} {baseline.unit} of {what}{reached}")


def faster(value: Rounds, other: Rounds, what: str, *, goal: float | None = None) -> None:
    """Print how many times faster it is than another, and whether that is no less than a goal."""
    times = other.median / value.median
    reached = "" if goal is None else f"; goal {short(goal)}: {_word(goal, times)}"
    print(f"  {short(times)} times faster than the {other} of {what}{reached}")


def machine() -> str:
    """Return the machine and how busy it is, in words."""
    load = " ".join(f"{x:.2f}" for x in os.getloadavg())
    return f"{cores()}, load {load}"


def cores() -> str:
    """Return how many processors and how much memory there are, in words."""
    return f"{os.cpu_count()} CPUs, {psutil.virtual_memory().total / 2**30:.0f} GiB"


def title(text: str) -> None:
    """Print what is measured, and the machine."""
    print(f"{text}  [{machine()}]", flush=True)
