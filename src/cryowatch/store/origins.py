"""Which session a project is: it is known by when it was made, as it says itself, and not by its folder.

- The project in a session's folder is that session where both say the same origin, or one of them says none.  A copy
  of a prepared project says the same as the one that was there before, so where the database is another file a run that
  was started has to be in both, too.
- Where the folder holds another project by now, the session is *replaced*: it stays with what was read, its state is
  `gone`, and its path names the folder with the time until which it was there, so that nothing of the new project is
  taken for its own.
- A project that is in no known folder is a session that has left its own, where the origin is the same and the run that
  was started last is in both: it has been moved, and the session keeps its id and key.  Copies of a prepared project
  share their origin too, and no run that was started since.
- A project whose session was forgotten is none until somebody wants it remembered (`forgotten`).
- Else it is a new session.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from cryowatch.reading import Origin
from cryowatch.records import Run, Session
from cryowatch.store.commit import SESSION_COLUMNS, session_values
from cryowatch.store.forgotten import next_session, note_of
from cryowatch.store.names import marked, plain
from cryowatch.store.statements import insert, next_seq

_QUARTER = 900 * 10**9
"""Zones differ by whole quarters of an hour: by so much does a time differ that was read in another one."""

_AT = "SELECT id, path, origin, created, cursor, inode FROM session WHERE path = ?"
_OF = """
SELECT id, path, inode, replaced FROM session
WHERE origin = :origin OR (origin = '' AND created IS NOT NULL AND (created - :created) % :quarter = 0)
ORDER BY inode IS :inode DESC, last_read DESC, id DESC"""
_STARTED = "SELECT run, started FROM run WHERE session_id = ? AND started IS NOT NULL ORDER BY started DESC"
_HAS_RUNS = "SELECT EXISTS (SELECT 1 FROM run WHERE session_id = ?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder that a session of some origin was in last; `replaced`: another project has been found there since."""

    session: int
    path: str
    inode: int | None
    replaced: bool


def places_of(connection: sqlite3.Connection, origin: Origin, created: int | None) -> list[Place]:
    """Return where sessions of an origin are, the likeliest first; `created` is when the project was made (UTC ns)."""
    known = {"origin": origin.created, "created": created, "quarter": _QUARTER, "inode": origin.inode}
    return [
        Place(session=number, path=path, inode=inode, replaced=replaced is not None)
        for number, path, inode, replaced in connection.execute(_OF, known).fetchall()
    ]


def settle(
    tx: sqlite3.Connection,
    session: Session,
    origin: Origin | None,
    runs: Sequence[Run],
    *,
    also: Sequence[str],
    left: Collection[int],
    now: int,
) -> tuple[int, list[int]]:
    """Return the session that a project is, made now if it is new, and which others are not what they were.

    A project that was forgotten is none: 0.

    `also` are other paths of its folder, `left` the sessions whose project is in their folder no more, as `places_of`
    has them.
    """
    paths = (session.path, *also)
    row = next((row for path in paths if (row := tx.execute(_AT, (path,)).fetchone())), None)
    if origin is None:
        return _new_unless_forgotten(tx, session, None, paths, runs) if row is None else row[0], []
    others: list[int] = []
    if row is not None and not _is_empty(tx, row):
        if _is_of(row, session, origin) and not _is_another_copy(tx, row, origin, runs):
            _move(tx, row[0], session, origin)
            return row[0], []
        _replace(tx, row[0], row[1], now)
        others.append(row[0])
        row = None
    moved = next(
        (
            place.session
            for place in places_of(tx, origin, session.created)
            if (place.replaced or place.session in left)
            and (row is None or place.session != row[0])
            and _same_runs(tx, place, origin, runs)
        ),
        None,
    )
    if moved is not None:
        if row is not None:
            tx.execute("DELETE FROM session WHERE id = ?", (row[0],))
        _move(tx, moved, session, origin)
        return moved, others
    if row is None:
        return _new_unless_forgotten(tx, session, origin, paths, runs), others
    _move(tx, row[0], session, origin)
    return row[0], others


def _is_empty(tx: sqlite3.Connection, row: tuple[Any, ...]) -> bool:
    """Return whether nothing was ever read of a session, of which then nobody knows what it is."""
    number, _, origin, _, cursor, _ = row
    return not origin and not cursor and not tx.execute(_HAS_RUNS, (number,)).fetchone()[0]


def _is_of(row: tuple[Any, ...], session: Session, origin: Origin) -> bool:
    """Return whether a session is of an origin; of one that an earlier version stored the time of creation tells."""
    _, _, known, created, _, _ = row
    if known or created is None or session.created is None:
        return known in ("", origin.created)
    return bool((created - session.created) % _QUARTER == 0)


def _is_another_copy(tx: sqlite3.Connection, row: tuple[Any, ...], origin: Origin, runs: Sequence[Run]) -> bool:
    """Return whether a project of the same origin is another copy: another file, and no run that has begun in both."""
    number, *_, inode = row
    if inode in (None, origin.inode):
        return False
    same = _in_both(tx, number, runs)
    return bool(same) and not any(same)


def _same_runs(tx: sqlite3.Connection, place: Place, origin: Origin, runs: Sequence[Run]) -> bool:
    """Return whether a project goes on where a session has ended: with the run of it that was started last.

    Any run that both have will do where the file is the very same.
    """
    same = _in_both(tx, place.session, runs)
    return not same or same[0] or (place.inode == origin.inode and any(same))


def _in_both(tx: sqlite3.Connection, number: int, runs: Sequence[Run]) -> list[bool]:
    """Return of each run of a session that was started, the last first, whether a project has it, too."""
    started = tx.execute(_STARTED, (number,)).fetchall()
    now = {run.run: run.started for run in runs if run.started is not None}
    return [run in now and (time - now[run]) % _QUARTER == 0 for run, time in started]


def _move(tx: sqlite3.Connection, number: int, session: Session, origin: Origin) -> None:
    """Let a session be in a folder; its name follows when the project is stored."""
    if tx.execute("SELECT path FROM session WHERE id = ?", (number,)).fetchone()[0] != session.path:
        tx.execute("UPDATE session SET seq = ? WHERE id = ?", (next_seq(tx, 1), number))
    tx.execute(
        "UPDATE session SET path = ?1, origin = ?2, inode = ?3, replaced = NULL WHERE id = ?4"
        " AND (path, origin, inode, replaced) IS NOT (?1, ?2, ?3, NULL)",
        (session.path, origin.created, origin.inode, number),
    )


def _replace(tx: sqlite3.Connection, number: int, path: str, now: int) -> None:
    """Let a session be one whose folder holds another project."""
    until = datetime.fromtimestamp(now // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")
    text = f"{path}: another project was made in this folder. What was read of the one before is kept"
    tx.execute(
        "UPDATE session SET path = ?, replaced = ?, state = 'gone', state_text = ?, troubles = '[]', seq = ?"
        " WHERE id = ?",
        (f"{path} (until {until} UTC, number {number})", now, text, next_seq(tx, 1), number),
    )


def _new_unless_forgotten(
    tx: sqlite3.Connection, session: Session, origin: Origin | None, paths: Sequence[str], runs: Sequence[Run]
) -> int:
    return 0 if note_of(tx, paths, origin, runs) else _new(tx, session, origin)


def _new(tx: sqlite3.Connection, session: Session, origin: Origin | None) -> int:
    created, inode = ("", None) if origin is None else (origin.created, origin.inode)
    columns = ("id", "key", "path", *SESSION_COLUMNS, "origin", "inode", "seq")
    key, seq = _free_key(tx, session, created), next_seq(tx, 1)
    values = (next_session(tx), key, session.path, *session_values(session), created, inode, seq)
    return int(tx.execute(insert("session", columns), values).lastrowid or 0)


def _free_key(tx: sqlite3.Connection, session: Session, origin: str) -> str:
    """Return an unused name for a session's addresses: its own where that is short and plain ASCII."""
    own = plain(session.name)
    seeds = chain(("", f"\0{origin}"), (f"\0{number}" for number in range(1000)))
    keys = chain(
        [own] if own == session.name else [], (marked(session.name, f"{session.path}{seed}") for seed in seeds)
    )
    return next(key for key in keys if not tx.execute("SELECT 1 FROM session WHERE key = ?", (key,)).fetchone())
