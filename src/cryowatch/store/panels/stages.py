"""Queries over the stages of a session: how far each has come, how fast, and every run with its outputs."""

from __future__ import annotations

from typing import Any

from cryowatch.dashboards.definition import Panel
from cryowatch.judgement import of_outputs
from cryowatch.store.panels import payload, tiles
from cryowatch.store.panels.pace import pace, pace_sql
from cryowatch.store.panels.query import Query, Rows, Scope, window
from cryowatch.times import HOUR, MILLISECOND

MOST_RUNS = 200
"""Rows of a table of runs, one a run and output: the last ones, each with its whole error."""

_STAGES = "('movies', 'micrographs', 'ctf')"
_RUN_AND_OUTPUT = "run LEFT JOIN output ON output.session_id = run.session_id AND output.run = run.run"


def progress(_panel: Panel, scope: Scope) -> Query:
    """One row a stage: kind, whether it may grow, then its pace; the items of all its outputs count together."""
    parts = []
    parameters: dict[str, Any] = {"now": scope.now}
    for kind, outputs in scope.stages.items():
        if not outputs:
            continue
        source, values = pace_sql(f"micrograph WHERE {of_outputs(outputs)}", scope.now)
        growing = f"(SELECT max(stream_open) FROM output WHERE {of_outputs(outputs, 'id')})"
        parts.append(f"SELECT '{kind}', {growing}, * FROM ({source})")
        parameters.update(values)

    def shaped(rows: Rows) -> payload.Data:
        return tiles.progress([(kind, growing, pace(tuple(row))) for kind, growing, *row in rows], scope.now)

    return Query(sql=" UNION ALL ".join(parts) or "SELECT 1 WHERE 0", parameters=parameters, shape=shaped)


def rate(_panel: Panel, scope: Scope) -> Query:
    """Items per hour of each stage in equal steps of time, at most about 150 of them; the future counts as now."""
    during, parameters = window(scope)
    until = scope.now if scope.stop is None else min(scope.now, scope.stop)
    found = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, min(time, :now) AS time FROM micrograph WHERE {of_outputs(outputs)}{during}"
        for kind, outputs in scope.stages.items()
    )
    sql = f"""
        WITH found AS ({found or "SELECT '' AS kind, 0 AS time WHERE 0"}),
        span AS (SELECT max(time) - min(time) AS width FROM found),
        step AS (SELECT CASE WHEN width < {2 * HOUR} THEN {HOUR // 30} WHEN width < {12 * HOUR} THEN {HOUR // 6}
                        WHEN width < {48 * HOUR} THEN {HOUR // 2}
                        ELSE (width / {300 * HOUR} + 1) * {2 * HOUR} END AS ns FROM span)
        SELECT (SELECT ns FROM step) / {MILLISECOND},
               time / (SELECT ns FROM step) * (SELECT ns FROM step) / {MILLISECOND}, kind, count(*),
               min(time) / {MILLISECOND}
        FROM found GROUP BY 2, 3 ORDER BY 2"""
    return Query(
        sql=sql,
        parameters={**parameters, "now": scope.now},
        shape=lambda found: payload.rates(found, until),
    )


def runs(panel: Panel, scope: Scope) -> Query:
    """One row a run and output: id, label, class, status, start, end, error, output, class, size, rate, newest.

    The last `MOST_RUNS`, each with how many there are.
    """
    sql = f"""
        WITH listed AS (
            SELECT run.id AS run_id, output.id AS output_id, count(*) OVER () AS total FROM {_RUN_AND_OUTPUT}
            WHERE run.session_id = :session
            ORDER BY CAST(run.run AS INTEGER) DESC, run.run DESC, output.id DESC LIMIT :most)
        SELECT run.run, run.label, run.class_name, run.status, run.started, run.ended, run.error,
               output.name, output.class_name,
               CASE WHEN output.kind IN {_STAGES}
                    THEN max(coalesce(output.size, 0), (SELECT count(*) FROM micrograph WHERE output_id = output.id))
                    ELSE output.size END,
               CASE WHEN output.kind IN {_STAGES} THEN
                    (SELECT count(*) FROM micrograph WHERE output_id = output.id AND time > :now - {HOUR}) END,
               coalesce((SELECT min(max(time), :now) FROM micrograph WHERE output_id = output.id),
                        (SELECT max(time) FROM output_size WHERE output_id = output.id)),
               listed.total
        FROM listed JOIN run ON run.id = listed.run_id LEFT JOIN output ON output.id = listed.output_id
        ORDER BY CAST(run.run AS INTEGER), run.run, output.id"""
    return Query(
        sql=sql,
        parameters={"session": scope.session, "now": scope.now, "most": MOST_RUNS},
        shape=lambda found: payload.runs(panel.fields, found),
    )
