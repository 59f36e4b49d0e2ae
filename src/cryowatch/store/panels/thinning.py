"""Fewer points of a long session, none of its outliers left out.

Every n-th row stays, and in each stretch of rows the extremes of each value do too.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import filterfalse
from math import isnan

MOST_POINTS = 50_000
STRETCH = 100


def thinned(columns: Sequence[array[float]]) -> Sequence[int]:
    """Return the places of the rows that stay, all where there are no more than `MOST_POINTS`.

    The columns are of one length, in the order of time; NaN stands for no value.  In more rows than `MOST_POINTS`
    stretches are so long that their extremes are no more points than that.
    """
    total = len(columns[0])
    if total <= MOST_POINTS:
        return range(total)
    every = 1 + total * 2 // MOST_POINTS
    stretch = max(STRETCH, total * 2 * len(columns) // MOST_POINTS)
    staying = set(range(0, total, every))
    for column in columns:
        with_gaps = any(map(isnan, column))
        for start in range(0, total, stretch):
            part = column[start : start + stretch].tolist()
            there = list(filterfalse(isnan, part)) if with_gaps else part
            if there:
                low, high = min(there), max(there)
                staying.add(start + part.index(low))
                part.reverse()
                staying.add(start + len(part) - 1 - part.index(high))
    return sorted(staying)
