"""A copy of the store at one moment, while an agent goes on writing to it.

SQLite's online backup in one step: it holds one read transaction, which in WAL mode keeps no writer waiting, so nothing
has to be begun again.  The copy is a single file without a journal.  It grows beside its name and gets it with one
rename, after its pages were checked.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cryowatch.errors import StoreFailed, remedy_of

_MICROGRAPHS = """
SELECT count(*) FROM (
    SELECT DISTINCT session_id, micrograph.name FROM micrograph JOIN output ON output.id = output_id
    WHERE output.kind IN ('micrographs', 'ctf'))"""
"""Each micrograph once: the table has a row for every stage that it went through, and for movies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A backup that was made."""

    file: Path
    bytes: int
    sessions: int
    micrographs: int


def backup(store: Path, file: Path, *, force: bool = False) -> Copy:
    """Copy a store's file to another one, which `force` lets replace what is there; raises `StoreFailed`.

    It needs as much space as the store, and takes about as long as copying the file twice.
    """
    if file.is_dir():
        raise StoreFailed("is a folder", where=file, remedy="Name the file to write")
    if file.exists() and (file.samefile(store) or not force):
        remedy = "Name another file" if file.samefile(store) else "Name another file, or give --force"
        raise StoreFailed("is there already", where=file, remedy=remedy)
    fresh: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as made:
            fresh = Path(made.name)
        copied = _copied(store, fresh, file)
        _kept(fresh)
        fresh.replace(file)
        _kept(file.parent)
    except OSError as error:
        raise StoreFailed(f"cannot be written: {error.strerror}", where=file, remedy=remedy_of(error)) from None
    except sqlite3.Error as error:
        raise StoreFailed(f"cannot be copied to {file}: {error}", where=store) from None
    finally:
        if fresh is not None:
            for suffix in ("", "-journal"):
                with contextlib.suppress(OSError):
                    fresh.with_name(fresh.name + suffix).unlink()
    return copied


def _copied(store: Path, fresh: Path, file: Path) -> Copy:
    """Fill the new file, check it, and return what it holds."""
    with (
        closing(sqlite3.connect(f"file:{quote(str(store))}?mode=ro", uri=True, timeout=30)) as source,
        closing(sqlite3.connect(fresh, isolation_level=None)) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
        (said,) = target.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise StoreFailed(f"is damaged ({said}); no backup was made", where=store, remedy="Keep older backups")
        (sessions,) = target.execute("SELECT count(*) FROM session").fetchone()
        (micrographs,) = target.execute(_MICROGRAPHS).fetchone()
    return Copy(file=file, bytes=fresh.stat().st_size, sessions=sessions, micrographs=micrographs)


def _kept(path: Path) -> None:
    """Have the kernel put a file or folder on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
