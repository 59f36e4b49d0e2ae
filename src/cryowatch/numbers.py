"""Whole numbers that others wrote: plain digits, and not too many of them."""

from __future__ import annotations


def whole(text: str, *, most: int) -> int | None:
    """Return the number from 0 to `most` that a text of ASCII digits stands for; None where it is anything else.

    `int` alone also takes signs, spaces, underscores and the digits of other scripts, and raises for very many.
    """
    if not (text.isascii() and text.isdecimal()) or len(text.lstrip("0")) > len(str(most)):
        return None
    number = int(text.lstrip("0") or "0")
    return number if number <= most else None
