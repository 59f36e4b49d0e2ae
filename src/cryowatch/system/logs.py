"""Where the log goes: the terminal, the journal or standard error, and a file that is rotated.

In a file each record is one line: the time in UTC, ISO 8601 with milliseconds; the level; the logger; the text, in
which line breaks and control characters are escaped, so that no name can forge a line.  Only the trace of an unexpected
error follows on lines of its own, indented.  The journal stamps its lines itself and learns the level from the prefix
that it knows (`<4>`, sd-daemon(3)).

What the server of the pages logs (uvicorn, asyncio) goes there, too.  Strangers can make it log, so it says the same
once a minute.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections import OrderedDict
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler

from cryowatch.errors import ConfigError, one_line

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))
_MEGABYTE = 1_000_000

SPARED = ("asyncio", "uvicorn", "uvicorn.error", "uvicorn.asgi")
"""Loggers that strangers make say something."""

REPEAT_SECONDS = 60.0
_MOST_KNOWN = 200


class Lines(logging.Formatter):
    """Formats a record as a line of a file."""

    def format(self, record: logging.LogRecord) -> str:
        """Return time, level, logger and text, and below them the trace of an unexpected error."""
        return self._whole(f"{self._head(record)} {one_line(record.getMessage().rstrip())}", record)

    def _head(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return f"{moment.removesuffix('+00:00')}Z {record.levelname} {record.name}:"

    def _whole(self, line: str, record: logging.LogRecord) -> str:
        if not record.exc_info:
            return line
        trace = (one_line(part) for part in self.formatException(record.exc_info).splitlines())
        return "\n    ".join((line, *trace))


class JournalLines(Lines):
    """Formats a record for the journal, which takes each line by itself."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text with its priority before every line."""
        priority = next(number for level, number in _PRIORITIES if record.levelno >= level or level == logging.DEBUG)
        whole = self._whole(one_line(record.getMessage().rstrip()), record)
        return "\n".join(f"<{priority}>{line}" for line in whole.splitlines())


class TerminalLines(Lines):
    """Formats a record for a terminal, whose handler shows time and level itself."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text, and below it the trace of an unexpected error."""
        return self._whole(one_line(record.getMessage().rstrip()), record)


class Sparing(logging.Filter):
    """Lets the same through once in so many seconds, and then says how often it came in between.

    The same is a message's first line before its values are put in, with the kind and the place of its error.
    """

    def __init__(self, *, repeat_seconds: float = REPEAT_SECONDS) -> None:
        super().__init__()
        self._repeat = repeat_seconds
        self._entry = threading.Lock()
        self._known: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be logged; its text says how many were not."""
        same = _kind_of(record)
        with self._entry:
            until, left_out = self._known.get(same, (0.0, 0))
            if record.created < until <= record.created + self._repeat:
                self._known[same] = (until, left_out + 1)
                return False
            self._known[same] = (record.created + self._repeat, 0)
            self._known.move_to_end(same)
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        if left_out:
            times = "once" if left_out == 1 else f"{left_out} times"
            record.msg, record.args = f"{record.getMessage().rstrip()} (and {times} since the last such line)", ()
        return True


def _kind_of(record: logging.LogRecord) -> tuple[object, ...]:
    error = record.exc_info[1] if record.exc_info else None
    place = error.__traceback__ if error is not None else None
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = None if place is None else (place.tb_frame.f_code.co_filename, place.tb_lineno)
    return record.name, str(record.msg).partition("\n")[0][:200], type(error), where


class LogFile(RotatingFileHandler):
    """A file that is rotated by its size, or by somebody else: where it was renamed or removed, a new one is begun.

    With `max_bytes` 0 it is never rotated here.  `keep` older files stay, as FILE.1, FILE.2 and so on.  A disk that is
    full costs the lines, and is told once on standard error.
    """

    def __init__(self, file: Path, *, max_bytes: int, keep: int) -> None:
        try:
            super().__init__(file, maxBytes=max_bytes, backupCount=keep, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot be written: {error.strerror}", where=file, remedy="It is the log file") from None
        self.setFormatter(Lines())
        self._complained = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to the file that has the name now."""
        try:
            if self._replaced():
                self.close()
                self.stream = self._open()
        except OSError:
            self.handleError(record)
            return
        super().emit(record)

    def _replaced(self) -> bool:
        if self.stream is None:  # after a rotation that failed; FileHandler opens it
            return False
        try:
            there = Path(self.baseFilename).stat()
        except FileNotFoundError:
            return True
        mine = os.fstat(self.stream.fileno())
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Say once why the file cannot be written, give the line up, and open the file anew for the next one."""
        del record
        error = sys.exc_info()[1]
        stream, self.stream = self.stream, None
        if stream is not None:
            with contextlib.suppress(OSError):  # what could not be written is still in its buffer
                stream.close()
        if not self._complained and isinstance(error, OSError):
            self._complained = True
            sys.stderr.write(f"cryowatch: {self.baseFilename}: cannot be written: {error.strerror}\n")


def begin(
    console: Console,
    level: int,
    *,
    file: Path | None = None,
    max_mb: float = 0,
    keep: int = 0,
    shown: int | None = None,
) -> None:
    """Log from `level` on to standard error, as a terminal, the journal or a file wants it, and also to a file.

    `shown` is another level for standard error.  Of libraries warnings are logged at least: below, some log whole
    addresses, in which there are secrets.  Raises `ConfigError` where the file cannot be written.
    """
    handlers: list[logging.Handler] = [_standard_error(console)]
    if shown is not None:
        handlers[0].setLevel(shown)
    if file is not None:
        handlers.append(LogFile(file, max_bytes=int(max_mb * _MEGABYTE), keep=keep))
    logging.basicConfig(level=max(level, logging.WARNING), handlers=handlers, force=True)
    logging.getLogger("cryowatch").setLevel(level)
    for name in SPARED:
        logger = logging.getLogger(name)
        for earlier in [one for one in logger.filters if isinstance(one, Sparing)]:
            logger.removeFilter(earlier)
        logger.addFilter(Sparing())


def _standard_error(console: Console) -> logging.Handler:
    handler: logging.Handler
    if console.is_terminal:
        handler = RichHandler(console=console, show_path=False, markup=False, log_time_format="%H:%M:%S")
        handler.setFormatter(TerminalLines())
        return handler
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JournalLines() if _is_journal() else Lines())
    return handler


def _is_journal() -> bool:
    """Whether standard error is the journal: `JOURNAL_STREAM` names its device and inode, see systemd.exec(5)."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
