"""Where the log goes: the terminal, the journal or standard error, and a file that is rotated.

In a file each record is one line: the time in UTC, ISO 8601 with milliseconds; the level; the logger; the text, in
which line breaks and control characters are escaped, so that no name can forge a line.  Only the trace of an unexpected
error follows on lines of its own, indented.  The journal stamps its lines itself and learns the level from the prefix
that it knows (`<4>`, sd-daemon(3)).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler

from cryowatch.errors import ConfigError, one_line

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))
_MEGABYTE = 1_000_000


class Lines(logging.Formatter):
    """Formats a record as a line of a file."""

    def format(self, record: logging.LogRecord) -> str:
        """Return time, level, logger and text, and below them the trace of an unexpected error."""
        return self._whole(f"{self._head(record)} {one_line(record.getMessage())}", record)

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
        whole = self._whole(one_line(record.getMessage()), record)
        return "\n".join(f"<{priority}>{line}" for line in whole.splitlines())


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


def _standard_error(console: Console) -> logging.Handler:
    handler: logging.Handler
    if console.is_terminal:
        handler = RichHandler(console=console, show_path=False, markup=False, log_time_format="%H:%M:%S")
        handler.setFormatter(logging.Formatter("%(message)s"))
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
