"""SQL that is made of columns' names, and the counter that gives every change its place."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence


def insert(table: str, columns: Sequence[str], *, rows: int = 1) -> str:
    """Return what inserts so many rows; its parameters are their values."""
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"


def update(table: str, columns: Sequence[str], key: str = "id") -> str:
    """Return what updates the rows of a key; its parameters are the values and the key."""
    return f"UPDATE {table} SET {', '.join(f'{c} = ?' for c in columns)} WHERE {key} = ?"


def next_seq(tx: sqlite3.Connection, count: int) -> int:
    """Take `count` numbers from the order of changes and return the last one taken."""
    if count:
        tx.execute("UPDATE counter SET seq = seq + ?", (count,))
    return int(tx.execute("SELECT seq FROM counter").fetchone()[0])
