"""Items that are dated in the future: a clock or a time zone is wrong, and ages and rates with it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from cryowatch.judgement import of_outputs
from cryowatch.store.panels.query import Table
from cryowatch.times import SECOND

MOST_AHEAD = 120 * 10**9
"""How far a time may lie in the future before it is said so: by so much the clocks of two machines may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Future:
    """How many items are dated in the future, and the latest time (UTC ns)."""

    count: int
    latest: int

    def __str__(self) -> str:
        items = "1 item is" if self.count == 1 else f"{self.count:,} items are"
        latest = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.latest // SECOND))
        return f"{items} dated in the future, up to {latest}. Is a clock or the time zone wrong?"


def future(table: Table, outputs: Sequence[int], now: int, *, most: int = MOST_AHEAD) -> Future | None:
    """Return which items of some outputs lie more than `most` ns after `now`; None without any."""
    sql = f"SELECT count(*), max(time) FROM micrograph WHERE {of_outputs(outputs)} AND time > :latest"
    count, latest = table(sql, {"latest": now + most}, taken=lambda rows: rows.fetchall())[1][0]
    return Future(count=count, latest=latest) if count else None
