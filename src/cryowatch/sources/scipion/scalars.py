"""Single values out of Scipion's databases, where any column of any row may hold anything.

SQLite's columns have no fixed types, and files are damaged or edited by hand.  What is not plainly a number, a whole
number or a time is none: a wrong value is worse than none.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, tzinfo

MOST_TEXT = 4_000
"""Characters of a text that count; a path has fewer, and nobody reads more of an error."""

FIRST_YEAR, LAST_YEAR = 1970, 2261
"""Times outside cannot be held as nanoseconds in 64 bits, or are none."""

_STRANGE = re.compile(r"[^\x00-\x7f]|_")
"""What Python takes for a part of a number and no other program does."""

_MOST_ITEMS = 2**53


def text_of(value: object) -> str:
    """Return the beginning of a value as text, empty for none; bytes are taken as UTF-8."""
    return _whole_text(value)[:MOST_TEXT]


def _whole_text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def number_of(value: object) -> float | None:
    """Return a number, or the number that a text is, infinite ones included; None for everything else."""
    if isinstance(value, str):
        if _STRANGE.search(value):
            return None
    elif not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def numbers_of(value: object) -> tuple[float, ...]:
    """Return the numbers of a comma list, as Scipion's CsvList has them; nan for what is none, nothing for no list."""
    text = _whole_text(value)
    if not text or text.isspace():
        return ()
    parts = text.split(",")
    if not _STRANGE.search(text):
        try:
            return tuple(map(float, parts))
        except ValueError:
            pass
    return tuple(math.nan if (number := number_of(part)) is None else number for part in parts)


def is_number_list(value: object) -> bool:
    """Return whether a comma list holds numbers alone; an empty place in it is one that is not known."""
    text = _whole_text(value)
    return not any(part.strip() and number_of(part) is None for part in text.split(","))


def positive(value: object) -> float | None:
    """Return a finite number above zero, else None."""
    number = number_of(value)
    return number if number is not None and 0 < number < math.inf else None


def count_of(value: object) -> int | None:
    """Return how many of something there are, a whole number from zero; None for what is no such number."""
    number = number_of(value)
    return int(number) if number is not None and 0 <= number <= _MOST_ITEMS else None


def local_time(text: str | None, zone: tzinfo | None, *, fold: int = 0) -> int | None:
    """Return Scipion's local time ("2026-11-23 20:29:31.404693") as UTC nanoseconds; None for no time.

    `fold` is 1 for the second of two hours that are called so when clocks are set back.
    """
    try:
        naive = datetime.fromisoformat((text or "").strip()).replace(fold=fold)
        aware = naive if naive.tzinfo else naive.replace(tzinfo=zone) if zone else naive.astimezone()
        whole = aware.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    if not FIRST_YEAR <= whole.year <= LAST_YEAR:
        return None
    return int(whole.replace(microsecond=0).timestamp()) * 10**9 + whole.microsecond * 1_000
