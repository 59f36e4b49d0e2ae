"""What one follower has delivered to its server, and what of that is superseded.

Names and points are written down before they are sent, so whatever lies at the server is known here, whenever the agent
or the server dies; and forgotten after they were taken away there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

from cryowatch.store.reader import Reader
from cryowatch.times import DAY

Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]

FORGET_DAYS = 30
"""After how many days unseen a follower is none any more: what is superseded is not kept for it."""

_LAST = 2**62

_REGISTER = """
INSERT OR IGNORE INTO position (follower, seq, superseded)
VALUES (?, 0, (SELECT coalesce(max(id), 0) FROM superseded))"""

_SUPERSEDED = """
SELECT id, kind, owner, run, item, time, cause FROM superseded
WHERE id > ? AND (follower IS NULL OR follower = ?) ORDER BY id LIMIT ?"""

_UNSETTLED = """
SELECT session.id FROM session LEFT JOIN delivered_session AS d ON d.follower = ?1 AND d.session_id = session.id
WHERE d.seq IS NOT session.seq AND session.seq > 0
ORDER BY session.status = 'running' DESC, session.seq DESC LIMIT ?2"""

_GONE_SESSIONS = """
SELECT session_id FROM delivered_session WHERE follower = ? AND session_id NOT IN (SELECT id FROM session)"""

_RETIRE = """
UPDATE delivered_series SET retired = (SELECT coalesce(max(id), 0) FROM superseded)
WHERE follower = ? AND kind = ? AND owner = ? AND run = ? AND retired IS NULL"""

_RETIRE_GONE = """
UPDATE delivered_series SET retired = (SELECT coalesce(max(id), 0) FROM superseded)
WHERE follower = ? AND retired IS NULL AND (
    (kind = 'item' AND owner NOT IN (SELECT id FROM output))
    OR (kind = 'gain' AND (owner, run) NOT IN (SELECT session_id, run FROM run)))"""

_ADOPT = """
INSERT INTO delivered_series (follower, kind, owner, run, series) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET retired = NULL"""

_ITEMS_AGAIN = """
INSERT INTO superseded (follower, kind, owner, item, time, cause)
SELECT ?1, 'item', output_id, item, time, ?2 FROM micrograph WHERE output_id = ?3 AND seq <= ?4"""

_GAINS_AGAIN = """
INSERT INTO superseded (follower, kind, owner, run, item, time, cause)
SELECT ?1, 'gain', session_id, run, item, time, ?2 FROM gain WHERE session_id = ?3 AND run = ?4 AND seq <= ?5"""

_EXPECT = """
INSERT INTO delivered_point (follower, holder, series, time, fields, digest) VALUES (?, ?, ?, ?, ?, NULL)
ON CONFLICT DO UPDATE SET fields = excluded.fields, digest = NULL"""

_FORGET = """
DELETE FROM superseded WHERE id <= (
    SELECT min(superseded) FROM position WHERE follower GLOB 'influx *' AND (seen >= ? OR follower = ?))"""


class Holder(NamedTuple):
    """What has points of one name: the items of an output, or the gain residuals of a run (`owner` is its session)."""

    kind: str
    owner: int
    run: str = ""


class Superseded(NamedTuple):
    """An item or gain residual that a server may hold as it was, at a time in UTC ns.

    `cause` says why: gone, changed, discarded (not enabled any more), unpublished (an image), moved (it is called
    otherwise now), added (it was not delivered before and is now: nothing is to be taken away).
    """

    id: int
    holder: Holder
    item: int
    time: int
    cause: str


class Point(NamedTuple):
    """One point of a state: its series as JSON, its time (UTC ns), the names of its fields, a digest of the fields."""

    series: str
    time: int
    fields: str
    digest: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What holds once a batch is delivered.

    `points` lie at the server, `gone` (holder, series, time) do not any more; `sessions` were told as of a change;
    `superseded` is how far that was dealt with.
    """

    superseded: int
    points: Mapping[str, Sequence[Point]]
    gone: Sequence[tuple[str, str, int]] = ()
    sessions: Mapping[int, int]
    gone_sessions: Sequence[int] = ()


class Delivered:
    """One follower's record; writes in transactions of the store, reads beside them."""

    def __init__(self, transaction: Transaction, reader: Reader, follower: str) -> None:
        self._transaction = transaction
        self._reader = reader
        self._follower = follower
        with transaction() as tx:
            tx.execute(_REGISTER, (follower,))

    def place(self) -> tuple[int, int]:
        """Return how far the follower has come: in the order of changes, and in what is superseded."""
        sql = "SELECT seq, superseded FROM position WHERE follower = ?"
        rows = self._reader.table(sql, (self._follower,))[1]
        return rows[0] if rows else (0, 0)

    def superseded(self, after: int, *, limit: int) -> list[Superseded]:
        """Return what was superseded after a row, at most `limit`."""
        rows = self._reader.table(_SUPERSEDED, (after, self._follower, limit))[1]
        return [Superseded(row[0], Holder(*row[1:4]), *row[4:]) for row in rows]

    def waiting(self, after: int) -> int:
        """Return how much of what is superseded, and how many sessions, are not dealt with."""
        sql = "SELECT count(*) FROM superseded WHERE id > ? AND (follower IS NULL OR follower = ?)"
        superseded = int(self._reader.value(sql, (after, self._follower)))
        return superseded + len(self.unsettled(limit=1_000_000)) + len(self.gone_sessions())

    def unsettled(self, *, limit: int) -> list[int]:
        """Return sessions that changed since they were told, those at work first."""
        return [row[0] for row in self._reader.table(_UNSETTLED, (self._follower, limit))[1]]

    def gone_sessions(self) -> list[int]:
        """Return sessions that were told and are not in the store any more."""
        return [row[0] for row in self._reader.table(_GONE_SESSIONS, (self._follower,))[1]]

    def names(self) -> dict[int, str]:
        """Return what each session's project is called."""
        sql = "SELECT session_id, name FROM delivered_session WHERE follower = ?"
        return dict(self._reader.table(sql, (self._follower,))[1])

    def series(self) -> dict[Holder, dict[str, int | None]]:
        """Return each holder's series, as JSON, and up to which row of what is superseded those of old are needed."""
        sql = "SELECT kind, owner, run, series, retired FROM delivered_series WHERE follower = ?"
        found: dict[Holder, dict[str, int | None]] = {}
        for kind, owner, run, series, retired in self._reader.table(sql, (self._follower,))[1]:
            found.setdefault(Holder(kind, owner, run), {})[series] = retired
        return found

    def holders(self, beginning: str) -> list[str]:
        """Return the holders of points of states whose names begin so."""
        sql = "SELECT DISTINCT holder FROM delivered_point WHERE follower = ? AND substr(holder, 1, ?) = ?"
        return [row[0] for row in self._reader.table(sql, (self._follower, len(beginning), beginning))[1]]

    def points(self, holder: str) -> dict[tuple[str, int], Point]:
        """Return the points of states that lie at the server, or may."""
        sql = "SELECT series, time, fields, digest FROM delivered_point WHERE follower = ? AND holder = ?"
        rows = self._reader.table(sql, (self._follower, holder))[1]
        return {(row[0], row[1]): Point(*row) for row in rows}

    def call(self, names: Mapping[int, str]) -> None:
        """Write down what sessions' projects are called, for good."""
        with self._transaction() as tx:
            tx.executemany(
                "INSERT OR IGNORE INTO delivered_session (follower, session_id, name) VALUES (?, ?, ?)",
                [(self._follower, session, name) for session, name in names.items()],
            )

    def assume(self, series: Mapping[Holder, str]) -> None:
        """Write down what an earlier version has delivered."""
        with self._transaction() as tx:
            for holder, text in series.items():
                tx.execute(_ADOPT, (self._follower, *holder, text))

    def rename(self, series: Mapping[Holder, str | None], *, upto: int) -> None:
        """Write down what holders are called from now on; None: they are not delivered any more.

        What was delivered under another name is superseded, and what was passed over up to a change is taken up.
        """
        with self._transaction() as tx:
            for holder, text in series.items():
                self._rename(tx, holder, text, upto)

    def _rename(self, tx: sqlite3.Connection, holder: Holder, text: str | None, upto: int) -> None:
        known = "SELECT series FROM delivered_series WHERE follower = ? AND kind = ? AND owner = ? AND run = ?"
        before = tx.execute(f"{known} AND retired IS NULL", (self._follower, *holder)).fetchone()
        values: tuple[object, ...]
        if holder.kind == "gain":
            again, values = _GAINS_AGAIN, (holder.owner, holder.run)
        else:
            again, values = _ITEMS_AGAIN, (holder.owner,)
        if before is not None:
            tx.execute(again, (self._follower, "moved", *values, _LAST))
            tx.execute(_RETIRE, (self._follower, *holder))
        elif text is not None and upto:
            tx.execute(again, (self._follower, "added", *values, upto))
        if text is not None:
            tx.execute(_ADOPT, (self._follower, *holder, text))

    def retire(self) -> None:
        """Take note of outputs and runs that are not there any more: their points are superseded already."""
        with self._transaction() as tx:
            tx.execute(_RETIRE_GONE, (self._follower,))

    def expect(self, points: Mapping[str, Iterable[Point]]) -> None:
        """Write down points of states that are about to be sent, by their holder."""
        rows = [(self._follower, holder, p.series, p.time, p.fields) for holder, of in points.items() for p in of]
        if rows:
            with self._transaction() as tx:
                tx.executemany(_EXPECT, rows)


def note_settled(tx: sqlite3.Connection, follower: str, settled: Settled, now: int) -> None:
    """Take note of what is delivered, and forget what nobody needs any more; within a transaction of the store."""
    tx.execute("UPDATE position SET superseded = ? WHERE follower = ?", (settled.superseded, follower))
    for session in settled.gone_sessions:
        tx.execute("DELETE FROM delivered_session WHERE follower = ? AND session_id = ?", (follower, session))
    tx.executemany(
        "UPDATE delivered_session SET seq = ? WHERE follower = ? AND session_id = ?",
        [(seq, follower, session) for session, seq in settled.sessions.items()],
    )
    tx.executemany(
        "UPDATE delivered_point SET fields = ?, digest = ?"
        " WHERE follower = ? AND holder = ? AND series = ? AND time = ?",
        [(p.fields, p.digest, follower, holder, p.series, p.time) for holder, of in settled.points.items() for p in of],
    )
    tx.executemany(
        "DELETE FROM delivered_point WHERE follower = ? AND holder = ? AND series = ? AND time = ?",
        [(follower, *point) for point in settled.gone],
    )
    tx.execute("DELETE FROM delivered_series WHERE follower = ? AND retired <= ?", (follower, settled.superseded))
    tx.execute(_FORGET, (now - FORGET_DAYS * DAY, follower))
