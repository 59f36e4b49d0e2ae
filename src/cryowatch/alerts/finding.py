"""What a rule finds: whether it is broken or kept just now, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryowatch.alerts.rules import Rule
from cryowatch.store.alerts import Key, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule's finding about one thing.

    `broken` raises an alert; `kept` lets one end; where neither is true (between limit and hysteresis, or too little is
    known) one that lasts goes on.  `since` is when it began, in UTC ns.
    """

    key: Key
    rule: Rule
    state: State
    since: int
    broken: bool
    kept: bool


def median(values: Sequence[float]) -> float:
    """Return the median of some values, at least one."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def broken_limit(value: float, low: float | None, high: float | None) -> float | None:
    """Return the limit that a value breaks, or would break first."""
    if low is None or high is None:
        return high if low is None else low
    return low if value < (low + high) / 2 else high
