"""Taking points away from an InfluxDB: by their exact series and times, and nothing else.

InfluxQL deletes by tags and time, from 1.x and 2.x alike: `DELETE FROM "m" WHERE "run" = '1' AND time = 5`.  That would
also match a series with more tags, so those that the measurement has besides are named as empty.  One statement takes
some milliseconds however little it deletes.  So the server is asked what it holds between the first and the last point
that is to go, and points that follow one another there go together; what is not there needs no statement.  Where the
server does not tell this user, each point is deleted by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cryowatch.influx.batches import Deletions, Removal
from cryowatch.influx.lines import measurement_text, tag_text
from cryowatch.influx.series import Series
from cryowatch.influx.server import quote_identifier, quote_string
from cryowatch.times import SECOND

Query = Callable[[str], tuple[list[dict[str, Any]], str]]

FEW = 3
"""So many points are deleted without a look at what is there."""

STATEMENTS = 100
"""In one request: InfluxDB takes half a second for so many."""

MARGIN = 500
REFUSED_SECONDS = 600
"""How long a server that does not delete is left alone."""


class Eraser:
    """Deletes through `query`, which returns results and what the server says against them; `clock` gives UTC ns."""

    def __init__(self, query: Query, clock: Callable[[], int]) -> None:
        self._query = query
        self._clock = clock
        self._refused: tuple[int, str] | None = None

    def remove(self, deletions: Deletions) -> Removal:
        """Take points away, and return how many stay because the server does not do that."""
        stay, reason = 0, ""
        tags: dict[str, set[str]] = {}
        for series, times in deletions.items():
            if self._refused is None or abs(self._clock() - self._refused[0]) > REFUSED_SECONDS * SECOND:
                name = series.measurement
                if name not in tags:
                    tags[name] = self._tags(name)
                refused = self._erase(series, times, tags[name] - series.tags.keys())
                self._refused = (self._clock(), refused) if refused else None
            if self._refused is not None:
                stay += len(times)
                reason = self._refused[1]
        return Removal(stay, reason)

    def _tags(self, measurement: str) -> set[str]:
        """Return the names of the tags that a measurement has; none where the server does not tell."""
        results, _ = self._query(f"SHOW TAG KEYS FROM {_named(measurement)}")
        return {row[0] for result in results for one in result.get("series", ()) for row in one.get("values", ())}

    def _erase(self, series: Series, times: Sequence[int], others: set[str]) -> str:
        """Delete points of a series; returns what the server says against it."""
        of = f"FROM {_named(series.measurement)} WHERE {_tagged(series, others)}"
        statements: list[str] = []
        for first, last in self._spans(of, times):
            bounds = f"time = {first}" if first == last else f"time >= {first} AND time <= {last}"
            statements.append(f"DELETE {of} AND {bounds}")
        for place in range(0, len(statements), STATEMENTS):
            _, refused = self._query("; ".join(statements[place : place + STATEMENTS]))
            if refused:
                return refused
        return ""

    def _spans(self, of: str, times: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Yield first and last of points that are to go and have no other between them."""
        wanted = set(times)
        left = times
        while len(left) > FEW:
            most = len(left) + MARGIN
            there = self._there(of, left[0], left[-1], most)
            if there is None:
                break
            first: int | None = None
            last = left[0]
            for time in there:
                if time in wanted:
                    first = time if first is None else first
                    last = time
                elif first is not None:
                    yield first, last
                    first = None
            if first is not None:
                yield first, last
            left = [time for time in left if time > there[-1]] if len(there) == most else []
        yield from ((time, time) for time in left)

    def _there(self, of: str, first: int, last: int, most: int) -> list[int] | None:
        """Return the times of the first few points of a series in a span; None where the server does not tell."""
        results, refused = self._query(f"SELECT * {of} AND time >= {first} AND time <= {last} LIMIT {most}")
        if refused:
            return None
        return [row[0] for result in results for one in result.get("series", ()) for row in one.get("values", ())]


def _named(measurement: str) -> str:
    return quote_identifier(measurement_text(measurement))


def _tagged(series: Series, others: set[str]) -> str:
    known = [f"{quote_identifier(name)} = {quote_string(tag_text(value))}" for name, value in series.tags.items()]
    return " AND ".join([*known, *(f"{quote_identifier(name)} = ''" for name in sorted(others))])
