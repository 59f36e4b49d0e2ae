"""From a query's rows to what the built-in pages draw: plain values in shown units, times in UTC milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryowatch.dashboards.definition import Bins, Panel
from cryowatch.judgement import whole_percent
from cryowatch.records import Quantity
from cryowatch.store.panels.query import Scope
from cryowatch.times import MILLISECOND, milliseconds

Rows = Sequence[tuple[Any, ...]]
Data = dict[str, Any]

EMPTY: Data = {"empty": True}
STAGES = {"movies": "Movies", "micrographs": "Micrographs", "ctf": "CTF estimates"}


def number(value: float | None, decimals: int | None) -> str:
    """Return a value as people write it, with thousands set off by commas; "–" for none."""
    if value is None:
        return "–"
    return f"{value:,.{decimals or 0}f}".replace("-", "\N{MINUS SIGN}")


def age(nanoseconds: int) -> str:
    """Return a length of time in its two largest units."""
    seconds = max(0, nanoseconds // 10**9)
    for size, unit, small, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // small
            return f"{seconds // size} {unit} {rest} {small_unit}" if rest else f"{seconds // size} {unit}"
    return f"{seconds} s"


def described(quantity: Quantity) -> Data:
    return {"label": quantity.label, "unit": quantity.shown_unit, "decimals": quantity.decimals}


def time_series(known: Sequence[Quantity], rows: Rows, *, partial: bool = False) -> Data:
    """Rows of (total, id, time, values…)."""
    if not rows and not partial:
        return EMPTY
    columns = list(zip(*rows, strict=True)) or [() for _ in range(3 + len(known))]
    return {
        "id": columns[1],
        "time": columns[2],
        "series": [{**described(q), "values": columns[3 + i]} for i, q in enumerate(known)],
        **_extent(rows, partial=partial),
    }


def scatter(known: Sequence[Quantity], rows: Rows, *, partial: bool = False) -> Data:
    """Rows of (total, id, time, x, y)."""
    if not rows and not partial:
        return EMPTY
    columns = list(zip(*rows, strict=True)) or [() for _ in range(5)]
    return {
        "id": columns[1],
        "time": columns[2],
        "x": {**described(known[0]), "values": columns[3]},
        "y": {**described(known[1]), "values": columns[4]},
        **_extent(rows, partial=partial),
    }


def _extent(rows: Rows, *, partial: bool) -> Data:
    total = rows[0][0] if rows and not partial else len(rows)
    return {"shown": len(rows), "total": total, "partial": partial}


def histogram(quantity: Quantity, bins: Bins, last: int, rows: Rows) -> Data:
    """Rows of (0 all, 1 the `last` ones, 2 statistics; bin, count, quartiles)."""
    n, lower, median, upper = next((row[2:6] for row in rows if row[0] == 2), (0, None, None, None))
    if not n:
        return EMPTY
    counts, recent = [0] * bins.count, [0] * bins.count
    for kind, place, count, *_ in rows:
        if kind != 2:
            (recent if kind else counts)[place] = count
    return {
        **described(quantity),
        "start": bins.start,
        "step": bins.step,
        "counts": counts,
        "recent": recent if n > last else None,
        "n": n,
        "median": median,
        "lower": lower,
        "upper": upper,
        "beyond": n - sum(counts),
    }


def heat_map(quantity: Quantity, bins: Bins, rows: Rows) -> Data:
    """Rows of (step, time, bin, count), by time."""
    if not rows:
        return EMPTY
    step = rows[0][0]
    times = list(range(rows[0][1], rows[-1][1] + 1, step))
    first = times[0]
    return {
        **described(quantity),
        "time": times,
        "step_ms": step,
        "start": bins.start,
        "step": bins.step,
        "bins": bins.count,
        "cells": [[(time - first) // step, place, count] for _, time, place, count in rows],
    }


def comparison(known: Sequence[Quantity], recent: int, rows: Rows) -> Data:
    """Rows of statistics, first those of the last ones, then those of all."""
    half = len(known)
    columns: list[Data] = [{"label": "", "format": "text"}]
    for who in (f"last {recent}", "all"):
        columns += [
            {"label": f"Median, {who}", "format": "text"},
            {"label": f"Quartiles, {who}", "format": "text"},
            {"label": f"In limits, {who}", "format": "text"},
        ]
    lines = []
    for quantity, last, every in zip(known, rows[:half], rows[half:], strict=True):
        if not every[1]:
            continue
        unit = f" {quantity.shown_unit}" if quantity.shown_unit else ""
        line = [quantity.label]
        for _, n, lower, median, upper, within, of in (last, every):
            spread = f"{number(lower, quantity.decimals)}–{number(upper, quantity.decimals)}{unit}"
            line += [
                f"{number(median, quantity.decimals)}{unit}" if n else "–",
                spread if n else "–",
                "–" if within is None or not of else f"{whole_percent(within, of)} %",
            ]
        lines.append(line)
    if not lines:
        return EMPTY
    return {"columns": [{"unit": "", "decimals": None, **c} for c in columns], "rows": lines, "total": len(lines)}


def judging(panel: Panel, scope: Scope, field: str) -> Data:
    """Return by what a column of a table is judged, in shown units: nothing without limits."""
    limit = next((limit for limit in panel.limits if limit.field == field), None)
    if limit is None:
        return {}
    low, high = limit.bounds(scope.variables)
    return {"low": low, "high": high, "critical": limit.critical}


def rates(rows: Rows, now: int) -> Data:
    """Rows of (step, time, kind, count, first item's time) to items per hour of each stage.

    The first step counts from the first item and the last one to `now` (UTC ns), and each only where a quarter of it
    has passed; steps without items are zero.  Where less has passed in each, the last counts as a quarter.
    """
    if not rows:
        return EMPTY
    step, first = rows[0][:2]
    times = list(range(first, rows[-1][1] + 1, step))
    began = min(row[4] for row in rows if row[1] == first)
    lengths = [step] * len(times)
    lengths[0] = first + step - began
    lengths[-1] = max(1, min(lengths[-1], milliseconds(now) - max(times[-1], began)))
    if max(lengths) < step / 4:
        lengths[-1] = step // 4
    shown = [i for i, length in enumerate(lengths) if length >= step / 4]
    counts = {(kind, (time - first) // step): count for _, time, kind, count, _ in rows}
    series = []
    for kind, label in STAGES.items():
        if any(found == kind for found, _ in counts):
            values = [counts.get((kind, i), 0) * 3_600_000 / lengths[i] for i in shown]
            series.append({"label": label, "unit": "per hour", "decimals": 0, "values": values})
    return {"id": None, "time": [times[i] for i in shown], "step_ms": step, "series": series, "shown": len(shown),
            "total": len(shown), "partial": False}  # fmt: skip


def lines(known: Sequence[Quantity], rows: Rows) -> Data:
    """Rows of (device or None, time, values…), by time, to a line for each device and field that has values."""
    times = sorted({row[1] for row in rows})
    place = {time: i for i, time in enumerate(times)}
    found: dict[tuple[str | None, int], list[float | None]] = {}
    for device, time, *values in rows:
        for i, value in enumerate(values):
            if value is not None:
                found.setdefault((device, i), [None] * len(times))[place[time]] = value
    if not found:
        return EMPTY
    series = [
        {**described(known[i]), "label": _line_label(device, known[i].label), "values": values}
        for (device, i), values in sorted(found.items(), key=lambda entry: (entry[0][0] or "", entry[0][1]))
    ]  # fmt: skip
    return {"id": None, "time": times, "series": series, "shown": len(times), "total": len(times), "partial": False}


def _line_label(device: str | None, label: str) -> str:
    if device is None:
        return label
    return f"GPU {device}{label[3:]}" if label.startswith("GPU ") else f"{device} {label.lower()}"


def properties(fields: Sequence[str], known: Sequence[Quantity], rows: Rows) -> Data:
    """One row, as lines of a name and a value."""
    if not rows:
        return EMPTY
    formats = {"created": "time", "status": "status"}
    lines_ = [
        [quantity.label, _milliseconds(quantity, value), quantity.shown_unit, quantity.decimals,
         formats.get(field, "text" if quantity.decimals is None else "number")]
        for field, quantity, value in zip(fields, known, rows[0], strict=True)
        if value is not None and value != ""
    ]  # fmt: skip
    if not lines_:
        return EMPTY
    columns = [
        {"label": "", "unit": "", "decimals": None, "format": "text"},
        {"label": "", "unit": "", "decimals": None, "format": "cell"},
    ]
    cells = [[label, {"value": v, "unit": u, "decimals": d, "format": f}] for label, v, u, d, f in lines_]
    return {"columns": columns, "rows": cells, "total": len(cells)}


def _milliseconds(quantity: Quantity, value: Any) -> Any:
    return value // MILLISECOND if quantity.unit == "ns" else value


def table(
    fields: Sequence[str], known: Sequence[Quantity], rows: Rows, *, bounds: Sequence[Data] | None = None
) -> Data:
    """Rows as they are, times in milliseconds; `bounds` are what `judging` says of each field."""
    if not rows:
        return EMPTY
    columns = []
    for field, quantity, judged in zip(fields, known, bounds or [{}] * len(known), strict=True):
        kind = "time" if quantity.unit == "ns" else "text" if quantity.decimals is None else "number"
        columns.append({**described(quantity), "format": "status" if field == "severity" else kind, **judged})
    cells = [
        [None if value is None else _milliseconds(q, value) for q, value in zip(known, row, strict=True)]
        for row in rows
    ]
    return {"columns": columns, "rows": cells, "total": len(cells)}


_RUN_COLUMNS = {
    "label": ("Run", "text"),
    "class_name": ("Protocol", "text"),
    "status": ("Status", "status"),
    "output": ("Output", "text"),
    "size": ("Items", "count"),
    "last_hour": ("Last hour", "count"),
    "newest": ("Newest", "age"),
    "started": ("Started", "time"),
    "took": ("Took", "duration"),
    "error": ("Error", "error"),
}


def runs(fields: Sequence[str], rows: Rows) -> Data:
    """The columns of these fields, with the id of each row's run.

    Rows of (id, label, class, status, start, end, error, output, its class, size, in the last hour, newest, and how
    many rows there are).
    """
    if not rows:
        return EMPTY
    cells = []
    for _, label, class_name, status, started, ended, error, output, _, size, last_hour, newest, _ in rows:
        took = None if started is None or ended is None else (ended - started) // MILLISECOND
        times = [milliseconds(newest), milliseconds(started)]
        cells.append([label or class_name, class_name, status, output, size, last_hour, *times, took, error or None])
    with_error = any(row[-1] for row in cells)
    places = {field: place for place, field in enumerate(_RUN_COLUMNS)}
    shown = [field for field in fields if field in places and (field != "error" or with_error)]
    columns = [
        {"label": _RUN_COLUMNS[field][0], "unit": "", "decimals": None, "format": _RUN_COLUMNS[field][1]}
        for field in shown
    ]
    lines_ = [[row[places[field]] for field in shown] for row in cells]
    return {"columns": columns, "rows": lines_, "total": rows[0][-1], "runs": [row[0] for row in rows]}
