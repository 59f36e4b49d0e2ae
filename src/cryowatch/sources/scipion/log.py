"""The end of what a run's process has written: `run.stdout`, `run.stderr` and `run.log` in the run's folder `logs`.

These are texts of programs, of any size and with any bytes in them, on a disk that may be slow: the last 64 KiB are
read, and of these the last 200 lines are kept.  Colours of terminals are left out, of a line that was written over
again and again the last is kept, and other control characters are shown as such.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TypedDict

from cryowatch.errors import SourceError, SourceMalformed, plain_line
from cryowatch.sources.scipion.database import inside, own_file
from cryowatch.sources.scipion.files import denied_or_gone
from cryowatch.system.reach import Held

FILES = ("run.stdout", "run.stderr", "run.log")
MOST_BYTES = 1 << 16
MOST_LINES = 200


class LogEnd(TypedDict):
    """The end of one file: its name, bytes and time of change (UTC ns), and whether `text` is all of it.

    `problem` says why it cannot be read.
    """

    name: str
    size: int
    modified: int
    text: str
    whole: bool
    problem: str


def log_ends(project: Path, working_dir: str) -> list[LogEnd]:
    """Return the ends of a run's logs; a file that is not there is left out.  Raises `SourceMalformed`.

    A folder outside the project is refused, and so is a file that is a link: it could be anybody's.
    """
    if not working_dir:
        return []
    folder = inside(project, working_dir) / "logs"
    return [end for end in (_end(project, folder / name) for name in FILES) if end is not None]


def _end(project: Path, path: Path) -> LogEnd | None:
    try:
        if path.is_symlink():
            raise SourceMalformed("is a link", where=path)
        with own_file(path, project) as place:
            if not stat.S_ISREG(place.status.st_mode):
                raise SourceMalformed("is not a file", where=path)
            found, start, data = _tail(place)
    except SourceError as error:
        gone = isinstance(error.__cause__, FileNotFoundError | NotADirectoryError)
        return None if gone else _unread(path, error)
    except OSError as error:
        return _unread(path, denied_or_gone(path, error))
    lines = data.decode("utf-8", "replace").split("\n")
    if start:
        del lines[0]
    if lines and not lines[-1]:
        del lines[-1]
    return LogEnd(
        name=path.name,
        size=found.st_size,
        modified=found.st_mtime_ns,
        text="\n".join(map(plain_line, lines[-MOST_LINES:])),
        whole=not start and len(lines) <= MOST_LINES,
        problem="",
    )


def _tail(place: Held) -> tuple[os.stat_result, int, bytes]:
    """Return a file's status, where its last bytes begin, and these."""
    descriptor = place.open()
    try:
        found = os.fstat(descriptor)
        start = max(0, found.st_size - MOST_BYTES)
        return found, start, os.pread(descriptor, MOST_BYTES, start)
    finally:
        os.close(descriptor)


def _unread(path: Path, error: SourceError) -> LogEnd:
    return LogEnd(name=path.name, size=0, modified=0, text="", whole=False, problem=error.what)
