"""How much is tried: a little that is the same each time in `make test`, much that is new each time in `make fuzz`.

What fails in `make fuzz` is kept by hypothesis in `.hypothesis/`, and tried first by the next one.
"""

from __future__ import annotations

import os
from collections import Counter

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("FUZZ_TIMES", "0"))
"""How many times as much as in `make test` is tried; 0: no more, and the same each time."""

TRIED: Counter[str] = Counter()
"""How many examples were tried, by target."""


def fuzzed(*, examples: int) -> settings:
    """Return how often a property is tried; to stand right below `given`."""
    return settings(
        max_examples=examples * max(1, TIMES),
        derandomize=not TIMES,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


def tried(target: str, number: int = 1) -> None:
    """Count examples of a target."""
    TRIED[target] += number
