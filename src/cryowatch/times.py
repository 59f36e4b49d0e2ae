"""Lengths of time in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a length of time in its one or two largest units, such as `18 min` or `3 h 50 min`; below none is none."""
    minutes = int(max(0.0, seconds) // 60)
    if minutes < 1:
        return "less than a minute"
    words = [(minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min")]
    first = next(place for place, (number, _) in enumerate(words) if number)
    return " ".join(f"{number} {unit}" for number, unit in words[first : first + 2] if number)
