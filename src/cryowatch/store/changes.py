"""What changed in the store since a position, for those who carry it elsewhere.

Every query answers rows with `after < seq <= upto`, in that order.  A row that changed again later is only there once,
as it is now; of what sessions, runs and outputs were in between, the history tables tell.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from cryowatch.store.reader import Reader, Row

_PLACE = "session.name AS project, session.key, session.host, session.id AS session_id"

_ITEMS = """
SELECT m.seq, m.output_id, m.id, m.item, m.time, {columns} FROM micrograph AS m
WHERE m.seq > ? AND m.seq <= ? AND m.output_id NOT IN (SELECT id FROM output WHERE kind = 'movies')
ORDER BY m.seq LIMIT ?"""

_ITEMS_OF = """
SELECT m.seq, m.output_id, m.id, m.item, m.time, {columns} FROM micrograph AS m
WHERE m.id IN (SELECT value FROM json_each(?)) ORDER BY m.output_id, m.seq"""

_PUBLISHED = """
SELECT micrograph_id, seq, micrograph, power_spectrum, shift_plot FROM published
WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"""

_PUBLISHED_OF = """
SELECT micrograph_id, seq, micrograph, power_spectrum, shift_plot FROM published
WHERE micrograph_id IN (SELECT id FROM micrograph WHERE seq > ? AND seq <= ?)"""

_PLACES = f"""
SELECT output.id, {_PLACE}, session.path AS session_path, output.run, output.kind
FROM output JOIN session ON session.id = output.session_id
WHERE output.id IN (SELECT value FROM json_each(?))"""

_TO_PUBLISH = f"""
SELECT m.id, m.seq, m.name, m.time, m.micrograph_path, m.power_spectrum_path, m.shift_plot_path, {_PLACE},
       session.path AS session_path
FROM micrograph AS m JOIN output ON output.id = m.output_id JOIN session ON session.id = output.session_id
WHERE m.id IN (SELECT value FROM json_each(?))"""

_UNPUBLISHED = """
SELECT m.id, m.time FROM micrograph AS m JOIN output ON output.id = m.output_id
LEFT JOIN published AS p ON p.micrograph_id = m.id AND p.target = ?1
WHERE m.seq > ?2 AND m.seq <= ?3 AND output.kind = 'ctf' AND m.time >= ?4 AND (p.seq IS NULL OR p.seq < m.seq)"""

_SESSIONS = f"""
SELECT s.seq, {_PLACE}, s.time, s.status, s.software, s.voltage, s.spherical_aberration, s.amplitude_contrast,
       s.magnification, s.pixel_size, s.dose_per_frame
FROM session_state AS s JOIN session ON session.id = s.session_id WHERE s.seq > ? AND s.seq <= ? ORDER BY s.seq"""

_RUNS = f"""
SELECT r.seq, {_PLACE}, r.run, r.time, r.label, r.status, output.name AS output,
       (SELECT size FROM output_size WHERE output_id = output.id AND seq <= r.seq ORDER BY time DESC LIMIT 1) AS size
FROM run_state AS r JOIN session ON session.id = r.session_id
LEFT JOIN output ON output.session_id = r.session_id AND output.run = r.run
     AND EXISTS (SELECT 1 FROM output_size WHERE output_id = output.id AND seq <= r.seq)
WHERE r.seq > ? AND r.seq <= ? ORDER BY r.seq, output.id"""

_SIZES = f"""
SELECT z.seq, {_PLACE}, output.run, output.name AS output, z.time, z.size,
       coalesce((SELECT label FROM run_state AS r WHERE r.session_id = output.session_id AND r.run = output.run
                 AND r.seq <= z.seq ORDER BY r.seq DESC LIMIT 1), '') AS label,
       coalesce((SELECT status FROM run_state AS r WHERE r.session_id = output.session_id AND r.run = output.run
                 AND r.seq <= z.seq ORDER BY r.seq DESC LIMIT 1), '') AS status
FROM output_size AS z JOIN output ON output.id = z.output_id JOIN session ON session.id = output.session_id
WHERE z.seq > ? AND z.seq <= ? ORDER BY z.seq"""

_GAINS = f"""
SELECT g.seq, {_PLACE}, g.run, g.item, g.movie, g.time, g.stddev, g.ratio1, g.ratio2
FROM gain AS g JOIN session ON session.id = g.session_id WHERE g.seq > ? AND g.seq <= ? ORDER BY g.seq"""

_SAMPLES = "SELECT * FROM host_sample WHERE seq > ? AND seq <= ? ORDER BY seq"

_DEVICES = """
SELECT device_sample.*, host_sample.seq FROM host_sample JOIN device_sample ON sample_id = host_sample.id
WHERE seq > ? AND seq <= ? ORDER BY seq, kind, device"""

_ALERTS = """
SELECT a.seq, a.id, a.rule, coalesce(session.name, '') AS project, a.host, a.subject, a.severity, a.since, a.until,
       a.value, a."limit", a.text
FROM alert AS a LEFT JOIN session ON session.id = a.session_id WHERE a.seq > ? AND a.seq <= ? ORDER BY a.seq"""

_SUMMARY = """
SELECT run.run, run.label, output.name AS output, output.size
FROM run LEFT JOIN output ON output.session_id = run.session_id AND output.run = run.run
WHERE run.session_id = ? ORDER BY CAST(run.run AS INTEGER), run.run, output.id"""

_SESSION = """
SELECT id, name AS project, key, host, created, status, software, voltage, spherical_aberration, magnification,
       pixel_size, dose_per_frame, last_read,
       (SELECT max((SELECT max(time) FROM micrograph WHERE output_id = output.id))
        FROM output WHERE session_id = session.id) AS newest
FROM session WHERE id = ?"""

_FIRST_OUTPUT = """
SELECT min(id) FROM output WHERE session_id = ? AND run = ? AND kind = ?"""

_FIRST_ESTIMATE = """
SELECT id FROM output WHERE session_id = ? AND kind = 'ctf'
    AND EXISTS (SELECT 1 FROM micrograph WHERE output_id = output.id)
ORDER BY CAST(run AS INTEGER), run, id LIMIT 1"""

_NTH = tuple(
    f"SELECT seq FROM {table} WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET ?"
    for table in ("session_state", "run_state", "output_size", "gain", "host_sample", "alert")
)

_LIVE = """
SELECT name AS project, key FROM session WHERE host = ? AND id IN (
    SELECT session_id FROM session_state AS s WHERE s.time <= ? AND s.status = 'running'
    AND s.seq = (SELECT max(seq) FROM session_state WHERE session_id = s.session_id AND time <= ?))"""


class Place(NamedTuple):
    """Where the items of an output belong: their session and run, and what kind they are."""

    output_id: int
    project: str
    key: str
    host: str
    session_id: int
    session_path: str
    run: str
    kind: str


class Published(NamedTuple):
    """The names of the published images of a micrograph, empty where there is none, and the place of that change."""

    micrograph_id: int
    seq: int
    micrograph: str
    power_spectrum: str
    shift_plot: str


ItemRow = tuple[Any, ...]
"""`seq`, output, id, item and time (UTC ns) of an item of an output, and the columns that were asked for.

There are very many items, and each column of each takes time: nobody gets more than is written of them.
"""


class Changes:
    """Rows of the store by their place in the order of changes."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def items(self, after: int, upto: int, *, limit: int, columns: Sequence[str]) -> list[ItemRow]:
        """Return items of every output but movies, at most `limit`."""
        return self._reader.table(_ITEMS.format(columns=", ".join(columns)), (after, upto, limit))[1]

    def items_of(self, ids: Iterable[int], *, columns: Sequence[str]) -> list[ItemRow]:
        """Return the items of some ids, output by output; those that are gone are not among them."""
        return self._reader.table(_ITEMS_OF.format(columns=", ".join(columns)), (json.dumps(list(ids)),))[1]

    def published(self, after: int, upto: int, *, limit: int) -> list[Published]:
        """Return what images were published, at most of `limit` items."""
        return list(map(Published._make, self._reader.table(_PUBLISHED, (after, upto, limit))[1]))

    def published_of(self, after: int, upto: int) -> list[Published]:
        """Return what is published of the items that changed."""
        return list(map(Published._make, self._reader.table(_PUBLISHED_OF, (after, upto))[1]))

    def places(self, outputs: Iterable[int]) -> dict[int, Place]:
        """Return where the items of some outputs belong, by the output's id."""
        return {row[0]: Place(*row) for row in self._reader.table(_PLACES, (json.dumps(sorted(outputs)),))[1]}

    def unpublished(self, target: str, after: int, upto: int, *, since: int) -> list[tuple[int, int]]:
        """Return id and time of CTF items newer than a time whose images are not at a target as they are now."""
        return self._reader.table(_UNPUBLISHED, (target, after, upto, since))[1]

    def to_publish(self, ids: Iterable[int]) -> list[Row]:
        """Return what the images of some items are made of, and their sessions; those that are gone are not there."""
        return self._reader.rows(_TO_PUBLISH, (json.dumps(list(ids)),))

    def sessions(self, after: int, upto: int) -> list[Row]:
        """Return what sessions became."""
        return self._reader.rows(_SESSIONS, (after, upto))

    def runs(self, after: int, upto: int) -> list[Row]:
        """Return what runs became, a row for each output that they had then (None: no output yet)."""
        return self._reader.rows(_RUNS, (after, upto))

    def sizes(self, after: int, upto: int) -> list[Row]:
        """Return what sizes outputs came to have."""
        return self._reader.rows(_SIZES, (after, upto))

    def gains(self, after: int, upto: int) -> list[Row]:
        """Return gain residuals."""
        return self._reader.rows(_GAINS, (after, upto))

    def samples(self, after: int, upto: int) -> list[Row]:
        """Return host samples, each with its `devices`."""
        rows = self._reader.rows(_SAMPLES, (after, upto))
        devices: dict[int, list[Row]] = {}
        for device in self._reader.rows(_DEVICES, (after, upto)) if rows else ():
            devices.setdefault(device["sample_id"], []).append(device)
        return [{**row, "devices": devices.get(row["id"], [])} for row in rows]

    def alerts(self, after: int, upto: int) -> list[Row]:
        """Return alerts, new and changed."""
        return self._reader.rows(_ALERTS, (after, upto))

    def first_output(self, session: int, run: str, kind: str) -> int | None:
        """Return the first of a run's outputs of one kind: a dose-weighted copy comes second."""
        found: int | None = self._reader.value(_FIRST_OUTPUT, (session, run, kind))
        return found

    def first_estimate(self, session: int) -> int | None:
        """Return the session's first CTF output that holds items."""
        found: int | None = self._reader.value(_FIRST_ESTIMATE, (session,))
        return found

    def summary(self, session: int) -> list[Row]:
        """Return the runs of a session with their outputs, in the order in which they were made."""
        return self._reader.rows(_SUMMARY, (session,))

    def session(self, session: int) -> Row:
        """Return what is known of a session now, with the time of its newest item."""
        return self._reader.rows(_SESSION, (session,))[0]

    def head(self) -> int:
        """Return the position of the last change."""
        return self._reader.head()

    def within(self, after: int, *, most: int) -> int:
        """Return a position up to which there are at most so many records of any kind but items, or little more."""
        places = (self._reader.value(sql, (after, most)) for sql in _NTH)
        return min((place for place in places if place is not None), default=self.head())

    def live(self, host: str, time: int) -> list[Row]:
        """Return the sessions of a host that were at work at a time (UTC ns)."""
        return self._reader.rows(_LIVE, (host, time, time))
