"""Forgetting host samples: they come as long as the agent runs, so they alone need a limit.

Everything else in the store is a session's own record, and as long as the session is.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

AT_ONCE = 2_000
"""How many are forgotten in one transaction, so that nobody waits long for the next."""

SAMPLE_BYTES = 160
DEVICE_BYTES = 110
"""What a sample and each of its devices take in the file, with their indexes: as measured, rounded up."""

_NEWEST_DEVICES = """
SELECT count(*), count(DISTINCT sample_id) FROM device_sample
WHERE sample_id IN (SELECT id FROM host_sample ORDER BY seq DESC LIMIT 100)"""

_BEYOND = "SELECT seq FROM host_sample ORDER BY seq DESC LIMIT 1 OFFSET ?"

_FORGOTTEN = "SELECT id, seq FROM host_sample WHERE time < ? OR seq <= ? ORDER BY seq LIMIT ?"

_COUNT = """
UPDATE position SET dropped_at = ?1, dropped = dropped + (SELECT count(*) FROM json_each(?2) WHERE value > position.seq)
WHERE follower IN (SELECT value FROM json_each(?3)) AND seq < (SELECT max(value) FROM json_each(?2))"""

_DELETE = "DELETE FROM host_sample WHERE id IN (SELECT value FROM json_each(?))"


def beyond(connection: sqlite3.Connection, most_bytes: int | None) -> int:
    """Return the place of the newest sample that there is no room for; 0 where there is room for all."""
    if most_bytes is None:
        return 0
    devices, sampled = connection.execute(_NEWEST_DEVICES).fetchone()
    size = SAMPLE_BYTES + DEVICE_BYTES * devices / max(1, sampled)
    found = connection.execute(_BEYOND, (int(most_bytes / size),)).fetchone()
    return 0 if found is None else int(found[0])


def forget(tx: sqlite3.Connection, *, before: int, beyond: int, now: int, followers: Sequence[str]) -> int:
    """Drop the oldest few of what is before a time or up to a place, counting for each follower what it had not had."""
    gone = tx.execute(_FORGOTTEN, (before, beyond, AT_ONCE)).fetchall()
    if gone:
        tx.execute(_COUNT, (now, json.dumps([seq for _, seq in gone]), json.dumps(list(followers))))
        tx.execute(_DELETE, (json.dumps([id_ for id_, _ in gone]),))
    return len(gone)
