"""From a query's rows to tiles: big numbers, what they mean, and how they are judged."""

from __future__ import annotations

from collections.abc import Sequence

from cryowatch.judgement import OF_A_FIT, SHARE_RULE, Bound, between, in_words, inside, share_status, whole_percent
from cryowatch.records import Quantity
from cryowatch.store.panels.good import Good
from cryowatch.store.panels.pace import Pace
from cryowatch.store.panels.payload import EMPTY, STAGES, Data, Rows, age, described, number
from cryowatch.times import milliseconds

Judged = tuple[Quantity, Bound]


def shares(judged: Sequence[Judged], rows: Rows, unfit: int) -> Data:
    """Rows of statistics, (place, n, quartiles, inside, of), and how many estimates have no fit."""
    items = []
    for (quantity, bound), (_, _, _, _, _, within, of) in zip(judged, rows, strict=True):
        if not of or within is None:
            continue
        share = within / of
        items.append(
            {
                "label": quantity.label,
                "value": 100 * share,
                "unit": "%",
                "decimals": 1,
                "share": True,
                "status": share_status(share),
                "rule": SHARE_RULE,
                "detail": _lines_of(f"{within:,} of {of:,} {in_words(bound, quantity)}", _unfit(bound.field, unfit)),
            }
        )
    return {"items": items} if items else EMPTY


def _unfit(field: str, unfit: int) -> str:
    return f"{unfit:,} without a fit" if unfit and field in OF_A_FIT else ""


def _lines_of(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


def medians(judged: Sequence[Judged], rows: Rows, unfit: int) -> Data:
    """Rows of statistics, (place, n, quartiles, inside, of), and how many estimates have no fit.

    The mark beside a median judges the median.
    """
    items = []
    for (quantity, bound), (_, n, lower, median, upper, within, of) in zip(judged, rows, strict=True):
        if not n:
            continue
        low, high = number(lower, quantity.decimals), number(upper, quantity.decimals)
        unit = f" {quantity.shown_unit}" if quantity.shown_unit else ""
        share = ""
        if within is not None and of:
            share = f"{whole_percent(within, of)}\N{NO-BREAK SPACE}% of {of:,} in limits"
        items.append(
            {
                **described(quantity),
                "label": f"Median {quantity.label.lower()}" if quantity.label != "U / V" else "Median U / V",
                "value": median,
                "share": False,
                "status": None if within is None else "good" if bound.inside(median) else "bad",
                "rule": None if within is None else in_words(bound, quantity),
                "detail": _lines_of(f"middle half {low}–{high}{unit}", share, _unfit(bound.field, unfit)),
                "n": n,
            }
        )
    return {"items": items} if items else EMPTY


def good(found: Good) -> Data:
    """Return the count of good ones first, then what makes the rest."""
    if found.share is None:
        return EMPTY
    of = f"{found.good:,} of {found.of:,}"
    items: list[Data] = [
        _count("Good", 100 * found.share, f"{of}\nall limits kept", unit="%", decimals=1)
        | {"share": True, "status": share_status(found.share), "rule": SHARE_RULE},
    ]
    if found.per_hour is not None:
        usual = "" if found.usual is None else f"usually {number(found.usual, 0)} estimated"
        lately = _lines_of(f"of {number(found.estimated_per_hour, 0)} estimated", usual)
        items.append(_count("Good per hour", found.per_hour, lately))
    outside = found.of - found.good
    share = f"{100 - whole_percent(found.good, found.of)}\N{NO-BREAK SPACE}% of {found.of:,}"
    items.append(_count("Outside a limit", outside, share))
    items.append(_count("Without a fit", found.unfit, "they count as outside" if found.unfit else "each has a fit"))
    if found.disabled:
        items.append(_count("Disabled", found.disabled, "they count nowhere else"))
    return {"items": items}


def _count(label: str, value: float, detail: str, *, unit: str = "", decimals: int = 0) -> Data:
    return {"label": label, "value": value, "unit": unit, "decimals": decimals, "share": False, "status": None,
            "detail": detail}  # fmt: skip


def latest(known: Sequence[Quantity], bounds: Sequence[tuple[float | None, float | None]], rows: Rows) -> Data:
    """One row: the newest value of each field."""
    if not rows:
        return EMPTY
    items = []
    for quantity, (low, high), value in zip(known, bounds, rows[0], strict=True):
        if value is None:
            continue
        limited = low is not None or high is not None
        words = between(low, high, quantity) if limited else ""
        judged = None if not limited else "good" if inside(value, low, high) else "bad"
        items.append(
            {**described(quantity), "value": value, "share": False, "status": judged, "rule": words or None,
             "detail": words or quantity.text}
        )  # fmt: skip
    return {"items": items} if items else EMPTY


def progress(rows: Sequence[tuple[str, int | None, Pace]], now: int) -> Data:
    """Rows of (kind, whether it may grow, pace)."""
    items = []
    for kind, growing, pace_ in rows:
        detail = []
        if pace_.newest is not None:
            detail.append(f"newest {age(now - pace_.newest)} ago")
        if growing or pace_.last_hour:
            detail.append(f"{pace_.last_hour:,} in the last hour")
        if pace_.usual is not None:
            detail.append(f"usually {number(pace_.usual, 0)} per hour")
        items.append(
            {
                **_count(STAGES[kind], pace_.count, "\n".join(detail)),
                "newest": milliseconds(pace_.newest),
            }
        )
    return {"items": items} if items else EMPTY
