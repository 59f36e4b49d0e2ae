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

from cryowatch.dashboards.query import HOUR

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
        WITH item AS (SELECT min(time, :now) AS time FROM {source}),
        span AS (SELECT count(*) AS n, min(time) AS first, max(time) AS newest FROM item),
        whole AS (SELECT (item.time - first) / {HOUR} AS hour, count(*) AS n FROM item, span
                  WHERE item.time < first + (newest - first) / {HOUR} * {HOUR} GROUP BY 1)
        SELECT n, newest, (SELECT count(*) FROM item WHERE time > :now - {HOUR}) AS last_hour,
            (SELECT count(*) FROM item WHERE time > newest - {HOUR}) AS recent,
            (SELECT min(time) FROM item WHERE time > newest - {HOUR}) AS recent_first,
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
