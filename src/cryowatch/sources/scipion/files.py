"""Files of a project, looked at without opening them: by what a change is noticed, and what an error means."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryowatch.errors import SourceDenied, SourceError, SourceGone, SourceMalformed

COMPANIONS = ("-journal", "-wal")
SETTLED_NS = 2 * 10**9


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
    device: int = 0

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
    for suffix in COMPANIONS:
        beside = companion(f"{path}{suffix}")
        if beside is not None:
            companions += (beside.st_size, beside.st_mtime_ns)
    latest = max(found.st_mtime_ns, *companions[1::2], 0)
    return Stamp(
        found.st_ino, found.st_size, found.st_mtime_ns, tuple(companions), now - latest > SETTLED_NS, found.st_dev
    )


def companion(path: str) -> os.stat_result | None:
    """Return what is known of a file beside a database, None without one; raises `SourceMalformed` for a link or pipe.

    SQLite opens such a file, and so would read what lies elsewhere, or wait for ever.
    """
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise SourceMalformed("is not a file", where=path)
    return found


def denied_or_gone(path: Path, error: OSError) -> SourceError:
    """Return what an error of the file system means."""
    if isinstance(error, PermissionError):
        return SourceDenied(
            "this user may not read it", where=path, remedy="Run cryowatch as a user in the project's group"
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SourceGone("is not there", where=path, remedy="Was it moved, deleted or not mounted?")
    return SourceGone(f"the file system reports: {error.strerror}", where=path, remedy="Is it mounted and reachable?")
