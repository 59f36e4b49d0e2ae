"""Reading a SQLite file that another program is writing, without ever getting in its way.

What was measured with SQLite 3.40 and rollback journals, Scipion's default:

- a cursor left open makes the *writer's* commit fail, so every query here is fetched to its end, in pages;
- a writer at work holds the lock for milliseconds: that is `SourceBusy`, and the next tick will do;
- a writer killed in mid-transaction leaves a hot journal, which a reader may not roll back: the file and its journal
  are copied aside and the copy is recovered;
- opening a WAL database that nobody has open would create files beside it, owned by this user: it is copied aside too;
- on a file system without locks SQLite reads nothing: a copy is read that stood still while it was made;
- a damaged file, or one that somebody made so, may hold rows without end, or a value as large as the memory: time,
  rows and the size of a value are bounded.

Nothing is ever written into the folder of the file.  A database file is never `open()`ed while there is an SQLite
connection to it: closing any descriptor of a file drops all POSIX locks that the process holds on it.  Hence one file
is read from one thread at a time, also where two projects have hard links to it.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryowatch.errors import (
    SourceBusy,
    SourceDenied,
    SourceError,
    SourceGone,
    SourceInterrupted,
    SourceMalformed,
)
from cryowatch.reach import Held, OutOfReach, hold, is_open
from cryowatch.sources.scipion.copies import copy_still
from cryowatch.sources.scipion.locks import LOCKS, gives_locks, turn
from cryowatch.within import within

PAGE = 2_000
BUSY_SECONDS = 0.05
SETTLED_NS = 2 * 10**9
QUERY_SECONDS = 60.0
"""Reading 100,000 rows takes less than a second, from a slow network file system some seconds."""

MOST_ROWS = 2_000_000
MOST_BYTES = 2**24
"""Of one value, and of one row."""

_NO_LOCKS = "changes all the time, and its file system has no locks by which it could be read in between"
_TRIES = 3
_STEPS = 100_000
_MAGIC = b"SQLite format 3\0"
_WAL = 2
_LOOK = "SELECT count(*) FROM sqlite_master"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE TABLE %'"
OUTSIDE = "lies outside the project and is not read"
_CHECK = "What was read before is kept; check the disk and the copy"


@dataclass(frozen=True, slots=True)
class Stamp:
    """By what a file's change is noticed without opening it; times in ns."""

    inode: int
    size: int
    modified: int
    companions: tuple[int, ...]
    """Size and time of its journal, and of its WAL, where they are there."""
    settled: bool
    """Whether the last change is long enough ago that a later one cannot have the same time stamp."""

    @property
    def changed(self) -> int:
        """When the file or one of its companions changed last."""
        return max(self.modified, *self.companions[1::2], 0)


def stamp(path: Path, now: int) -> Stamp:
    """Return the stamp of a database with its journal or WAL; raises a `SourceError`.

    A file that is none (a pipe, a folder) is `SourceMalformed`: opening it might wait for ever.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise denied_or_gone(path, error) from error
    except ValueError as error:
        raise SourceMalformed("is not the name of a file", where=path) from error
    if not stat.S_ISREG(found.st_mode):
        raise SourceMalformed("is not a file", where=path)
    companions: list[int] = []
    for suffix in ("-journal", "-wal"):
        try:
            companion = os.stat(f"{path}{suffix}")  # noqa: PTH116  half the cost of a Path, many times a second
        except OSError:
            continue
        companions += (companion.st_size, companion.st_mtime_ns)
    latest = max(found.st_mtime_ns, *companions[1::2], 0)
    return Stamp(found.st_ino, found.st_size, found.st_mtime_ns, tuple(companions), now - latest > SETTLED_NS)


def denied_or_gone(path: Path, error: OSError) -> SourceError:
    """Return what an error of the file system means."""
    if isinstance(error, PermissionError):
        return SourceDenied(
            "this user may not read it", where=path, remedy="Run cryowatch as a user in the project's group"
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SourceGone("is not there", where=path, remedy="Was it moved, deleted or not mounted?")
    return SourceGone(f"the file system reports: {error.strerror}", where=path, remedy="Is it mounted and reachable?")


class Database:
    """An open connection to a database, or to a private copy of it."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._until = 0.0
        self.copied = False
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
        connection.set_progress_handler(lambda: int(time.monotonic() > self._until), _STEPS)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query; raises a `SourceError`, also where there is no end of them."""
        self._until = time.monotonic() + QUERY_SECONDS
        try:
            found = self._connection.execute(sql, parameters).fetchmany(MOST_ROWS + 1)
        except sqlite3.Error as error:
            if self._connection.text_factory is str and "decode to UTF-8" in str(error):
                self._connection.text_factory = _lenient
                return self.rows(sql, parameters)
            raise explain(error, self._path) from error
        except UnicodeDecodeError as error:  # the name of a column
            raise self.malformed("a name in it is no text") from error
        if len(found) > MOST_ROWS:
            raise SourceMalformed(f"holds more than {MOST_ROWS:,} rows", where=self._path, remedy=_CHECK)
        return found

    def malformed(self, what: str) -> SourceMalformed:
        """Return the error that the file is not as Scipion writes it."""
        return SourceMalformed(f"is not as Scipion writes it: {what}", where=self._path)

    def tables(self) -> set[str]:
        """Return the names of the tables; what is computed when it is read, a view or a virtual table, is none."""
        return {row[0] for row in self.rows(_TABLES)}


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
        with _in_turn(path) as database:
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
    if _is_abandoned_wal(path):
        with _copied(path) as database:
            yield database
        return
    connection = _connect(path, f"file:{quote(os.fsencode(path))}?mode=ro")
    try:
        database = Database(connection, path)
        try:
            database.rows(_LOOK)
        except SourceMalformed:
            raise
        except SourceError as error:
            connection.close()
            locked = gives_locks(path)
            if locked and not isinstance(error, SourceInterrupted):
                raise
            with _copied(path, locked=locked) as copy:
                yield copy
            return
        yield database
    finally:
        connection.close()


def _connect(path: Path, uri: str) -> sqlite3.Connection:
    try:
        return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _lenient(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _is_abandoned_wal(path: Path) -> bool:
    """Return whether a database is in WAL mode and nobody has it open (SQLite's file format, bytes 18 and 19)."""
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except OSError as error:
        raise denied_or_gone(path, error) from error
    if header and not header.startswith(_MAGIC[: len(header)]):
        raise SourceMalformed("is not a database", where=path, remedy="Was the file overwritten or cut short?")
    return len(header) == 20 and _WAL in header[18:20] and not Path(f"{path}-shm").exists()


@contextmanager
def _copied(path: Path, *, locked: bool = True) -> Iterator[Database]:
    """Read a copy of a database and its journal; raises `SourceBusy` where it does not stand still to be copied.

    `locked` is False where its file system has no locks.
    """
    with _private_folder(path) as folder:
        copy = folder / "copy.sqlite"
        try:
            still = any(copy_still(path, copy) for _ in range(1 if locked else _TRIES))
        except (FileNotFoundError, PermissionError) as error:
            raise denied_or_gone(path, error) from error
        except OSError as error:
            raise _not_copied(path, error) from error
        if not still and locked:
            raise SourceBusy("it changed while it was being copied", where=path)
        if not still:
            raise SourceBusy(_NO_LOCKS, where=path, remedy=LOCKS)
        connection = _connect(path, f"file:{quote(os.fsencode(copy))}?mode=rw")
        try:
            database = Database(connection, path)
            try:
                database.rows(_LOOK)
            except SourceBusy as error:
                raise SourceInterrupted(error.what, where=path) from error
            database.copied = True
            yield database
        finally:
            connection.close()


@contextmanager
def _private_folder(path: Path) -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="cryowatch-")
    except OSError as error:
        raise _not_copied(path, error) from error
    with folder as name:
        yield Path(name)


def _not_copied(path: Path, error: OSError) -> SourceInterrupted:
    return SourceInterrupted(
        f"can only be read from a copy, which cannot be made: {error.strerror}",
        where=path,
        remedy=f"Is there space in {tempfile.gettempdir()}?",
    )


def explain(error: sqlite3.Error, path: Path) -> SourceError:
    """Return what an error of SQLite means for a reader."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    match code & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_SCHEMA | sqlite3.SQLITE_PROTOCOL:
            return SourceBusy("its writer is at work", where=path)
        case sqlite3.SQLITE_READONLY:
            return SourceInterrupted(
                "its writer was interrupted, and it could not be recovered from a copy",
                where=path,
                remedy="Let Scipion open the project once",
            )
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return SourceMalformed(
                "is damaged or cut short",
                where=path,
                remedy=_CHECK,
            )
        case sqlite3.SQLITE_INTERRUPT:
            return SourceMalformed(f"cannot be read within {QUERY_SECONDS:g} s", where=path, remedy=_CHECK)
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return _unopened(path)
        case _:
            return SourceMalformed(f"is not as Scipion writes it: {error}", where=path)


def _unopened(path: Path) -> SourceError:
    if not path.exists():
        return denied_or_gone(path, FileNotFoundError())
    if not os.access(path, os.R_OK):
        return denied_or_gone(path, PermissionError())
    if Path(f"{path}-journal").exists():
        return SourceInterrupted("its writer was interrupted", where=path)
    return denied_or_gone(path, OSError(0, "it cannot be opened"))
