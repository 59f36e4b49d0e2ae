"""Compile a panel to InfluxQL for Grafana, over either layout of the data in InfluxDB.

Values come in shown units, by arithmetic in the query, under the quantity's label.  A limit is a text variable in its
shown unit.

Grafana's tables may put the values of several tags under each other's names, so no table groups by more than one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from cryowatch.dashboards.definition import Aggregate, Bins, Limit, Panel, PanelKind, quantity
from cryowatch.grafana.influxql_alerts import alert_rows
from cryowatch.grafana.influxql_bins import counted, within
from cryowatch.influx.layouts import (
    DEVICES,
    FIELDS,
    IMAGES,
    OF_BOTH,
    UNTIL,
    Layout,
    column,
    quoted,
    rows_of,
    rows_of_all_runs,
    values_of,
)
from cryowatch.judgement import OF_A_FIT

RECENT = 50
LIMIT = "Limit"
MOST_IMAGES = 1000
GALLERY_FIELDS = ("defocus", "resolution", "astigmatism")
"""Beside the images of a gallery that names no fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxQuery:
    """One statement, what Grafana makes of its answer, and the name of a series ("" for the column's)."""

    text: str
    format: Literal["time_series", "table"] = "time_series"
    alias: str = "$col"


def compile_influxql(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    """Return a panel's queries: none where this layout does not hold what the panel shows.

    Raises ValueError for a definition that cannot be drawn.
    """
    compiler = _COMPILERS.get((panel.record, panel.kind, panel.aggregate))
    if compiler is None:
        raise ValueError(f"the panel {panel.id} asks for a {panel.kind} of {panel.record}, which Grafana cannot draw")
    return compiler(panel, layout)


def known_fields(panel: Panel, layout: Layout) -> list[str]:
    """Return the panel's fields that this layout holds, in order."""
    if panel.record == "device":
        return [f for f in panel.fields if _has_device(panel, f, layout)]
    return [f for f in panel.fields if f in FIELDS[layout]]


def _has_device(panel: Panel, field: str, layout: Layout) -> bool:
    name = DEVICES.get((panel.device, field), "")
    return bool(name) and (layout is Layout.CRYOWATCH or any(part in name for part in OF_BOTH))


def _number(value: float) -> str:
    return f"{value:.10f}".rstrip("0").rstrip(".")


def _shown(panel: Panel, layout: Layout, field: str) -> str:
    """Return a field in its shown unit, without a name."""
    name = column(layout, field)
    per = 1.0 if panel.record in ("host", "device") else quantity(panel, field).per_shown
    return name if per == 1.0 else f"{name} / {_number(per)}"


def _named(panel: Panel, layout: Layout, field: str) -> str:
    return f"{_shown(panel, layout, field)} AS {quoted(quantity(panel, field).label)}"


def _points(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    """Each field, and the limit of one alone where readers can move it: a line as wide as the window."""
    fields = known_fields(panel, layout)
    found = [f"SELECT {_named(panel, layout, f)} {values_of(layout, panel.record, f)}" for f in fields]
    limit = moved_limit(panel)
    if limit is not None and fields:
        rows = f"{values_of(layout, panel.record, fields[0])} GROUP BY time($__interval) fill(0)"
        found.append(f'SELECT mean({column(layout, fields[0])}) * 0 + {_bound(limit)[1]} AS "{LIMIT}" {rows}')
    return tuple(InfluxQuery(text=text) for text in found)


def moved_limit(panel: Panel) -> Limit | None:
    """Return the limit that readers can move, of a panel over time that has no other."""
    return panel.limits[0] if len(panel.limits) == 1 and panel.limits[0].variable else None


def _scatter(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    """Both fields or no picture; rows without one of them have no place in it."""
    if len(known_fields(panel, layout)) < len(panel.fields):
        return ()
    x, y = (column(layout, f) for f in panel.fields)
    columns = ", ".join(_named(panel, layout, f) for f in panel.fields)
    there = f"({x} >= 0 OR {x} < 0) AND ({y} >= 0 OR {y} < 0)"
    return (InfluxQuery(text=f"SELECT {columns} {rows_of(layout, panel.record)} AND {there}", format="table"),)


def _bins(panel: Panel) -> Bins:
    if panel.bins is None:
        raise ValueError(f"the panel {panel.id} needs bins")
    return panel.bins


def _heat_map(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    field, bins = panel.fields[0], _bins(panel)
    shown, name = _shown(panel, layout, field), quoted(quantity(panel, field).label)
    rows = f"{values_of(layout, panel.record, field)} AND {within(bins, shown)}"
    return (InfluxQuery(text=f"SELECT {counted(bins, shown)} AS {name} {rows}"),)


def _histogram(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    """All values within the bins, and those of the last ones.  A subquery has the order of its query."""
    field, bins = panel.fields[0], _bins(panel)
    shown, rows = _shown(panel, layout, field), values_of(layout, panel.record, field)
    every = f'SELECT {counted(bins, shown)} AS "All" {rows} AND {within(bins, shown)}'
    newest = f'SELECT {shown} AS "x", {counted(bins, shown)} AS "n" {rows} ORDER BY time DESC LIMIT {RECENT}'
    recent = f'SELECT "n" AS "Last {RECENT}" FROM ({newest}) WHERE {within(bins, quoted("x"))} ORDER BY time DESC'
    return (InfluxQuery(text=every), InfluxQuery(text=recent))


def _bound(limit: Limit) -> tuple[str, str]:
    high = f"${{{limit.variable}:lucene}}" if limit.variable else "" if limit.high is None else _number(limit.high)
    return "" if limit.low is None else _number(limit.low), high


def _inside(panel: Panel, layout: Layout, limit: Limit) -> str:
    """Return the condition that a field is within a limit, in shown units; "" without any."""
    low, high = _bound(limit)
    shown = _shown(panel, layout, limit.field)
    return " AND ".join(filter(None, [f"{shown} >= {low}" if low else "", f"{shown} <= {high}" if high else ""]))


def _share(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    """Ones for what is within the limits over the number of all: 0 where none is, nothing where there is nothing.

    By what a fit gives every estimate is judged, by anything else what has a value.  The limit stands among the sums
    too, where InfluxQL refuses a word: compared with a field it would be one that is nowhere, and the share 0.
    """
    field, limit = panel.fields[0], panel.limits[0]
    inside = " AND ".join(filter(None, [values_of(layout, panel.record, field), _inside(panel, layout, limit)]))
    every = rows_of(layout, panel.record) if field in OF_A_FIT else values_of(layout, panel.record, field)
    of = '"ctfID"' if field in OF_A_FIT else column(layout, field)
    text = (
        f'SELECT (sum("inside"){_checked([limit])}) / count("of") AS {quoted(quantity(panel, field).label)}'
        f' FROM (SELECT {column(layout, field)} * 0.0 + 1 AS "inside" {inside}),'
        f' (SELECT {of} * 0.0 AS "inside", {of} * 0.0 AS "of" {every})'
    )
    return (InfluxQuery(text=text, format="table"),)


def _checked(limits: Iterable[Limit]) -> str:
    """Return nothing in numbers of the limits that readers can move: what is no number is refused there."""
    return "".join(f" + 0 * {_bound(limit)[1]}" for limit in limits if limit.variable)


GOOD = "Good"
GOOD_COUNTS = ("Good micrographs", "Estimated", "Without a fit")
"""The columns of the panel that counts good micrographs: a share, and what it is made of."""


def _good(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    """Share and number of the estimates that keep all limits, and how many have no fit."""
    limits = [limit for limit in panel.limits if limit.field in FIELDS[layout]]
    kept = " AND ".join(filter(None, [_inside(panel, layout, limit) for limit in limits]))
    fitted = values_of(layout, panel.record, "defocus")
    good = f'(sum("inside"){_checked(limits)})'
    name = column(layout, "defocus")
    columns = (f'{good} / count("of")', good, 'count("of")', 'sum("unfit")')
    named = ", ".join(f"{text} AS {quoted(label)}" for text, label in zip(columns, (GOOD, *GOOD_COUNTS), strict=True))
    text = (
        f"SELECT {named}"
        f' FROM (SELECT {name} * 0.0 + 1 AS "inside" {fitted}{f" AND {kept}" if kept else ""}),'
        f' (SELECT {name} * 0.0 - 1 AS "unfit" {fitted}),'
        ' (SELECT "ctfID" * 0.0 AS "inside", "ctfID" * 0.0 AS "of", "ctfID" * 0.0 + 1 AS "unfit"'
        f" {rows_of(layout, panel.record)})"
    )
    return (InfluxQuery(text=text, format="table"),)


def _in_shown_units(panel: Panel, field: str, text: str, *, part: int = 1) -> str:
    """Return a value in stored units, or one of so many parts of it, in the shown unit."""
    per = quantity(panel, field).per_shown * part
    return text if per == 1.0 else f"{text} / {_number(per)}"


def _medians(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    return tuple(
        InfluxQuery(
            text=f"SELECT {_in_shown_units(panel, f, f'median({column(layout, f)})')}"
            f" AS {quoted(quantity(panel, f).label)} {values_of(layout, panel.record, f)}",
            format="table",
        )
        for f in known_fields(panel, layout)
    )


def _compare(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    """One row for all and one for the last ones; each says how many values it is made of.

    InfluxQL has no text constants to name a row by.  A subquery has the order of its query.
    """
    fields = known_fields(panel, layout)
    columns = [f'count("{FIELDS[layout][fields[0]]}") AS "Number"']
    for field in fields:
        name, label = column(layout, field), quantity(panel, field).label
        middle = _in_shown_units(panel, field, f"median({name})")
        spread = _in_shown_units(panel, field, f"(percentile({name}, 75) - percentile({name}, 25))", part=2)
        columns += [f"{middle} AS {quoted(label)}", f"{spread} AS {quoted(f'± {label}')}"]
    queries = []
    for end in ("", f" ORDER BY time DESC LIMIT {RECENT}"):
        parts = [f"(SELECT {column(layout, f)} {values_of(layout, panel.record, f)}{end})" for f in fields]
        order = " ORDER BY time DESC" if end else ""
        text = f"SELECT {', '.join(columns)} FROM {', '.join(parts)}{order}"
        queries.append(InfluxQuery(text=text, format="table"))
    return tuple(queries)


def _latest(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    """The newest row, so that its values belong together."""
    columns = ", ".join(_named(panel, layout, f) for f in known_fields(panel, layout))
    rows = rows_of(layout, panel.record)
    return (InfluxQuery(text=f"SELECT {columns} {rows} ORDER BY time DESC LIMIT 1", format="table"),)


def _host_lines(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    fields = known_fields(panel, layout)
    step = "GROUP BY time($__interval) fill(none)"
    if not fields:
        return ()
    if panel.record == "device":
        return tuple(
            InfluxQuery(text=f"SELECT mean(/{DEVICES[panel.device, f]}/) {rows_of(layout, panel.record)} {step}")
            for f in fields
        )
    means = ", ".join(f"mean({_shown(panel, layout, f)}) AS {quoted(quantity(panel, f).label)}" for f in fields)
    return (InfluxQuery(text=f"SELECT {means} {rows_of(layout, panel.record)} {step}"),)


def _devices_now(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    """All devices of a kind in the newest row, a column for each value: a last value might be of long ago."""
    fields = "|".join(DEVICES[panel.device, f] for f in known_fields(panel, layout))
    if not fields:
        return ()
    text = f"SELECT /{fields}/ {rows_of(layout, panel.record)} ORDER BY time DESC LIMIT 1"
    return (InfluxQuery(text=text, format="table"),)


def _progress(_panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    if layout is Layout.SCIPION:
        rows = rows_of(layout, "micrograph", UNTIL)
        return (InfluxQuery(text=f'SELECT count("ctfID") AS "CTF estimates" {rows}'),)
    stages = '"output" =~ /(?i)movies|micrographs|ctf/'
    rows = rows_of(layout, "run", UNTIL)
    text = f'SELECT last("size") AS "Items" {rows} AND {stages} GROUP BY "run", "output"'
    return (InfluxQuery(text=text, alias="$tag_output ($tag_run)"),)


def _rate(_panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    """Items per hour of each run: every estimate is a point, and so is every micrograph of the step before.

    What stands between two slashes of a line is a regular expression to Grafana's data source, which escapes the
    variables in it: a division by a variable ends its line.  A subquery cuts what is made of whole numbers to a whole
    one.
    """
    hourly = "* 3600000.0 /\n$__interval_ms"
    estimates = f'count("ctfID") {hourly} AS "CTF estimates"'
    if layout is Layout.SCIPION:
        step = "GROUP BY time($__interval) fill(0)"
        return (InfluxQuery(text=f"SELECT {estimates} {rows_of(layout, 'micrograph')} {step}"),)
    rows, step = rows_of_all_runs(), 'GROUP BY time($__interval), "run" fill(0)'
    micrographs = f'SELECT (count("name") - count("ctfID")) {hourly} AS "n" {rows} {step}'
    movies = (
        f'SELECT non_negative_derivative(last("size"), 1h) AS "Movies" {rows_of(layout, "run")}'
        ' AND "output" =~ /(?i)movies/ GROUP BY time($__interval), "run", "output" fill(none)'
    )
    return (
        InfluxQuery(text=f"SELECT {estimates} {rows} {step}", alias="CTF estimates ($tag_run)"),
        InfluxQuery(
            text=f'SELECT "n" AS "Micrographs" FROM ({micrographs}) WHERE "n" > 0 GROUP BY "run"',
            alias="Micrographs ($tag_run)",
        ),
        InfluxQuery(text=movies, alias="Movies ($tag_run)"),
    )


_STATE = {"name": '"project"', "status": '"status"', "host": '"host"', "software": '"software"'}


def _session(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    acquisition = "voltage" in panel.fields
    if layout is Layout.SCIPION:
        section, value = ("acquisition", "valueNum") if acquisition else ("properties", "valueStr")
        rows = rows_of(layout, section, UNTIL)
        text = f'SELECT "metric" AS "Property", "{value}" AS "Value" {rows} ORDER BY time DESC'
        return (InfluxQuery(text=text, format="table"),)
    columns = []
    for field in panel.fields:
        source = _STATE.get(field) or quoted(FIELDS[layout].get(field, ""))
        if source != '""':
            columns.append(f"{source} AS {quoted(session_label(panel, field))}")
    text = f"SELECT {', '.join(columns)} {rows_of(layout, panel.record, UNTIL)} ORDER BY time DESC LIMIT 1"
    return (InfluxQuery(text=text, format="table"),)


def session_label(panel: Panel, field: str) -> str:
    """Return a property's name with its unit: in a column of mixed values the unit has no other place."""
    known = quantity(panel, field)
    return f"{known.label} ({known.shown_unit})" if known.shown_unit else known.label


def _runs(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    """The newest state of every output of every run; its time is when it last changed.

    A run without outputs has its newest state alone.  The point that says so is never written again, so once there are
    outputs it would stand there as it was for ever.  InfluxQL can find no run by what it lacks: the second query has
    the newest state of each run, which is one of the first's rows wherever there are outputs, and Grafana puts equal
    rows together.
    """
    rows = rows_of(layout, panel.record, UNTIL)
    if layout is Layout.SCIPION:
        columns = '"protocolName" AS "Run", "output" AS "Output", "size" AS "Items"'
        return (InfluxQuery(text=f"SELECT {columns} {rows} ORDER BY time DESC", format="table"),)
    state = 'SELECT last("status") AS "status", "label", "size"'
    outputs = f'{state} {rows} AND "output" != \'\' GROUP BY "run", "output"'
    newest = f'{state}, "output" {rows} GROUP BY "run"'
    columns = '"run" AS "Id", "label" AS "Run", "status" AS "Status", "output" AS "Output", "size" AS "Items"'
    return tuple(InfluxQuery(text=f"SELECT {columns} FROM ({part})", format="table") for part in (outputs, newest))


def _gain_table(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    columns = [_named(panel, layout, f) for f in known_fields(panel, layout)]
    if layout is Layout.SCIPION:
        columns.insert(0, '"idx" AS "Line"')
    rows = rows_of(layout, panel.record)
    text = f"SELECT {', '.join(columns)} {rows} ORDER BY time DESC LIMIT {panel.rows or 100}"
    return (InfluxQuery(text=text, format="table"),)


def _alerts(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    """None in the layout `scipion`."""
    if layout is Layout.SCIPION:
        return ()
    return (InfluxQuery(text=alert_rows(panel.rows or 20), format="table"),)


def _gallery(panel: Panel, layout: Layout) -> tuple[InfluxQuery, ...]:
    """The images with their numbers, newest first; in the layout `scipion` they are HTML links around the image."""
    if layout is Layout.SCIPION:
        paths, first = ("micPath", "psdPath", "shiftPlotPath"), '"ctfID" AS "Id"'
        rows = f'{rows_of(layout, "image")} AND "transferImage" = true'
    else:
        paths, first = ("micUrl", "psdUrl", "shiftUrl"), '"name" AS "Name"'
        rows = rows_of(layout, "image")
    images = [f'"{path}" AS "{title}"' for path, title in zip(paths, IMAGES, strict=True)]
    fields = known_fields(panel, layout) or GALLERY_FIELDS
    columns = ", ".join([*images, first, *(_named(panel, layout, f) for f in fields)])
    text = f"SELECT {columns} {rows} ORDER BY time DESC LIMIT {panel.rows or MOST_IMAGES}"
    return (InfluxQuery(text=text, format="table"),)


_NONE = Aggregate.NONE
_COMPILERS: Mapping[tuple[str, PanelKind, Aggregate], Callable[[Panel, Layout], tuple[InfluxQuery, ...]]] = {
    ("micrograph", PanelKind.TIME_SERIES, _NONE): _points,
    ("micrograph", PanelKind.SCATTER, _NONE): _scatter,
    ("micrograph", PanelKind.HISTOGRAM, _NONE): _histogram,
    ("micrograph", PanelKind.HEAT_MAP, _NONE): _heat_map,
    ("micrograph", PanelKind.STAT, Aggregate.GOOD): _good,
    ("micrograph", PanelKind.STAT, Aggregate.SHARE): _share,
    ("micrograph", PanelKind.STAT, Aggregate.MEDIAN): _medians,
    ("micrograph", PanelKind.TABLE, Aggregate.COMPARE): _compare,
    ("micrograph", PanelKind.GALLERY, _NONE): _gallery,
    ("gain", PanelKind.TIME_SERIES, _NONE): _points,
    ("gain", PanelKind.STAT, Aggregate.LATEST): _latest,
    ("gain", PanelKind.TABLE, _NONE): _gain_table,
    ("host", PanelKind.STAT, Aggregate.LATEST): _latest,
    ("host", PanelKind.TIME_SERIES, _NONE): _host_lines,
    ("device", PanelKind.TIME_SERIES, _NONE): _host_lines,
    ("device", PanelKind.TABLE, _NONE): _devices_now,
    ("output", PanelKind.STAT, Aggregate.PROGRESS): _progress,
    ("output", PanelKind.TIME_SERIES, Aggregate.RATE): _rate,
    ("session", PanelKind.TABLE, _NONE): _session,
    ("run", PanelKind.TABLE, _NONE): _runs,
    ("alert", PanelKind.TABLE, _NONE): _alerts,
}
