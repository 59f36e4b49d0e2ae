"""What a panel's query is: what it is asked for, its SQL, and how its rows become what a page draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Rows = Sequence[tuple[Any, ...]]


class Fetching(Protocol):
    """The rows of a query that are still to be fetched, as DB-API cursors have them."""

    def fetchmany(self, size: int, /) -> list[Any]: ...

    def fetchall(self) -> list[Any]: ...


Taken = Callable[[Fetching], list[tuple[Any, ...]]]
"""What takes those rows of a query that its panel needs."""


class Table(Protocol):
    """What executes a query: gives the names of its columns, and what `taken` takes of its rows."""

    def __call__(
        self, sql: str, parameters: Mapping[str, Any], /, taken: Taken
    ) -> tuple[list[str], list[tuple[Any, ...]]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a panel is asked for: whose rows, of what time (UTC ns), changed since when, by which limits.

    `outputs` are those whose micrographs are shown together, `estimates` says whether they are CTF estimates, and
    `stages` are the outputs that stand for each kind of items.

    `confined` leaves out what is of the machine and not of the session: its alerts, and its samples from outside the
    time even where the newest is asked for.
    """

    session: int
    host: str
    now: int
    outputs: tuple[int, ...] = ()
    estimates: bool = False
    stages: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    start: int | None = None
    stop: int | None = None
    after: int | None = None
    variables: Mapping[str, float] = field(default_factory=dict)
    confined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One SELECT, which of its rows are taken, and how they become a panel's data."""

    sql: str
    parameters: Mapping[str, Any]
    shape: Callable[[Rows], dict[str, Any]]
    taken: Taken = lambda rows: rows.fetchall()

    def answer(self, table: Table) -> dict[str, Any]:
        """Return the panel's data."""
        return self.shape(table(self.sql, self.parameters, taken=self.taken)[1])


def window(scope: Scope, column: str = "time") -> tuple[str, dict[str, Any]]:
    """Return the SQL terms that keep a column within the scope's time, and their parameters."""
    terms, parameters = "", {}
    if scope.start is not None:
        terms += f" AND {column} >= :start"
        parameters["start"] = scope.start
    if scope.stop is not None:
        terms += f" AND {column} <= :stop"
        parameters["stop"] = scope.stop
    return terms, parameters
