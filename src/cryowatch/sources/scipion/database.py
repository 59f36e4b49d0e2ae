"""Reading a SQLite file that another program is writing, without ever getting in its way.

What was measured with SQLite 3.40 and rollback journals, Scipion's default:

- a cursor left open makes the *writer's* commit fail, so every query here is fetched to its end, in pages;
- a writer at work holds the lock for milliseconds: that is `SourceBusy`, and the next tick will do;
- a writer killed in mid-transaction leaves a hot journal, which a reader may not roll back: the file and its journal
  are copied aside and the copy is recovered;
- opening a WAL database would create files beside it, owned by this user, or map one that others can cut short: it is
  copied aside too;
- on a file system without locks SQLite reads nothing: a copy is read that stood still while it was made;
- a damaged file, or one that somebody made so, may hold rows without end, or a value as large as the memory: time and
  values are bounded, and so is the sum of all that a query hands out, by the size of the file;
- what a file computes when it is read is not read (`guard`).

Nothing is ever written into the folder of the file.  A database file is never `open()`ed while there is an SQLite
connection to it: closing any descriptor of a file drops all POSIX locks that the process holds on it.  Hence one file
is read from one thread at a time, also where two projects have hard links to it.
"""

from __future__ import annotations

import marshal
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from cryowatch.errors import SourceBusy, SourceDenied, SourceError, SourceInterrupted, SourceMalformed
from cryowatch.sources.scipion.copies import private_copy
from cryowatch.sources.scipion.files import COMPANIONS, Stamp, companion, denied_or_gone, stamp
from cryowatch.sources.scipion.guard import QUERY_SECONDS, Guard
from cryowatch.sources.scipion.locks import gives_locks, turn
from cryowatch.system.reach import Held, OutOfReach, hold, is_open
from cryowatch.system.within import within

PAGE = 2_000
BUSY_SECONDS = 0.05
MOST_ROWS = 2_000_000
MOST_TABLES = 1_000
MOST_BYTES = 2**20
"""Of one value.  A path takes some hundred, the shifts of a movie of 1,000 frames 20,000."""

USUAL_BYTES = 300
"""Of one value.  Rows of such values are fetched many at a time, others one by one, and each is weighed."""

ENOUGH_BYTES = 2**22
"""A page with longer values ends where it holds so many."""

TIMES_ITS_SIZE = 10
SLACK_BYTES = 2**16
"""What a query hands out is at most so many times as large as the file and its companions, and a little more.

A row of empty values weighs most: 1 byte each in the file, and up to 9 as `marshal` weighs them.
"""

_MAGIC = b"SQLite format 3\0"
_WAL = 2
_TABLES = "SELECT name, rootpage, sql FROM sqlite_master WHERE type = 'table'"
_HIDDEN = 6
OUTSIDE = "lies outside the project and is not read"
_CHECK = "What was read before is kept; check the disk and the copy"


class Found(NamedTuple):
    """Rows of a query: whether they are all, and whether every value is as short as usual."""

    rows: list[tuple[Any, ...]]
    whole: bool
    usual: bool


class Database:
    """An open connection to a database of so many bytes, or to a private copy of it.

    What a query may hand out is bounded in bytes by the size of the file, in rows, and in time; a query that is beyond
    raises `SourceMalformed`.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        size: int,
        copied: bool = False,
        seconds: float = QUERY_SECONDS,
    ) -> None:
        self._connection = connection
        self._path = path
        self.copied = copied
        self._most = TIMES_ITS_SIZE * size + SLACK_BYTES
        self._seconds = seconds
        self._guard = Guard(connection)
        self._roots: dict[str, int] = {}

    def load(self) -> None:
        """Load the schema; raises a `SourceError`, also where it is not one of Scipion's."""
        roots: dict[str, int] = {}
        for name, root, sql in self._fetched(_TABLES, (), MOST_BYTES, None, MOST_TABLES).rows:
            if str(sql).startswith("CREATE TABLE "):
                roots[name] = root
        if len(set(roots.values())) < len(roots):
            raise self.malformed("two of its tables are one")
        self._guard.loaded()
        self._roots = roots

    def tables(self) -> set[str]:
        """Return the names of the tables; what is computed when it is read, a view or a virtual table, is none."""
        return set(self._roots)

    def columns(self, table: str) -> list[str]:
        """Return the names of a table's columns; raises `SourceMalformed` where one is computed when it is read."""
        rows = self.rows(f"PRAGMA table_xinfo({quoted(table)})")
        if any(row[_HIDDEN] for row in rows):
            raise self.malformed(f"its table {table[:40]!r} computes a column")
        return [row[1] for row in rows]

    def rows(self, sql: str, parameters: Sequence[Any] = (), *, most: int = MOST_ROWS) -> list[tuple[Any, ...]]:
        """Return all rows of a query, up to so many; raises a `SourceError`."""
        return self.page(sql, parameters, enough=None, most=most).rows

    def page(
        self, sql: str, parameters: Sequence[Any] = (), *, enough: int | None = ENOUGH_BYTES, most: int = MOST_ROWS
    ) -> Found:
        """Return the first rows of a query; raises a `SourceError`.

        Where values are longer than usual, rows of `enough` bytes are; None: all.
        """
        try:
            return self._fetched(sql, parameters, USUAL_BYTES, None, most)
        except _TooLong:
            return self._fetched(sql, parameters, MOST_BYTES, enough, most)

    def _fetched(self, sql: str, parameters: Sequence[Any], longest: int, enough: int | None, most: int) -> Found:
        try:
            with nullcontext() if self.copied else self._guard.without_log():
                return self._taken(sql, parameters, longest, enough, most)
        except sqlite3.Error as error:
            raise explain(error, self._path) from error

    def _taken(self, sql: str, parameters: Sequence[Any], longest: int, enough: int | None, most: int) -> Found:
        """Return rows as `page` does; raises `_TooLong` for a value that is not as short as usual."""
        usual = longest == USUAL_BYTES
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest)
        self._guard.begin(self._seconds)
        found: list[tuple[Any, ...]] = []
        weight = 0
        try:
            cursor = self._connection.execute(sql, parameters)
            widest = len(cursor.description or ()) * longest
            while block := cursor.fetchmany(PAGE if usual else 1):
                found += block
                heaviest = len(block) * widest
                weight += heaviest if weight + heaviest <= self._most else len(marshal.dumps(block))
                if weight > self._most and (weight := len(marshal.dumps(found))) > self._most:
                    raise self.malformed("it hands out more than it can hold")
                if len(found) > most:
                    raise SourceMalformed(f"holds more than {most:,} rows", where=self._path, remedy=_CHECK)
                if enough is not None and weight > enough:
                    cursor.close()
                    return Found(found, whole=False, usual=usual)
        except sqlite3.Error as error:
            if self._connection.text_factory is str and "decode to UTF-8" in str(error):
                self._connection.text_factory = _lenient
                return self._taken(sql, parameters, longest, enough, most)
            if usual and getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_TOOBIG:
                raise _TooLong from error
            raise explain(error, self._path) from error
        except UnicodeDecodeError as error:  # the name of a column
            raise self.malformed("a name in it is no text") from error
        except MemoryError as error:
            raise self.malformed("it takes more memory than there is") from error
        return Found(found, whole=True, usual=usual)

    def malformed(self, what: str) -> SourceMalformed:
        """Return the error that the file is not as Scipion writes it."""
        return SourceMalformed(f"is not as Scipion writes it: {what}", where=self._path)


class _TooLong(Exception):
    """A value is longer than usual."""


def quoted(name: str) -> str:
    """Return the name of a table or column; between double quotes, one that is not there would be a text."""
    return "`" + name.replace("`", "``") + "`"


def inside(project: Path, named: str) -> Path:
    """Return the file or folder that a project's database names; raises `SourceMalformed` where it lies elsewhere."""
    path = within(project, named)
    if path is None:
        raise SourceMalformed(OUTSIDE, where=named)
    return path


def own_file(path: Path, project: Path) -> Held:
    """Hold the file that a path in a project leads to; raises a `SourceError`, also for a link out of the project.

    Folders may be links to what the project's people could read themselves, as to other disks; a file may be one to
    another in its folder or its project.
    """
    place = own_place(path, project)
    own = str(place.path)
    if not own.startswith(f"{project}/"):
        homes = (f"{os.path.realpath(folder)}/" for folder in (project, path.parent))
        if not any(own.startswith(home) for home in homes):
            place.close()
            raise SourceMalformed(OUTSIDE, where=path)
    return place


def own_stamp(path: Path, project: Path, now: int) -> Stamp:
    """Return the stamp of a database in a project; raises a `SourceError`, of a link out of it only that it is one."""
    try:
        return stamp(path, now)
    except SourceError:
        own_file(path, project).close()
        raise


def own_place(path: Path, project: Path) -> Held:
    """Hold the file or folder that a path in a project leads to, whatever is a link; raises a `SourceError`."""
    try:
        return hold(project, path)
    except OutOfReach as error:
        if path.is_symlink():
            raise SourceMalformed(OUTSIDE, where=path) from error
        raise SourceDenied(f"{error.what} and is not read", where=path, remedy=error.remedy) from error
    except OSError as error:
        raise denied_or_gone(path, error) from error


@contextmanager
def reading(path: Path, *, project: Path | None = None) -> Iterator[Database]:
    """Open a database to read; raises a `SourceError`, also for what happens inside, and for a link out of `project`.

    No other database may be opened inside: two projects may have hard links to one file.
    """
    if project is None:
        with _in_turn(Path(os.path.realpath(path))) as database:
            yield database
        return
    with own_file(path, project) as place, _in_turn(place.path) as database:
        if not database.copied and not is_open(place.status):
            raise SourceBusy("another file was put into its place", where=path)
        yield database


@contextmanager
def _in_turn(path: Path) -> Iterator[Database]:
    try:
        alone = turn(path)
    except OSError as error:
        raise denied_or_gone(path, error) from error
    with alone, _opened(path) as database:
        yield database


@contextmanager
def _opened(path: Path) -> Iterator[Database]:
    size = _size(path)
    if _has_log(path):
        with _copied(path, size) as database:
            yield database
        return
    connection = _connect(path, f"file:{quote(os.fsencode(path))}?mode=ro")
    try:
        try:
            database = _loaded(connection, path, size)
        except SourceMalformed:
            raise
        except SourceError as error:
            connection.close()
            locked = gives_locks(path)
            if locked and not isinstance(error, SourceInterrupted):
                raise
            with _copied(path, size, locked=locked) as copy:
                yield copy
            return
        yield database
    finally:
        connection.close()


def _loaded(connection: sqlite3.Connection, path: Path, size: int, *, copied: bool = False) -> Database:
    database = Database(connection, path, size=size, copied=copied)
    database.load()
    return database


def _size(path: Path) -> int:
    """Return the bytes of a database and its companions; raises a `SourceError` where one of them is no file."""
    try:
        found = path.stat()
    except OSError as error:
        raise denied_or_gone(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise SourceMalformed("is not a file", where=path)
    beside = [companion(f"{path}{suffix}") for suffix in (*COMPANIONS, "-shm")]
    return found.st_size + sum(one.st_size for one in beside[: len(COMPANIONS)] if one)


def _connect(path: Path, uri: str) -> sqlite3.Connection:
    try:
        return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _lenient(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _has_log(path: Path) -> bool:
    """Return whether a database is in WAL mode, or has a log of that mode beside it.

    The mode is in bytes 18 and 19 of SQLite's file format.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise denied_or_gone(path, error) from error
    try:
        header = os.pread(descriptor, 20, 0)
    except OSError as error:
        raise denied_or_gone(path, error) from error
    finally:
        os.close(descriptor)
    if header and not header.startswith(_MAGIC[: len(header)]):
        raise SourceMalformed("is not a database", where=path, remedy="Was the file overwritten or cut short?")
    log = companion(f"{path}-wal")
    return _WAL in header[18:20] or (log is not None and log.st_size > 0)


@contextmanager
def _copied(path: Path, size: int, *, locked: bool = True) -> Iterator[Database]:
    """Read a copy of a database and its journal; `locked` is False where its file system has no locks."""
    with private_copy(path, size, locked=locked) as copy:
        connection = _connect(path, f"file:{quote(os.fsencode(copy))}?mode=rw")
        try:
            try:
                database = _loaded(connection, path, size, copied=True)
            except SourceBusy as error:
                raise SourceInterrupted(error.what, where=path) from error
            yield database
        finally:
            connection.close()


def explain(error: sqlite3.Error, path: Path) -> SourceError:
    """Return what an error of SQLite means for a reader."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code == sqlite3.SQLITE_IOERR_LOCK:
        return SourceBusy("its writer has just begun a log, and it is read from a copy then", where=path)
    match code & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_SCHEMA | sqlite3.SQLITE_PROTOCOL:
            return SourceBusy("its writer is at work", where=path)
        case sqlite3.SQLITE_READONLY:
            return SourceInterrupted(
                "its writer was interrupted, and it could not be recovered from a copy",
                where=path,
                remedy="Let Scipion open the project once",
            )
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_PERM:
            return _unopened(path)
        case kind if kind in _MALFORMED:
            return SourceMalformed(_MALFORMED[kind], where=path, remedy=_CHECK)
        case _:
            return SourceMalformed(f"is not as Scipion writes it: {error}", where=path)


_MALFORMED = {
    sqlite3.SQLITE_NOTADB: "is damaged or cut short",
    sqlite3.SQLITE_CORRUPT: "is damaged or cut short",
    sqlite3.SQLITE_INTERRUPT: "takes too long to read, or holds too many tables",
    sqlite3.SQLITE_TOOBIG: f"holds a value of more than {MOST_BYTES:,} bytes",
    sqlite3.SQLITE_AUTH: "computes what it holds, which Scipion's do not",
}


def _unopened(path: Path) -> SourceError:
    if not path.exists():
        return denied_or_gone(path, FileNotFoundError())
    if not os.access(path, os.R_OK):
        return denied_or_gone(path, PermissionError())
    if Path(f"{path}-journal").exists():
        return SourceInterrupted("its writer was interrupted", where=path)
    return denied_or_gone(path, OSError(0, "it cannot be opened"))
