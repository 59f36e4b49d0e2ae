"""Compile a panel to a query over the store, and its rows to what the built-in pages draw.

The names that get into SQL text are the model's own; whatever a reader of a page says is a parameter.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import filterfalse, islice, repeat
from math import isnan
from typing import Any

from cryowatch.dashboards.definition import Aggregate, Bins, Panel, PanelKind, quantity
from cryowatch.judgement import Bound, is_judged_whole, of_outputs, shown_sql
from cryowatch.store.alert_sql import weight
from cryowatch.store.panels import machine, payload, stages, tiles
from cryowatch.store.panels.columns import (
    ColumnQuery,
    Columns,
    answers,
    binned,
    count_inside,
    ordered,
    quartiles,
    rows_of,
)
from cryowatch.store.panels.good import good_of, good_sql_of
from cryowatch.store.panels.query import Query, Rows, Scope, Table, window
from cryowatch.store.panels.thinning import thinned
from cryowatch.times import HOUR, MILLISECOND

RECENT = 50


def compile_panel(panel: Panel, scope: Scope) -> Query | ColumnQuery:
    """Return the query of a panel; raises ValueError for a definition that cannot be drawn."""
    if panel.kind is PanelKind.TEXT:
        return Query(sql="SELECT 1", parameters={}, shape=lambda _: {"text": panel.text})
    compiler = COMPILERS.get((panel.record, panel.kind))
    if compiler is None:
        raise ValueError(f"the panel {panel.id} asks for a {panel.kind} of {panel.record}, which cannot be drawn")
    return compiler(panel, scope)


def answer_panels(panels: Sequence[Panel], scope: Scope, table: Table) -> Iterator[tuple[str, payload.Data]]:
    """Yield the id and the data of each panel, in no order; what several panels need is read once."""
    queries = {panel.id: compile_panel(panel, scope) for panel in panels}
    together: dict[str, dict[str, ColumnQuery]] = {}
    for name, query in queries.items():
        if isinstance(query, ColumnQuery):
            together.setdefault(query.record, {})[name] = query
        else:
            yield name, query.answer(table)
    for of_record in together.values():
        yield from zip(of_record, answers(list(of_record.values()), table), strict=True)


def _shown(panel: Panel, field: str) -> str:
    """Return the SQL of a field in its shown unit."""
    return shown_sql(field, panel.record)


def _points(panel: Panel, scope: Scope) -> ColumnQuery:
    """Rows as points: id, time, then the fields in shown units; what lies in the future is drawn at the present.

    Left out are rows without any value, and in a scatter those without both.
    """
    is_scatter = panel.kind is PanelKind.SCATTER
    known = [quantity(panel, f) for f in panel.fields]

    def shape(columns: Columns) -> payload.Data:
        there = columns.there(panel.fields, all_of=is_scatter)
        chosen = [columns.values[field] for field in panel.fields]
        if len(there) < len(columns):
            chosen = [array("d", map(column.__getitem__, there)) for column in chosen]
        kept = thinned(chosen)
        places = [there[place] for place in kept]
        rows = zip(
            repeat(None if columns.partial else len(there)),
            [columns.id[place] for place in places],
            [min(columns.time[place], scope.now) // MILLISECOND for place in places],
            *([None if isnan(column[place]) else column[place] for place in kept] for column in chosen),
        )
        draw = payload.scatter if is_scatter else payload.time_series
        return draw(known, list(rows), partial=columns.partial)

    return ColumnQuery(record=panel.record, fields=panel.fields, scope=scope, shape=shape)


def _histogram(panel: Panel, scope: Scope) -> ColumnQuery:
    field, bins = panel.fields[0], _bins(panel)
    scope = replace(scope, after=None)

    def shape(columns: Columns) -> payload.Data:
        every = columns.ordered(field)
        newest_first = filterfalse(isnan, reversed(columns.values[field]))
        recent = ordered(islice(newest_first, RECENT))
        nothing = (None, None, None)
        rows: list[tuple[Any, ...]] = [(0, place, count, *nothing) for place, count in binned(every, bins)]
        rows += [(1, place, count, *nothing) for place, count in binned(recent, bins)]
        rows.append((2, None, len(every), *quartiles(every)))
        return payload.histogram(quantity(panel, field), bins, RECENT, rows)

    return ColumnQuery(record=panel.record, fields=(field,), scope=scope, shape=shape)


def _heat_map(panel: Panel, scope: Scope) -> ColumnQuery:
    """Counts by time and value; the step in time grows with the span, so that about 40 columns stay."""
    field, bins = panel.fields[0], _bins(panel)

    def shape(columns: Columns) -> payload.Data:
        there = columns.there((field,))
        if not there:
            return payload.EMPTY
        first, last = (min(columns.time[place], scope.now) for place in (there[0], there[-1]))
        step = _step(last - first)
        rows, start, end = [], there[0], there[-1] + 1
        while start < end:
            time = min(columns.time[start], scope.now) // step * step
            following = end if time + step > scope.now else bisect_left(columns.time, time + step, start, end)
            counts = binned(ordered(columns.values[field][start:following]), bins)
            rows += [(step // MILLISECOND, time // MILLISECOND, place, count) for place, count in counts]
            start = following
        return payload.heat_map(quantity(panel, field), bins, rows)

    return ColumnQuery(record=panel.record, fields=(field,), scope=replace(scope, after=None), shape=shape)


def _step(width: int) -> int:
    """Return how long a column of a heat map is where all of them together are this long, in ns."""
    for below, step in ((HOUR // 2, HOUR // 60), (3 * HOUR, HOUR // 12), (8 * HOUR, HOUR // 4), (48 * HOUR, HOUR)):
        if width < below:
            return step
    return (width // (160 * HOUR) + 1) * 4 * HOUR


def _bins(panel: Panel) -> Bins:
    if panel.bins is None:
        raise ValueError(f"the panel {panel.id} needs bins")
    return panel.bins


def _bound(panel: Panel, scope: Scope, field: str) -> Bound:
    """Return between what a field should lie: anywhere, where the panel has no limit of it."""
    limits = (limit.bound(scope.variables) for limit in panel.limits if limit.field == field)
    return next(limits, Bound(field=field))


def _statistics(panel: Panel, scope: Scope, columns: Columns) -> Rows:
    """Return a row for each field: its place, n, three quartiles, how many are inside, of how many."""
    rows = []
    for place, field in enumerate(panel.fields):
        values = columns.ordered(field)
        of = len(columns) if is_judged_whole(field, estimates=scope.estimates) else len(values)
        inside = count_inside(values, _bound(panel, scope, field))
        rows.append((place, len(values), *quartiles(values), inside, of))
    return rows


def _statistic_stat(panel: Panel, scope: Scope) -> Query | ColumnQuery:
    if panel.aggregate is Aggregate.GOOD:
        return _good(panel, scope)
    judged = [(quantity(panel, f), _bound(panel, scope, f)) for f in panel.fields]
    draw = tiles.shares if panel.aggregate is Aggregate.SHARE else tiles.medians

    def shape(columns: Columns) -> payload.Data:
        unfit = len(columns) - len(columns.ordered("defocus")) if scope.estimates else 0
        return draw(judged, _statistics(panel, scope, columns), unfit)

    fields = (*panel.fields, "defocus")
    return ColumnQuery(record=panel.record, fields=fields, scope=replace(scope, after=None), shape=shape)


def _good(panel: Panel, scope: Scope) -> Query:
    """How many keep all limits, of how many, and how fast they come; of what was not estimated nothing is said."""
    sql, parameters = good_sql_of([limit.bound(scope.variables) for limit in panel.limits], scope)
    return Query(
        sql=sql,
        parameters=parameters,
        shape=lambda found: tiles.good(good_of(found[0])) if scope.estimates else payload.EMPTY,
    )


def _latest_stat(panel: Panel, scope: Scope) -> Query:
    known = [quantity(panel, f) for f in panel.fields]
    bounds = [
        next((x.bounds(scope.variables) for x in panel.limits if x.field == f), (None, None)) for f in panel.fields
    ]
    shown = ", ".join(_shown(panel, f) for f in panel.fields)
    shape = machine.latest if panel.record == "host" else tiles.latest
    if panel.record == "host":
        during, parameters = window(scope) if scope.confined else ("", {})
        source, parameters = f"FROM host_sample WHERE host = :host{during}", {**parameters, "host": scope.host}
    else:
        source, parameters = rows_of(panel.record, replace(scope, after=None))
    return Query(
        sql=f"SELECT {shown} {source} ORDER BY time DESC, id DESC LIMIT 1",
        parameters=parameters,
        shape=lambda found: shape(known, bounds, found),
    )


def _compare(panel: Panel, scope: Scope) -> ColumnQuery:
    known = [quantity(panel, f) for f in panel.fields]

    def shape(columns: Columns) -> payload.Data:
        last = _statistics(panel, scope, columns.last(RECENT))
        return payload.comparison(known, RECENT, [*last, *_statistics(panel, scope, columns)])

    return ColumnQuery(record=panel.record, fields=panel.fields, scope=replace(scope, after=None), shape=shape)


def _lines(panel: Panel, scope: Scope) -> Query:
    """Host values, averaged over steps of time where there are more than 600 samples."""
    during, parameters = window(scope, "host_sample.time")
    known = [quantity(panel, f) for f in panel.fields]
    means = ", ".join(f"avg({_qualified(panel, f)})" for f in panel.fields)
    if panel.record == "host":
        source, device = "host_sample", "NULL"
        where = "host_sample.host = :host"
    else:
        source, device = "host_sample JOIN device_sample ON sample_id = host_sample.id", "device"
        where = "host_sample.host = :host AND device_sample.kind = :device"
        parameters["device"] = panel.device
    sql = f"""
        WITH span AS (SELECT min(time) AS first, max(time) AS last FROM host_sample WHERE host = :host{during}),
        step AS (SELECT max(1000000000, (last - first) / 600) AS ns FROM span)
        SELECT {device}, max(host_sample.time) / {MILLISECOND}, {means}
        FROM {source} WHERE {where}{during}
        GROUP BY {device}, host_sample.time / (SELECT ns FROM step) ORDER BY 2"""
    return Query(
        sql=sql,
        parameters={**parameters, "host": scope.host},
        shape=lambda found: payload.lines(known, found),
    )


def _qualified(panel: Panel, field: str) -> str:
    table = "device_sample" if panel.record == "device" else "host_sample"
    return f"{table}.{field} / {quantity(panel, field).per_shown!r}"


_SHOWN = {"status": "CASE WHEN state = 'gone' AND troubles = '[]' THEN 'gone' ELSE status END"}
"""Fields of a session that are not shown as they are stored: as in `store.states`."""


def _properties(panel: Panel, scope: Scope) -> Query:
    known = [quantity(panel, f) for f in panel.fields]
    return Query(
        sql=f"SELECT {', '.join(_SHOWN.get(f, f) for f in panel.fields)} FROM session WHERE id = :session",
        parameters={"session": scope.session},
        shape=lambda found: payload.properties(panel.fields, known, found),
    )


def _gain_table(panel: Panel, scope: Scope) -> Query:
    rows, parameters = rows_of(panel.record, replace(scope, after=None))
    known = [quantity(panel, f) for f in panel.fields]
    bounds = [payload.judging(panel, scope, f) for f in panel.fields]
    return Query(
        sql=f"SELECT {', '.join(panel.fields)} {rows} ORDER BY time DESC, item DESC LIMIT :rows",
        parameters={**parameters, "rows": panel.rows or 100},
        shape=lambda found: payload.table(panel.fields, known, found, bounds=bounds),
    )


def _alert_table(panel: Panel, scope: Scope) -> Query:
    known = [quantity(panel, f) for f in panel.fields]
    of_machine = "" if scope.confined else " OR (session_id IS NULL AND host = :host)"
    columns = ", ".join(f'"{f}"' for f in panel.fields)
    return Query(
        sql=f"SELECT {columns} FROM alert WHERE session_id = :session{of_machine}"
        f" ORDER BY until IS NULL DESC, CASE WHEN until IS NULL THEN {weight('severity')} END DESC, since DESC"
        " LIMIT :rows",
        parameters={"session": scope.session, "host": scope.host, "rows": panel.rows or 100},
        shape=lambda found: payload.table(panel.fields, known, found),
    )


def _gallery(panel: Panel, scope: Scope) -> Query:
    return Query(
        sql=f"SELECT 1 FROM micrograph WHERE {of_outputs(scope.outputs)} LIMIT 1",
        parameters={},
        shape=lambda found: {"limit": panel.rows} if found else payload.EMPTY,
    )


COMPILERS: Mapping[tuple[str, PanelKind], Callable[[Panel, Scope], Query | ColumnQuery]] = {
    ("micrograph", PanelKind.TIME_SERIES): _points,
    ("micrograph", PanelKind.SCATTER): _points,
    ("micrograph", PanelKind.HISTOGRAM): _histogram,
    ("micrograph", PanelKind.HEAT_MAP): _heat_map,
    ("micrograph", PanelKind.STAT): _statistic_stat,
    ("micrograph", PanelKind.TABLE): _compare,
    ("micrograph", PanelKind.GALLERY): _gallery,
    ("gain", PanelKind.TIME_SERIES): _points,
    ("gain", PanelKind.STAT): _latest_stat,
    ("gain", PanelKind.TABLE): _gain_table,
    ("host", PanelKind.STAT): _latest_stat,
    ("host", PanelKind.TIME_SERIES): _lines,
    ("device", PanelKind.TIME_SERIES): _lines,
    ("device", PanelKind.TABLE): machine.devices,
    ("output", PanelKind.STAT): stages.progress,
    ("output", PanelKind.TIME_SERIES): stages.rate,
    ("session", PanelKind.TABLE): _properties,
    ("run", PanelKind.TABLE): stages.runs,
    ("alert", PanelKind.TABLE): _alert_table,
}
