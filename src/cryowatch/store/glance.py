"""What commands read of a store in passing, of whichever version it is, without waiting long for its writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

_FILLING = """
SELECT device, full_in FROM device_sample WHERE kind = 'filesystem' AND full_in < 86400
AND sample_id = (SELECT id FROM host_sample WHERE time > ? ORDER BY time DESC LIMIT 1)"""


@contextmanager
def _glance(file: Path, patience: float) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=patience)) as database:
        database.row_factory = sqlite3.Row
        yield database


def sessions(file: Path, *, columns: str = "*", patience: float = 10.0, most: int = -1) -> list[dict[str, Any]]:
    """Return the rows of the sessions in a store, the oldest first, or the newest few; raises `sqlite3.Error`.

    `patience` is in seconds.
    """
    with _glance(file, patience) as database:
        rows = database.execute(f"SELECT {columns} FROM session ORDER BY id DESC LIMIT ?", (most,)).fetchall()
    return [dict(row) for row in reversed(rows)]


def filling(file: Path, *, since: int, patience: float = 10.0) -> Sequence[tuple[str, float]]:
    """Return the file systems that are full within a day, and in how many seconds; raises `sqlite3.Error`.

    Only a sample after `since` (UTC ns) counts.
    """
    with _glance(file, patience) as database:
        return [(row["device"], row["full_in"]) for row in database.execute(_FILLING, (since,))]
