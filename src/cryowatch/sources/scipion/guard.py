"""What a database that a stranger may have written can make SQLite do: hand out the rows of Scipion's tables.

A database says more than rows.  Its schema may hold views, virtual tables, triggers and columns that are computed when
they are read, and these call functions of SQLite: a table of 8 kB becomes gigabytes, or one call runs for hours, during
which SQLite asks nobody whether to go on.  So a guarded connection has no functions but those of our own queries, and
its authorizer allows the tables that Scipion has and nothing that is done inside a view.  Both hold for every statement
that SQLite prepares, also for one that it prepares anew because somebody has just changed the schema.

Between two steps of SQLite, each of which is short then, a handler looks at the time.  While a schema is being loaded
it counts the steps as well, since SQLite keeps the whole schema in memory.

A database in WAL mode has a log and an index beside it, which SQLite opens by name: there may be another project's by
then, and whoever cuts the index short ends every process that has mapped it.  In exclusive locking mode a connection
that may only read fails to open them, so a file that is read in place is locked in that mode: as a reader locks it, and
for as long as one query.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache

QUERY_SECONDS = 60.0
"""Reading 100,000 rows takes less than a second, from a slow network file system some seconds."""

STEPS = 1_000
MOST_LOOKS = 20
"""So many times `STEPS` are enough to load a schema of a thousand tables, and to list them."""

_OURS = {"count", "min", "max"}
_TABLES = ("sqlite_master", "sqlite_schema")
_ENDS = ("objects", "classes", "properties")
_PRAGMAS = {"table_xinfo", "trusted_schema", "cell_size_check", "locking_mode", "schema_version"}
_ANY_READ = "PRAGMA schema_version"
_LIMITS = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 32_768,
    sqlite3.SQLITE_LIMIT_COLUMN: 1_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 50,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 2,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 8,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 10,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


class Guard:
    """Confines a connection to reading; `begin` starts the time of a query."""

    def __init__(self, connection: sqlite3.Connection, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._until = 0.0
        self._looks: int | None = 0
        for limit, most in _LIMITS.items():
            connection.setlimit(limit, most)
        connection.set_progress_handler(self._look, STEPS)
        for name, arguments in _functions():
            connection.create_function(name, arguments, _refused)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.set_authorizer(_verdict)

    def begin(self, seconds: float) -> None:
        """Let what follows take so long."""
        self._until = self._clock() + seconds

    @contextmanager
    def without_log(self) -> Iterator[None]:
        """Let what is read meanwhile fail rather than be taken from a log; raises a `sqlite3.Error`.

        SQLite gives a lock of the exclusive mode back at the end of a query in the normal one.  That must not be the
        query that takes it: so it is taken before the mode is changed, and kept where that fails.
        """
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        try:
            yield
        finally:
            with suppress(sqlite3.Error):
                self._connection.execute(_ANY_READ).fetchall()
                self._connection.execute("PRAGMA locking_mode = NORMAL").fetchall()
                self._connection.execute(_ANY_READ).fetchall()

    def loaded(self) -> None:
        """Count the steps no longer: the schema is there."""
        self._looks = None

    def _look(self) -> int:
        """Return 1 where SQLite has to stop."""
        if self._looks is not None:
            self._looks += 1
            if self._looks > MOST_LOOKS:
                return 1
        return int(self._clock() > self._until)


@cache
def _functions() -> tuple[tuple[str, int], ...]:
    """Return the functions of SQLite that no query of ours calls, by name and number of arguments (-1: any)."""
    with closing(sqlite3.connect(":memory:")) as connection:
        known = {(str(row[0]), int(row[4])) for row in connection.execute("PRAGMA function_list")}
    return tuple(sorted((name, arguments) for name, arguments in known if name not in _OURS))


def _refused(*_: object) -> None:
    raise ValueError("no function is called here")


def _verdict(action: int, first: str | None, second: str | None, _: str | None, source: str | None) -> int:
    """Return whether SQLite may compile a step; `source` is the view or trigger that it is part of."""
    if source is not None:
        return sqlite3.SQLITE_DENY
    match action:
        case sqlite3.SQLITE_SELECT:
            allowed = True
        case sqlite3.SQLITE_READ:
            name = (first or "").lower()
            allowed = name in _TABLES or name.endswith(_ENDS)
        case sqlite3.SQLITE_FUNCTION:
            allowed = second in _OURS
        case sqlite3.SQLITE_PRAGMA:
            allowed = first in _PRAGMAS
        case _:
            allowed = False
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
