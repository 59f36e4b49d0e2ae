"""What is said of micrographs, once for all: estimated, without a fit, inside, outside, good.

- An item of a CTF output is *estimated*.
- An estimated item without a defocus has *no fit*: its program found none.
- A value is *inside* where it breaks no limit; one that lies on a limit is inside.  Limits are in shown units, and so
  is the comparison: 41,000 Å are 4.1 µm, which is inside of a limit of 4.1 µm.
- An estimated item is *outside* where a value breaks its limit, or where it lacks one that a fit gives (`OF_A_FIT`).
  Any other quantity that an item lacks says nothing of it.
- An estimated item is *good* where nothing about it is outside.
- An item that a person or a filter disabled counts in no statistics; how many they are is told beside.

The same in SQL is below, for everybody who asks the store; InfluxQL and the report's JavaScript are tested against it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cryowatch.records import RECORDS, Quantity, quantities

OF_A_FIT = frozenset({"defocus", "defocus_u", "defocus_v", "defocus_angle", "astigmatism", "ratio", "resolution"})
"""The quantities that every fit gives: an estimated item without one is outside of that one's limits."""

_GOOD_FROM, _BAD_BELOW = 0.9, 0.75
SHARE_RULE = "✓ from 90 %, ▲ from 75 %, ✕ below"
"""The rule by which a share is judged, in words: that of the published CTF dashboard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Between what a field of micrographs should lie, in its shown unit; None: no limit on that side."""

    field: str
    low: float | None = None
    high: float | None = None

    def inside(self, value: float) -> bool:
        """Return whether a value in the shown unit is inside."""
        return inside(value, self.low, self.high)


def inside(value: float, low: float | None, high: float | None) -> bool:
    """Return whether a value breaks neither limit; one that lies on a limit is inside."""
    return (low is None or value >= low) and (high is None or value <= high)


def whole_percent(part: int, of: int) -> int:
    """Return a share in whole percent, cut: what is below 90 % must not read 90 %, nor 199 of 200 as all of them."""
    return 100 * part // of


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """Return the q-quantile (0..1) of ordered values, linear between the two nearest; None of nothing."""
    if not ordered:
        return None
    place = q * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def share_status(share: float) -> str:
    """Return how a share from 0 to 1 is judged: "good", "warn" or "bad"."""
    return "good" if share >= _GOOD_FROM else "warn" if share >= _BAD_BELOW else "bad"


def between(low: float | None, high: float | None, quantity: Quantity) -> str:
    """Return limits in the shown unit as people say them: `within 0.10–4.00 µm` or `below 100.0 nm`."""
    if low is not None and high is not None:
        first = f"{quantity.said(low)} to " if quantity.unit == "s" else f"{low:.{quantity.decimals or 0}f}–"
        return f"within {first}{quantity.said(high)}"
    return f"below {quantity.said(high)}" if high is not None else f"above {quantity.said(low or 0.0)}"


def in_words(bound: Bound, quantity: Quantity) -> str:
    """Return a bound as people say it; "" where it has no limit."""
    return "" if bound.low is None and bound.high is None else between(bound.low, bound.high, quantity)


def shown_sql(field: str, record: str = "micrograph") -> str:
    """Return a column in its shown unit."""
    per = quantities(RECORDS[record])[field].per_shown
    return field if per == 1.0 else f"{field} / {per!r}"


def of_outputs(outputs: Iterable[int], column: str = "output_id") -> str:
    """Return the condition that a row belongs to some outputs; none of them: no row does."""
    ids = [f"{number:d}" for number in outputs]
    return f"{column} = {ids[0]}" if len(ids) == 1 else f"{column} IN ({', '.join(ids)})"


def within_sql(bound: Bound) -> tuple[str, dict[str, Any]]:
    """Return the condition that a row's value is there and inside, and its parameters; "" without any limit."""
    shown = shown_sql(bound.field)
    terms, parameters = [], {}
    if bound.low is not None:
        terms.append(f"{shown} >= :low_{bound.field}")
        parameters[f"low_{bound.field}"] = bound.low
    if bound.high is not None:
        terms.append(f"{shown} <= :high_{bound.field}")
        parameters[f"high_{bound.field}"] = bound.high
    return " AND ".join(terms), parameters


def is_judged_whole(field: str, *, estimates: bool) -> bool:
    """Return whether rows without a value of a field are judged by it, too: the whole of which a share is a part."""
    return estimates and field in OF_A_FIT


def good_sql(bounds: Iterable[Bound]) -> tuple[str, dict[str, Any]]:
    """Return the condition that an estimated row is good, and its parameters."""
    terms, parameters = _kept_sql(bounds)
    return " AND ".join(["defocus IS NOT NULL", *terms]), parameters


def outside_sql(bounds: Iterable[Bound]) -> tuple[str, dict[str, Any]]:
    """Return the condition that an estimated row is outside of one of these bounds, and its parameters."""
    terms, parameters = _kept_sql(bounds)
    return " OR ".join(f"{term} IS NOT TRUE" for term in terms) or "0", parameters


def _kept_sql(bounds: Iterable[Bound]) -> tuple[list[str], dict[str, Any]]:
    """Return for each bound with a limit the condition that an estimated row is not outside, and the parameters."""
    terms: list[str] = []
    parameters: dict[str, Any] = {}
    for bound in bounds:
        within, values = within_sql(bound)
        if within:
            terms.append(f"({within})" if bound.field in OF_A_FIT else f"({within} OR {bound.field} IS NULL)")
            parameters.update(values)
    return terms, parameters
