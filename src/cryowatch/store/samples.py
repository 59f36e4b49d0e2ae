"""Samples of the host: what alerts, metrics and `doctor` ask of them, and forgetting the oldest.

They come as long as the agent runs, so they alone need a limit: everything else in the store is a session's own record,
and as long as the session is.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from cryowatch.store.reader import Reader, Row

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

_NEWEST = "SELECT * FROM host_sample WHERE host = ? AND time > ? ORDER BY time DESC LIMIT 1"
_DEVICES = "SELECT * FROM device_sample WHERE sample_id = ? ORDER BY kind, device"

_MEAN = """
SELECT '', avg({field}), count({field}), count(*) < {fewest}, min(time), NULL FROM host_sample
WHERE host = ? AND time > ? AND time <= ?"""

_MEANS = """
SELECT device, avg({field}), count({field}), 1, min(time), NULL
FROM host_sample JOIN device_sample ON sample_id = host_sample.id
WHERE host = ? AND time > ? AND time <= ? AND kind = '{kind}' GROUP BY device ORDER BY device"""

_FILE_SYSTEMS = """
SELECT device, {field}, {fewest} * ({field} IS NOT NULL), used IS NULL, max(time), full_in
FROM host_sample JOIN device_sample ON sample_id = host_sample.id
WHERE host = ? AND time > ? AND time <= ? AND kind = 'filesystem' GROUP BY device ORDER BY device"""

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


def newest(reader: Reader, host: str, *, since: int) -> tuple[Row, list[Row]] | None:
    """Return the newest sample of a host after a time (UTC ns), and its devices; None where there is none."""
    with reader.snapshot():
        found = reader.rows(_NEWEST, (host, since))
        return (found[0], reader.rows(_DEVICES, (found[0]["id"],))) if found else None


def count(reader: Reader, host: str, *, since: int) -> int:
    """Return how often a host was sampled after a time (UTC ns)."""
    return int(reader.value("SELECT count(*) FROM host_sample WHERE host = ? AND time > ?", (host, since)))


def judged(
    reader: Reader, host: str, kind: str, field: str, *, since: int, upto: int, fewest: int
) -> Sequence[tuple[Any, ...]]:
    """Return what a field was after a time and up to another (UTC ns), of a host (`kind` "host") or of each device.

    A row is device, value, from how many samples, whether that is uncertain, the time of the first, and in how many
    seconds it is full.  A value is the mean; of a file system it is the newest, which counts as `fewest` samples.
    """
    sql = {"host": _MEAN, "filesystem": _FILE_SYSTEMS}.get(kind, _MEANS)
    return reader.table(sql.format(field=field, kind=kind, fewest=fewest), (host, since, upto))[1]
