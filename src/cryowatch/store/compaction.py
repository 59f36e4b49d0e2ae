"""Giving the disk back what a store does not need any more.

Pages of rows that were deleted are written again by later ones, and the file keeps its size.  Where most of it is free,
as after a large session was forgotten, SQLite writes what is left anew.  That takes about as long as copying what is
left, which then is the smaller part, and everybody who writes waits; so it is done when a store is opened.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3

log = logging.getLogger(__name__)

LEAST_BYTES = 16_000_000
"""So much has to be free before it is worth while."""


def compact(connection: sqlite3.Connection, *, least: int = LEAST_BYTES) -> None:
    """Let the file shrink where more than half of it, and `least`, is free; a disk without room for that stops it."""
    size, pages, free = (
        connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_size", "page_count", "freelist_count")
    )
    if free * 2 <= pages or free * size < least:
        return
    log.info("%.1f of %.1f MB of the store are free and given back", free * size / 1e6, pages * size / 1e6)
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
