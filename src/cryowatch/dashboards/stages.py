"""Queries over the stages of a session: how far each has come, how fast, and every run with its outputs."""

from __future__ import annotations

from cryowatch.dashboards import payload
from cryowatch.dashboards.definition import Panel
from cryowatch.dashboards.query import HOUR, MILLISECOND, Query, Scope, window

_STAGES = "('movies', 'micrographs', 'ctf')"

_LEADING = f"""
    WITH sized AS (
        SELECT id, kind, stream_open, (SELECT count(*) FROM micrograph WHERE output_id = output.id) AS n
        FROM output WHERE session_id = :session AND kind IN {_STAGES}),
    leading AS (
        SELECT id, kind, n, stream_open, row_number() OVER (
            PARTITION BY kind ORDER BY (coalesce(stream_open, 0) AND n > 0) DESC,
            CASE WHEN stream_open AND n > 0 THEN 0 ELSE n END DESC, id) AS place
        FROM sized)"""


def progress(_panel: Panel, scope: Scope) -> Query:
    """One row a stage: kind, items, newest, in the last hour, in each full hour (a list), whether it may grow."""
    sql = f"""{_LEADING},
        hours AS (SELECT output_id, time / {HOUR} AS hour, count(*) AS n FROM micrograph
                  WHERE output_id IN (SELECT id FROM leading WHERE place = 1) GROUP BY 1, 2)
        SELECT kind, n, stream_open,
            (SELECT max(time) FROM micrograph WHERE output_id = leading.id),
            (SELECT count(*) FROM micrograph WHERE output_id = leading.id AND time > :now - {HOUR} AND time <= :now),
            (SELECT quantile(n, 0.5) FROM hours WHERE output_id = leading.id AND hour < :now / {HOUR}
                AND hour > (SELECT min(hour) FROM hours WHERE output_id = leading.id))
        FROM leading WHERE place = 1
        ORDER BY CASE kind WHEN 'movies' THEN 0 WHEN 'micrographs' THEN 1 ELSE 2 END"""
    return Query(
        sql=sql,
        parameters={"session": scope.session, "now": scope.now},
        shape=lambda found: payload.progress(found, scope.now),
    )


def rate(_panel: Panel, scope: Scope) -> Query:
    """Items per hour of each stage in equal steps of time, at most about 150 of them."""
    during, parameters = window(scope)
    until = scope.now if scope.stop is None else min(scope.now, scope.stop)
    sql = f"""{_LEADING},
        found AS (SELECT leading.kind, time FROM micrograph JOIN leading
                  ON leading.id = micrograph.output_id AND place = 1 WHERE true{during}),
        span AS (SELECT max(time) - min(time) AS width FROM found),
        step AS (SELECT CASE WHEN width < {2 * HOUR} THEN {HOUR // 30} WHEN width < {12 * HOUR} THEN {HOUR // 6}
                        WHEN width < {48 * HOUR} THEN {HOUR // 2} ELSE {2 * HOUR} END AS ns FROM span)
        SELECT (SELECT ns FROM step) / {MILLISECOND},
               time / (SELECT ns FROM step) * (SELECT ns FROM step) / {MILLISECOND}, kind, count(*),
               min(time) / {MILLISECOND}
        FROM found GROUP BY 2, 3 ORDER BY 2"""
    return Query(
        sql=sql,
        parameters={**parameters, "session": scope.session},
        shape=lambda found: payload.rates(found, until),
    )


def runs(panel: Panel, scope: Scope) -> Query:
    """One row a run and output: id, label, class, status, start, end, error, output, class, size, rate, newest."""
    sql = f"""
        SELECT run.run, run.label, run.class_name, run.status, run.started, run.ended, run.error,
               output.name, output.class_name,
               CASE WHEN output.kind IN {_STAGES}
                    THEN max(coalesce(output.size, 0), (SELECT count(*) FROM micrograph WHERE output_id = output.id))
                    ELSE output.size END,
               CASE WHEN output.kind IN {_STAGES} THEN
                    (SELECT count(*) FROM micrograph WHERE output_id = output.id AND time > :now - {HOUR}) END,
               coalesce((SELECT max(time) FROM micrograph WHERE output_id = output.id),
                        (SELECT max(time) FROM output_size WHERE output_id = output.id))
        FROM run LEFT JOIN output ON output.session_id = run.session_id AND output.run = run.run
        WHERE run.session_id = :session ORDER BY CAST(run.run AS INTEGER), run.run, output.id"""
    return Query(
        sql=sql,
        parameters={"session": scope.session, "now": scope.now},
        shape=lambda found: payload.runs(panel.fields, found),
    )
