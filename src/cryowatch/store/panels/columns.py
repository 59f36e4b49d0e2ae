"""The rows that panels draw and count, as columns in the order of time: read once for all panels of an answer.

What costs time at 300,000 rows is that each value becomes an object of Python's: so a value is read once, kept as eight
bytes, and sorted once, whichever panels ask for it.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import chain, compress, filterfalse, pairwise
from operator import and_, not_, or_
from typing import Any

from cryowatch.dashboards.definition import Bins
from cryowatch.judgement import Bound, of_outputs, quantile, shown_sql
from cryowatch.store.panels.query import Fetching, Scope, Table, window
from cryowatch.store.panels.thinning import MOST_POINTS

_NAN = math.nan
_BLOCK = 250
_RUN = 20_000
_MOST_VALUES = 6_000_000
"""Values that are held at a time: 48 MB.  Where all panels need more, they are read in several turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Rows in the order of their time, those of disabled micrographs left out.

    `id` and `time` (UTC ns) are whole numbers, `values` are in shown units and NaN where there is none.  `partial`:
    these are only the rows that were added or changed since a position.
    """

    id: array[int]
    time: array[int]
    values: Mapping[str, array[float]]
    partial: bool = False
    _ordered: dict[str, array[float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.id)

    def there(self, fields: Sequence[str], *, all_of: bool = False) -> Sequence[int]:
        """Return the places of the rows that have a value of one of some fields, or of each."""
        lacking = [bytes(map(math.isnan, self.values[name])) for name in fields]
        empty = bytes(reduce(lambda one, other: bytes(map(or_ if all_of else and_, one, other)), lacking))
        return list(compress(range(len(self)), map(not_, empty))) if any(empty) else range(len(self))

    def ordered(self, name: str) -> array[float]:
        """Return the values that there are of a field, the smallest first."""
        if name not in self._ordered:
            self._ordered[name] = ordered(self.values[name])
        return self._ordered[name]

    def last(self, count: int) -> Columns:
        """Return the last rows."""
        values = {name: column[-count:] for name, column in self.values.items()}
        return Columns(id=self.id[-count:], time=self.time[-count:], values=values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnQuery:
    """Which fields of which record's rows a panel needs, and what it makes of them."""

    record: str
    fields: tuple[str, ...]
    scope: Scope
    shape: Callable[[Columns], dict[str, Any]]

    def answer(self, table: Table) -> dict[str, Any]:
        """Return the panel's data."""
        return next(answers((self,), table))


def answers(queries: Sequence[ColumnQuery], table: Table) -> Iterator[dict[str, Any]]:
    """Yield what each query of one scope and record answers, in their order; rows are read once for as many as can be.

    Where more rows changed since `scope.after` than are ever drawn, all are read, and the answers are whole.
    """
    rest = list(queries)
    while rest:
        scope, record = rest[0].scope, rest[0].record
        source, parameters = rows_of(record, scope)
        count = table(f"SELECT count(*) {source}", parameters, taken=_all)[1][0][0]
        if scope.after is not None and count > MOST_POINTS:
            rest = [replace(query, scope=replace(scope, after=None)) for query in rest]
            continue
        chosen: dict[str, None] = {}
        turn: list[ColumnQuery] = []
        while rest and (not turn or len({**chosen, **dict.fromkeys(rest[0].fields)}) * count <= _MOST_VALUES):
            chosen |= dict.fromkeys(rest[0].fields)
            turn.append(rest.pop(0))
        columns = read(table, scope, record, tuple(chosen))
        for query in turn:
            yield query.shape(columns)


def rows_of(record: str, scope: Scope) -> tuple[str, dict[str, Any]]:
    """Return FROM and WHERE of the rows that panels of a record show, and their parameters."""
    during, parameters = window(scope)
    if scope.after is not None:
        during, parameters = f"{during} AND seq > :after", {**parameters, "after": scope.after}
    if record == "micrograph":
        return f"FROM micrograph WHERE {of_outputs(scope.outputs)} AND enabled = 1{during}", parameters
    return f"FROM gain WHERE session_id = :session{during}", {**parameters, "session": scope.session}


def read(table: Table, scope: Scope, record: str, fields: Sequence[str]) -> Columns:
    """Return the rows of a scope with some fields of theirs."""
    source, parameters = rows_of(record, scope)
    numbers = (array("q"), array("q"))
    values = tuple(array("d") for _ in fields)

    def taken(rows: Fetching) -> list[tuple[Any, ...]]:
        while block := rows.fetchmany(_BLOCK):
            first, second, *rest = zip(*block, strict=True)
            numbers[0].extend(first)
            numbers[1].extend(second)
            for column, part in zip(values, rest, strict=True):
                column.extend(_numbers(part))
        return []

    shown = "".join(f", {shown_sql(name, record)}" for name in fields)
    table(f"SELECT id, time{shown} {source} ORDER BY time, item", parameters, taken=taken)
    named = dict(zip(fields, values, strict=True))
    return Columns(id=numbers[0], time=numbers[1], values=named, partial=scope.after is not None)


def _numbers(part: Sequence[float | None]) -> array[float]:
    try:
        return array("d", part)  # type: ignore[arg-type]
    except TypeError:
        return array("d", [_NAN if value is None else value for value in part])


def _all(rows: Fetching) -> list[tuple[Any, ...]]:
    return rows.fetchall()


def ordered(values: Iterable[float]) -> array[float]:
    """Return the values that are none of NaN, the smallest first.

    They are sorted in pieces that are put together: one sort of a million values would keep every other thread waiting.
    """
    there = list(filterfalse(math.isnan, values))
    runs = [sorted(there[start : start + _RUN]) for start in range(0, len(there), _RUN)] or [[]]
    while len(runs) > 1:
        runs = [sorted(chain.from_iterable(runs[place : place + 2])) for place in range(0, len(runs), 2)]
    return array("d", runs[0])


def quartiles(ordered: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Return lower quartile, median and upper quartile of ordered values."""
    return quantile(ordered, 0.25), quantile(ordered, 0.5), quantile(ordered, 0.75)


def count_inside(ordered: Sequence[float], bound: Bound) -> int | None:
    """Return how many ordered values are inside; None where there is no limit."""
    if bound.low is None and bound.high is None:
        return None
    first = 0 if bound.low is None else bisect_left(ordered, bound.low)
    end = len(ordered) if bound.high is None else bisect_right(ordered, bound.high)
    return max(0, end - first)


def binned(ordered: Sequence[float], bins: Bins) -> list[tuple[int, int]]:
    """Return the place of each bin that holds any of some ordered values, and how many it holds."""
    edges = bins.edges
    places = [bisect_left(ordered, edge) for edge in edges[:-1]] + [bisect_right(ordered, edges[-1])]
    counts = ((place, end - start) for place, (start, end) in enumerate(pairwise(places)))
    return [(place, count) for place, count in counts if count]
