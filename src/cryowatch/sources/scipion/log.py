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
from cryowatch.sources.scipion.database import denied_or_gone, inside

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
    return [end for end in (_end(folder / name) for name in FILES) if end is not None]


def _end(path: Path) -> LogEnd | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return _unread(path, SourceMalformed("is a link") if path.is_symlink() else denied_or_gone(path, error))
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return _unread(path, SourceMalformed("is not a file"))
        start = max(0, found.st_size - MOST_BYTES)
        data = os.pread(descriptor, MOST_BYTES, start)
    except OSError as error:
        return _unread(path, denied_or_gone(path, error))
    finally:
        os.close(descriptor)
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


def _unread(path: Path, error: SourceError) -> LogEnd:
    return LogEnd(name=path.name, size=0, modified=0, text="", whole=False, problem=error.what)
