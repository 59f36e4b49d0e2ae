"""What becomes of a store that is damaged: it is moved aside with a text, never deleted, and everything is read anew.

Damage that shows while the agent works is written into `cryowatch.sqlite.damaged.txt` beside the file; whoever opens
the store next finds that and moves all of it to `cryowatch.sqlite.damaged-<time>`, the text with it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from cryowatch.errors import StoreDamaged, StoreFailed
from cryowatch.store.failures import failure
from cryowatch.store.seal import MOST_BYTES

_BESIDE = ("-wal", "-shm")


def was_left_open(path: Path) -> bool:
    """Return whether the last who had a store open did not close it: SQLite removes the file beside it then."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size > 0
    except OSError:
        return False


def is_small(path: Path) -> bool:
    """Return whether a store is so small that it is looked through where it has no seal: that takes some 5 s a GB."""
    try:
        return path.stat().st_size <= MOST_BYTES
    except OSError:
        return False


def look_through(connection: sqlite3.Connection, path: Path) -> None:
    """Look through a whole store; raises `StoreDamaged` where something is wrong with it, and `StoreFailed`."""
    try:
        (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        raise failure(error, path) from error
    if said != "ok":
        raise StoreDamaged(f"is damaged: {' '.join(said.split())}", where=path)


def beneath(path: Path) -> str:
    """Look through a store that is closed, but for its indexes; returns what is wrong with it, empty where nothing is.

    What the disk did to pages that nobody read meanwhile, nobody has seen yet.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as database:
            (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        failed = failure(error, path)
        return failed.what if isinstance(failed, StoreDamaged) else ""
    return "" if said == "ok" else f"is damaged: {' '.join(said.split())}"


def mark(path: Path, why: str) -> None:
    """Write down that a store is damaged; where that cannot be written, the next who opens it finds out anew."""
    with contextlib.suppress(OSError):
        _text(path).write_text(f"{path}: {why}\n", encoding="utf-8")


def is_marked(path: Path) -> bool:
    """Return whether a store was found damaged and has not been moved aside."""
    return _text(path).exists()


def set_aside(path: Path, why: str) -> Path:
    """Move a damaged store aside; returns where it lies now.  Raises `StoreFailed`.

    The database goes last, so that a cut leaves it where its damage is found again.
    """
    place = _free(path)
    if not is_marked(path):
        mark(path, why)
    try:
        for name in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{path}{name}", f"{place}{name}")  # noqa: PTH104  two names that share a beginning
        with contextlib.suppress(FileNotFoundError):
            path.rename(place)
        with contextlib.suppress(FileNotFoundError):
            _text(path).rename(f"{place}.txt")
    except OSError as error:
        raise StoreFailed(
            f"is damaged and cannot be moved aside: {error.strerror}",
            where=path,
            remedy="Check the owner and the mode of the data directory",
        ) from error
    return place


def _text(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged.txt")


def _free(path: Path) -> Path:
    """Return a name that is not taken: the time, in UTC, and a number where that is not enough."""
    stem = f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    names = (path.with_name(stem if number == 1 else f"{stem}-{number}") for number in range(1, 1000))
    return next(name for name in names if not name.exists())
