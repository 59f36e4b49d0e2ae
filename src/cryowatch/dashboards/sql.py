"""Compile a panel to SQL over the store, and its rows to what the built-in pages draw.

The names that get into SQL text are the model's own; whatever a reader of a page says is a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from cryowatch.dashboards import machine, payload, stages, tiles
from cryowatch.dashboards.definition import Aggregate, Bins, Panel, PanelKind
from cryowatch.dashboards.good import good_of, good_sql_of
from cryowatch.dashboards.query import HOUR, MILLISECOND, Query, Rows, Scope, quantity, window
from cryowatch.dashboards.thinning import thinned
from cryowatch.judgement import Bound, judged_sql, of_outputs, shown_sql, within_sql

RECENT = 50


def compile_panel(panel: Panel, scope: Scope) -> Query:
    """Return the query of a panel; raises ValueError for a definition that cannot be drawn."""
    if panel.kind is PanelKind.TEXT:
        return Query(sql="SELECT 1", parameters={}, shape=lambda _: {"text": panel.text})
    compiler = _COMPILERS.get((panel.record, panel.kind))
    if compiler is None:
        raise ValueError(f"the panel {panel.id} asks for a {panel.kind} of {panel.record}, which cannot be drawn")
    return compiler(panel, scope)


def _shown(panel: Panel, field: str) -> str:
    """Return the SQL of a field in its shown unit."""
    return shown_sql(field, panel.record)


def _rows_of(panel: Panel, scope: Scope) -> tuple[str, dict[str, Any]]:
    """Return FROM and WHERE of the rows that a panel of single rows shows; disabled micrographs are not among them."""
    during, parameters = window(scope)
    if panel.record == "micrograph":
        return f"FROM micrograph WHERE {of_outputs(scope.outputs)} AND enabled = 1{during}", parameters
    return f"FROM gain WHERE session_id = :session{during}", {**parameters, "session": scope.session}


def _points(panel: Panel, scope: Scope) -> Query:
    """Rows as points: id, time, then the fields in shown units; what lies in the future is drawn at the present.

    Left out are rows without any value, and in a scatter those without both.
    """
    rows, parameters = _rows_of(panel, scope)
    fields = panel.fields
    either = " AND " if panel.kind is PanelKind.SCATTER else " OR "
    rows += f" AND ({either.join(f'{f} IS NOT NULL' for f in fields)})"
    shown = ", ".join(_shown(panel, f) for f in fields)
    columns = f"id, min(time, :now) / {MILLISECOND}, {shown}"
    parameters["now"] = scope.now
    shape = payload.scatter if panel.kind is PanelKind.SCATTER else payload.time_series
    known = [quantity(panel, f) for f in fields]
    if scope.after is not None:
        return Query(
            sql=f"SELECT NULL, {columns} {rows} AND seq > :after ORDER BY time, item",
            parameters={**parameters, "after": scope.after},
            shape=lambda found: shape(known, found, partial=True),
        )
    return Query(
        sql=f"SELECT (SELECT count(*) {rows}), {columns} {rows} ORDER BY time, item",
        parameters=parameters,
        shape=lambda found: shape(known, found),
        taken=partial(thinned, first_value=3),
    )


def _placed(bins: Bins) -> tuple[str, str, dict[str, Any]]:
    """Return a first guess at the bin of x, the bin of x that follows from a guess `i`, and the parameters of both.

    A division may put a value that lies on an edge into the bin below, so the guess is compared with the edges.
    """
    a, b, k = bins.fractions
    guess = "CAST((x - :first) / :step AS INTEGER)"
    place = "min(i - (x < (:a + i * :b) / :k) + (x >= (:a + (i + 1) * :b) / :k), :last_bin)"
    values = {"first": bins.edges[0], "last": bins.edges[-1], "step": bins.step, "last_bin": bins.count - 1}
    return guess, place, {**values, "a": a, "b": b, "k": float(k)}


def _histogram(panel: Panel, scope: Scope) -> Query:
    field, bins = panel.fields[0], _bins(panel)
    rows, parameters = _rows_of(panel, scope)
    guess, place, values = _placed(bins)
    sql = f"""
        WITH found AS (SELECT {_shown(panel, field)} AS x, time, item {rows} AND {field} IS NOT NULL),
        recent AS (SELECT x FROM found ORDER BY time DESC, item DESC LIMIT {RECENT}),
        guessed AS (SELECT 0 AS kind, x, {guess} AS i FROM found WHERE x >= :first AND x <= :last
            UNION ALL SELECT 1, x, {guess} FROM recent WHERE x >= :first AND x <= :last)
        SELECT kind, {place}, count(*), NULL FROM guessed GROUP BY 1, 2
        UNION ALL
        SELECT 2, NULL, count(*), quartiles(x) FROM found"""
    return Query(
        sql=sql,
        parameters={**parameters, **values},
        shape=lambda found: payload.histogram(quantity(panel, field), bins, RECENT, _spread(found, 3)),
    )


def _heat_map(panel: Panel, scope: Scope) -> Query:
    """Counts by time and value; the step in time grows with the span, so that about 40 columns stay."""
    field, bins = panel.fields[0], _bins(panel)
    rows, parameters = _rows_of(panel, scope)
    guess, place, values = _placed(bins)
    sql = f"""
        WITH found AS (SELECT {_shown(panel, field)} AS x, min(time, :now) AS time {rows} AND {field} IS NOT NULL),
        span AS (SELECT max(time) - min(time) AS width FROM found),
        step AS (SELECT CASE WHEN width < {HOUR // 2} THEN {HOUR // 60} WHEN width < {3 * HOUR} THEN {HOUR // 12}
                        WHEN width < {8 * HOUR} THEN {HOUR // 4} WHEN width < {48 * HOUR} THEN {HOUR}
                        ELSE (width / {160 * HOUR} + 1) * {4 * HOUR} END AS ns FROM span),
        guessed AS (SELECT x, time, {guess} AS i FROM found WHERE x >= :first AND x <= :last)
        SELECT (SELECT ns FROM step) / {MILLISECOND},
               time / (SELECT ns FROM step) * (SELECT ns FROM step) / {MILLISECOND},
               {place}, count(*)
        FROM guessed GROUP BY 2, 3 ORDER BY 2, 3"""
    return Query(
        sql=sql,
        parameters={**parameters, **values, "now": scope.now},
        shape=lambda found: payload.heat_map(quantity(panel, field), bins, found),
    )


def _bins(panel: Panel) -> Bins:
    if panel.bins is None:
        raise ValueError(f"the panel {panel.id} needs bins")
    return panel.bins


def _bound(panel: Panel, scope: Scope, field: str) -> Bound:
    """Return between what a field should lie: anywhere, where the panel has no limit of it."""
    limits = (limit.bound(scope.variables) for limit in panel.limits if limit.field == field)
    return next(limits, Bound(field=field))


def _statistics(panel: Panel, scope: Scope, rows: str, fields: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return a SELECT of one row, which has for each field: n, quartiles, how many are inside, of how many.

    Rows are read once for all fields.
    """
    columns, parameters = [], {}
    for field in fields:
        within, values = within_sql(_bound(panel, scope, field))
        parameters.update(values)
        quartiles = f"quartiles({_shown(panel, field)})" if panel.aggregate is not Aggregate.SHARE else "NULL"
        of = judged_sql(field, estimates=scope.estimates)
        inside = f"count(CASE WHEN {within} THEN 1 END)" if within else "NULL"
        columns += [f"count({field})", quartiles, inside, of]
    return f"SELECT {', '.join(columns)} {rows}", parameters


def _each(rows: Rows) -> Rows:
    """Return a row for each field of each row of statistics: place, n, three quartiles, within, of."""
    found: list[tuple[Any, ...]] = []
    for row in rows:
        found += [(place // 4, *row[place : place + 4]) for place in range(0, len(row), 4)]
    return _spread(found, 2)


def _spread(rows: Rows, place: int) -> Rows:
    """Return rows with the text of `quartiles` at a place as three numbers."""
    spread = []
    for row in rows:
        quartiles = [None] * 3 if row[place] is None else [float(q) for q in row[place].split()]
        spread.append((*row[:place], *quartiles, *row[place + 1 :]))
    return spread


def _statistic_stat(panel: Panel, scope: Scope) -> Query:
    if panel.aggregate is Aggregate.GOOD:
        return _good(panel, scope)
    rows, parameters = _rows_of(panel, scope)
    sql, limits = _statistics(panel, scope, f", count(*), count(defocus) {rows}", panel.fields)
    judged = [(quantity(panel, f), _bound(panel, scope, f)) for f in panel.fields]
    shape = tiles.shares if panel.aggregate is Aggregate.SHARE else tiles.medians

    def shaped(found: Rows) -> payload.Data:
        unfit = found[0][-2] - found[0][-1] if scope.estimates else 0
        return shape(judged, _each([row[:-2] for row in found]), unfit)

    return Query(sql=sql, parameters={**parameters, **limits}, shape=shaped)


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
        source, parameters = _rows_of(panel, scope)
    return Query(
        sql=f"SELECT {shown} {source} ORDER BY time DESC, id DESC LIMIT 1",
        parameters=parameters,
        shape=lambda found: shape(known, bounds, found),
    )


def _compare(panel: Panel, scope: Scope) -> Query:
    rows, parameters = _rows_of(panel, scope)
    recent = f"FROM (SELECT * {rows} ORDER BY time DESC, item DESC LIMIT {RECENT})"
    first, limits = _statistics(panel, scope, recent, panel.fields)
    second, _ = _statistics(panel, scope, rows, panel.fields)
    known = [quantity(panel, f) for f in panel.fields]
    return Query(
        sql=f"{first} UNION ALL {second}",
        parameters={**parameters, **limits},
        shape=lambda found: payload.comparison(known, RECENT, _each(found)),
    )


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
    rows, parameters = _rows_of(panel, scope)
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
        " ORDER BY until IS NULL DESC, CASE WHEN until IS NOT NULL THEN 0 WHEN severity = 'critical' THEN 0"
        " WHEN severity = 'warning' THEN 1 ELSE 2 END, since DESC LIMIT :rows",
        parameters={"session": scope.session, "host": scope.host, "rows": panel.rows or 100},
        shape=lambda found: payload.table(panel.fields, known, found),
    )


def _gallery(panel: Panel, scope: Scope) -> Query:
    return Query(
        sql=f"SELECT 1 FROM micrograph WHERE {of_outputs(scope.outputs)} LIMIT 1",
        parameters={},
        shape=lambda found: {"limit": panel.rows} if found else payload.EMPTY,
    )


_COMPILERS: Mapping[tuple[str, PanelKind], Callable[[Panel, Scope], Query]] = {
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
