"""Writes a set as Scipion does: with its queries, its timeout and its journal (pyworkflow 3.11, mapper/sqlite.py)."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

TIMEOUT = 1_000.0
"""For how many seconds Scipion waits for a lock."""


class Writer:
    """Appends copies of a set's last item, one a commit, over one connection."""

    def __init__(self, file: Path, *, timeout: float = TIMEOUT) -> None:
        self._connection = sqlite3.connect(file, timeout=timeout)
        columns = [row[1] for row in self._connection.execute("PRAGMA table_info(Objects)").fetchall()]
        last = self._connection.execute("SELECT * FROM Objects ORDER BY id DESC LIMIT 1").fetchone()
        self._item = dict(zip(columns, last, strict=True))
        self._insert = f"INSERT INTO Objects ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        labels = dict(self._connection.execute("SELECT label_property, column_name FROM Classes").fetchall())
        self._name = labels.get("_micObj._micName") or labels["_micName"]
        (self._size,) = self._connection.execute("SELECT count(*) FROM Objects").fetchone()

    def append(self) -> tuple[int, float]:
        """Add an item; returns its id and the seconds that it took, raises what SQLite raises."""
        item = self._item["id"] + 1
        created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        row = {**self._item, "id": item, "creation": created, self._name: f"FoilHole_{item:06d}_fractions.mrcs"}
        began = time.perf_counter()
        try:
            self._connection.execute(self._insert, tuple(row.values()))
            self._connection.execute("SELECT value FROM Properties WHERE key = '_size'").fetchone()
            self._connection.execute("UPDATE Properties SET value = ? WHERE key = '_size'", (str(self._size + 1),))
            self._connection.commit()
        except sqlite3.Error:
            self._connection.rollback()
            raise
        took = time.perf_counter() - began
        self._item, self._size = row, self._size + 1
        return item, took

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
