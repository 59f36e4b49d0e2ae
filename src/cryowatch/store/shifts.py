"""Where the frames of aligned movies were, kept beside the movies of a span: numbers in Å between spaces.

A frame without a shift is `nan` in both.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from cryowatch.reading import Span

_ANY = "SELECT EXISTS (SELECT 1 FROM shifts WHERE output_id = ?)"
_DROP = "DELETE FROM shifts WHERE output_id = ? AND name IN (SELECT value FROM json_each(?))"
_WRITE = """
INSERT INTO shifts (output_id, name, x, y) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET x = excluded.x, y = excluded.y
WHERE (x, y) IS NOT (excluded.x, excluded.y)"""


def write_shifts(tx: sqlite3.Connection, output: int, span: Span, before: set[str]) -> bool:
    """Make the shifts of a span's movies equal to it; returns whether any changed.

    `before` are the names that the store held in the span: those without shifts now lose theirs.
    """
    changed = 0
    without = before - span.shifts.keys()
    if without and tx.execute(_ANY, (output,)).fetchone()[0]:
        changed += tx.execute(_DROP, (output, json.dumps(sorted(without)))).rowcount
    rows = [(output, name, _text(x), _text(y)) for name, (x, y) in span.shifts.items()]
    if rows:
        changed += tx.executemany(_WRITE, rows).rowcount
    return changed > 0


def _text(values: Sequence[float]) -> str:
    """Return numbers to a thousandth of an Å; one formatting of all is a third of the time of one each."""
    return " ".join(("%.3f",) * len(values)) % tuple(values)
