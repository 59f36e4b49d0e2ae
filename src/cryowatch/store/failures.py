"""What SQLite's own errors mean for a person."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cryowatch.errors import StoreDamaged, StoreFailed

_ANEW = "cryowatch moves it aside when it starts, and reads everything anew"
_FAILURES: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Free some space; nothing that was stored is lost"),
    sqlite3.SQLITE_READONLY: ("cannot be written", "Check the owner and the mode of the data directory"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "Check the owner and the mode of the data directory"),
    sqlite3.SQLITE_NOTADB: ("is not a database", _ANEW),
    sqlite3.SQLITE_CORRUPT: ("is damaged", _ANEW),
    sqlite3.SQLITE_IOERR: ("the disk reports an error", "Check the disk that holds the data directory"),
}
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def failure(error: sqlite3.Error, path: Path) -> StoreFailed:
    """Return what stands for an error of SQLite's at a store's file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    what, remedy = _FAILURES.get(code, (f"cannot be used: {error}", "See the documentation on the store"))
    return (StoreDamaged if code in _DAMAGED else StoreFailed)(what, where=path, remedy=remedy)
