"""Forgetting sessions: each vanishes for every reader in one transaction, and its rows go after in many short ones.

A forgotten session leaves a note, a row of `forgotten`.  It says what is still to be cleared, so that clearing goes on
after a crash, and which project is passed over until somebody wants it remembered: the one of that origin whose run
that was started last is the same, in that folder or with that very file.  So a copy of a prepared project, and another
one that is made in the folder later, are new sessions.

What followers delivered of it goes as what is superseded does, where that is wanted; else they forget that they
delivered it, and it stays where it is.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryowatch.errors import NotFoundError, SessionForgotten
from cryowatch.reading import Origin
from cryowatch.records import Run
from cryowatch.store.statements import next_seq

if TYPE_CHECKING:
    from cryowatch.store.reader import Reader

Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]

AT_ONCE = 500
"""How many rows go in one transaction: some 10 ms, so that nobody waits long for the next."""

MOST_OUTPUTS = 200
"""Of how many outputs: each also has rows in other tables."""

MOST_STARTED = 50
"""How many of a project's newest runs a note remembers."""

_COLUMNS = "session_id, key, name, path, origin, inode, started, time, author, influxdb, images, passed, cleared"

_STARTED = f"""
SELECT run, started FROM run WHERE session_id = ? AND started IS NOT NULL ORDER BY started DESC LIMIT {MOST_STARTED}"""

_NOTE = f"""
INSERT INTO forgotten ({_COLUMNS})
SELECT id, key, name, path, origin, inode, ?, ?, ?, ?, ?, 1, 0 FROM session WHERE id = ?"""

_ALERTS = "SELECT id FROM alert WHERE session_id = :session"
_NOTICES = f"SELECT id FROM notice WHERE alert_id IN ({_ALERTS})"
_OUTPUTS = "SELECT id FROM output WHERE session_id = :session"

_VANISH = (
    f"DELETE FROM notice_sent WHERE notice_id IN ({_NOTICES})",
    f"DELETE FROM notice WHERE alert_id IN ({_ALERTS})",
    "DELETE FROM alert WHERE session_id = :session",
    "DELETE FROM mute WHERE session_id = :session",
    "DELETE FROM position WHERE follower = 'report ' || :key",
    "DELETE FROM session WHERE id = :session",
)
"""What other queries find without asking for the session goes with it; without its cascades, that is one by one."""

_UNDELIVER = (
    f"""DELETE FROM delivered_point WHERE follower IN (SELECT follower FROM position)
    AND holder IN (SELECT 'alert:' || id FROM ({_ALERTS}))""",
    f"DELETE FROM superseded WHERE (kind = 'item' AND owner IN ({_OUTPUTS})) OR (kind = 'gain' AND owner = :session)",
    "DELETE FROM delivered_session WHERE session_id = :session",
)
"""What followers would take for something that they have to take away."""

_FILES = """
INSERT OR IGNORE INTO retracted (target, name)
SELECT target, json_each.value FROM published, json_each(json_array(micrograph, power_spectrum, shift_plot))
WHERE micrograph_id IN (SELECT value FROM json_each(?)) AND json_each.value <> ''"""

_SOME_OUTPUTS = f"SELECT id FROM output WHERE session_id = ? LIMIT {MOST_OUTPUTS}"

_MICROGRAPHS = """
SELECT id FROM micrograph WHERE output_id IN (SELECT value FROM json_each(:outputs)) LIMIT :most"""

_OF_OUTPUTS = """
DELETE FROM {table} WHERE (output_id, {key}) IN (
    SELECT output_id, {key} FROM {table} WHERE output_id IN (SELECT value FROM json_each(:outputs)) LIMIT :most)"""

_OUTPUTS_AND_THEIRS = (
    *(
        _OF_OUTPUTS.format(table=table, key=key)
        for table, key in (("shifts", "name"), ("output_size", "time"), ("output_step", "time"))
    ),
    "DELETE FROM output WHERE id IN (SELECT value FROM json_each(:outputs))",
)

_OF_SESSION = """
DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE session_id = :session LIMIT :most)"""

_OTHERS = tuple(
    _OF_SESSION.format(table=table, key=key)
    for table, key in (("gain", "id"), ("run_state", "seq"), ("run", "id"), ("session_state", "seq"))
)
"""What goes last, each before that on which it depends."""

_POINTS = """
DELETE FROM delivered_point WHERE (follower, holder, series, time) IN (
    SELECT follower, holder, series, time FROM delivered_point
    WHERE follower IN (SELECT follower FROM position) AND holder = 'session:' || :session LIMIT :most)"""

_PASSED = f"SELECT {_COLUMNS} FROM forgotten WHERE passed ORDER BY time DESC"
_UNCLEARED = f"SELECT {_COLUMNS} FROM forgotten WHERE NOT cleared ORDER BY time"

_QUARTER = 900 * 10**9
_NONE = "[]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is left of a session that was forgotten: what it was, when (UTC ns) and by whom it was forgotten.

    `influxdb` and `images` say whether what was delivered goes too, `passed` whether its project is passed over, and
    `cleared` whether all its rows are gone.  `started` are its newest runs and when each was started (UTC ns).
    """

    session: int
    key: str
    name: str
    path: str
    origin: str
    inode: int | None
    started: tuple[tuple[str, int], ...]
    time: int
    author: str
    influxdb: bool
    images: bool
    passed: bool
    cleared: bool

    @classmethod
    def of(cls, row: Sequence[Any]) -> Note:
        """Return the note of a row of the table."""
        *texts, started, time, author, influxdb, images, passed, cleared = row
        return cls(
            **dict(zip(("session", "key", "name", "path", "origin", "inode"), texts, strict=True)),
            started=tuple((run, at) for run, at in json.loads(started)),
            time=time,
            author=author,
            influxdb=bool(influxdb),
            images=bool(images),
            passed=bool(passed),
            cleared=bool(cleared),
        )

    def is_of(self, paths: Collection[str], origin: Origin | None, runs: Sequence[Run]) -> bool:
        """Return whether a project in one of some paths, as which a folder is known, is the one that was forgotten.

        Of a project that does not tell its origin, its folder alone decides.
        """
        if origin is None:
            return self.path in paths
        if self.origin != origin.created or not (self.path in paths or self.inode == origin.inode):
            return False
        now = {run.run: run.started for run in runs if run.started is not None}
        same = [run in now and (time - now[run]) % _QUARTER == 0 for run, time in self.started]
        return not same or same[0] or (self.inode == origin.inode and any(same))


def note_of(tx: sqlite3.Connection, paths: Sequence[str], origin: Origin | None, runs: Sequence[Run]) -> Note | None:
    """Return the note of a project that is to be passed over; it follows the project where that was moved."""
    for row in tx.execute(_PASSED).fetchall():
        note = Note.of(row)
        if note.is_of(paths, origin, runs):
            if origin is not None and (note.inode != origin.inode or note.path not in paths):
                moved = (paths[0], origin.inode, note.session)
                tx.execute("UPDATE forgotten SET path = ?, inode = ? WHERE session_id = ?", moved)
            return note
    return None


def next_session(tx: sqlite3.Connection) -> int:
    """Return a number for a new session that none has had before: what is left of those still bears theirs."""
    (last,) = tx.execute(
        "SELECT max((SELECT coalesce(max(id), 0) FROM session), (SELECT coalesce(max(session_id), 0) FROM forgotten))"
    ).fetchone()
    return int(last) + 1


class Forgotten:
    """Writes notes and clears what is left; `unbound` is a transaction in which no foreign key is looked at.

    `changed` is called with the numbers of all forgotten sessions after they changed.
    """

    def __init__(
        self, transaction: Transaction, unbound: Transaction, changed: Callable[[frozenset[int]], object]
    ) -> None:
        self._transaction = transaction
        self._unbound = unbound
        self._changed = changed

    def forget(self, session: int, *, author: str, influxdb: bool, images: bool, now: int) -> tuple[Note, int] | None:
        """Let a session vanish; returns its note and the place of that change, None where there is no such session.

        `influxdb` and `images` say that what was delivered is to go too.  `now` is in UTC ns.
        """
        with self._unbound() as tx:
            started = json.dumps([list(row) for row in tx.execute(_STARTED, (session,)).fetchall()])
            values = (started, now, author, influxdb, images, session)
            if not tx.execute(_NOTE, values).rowcount:
                return None
            row = tx.execute(f"SELECT {_COLUMNS} FROM forgotten WHERE session_id = ?", (session,)).fetchone()
            note = Note.of(row)
            for sql in (*(() if influxdb else _UNDELIVER), *_VANISH):
                tx.execute(sql, {"session": session, "key": note.key})
            seq = next_seq(tx, 1)
            numbers = frozenset(one for (one,) in tx.execute("SELECT session_id FROM forgotten").fetchall())
        self._changed(numbers)
        return note, seq

    def uncleared(self) -> list[Note]:
        """Return the sessions of which something is left to be cleared, the one that was forgotten first first."""
        with self._transaction() as tx:
            return [Note.of(row) for row in tx.execute(_UNCLEARED).fetchall()]

    def clear(self, note: Note, *, most: int = AT_ONCE) -> int:
        """Delete a few rows of a session; returns how many, 0 where none was left."""
        with self._transaction() as tx:
            (before,) = tx.execute("SELECT coalesce(max(id), 0) FROM superseded").fetchone()
            outputs = json.dumps([one for (one,) in tx.execute(_SOME_OUTPUTS, (note.session,)).fetchall()])
            known = {"session": note.session, "outputs": outputs, "most": most}
            micrographs = json.dumps([one for (one,) in tx.execute(_MICROGRAPHS, known).fetchall()])
            if micrographs != _NONE:
                if note.images:
                    tx.execute(_FILES, (micrographs,))
                sql = "DELETE FROM micrograph WHERE id IN (SELECT value FROM json_each(?))"
                deleted = tx.execute(sql, (micrographs,)).rowcount
            else:
                others = (*_OTHERS, *(() if note.influxdb else (_POINTS,)))
                tables = others if outputs == _NONE else _OUTPUTS_AND_THEIRS
                deleted = next((gone for sql in tables if (gone := tx.execute(sql, known).rowcount)), 0)
            if not note.influxdb:
                tx.execute("DELETE FROM superseded WHERE id > ?", (before,))
        return deleted

    def cleared(self, note: Note) -> None:
        """Record that nothing of a session is left to be cleared."""
        with self._transaction() as tx:
            tx.execute("UPDATE forgotten SET cleared = 1 WHERE session_id = ?", (note.session,))

    def remember(self, session: int) -> bool:
        """Let the project of a forgotten session be read again; returns whether it was passed over."""
        with self._transaction() as tx:
            done = tx.execute("UPDATE forgotten SET passed = 0 WHERE session_id = ? AND passed", (session,))
            numbers = frozenset(one for (one,) in tx.execute("SELECT session_id FROM forgotten").fetchall())
        self._changed(numbers)
        return bool(done.rowcount)

    def retracted(self, target: str, names: list[str]) -> list[str]:
        """Record that files do not lie at a target any more; returns their names."""
        with self._transaction() as tx:
            tx.executemany("DELETE FROM retracted WHERE target = ? AND name = ?", [(target, name) for name in names])
        return names


def passed_over(reader: Reader) -> list[Note]:
    """Return the notes of the projects that are passed over, the one that was forgotten last first."""
    if not reader.value("SELECT 1 FROM sqlite_master WHERE name = 'forgotten'"):  # of an earlier version
        return []
    return [Note.of(row) for row in reader.table(_PASSED)[1]]


def is_cleared(reader: Reader, session: int) -> bool:
    """Return whether all rows of a forgotten session are gone."""
    return bool(reader.value("SELECT cleared FROM forgotten WHERE session_id = ?", (session,)))


def refuse_forgotten(reader: Reader, name: str) -> None:
    """Raise `SessionForgotten` where a session of this key, path or name was forgotten."""
    for note in passed_over(reader):
        if name in (note.key, note.path, note.name):
            day = datetime.fromtimestamp(note.time // 10**9, UTC).strftime("%Y-%m-%d %H:%M UTC")
            remedy = f"`cryowatch forget --undo {note.key}` has its project read again"
            raise SessionForgotten(f"{name} was forgotten on {day} ({note.author})", remedy=remedy)


def named(notes: Sequence[Note], name: str) -> Note:
    """Return the note of the session of this key, path or name; raises `NotFoundError`."""
    for field in ("key", "path", "name"):
        found = [note for note in notes if getattr(note, field) == name]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(note.path if field == "key" else note.key for note in found)
            raise NotFoundError(f"more than one forgotten session is called {name}", remedy=f"Say which: {several}")
    known = ", ".join(note.key for note in notes[:8])
    raise NotFoundError(
        f"no session {name} was forgotten", remedy=f"Known: {known}" if known else "None is passed over"
    )
