"""How long a server keeps points: what is older need not be sent.

The server is asked, now and then, and before anything is held back.  One that does not tell is sent everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from cryowatch.errors import ConfigError
from cryowatch.influx.server import quote_identifier
from cryowatch.influx.setup import nanoseconds, readable
from cryowatch.times import SECOND

KNOWN_SECONDS = 600
SURE_SECONDS = 60
MARGIN_SECONDS = 60
"""What is so little too old is sent: the server has a clock of its own."""


class Retention:
    """Asks through `rows`, which runs one statement; `clock` gives UTC ns."""

    def __init__(self, database: str, rows: Callable[[str], list[dict[str, Any]]], clock: Callable[[], int]) -> None:
        self._statement = f"SHOW RETENTION POLICIES ON {quote_identifier(database)}"
        self._rows = rows
        self._clock = clock
        self._asked: int | None = None
        self._length = 0
        self._text = ""

    @property
    def words(self) -> str:
        """Why points are held back."""
        return f"older than the {self._text} that the database keeps" if self._text else "older than the database keeps"

    def ask_again(self) -> None:
        """Take note that the server keeps points for another time than was thought."""
        self._asked = None

    def split(self, lines: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
        """Return the lines that the server keeps, and those that are too old for it."""
        old = self._too_old(lines, KNOWN_SECONDS)
        if old:
            old = self._too_old(lines, SURE_SECONDS)
        return split(lines, old) if old else (lines, ())

    def _too_old(self, lines: Sequence[str], known: int) -> int:
        now = self._clock()
        if self._asked is None or abs(now - self._asked) > known * SECOND:
            self._ask()
            self._asked = now
        if not self._length:
            return 0
        first = now - self._length - MARGIN_SECONDS * SECOND
        return sum(moment(line) < first for line in lines)

    def _ask(self) -> None:
        policy = next((row for row in self._rows(self._statement) if row.get("default")), {})
        try:
            self._length = nanoseconds(str(policy.get("duration", "0s")))
        except ConfigError:
            self._length = 0
        self._text = readable(self._length) if self._length else ""


def split(lines: Sequence[str], old: int) -> tuple[list[str], list[str]]:
    """Return the lines but for so many of the oldest, and these."""
    by_time = sorted(enumerate(map(moment, lines)), key=itemgetter(1))
    out = {place for place, _ in by_time[:old]}
    return [line for place, line in enumerate(lines) if place not in out], [lines[place] for place in sorted(out)]


def moment(line: str) -> int:
    """Return the time of a line in UTC ns."""
    return int(line[line.rindex(" ") + 1 :])
