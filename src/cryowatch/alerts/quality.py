"""Rules about the newest items of a session: micrographs of its CTF estimates, and gain residuals.

A decision rests on a window of items, never on one.  What is inside and what is outside, `cryowatch.judgement` says; of
quantities that are not measured in a session nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from cryowatch.alerts.finding import Finding, broken_limit, median
from cryowatch.alerts.rules import About, Rule
from cryowatch.judgement import between, inside
from cryowatch.records import OutputKind
from cryowatch.store import windows
from cryowatch.store.alerts import Key, State
from cryowatch.store.leading import Stage
from cryowatch.store.reader import Reader, Row
from cryowatch.times import MINUTE

_GROWN = 1.1
_LOOK_BACK = 4
"""How many windows are looked at to find when a limit was crossed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    value: float | None
    time: int


class Quality:
    """Looks at sessions' newest items.

    Medians, which change little, are kept from one look to the next; and so is what a session does not measure, for
    which every item has to be looked at, until the session changes.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._medians: dict[tuple[tuple[int, ...], str], tuple[int, float | None]] = {}
        self._unmeasured: dict[tuple[int, About, str], int] = {}

    def findings(self, session: Row, rules: Iterable[Rule], host: str, now: int) -> Iterator[Finding]:
        """Yield what the rules find in a session; for how long a rule is broken counts up to `now` (UTC ns)."""
        estimates: Stage | None = None
        for rule in rules:
            measured = (session["id"], rule.about, rule.field)
            if self._unmeasured.get(measured) == session["seq"]:
                continue
            if rule.about is About.MICROGRAPH:
                estimates = estimates or self._reader.leading(session["id"])[OutputKind.CTF]
                if not estimates.count:
                    continue
                values, moments = self._newest(rule, windows.of_estimates(estimates.ids, rule.field), now)
                factor = self._median(estimates, rule) if rule.relative else 1.0
            else:
                values, moments = self._newest(rule, windows.of_gains(session["id"], rule.field), now)
                factor = 1.0
            if not values:
                self._unmeasured[measured] = session["seq"]
            found = None if factor is None else _judged(session, rule, values, moments, factor, host)
            if found is not None:
                yield found

    def _newest(self, rule: Rule, source: str, now: int) -> tuple[list[_Value], int]:
        """Return the values that count in shown units, newest first, and of how many windows, one for each moment."""
        begin = now - round(rule.minutes * MINUTE)
        more = windows.count_since(self._reader, source, begin) if rule.minutes else 0
        rows = windows.values(self._reader, source, rule.field, most=_LOOK_BACK * rule.window + more, now=now)
        shown = rule.quantity.shown
        return [_Value(value=None if value is None else shown(value), time=time) for value, time in rows], more + 1

    def _median(self, estimates: Stage, rule: Rule) -> float | None:
        """Return the median over all items in shown units; computed anew when there are a tenth more."""
        kept = (estimates.ids, rule.field)
        count, value = self._medians.get(kept, (0, None))
        if not count <= estimates.count <= count * _GROWN:
            value = windows.median(self._reader, estimates.ids, rule.field)
            self._medians[kept] = (estimates.count, value)
        return None if value is None else rule.quantity.shown(value)


def _judged(session: Row, rule: Rule, values: list[_Value], moments: int, factor: float, host: str) -> Finding | None:
    """Return what the newest window of values says, and the windows before it; None where there are too few values."""
    if len(values) < rule.window:
        return None
    low = None if rule.low is None else rule.low * factor
    high = None if rule.high is None else rule.high * factor
    within = [v.value is not None and inside(v.value, low, high) for v in values]
    shares = _shares(within, rule.window)
    newest, values = values, values[: rule.window]
    outside = [v for v, good in zip(values, within, strict=False) if not good]
    share = shares[0]
    known = [v.value for v in values if v.value is not None]
    middle = median(known) if known else None
    quantity = rule.quantity
    noun = "micrographs" if rule.about is About.MICROGRAPH else "movies"
    value = "no fit" if middle is None else f"median {quantity.said(middle)}"
    unfit = len(values) - len(known)
    if known and unfit:
        value += f", {unfit} without a fit"
    good = _counted(len(values) - len(outside), only=share < rule.calm_share)
    text = f"{rule.title}: {good} of the last {len(values)} {noun} {between(low, high, quantity)} ({value})"
    return Finding(
        key=Key(rule=rule.name, session=session["id"], host=host),
        rule=rule,
        state=State(
            severity=rule.severity,
            text=text,
            value=middle,
            limit=None if middle is None else broken_limit(middle, low, high),
            field=rule.field,
            unit=quantity.shown_unit,
        ),
        since=newest[_first_broken(shares, rule.share)].time,
        broken=len(shares) >= moments and all(one < rule.share for one in shares[:moments]),
        kept=share >= rule.calm_share,
    )


def _shares(within: Sequence[bool], window: int) -> list[float]:
    """Return the share of each window that lies within the limits, the newest window's first."""
    sums = [0, *accumulate(within)]
    return [(sums[end] - sums[end - window]) / window for end in range(window, len(sums))]


def _first_broken(shares: Sequence[float], share: float) -> int:
    """Return the place of the window with which the limit was crossed: the oldest broken one without a gap."""
    place = next((place for place, one in enumerate(shares) if one >= share), len(shares))
    return max(0, place - 1)


def _counted(good: int, *, only: bool) -> str:
    if not good:
        return "none"
    return f"only {good}" if only else f"{good}"
