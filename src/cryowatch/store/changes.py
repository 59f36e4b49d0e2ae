"""What changed in the store since a position, for those who carry it elsewhere.

Every query answers rows with `after < seq <= upto`, in that order.  A row that changed again later is only there once,
as it is now; of what sessions, runs and outputs were in between, the history tables tell.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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

_PUBLISHED_AS = """
SELECT micrograph_id, seq, micrograph, power_spectrum, shift_plot FROM published
WHERE micrograph_id IN (SELECT value FROM json_each(?))"""

_PLACES = """
SELECT id, kind, session_id FROM output
WHERE id IN (SELECT value FROM json_each(?)) AND session_id IN (SELECT id FROM session)"""

_TO_PUBLISH = f"""
SELECT m.id, m.seq, m.name, m.time, m.micrograph_path, m.power_spectrum_path, m.shift_plot_path, {_PLACE},
       session.path AS session_path
FROM micrograph AS m JOIN output ON output.id = m.output_id JOIN session ON session.id = output.session_id
WHERE m.id IN (SELECT value FROM json_each(?))"""

_UNPUBLISHED = """
SELECT m.id, m.time FROM micrograph AS m JOIN output ON output.id = m.output_id
LEFT JOIN published AS p ON p.micrograph_id = m.id AND p.target = ?1
WHERE m.seq > ?2 AND m.seq <= ?3 AND output.kind = 'ctf' AND m.time >= ?4 AND (p.seq IS NULL OR p.seq < m.seq)"""

_IDS = """
SELECT m.id FROM json_each(?) AS j
JOIN micrograph AS m ON m.output_id = json_extract(j.value, '$[0]') AND m.item = json_extract(j.value, '$[1]')"""

_URGENT = """
SELECT m.id FROM micrograph AS m WHERE m.seq > ? AND m.seq <= ? AND m.time > ?
AND m.output_id NOT IN (SELECT id FROM output WHERE kind = 'movies') ORDER BY m.time DESC LIMIT ?"""

_SESSIONS = "SELECT id, name, key, host FROM session WHERE seq > ? ORDER BY id"

_OUTPUTS = """
SELECT output.id, output.run, output.name, output.kind, output.size, run.started, run.ended, run.status,
       run.inputs, output.stream_open, EXISTS (SELECT 1 FROM micrograph WHERE output_id = output.id) AS held
FROM output JOIN run ON run.session_id = output.session_id AND run.run = output.run
WHERE output.session_id = ? ORDER BY output.id"""

_RUNS = """
SELECT run, label, status, started, ended FROM run WHERE session_id = ? ORDER BY CAST(run AS INTEGER), run"""

_STEPS = """
SELECT output_id, time, size FROM output_step
WHERE output_id IN (SELECT id FROM output WHERE session_id = ?) ORDER BY output_id, time"""

_GAINS = f"""
SELECT g.seq, {_PLACE}, g.run, g.item, g.movie, g.time, g.stddev, g.ratio1, g.ratio2
FROM gain AS g JOIN session ON session.id = g.session_id"""

_GAINS_CHANGED = f"{_GAINS} WHERE g.seq > ? AND g.seq <= ? ORDER BY g.seq"

_GAINS_OF = f"""{_GAINS}
WHERE (g.session_id, g.run, g.item) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?))"""

_GAIN_RUNS = "SELECT DISTINCT session_id, run FROM gain WHERE seq <= ?"

_SAMPLES = "SELECT * FROM host_sample WHERE seq > ? AND seq <= ? ORDER BY seq"

_DEVICES = """
SELECT device_sample.*, host_sample.seq FROM host_sample JOIN device_sample ON sample_id = host_sample.id
WHERE seq > ? AND seq <= ? ORDER BY seq, kind, device"""

_ALERTS = """
SELECT a.seq, a.id, a.rule, a.session_id, a.host, a.subject, a.severity, a.since, a.until,
       a.value, a."limit", a.text
FROM alert AS a WHERE a.seq > ? AND a.seq <= ? ORDER BY a.seq"""

_SESSION = """
SELECT id, seq, name, key, host, created, status, software, voltage, spherical_aberration, amplitude_contrast,
       magnification, pixel_size, dose_per_frame, last_read,
       (SELECT max((SELECT max(time) FROM micrograph WHERE output_id = output.id))
        FROM output WHERE session_id = session.id) AS newest
FROM session WHERE id = ?"""

_NTH = tuple(
    f"SELECT seq FROM {table} WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET ?" for table in ("gain", "host_sample", "alert")
)

_LIVE = """
SELECT id FROM session WHERE host = ? AND id IN (
    SELECT session_id FROM session_state AS s WHERE s.time <= ? AND s.status = 'running'
    AND s.seq = (SELECT max(seq) FROM session_state WHERE session_id = s.session_id AND time <= ?))"""


class Place(NamedTuple):
    """What kind the items of an output are, and whose they are."""

    output_id: int
    kind: str
    session_id: int


class OutputNow(NamedTuple):
    """An output with its run, as they are; `held` where the store holds items of it.  Times are in UTC ns.

    `inputs` is what the run was made from, as `RUN.OUTPUT` between commas; None where that is not known.
    """

    id: int
    run: str
    name: str
    kind: str
    size: int | None
    started: int | None
    ended: int | None
    status: str
    inputs: str | None
    stream_open: int | None
    held: int


class RunNow(NamedTuple):
    """A run as it is.  Times are in UTC ns."""

    run: str
    label: str
    status: str
    started: int | None
    ended: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionNow:
    """A session as it is, with its runs and outputs in order.

    `steps` are, by output, the times (UTC ns) at which ten minutes begin in which items came, and how many there were
    at the end of these.
    """

    row: Row
    runs: Sequence[RunNow]
    outputs: Sequence[OutputNow]
    steps: Mapping[int, Sequence[tuple[int, int]]]


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

    def published_as(self, ids: Iterable[int]) -> list[Published]:
        """Return what is published of some items."""
        return list(map(Published._make, self._reader.table(_PUBLISHED_AS, (json.dumps(list(ids)),))[1]))

    def places(self, outputs: Iterable[int]) -> dict[int, Place]:
        """Return what some outputs hold, by the output's id."""
        return {row[0]: Place(*row) for row in self._reader.table(_PLACES, (json.dumps(sorted(outputs)),))[1]}

    def ids(self, items: Iterable[tuple[int, int]]) -> list[int]:
        """Return the ids of items, given by their output and number; those that are gone are not among them."""
        return [row[0] for row in self._reader.table(_IDS, (json.dumps(list(items)),))[1]]

    def urgent(self, after: int, upto: int, *, since: int, limit: int) -> list[int]:
        """Return the ids of the newest items that changed and are of after a time (UTC ns), at most `limit`."""
        return [row[0] for row in self._reader.table(_URGENT, (after, upto, since, limit))[1]]

    def unpublished(self, target: str, after: int, upto: int, *, since: int) -> list[tuple[int, int]]:
        """Return id and time of CTF items newer than a time whose images are not at a target as they are now."""
        return self._reader.table(_UNPUBLISHED, (target, after, upto, since))[1]

    def to_publish(self, ids: Iterable[int]) -> list[Row]:
        """Return what the images of some items are made of, and their sessions; those that are gone are not there."""
        return self._reader.rows(_TO_PUBLISH, (json.dumps(list(ids)),))

    def sessions(self, after: int) -> list[Row]:
        """Return id, name, key and host of the sessions that have changed since, in the order of their ids."""
        return self._reader.rows(_SESSIONS, (after,))

    def outputs(self, session: int) -> list[OutputNow]:
        """Return the outputs of a session in order of their ids."""
        return list(map(OutputNow._make, self._reader.table(_OUTPUTS, (session,))[1]))

    def gains(self, after: int, upto: int) -> list[Row]:
        """Return gain residuals."""
        return self._reader.rows(_GAINS_CHANGED, (after, upto))

    def gains_of(self, items: Iterable[tuple[int, str, int]]) -> list[Row]:
        """Return the gain residuals of some sessions, runs and items; those that are gone are not among them."""
        return self._reader.rows(_GAINS_OF, (json.dumps(list(items)),))

    def gain_runs(self, upto: int) -> list[tuple[int, str]]:
        """Return the sessions and runs that had gain residuals up to a change."""
        return self._reader.table(_GAIN_RUNS, (upto,))[1]

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

    def session(self, session: int) -> SessionNow | None:
        """Return a session as it is, with the time of its newest item; None where it is gone."""
        rows = self._reader.rows(_SESSION, (session,))
        if not rows:
            return None
        steps: dict[int, list[tuple[int, int]]] = {}
        for output, time, size in self._reader.table(_STEPS, (session,))[1]:
            steps.setdefault(output, []).append((time, size))
        runs = list(map(RunNow._make, self._reader.table(_RUNS, (session,))[1]))
        return SessionNow(row=rows[0], runs=runs, outputs=self.outputs(session), steps=steps)

    def retracted(self, target: str, *, limit: int) -> list[str]:
        """Return names of published files that are to be taken away from a target, at most `limit`."""
        sql = "SELECT name FROM retracted WHERE target = ? ORDER BY name LIMIT ?"
        return [row[0] for row in self._reader.table(sql, (target, limit))[1]]

    def retractions(self, target: str) -> int:
        """Return how many published files are to be taken away from a target."""
        return int(self._reader.value("SELECT count(*) FROM retracted WHERE target = ?", (target,)))

    def head(self) -> int:
        """Return the position of the last change."""
        return self._reader.head()

    def within(self, after: int, *, most: int) -> int:
        """Return a position up to which there are at most so many records of any kind but items, or little more."""
        places = (self._reader.value(sql, (after, most)) for sql in _NTH)
        return min((place for place in places if place is not None), default=self.head())

    def live(self, host: str, time: int) -> list[int]:
        """Return the ids of the sessions of a host that were at work at a time (UTC ns)."""
        return [row[0] for row in self._reader.table(_LIVE, (host, time, time))[1]]

    def alerts_there(self) -> set[int]:
        """Return the ids of all alerts."""
        return {row[0] for row in self._reader.table("SELECT id FROM alert")[1]}
