"""How fast items come: now, in the last hour, and usually.

- *per hour*, now: over the hour that ends with the newest item, (n - 1) / (t_n - t_1) of the items in it.
- *in the last hour*: how many came in the hour before the present.
- *usually*: the median over the whole hours of the work, counted from its first item; an hour without any counts as 0.
  The piece of an hour that is left at the end counts nowhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import median
from typing import Any

from cryowatch.times import HOUR

FEWEST = 5
"""Of fewer items in an hour nobody can tell a rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many items there are, the time of the newest (UTC ns), and how fast they come; None where nobody can tell."""

    count: int
    newest: int | None
    per_hour: float | None
    last_hour: int
    recent: int
    usual: float | None
    """`recent` are the items of the hour that ends with the newest one."""


def pace_sql(source: str, now: int) -> tuple[str, dict[str, Any]]:
    """Return a SELECT of one row, which `pace` understands, and its parameters.

    `source` is a table with its conditions, such as `micrograph WHERE output_id = 3`; a time after `now` counts as now.
    """
    sql = f"""
        WITH span AS MATERIALIZED (
            SELECT count(*) AS n, min(min(time), :now) AS first, min(max(time), :now) AS newest FROM {source}),
        whole AS (SELECT (time - (SELECT first FROM span)) / {HOUR} AS hour, count(*) AS n FROM {source}
                  AND time < (SELECT first + (newest - first) / {HOUR} * {HOUR} FROM span) GROUP BY 1),
        recent AS MATERIALIZED (SELECT count(*) AS n, min(min(time), :now) AS first FROM {source}
                  AND time > (SELECT newest - {HOUR} FROM span))
        SELECT n, newest, (SELECT count(*) FROM {source} AND time > :now - {HOUR}) AS last_hour,
            (SELECT n FROM recent) AS recent, (SELECT first FROM recent) AS recent_first,
            (newest - first) / {HOUR} AS hours, (SELECT json_group_array(n) FROM whole) AS counts
        FROM span"""
    return sql, {"now": now}


def pace(row: tuple[Any, ...]) -> Pace:
    """Return what a row of `pace_sql` says."""
    count, newest, last_hour, recent, recent_first, hours, counts = row
    width = 0 if newest is None else newest - recent_first
    per_hour = (recent - 1) * HOUR / width if width and recent >= FEWEST else None
    hourly = json.loads(counts) if hours else []
    usual = median(hourly + [0] * (hours - len(hourly))) if hours else None
    return Pace(count=count, newest=newest, per_hour=per_hour, last_hour=last_hour, recent=recent, usual=usual)
