"""Times and lengths of time: their units, and words for them.

Times are UTC nanoseconds since 1970; browsers, links and logins have milliseconds.
"""

from __future__ import annotations

from typing import overload

MILLISECOND = 10**6
"""In nanoseconds, as the others are."""

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@overload
def milliseconds(nanoseconds: int) -> int: ...


@overload
def milliseconds(nanoseconds: int | None) -> int | None: ...


def milliseconds(nanoseconds: int | None) -> int | None:
    """Return a time in whole milliseconds, none for none."""
    return None if nanoseconds is None else nanoseconds // MILLISECOND


def duration(seconds: float) -> str:
    """Return a length of time in its one or two largest units, such as `18 min` or `3 h 50 min`; below none is none."""
    minutes = int(max(0.0, seconds) // 60)
    if minutes < 1:
        return "less than a minute"
    words = [(minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min")]
    first = next(place for place, (number, _) in enumerate(words) if number)
    return " ".join(f"{number} {unit}" for number, unit in words[first : first + 2] if number)
