"""Copies of databases that others may be writing, told from those that were torn."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_SUFFIXES = ("", "-journal", "-wal")
_HEADER = 100


def copy_still(path: Path, copy: Path) -> bool:
    """Copy a database and its journal or WAL; returns whether they stood still meanwhile, raises an `OSError`.

    A journal holds what a transaction has overwritten in the database by then, so it is copied after the database.
    """
    before = _state(path)
    for suffix, found in zip(_SUFFIXES, before, strict=True):
        Path(f"{copy}{suffix}").unlink(missing_ok=True)
        if found is not None:
            try:
                shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
            except FileNotFoundError:
                return False
    return _state(path) == before


def _state(path: Path) -> list[tuple[int, int, int, bytes] | None]:
    """Return by what a change of a database, its journal and its WAL is seen, None for one that is not there.

    Each is opened for that: a network file system then asks its server, where stat may answer from memory.  The first
    bytes of a database count its transactions, whatever its time stamp says.
    """
    found: list[tuple[int, int, int, bytes] | None] = []
    for suffix in _SUFFIXES:
        try:
            with Path(f"{path}{suffix}").open("rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                found.append((status.st_ino, status.st_size, status.st_mtime_ns, file.read(_HEADER)))
        except FileNotFoundError:
            if not suffix:
                raise
            found.append(None)
    return found
