"""Fewer points of a long session, none of its outliers left out.

Every n-th row stays, and in each stretch of rows the extremes of each value do too.  The rows come in the order of
their time and are looked at a stretch at a time: of half a million only what stays is ever in memory.
"""

from __future__ import annotations

from typing import Any

from cryowatch.dashboards.query import Fetching

MOST_POINTS = 50_000
STRETCH = 100


def thinned(rows: Fetching, *, first_value: int) -> list[tuple[Any, ...]]:
    """Return rows of (total, …, values…), all where there are no more than `MOST_POINTS`.

    The values begin at the place `first_value` of a row.
    """
    stretch = rows.fetchmany(STRETCH)
    total = stretch[0][0] if stretch else 0
    if total <= MOST_POINTS:
        return [*stretch, *rows.fetchall()]
    every = 1 + total * 2 // MOST_POINTS
    kept: list[tuple[Any, ...]] = []
    done = 0
    while stretch:
        staying = set(range(-done % every, len(stretch), every))
        for place in range(first_value, len(stretch[0])):
            values = [(row[place], number) for number, row in enumerate(stretch) if row[place] is not None]
            if values:
                staying.update((min(values)[1], max(values)[1]))
        kept += [stretch[number] for number in sorted(staying)]
        done += len(stretch)
        stretch = rows.fetchmany(STRETCH)
    return kept
