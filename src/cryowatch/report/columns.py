"""Columns of values in little space, exact: what a report says of every micrograph.

A packed column is a list of its values, or, where that is shorter, `{"same": value}`; `{"first", "steps"}` of whole
numbers, each the one before plus a step; `{"before", "middles", "after"}` of texts that begin and end alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any


def packed(values: Sequence[Any]) -> Any:
    """Return a column in the shortest of the forms; what JSON can hold."""
    if values and all(value == values[0] and type(value) is type(values[0]) for value in values):
        return {"same": values[0]}
    if values and all(type(value) is int for value in values):
        return {"first": values[0], "steps": [b - a for a, b in pairwise(values)]}
    if values and all(type(value) is str for value in values):
        return _alike(values)
    return list(values)


def _alike(texts: Sequence[str]) -> Any:
    before = _common(texts)
    rests = [text[len(before) :] for text in texts]
    after = _common([rest[::-1] for rest in rests])[::-1]
    if not before and not after:
        return list(texts)
    return {"before": before, "middles": [rest[: len(rest) - len(after)] for rest in rests], "after": after}


def _common(texts: Sequence[str]) -> str:
    """Return with what all texts begin; the first and the last in order differ soonest."""
    first, last = min(texts), max(texts)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length]
