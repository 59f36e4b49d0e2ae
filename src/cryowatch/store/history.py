"""How much is kept of what was: of a project that changes at every look no more than of any other.

What is now is never touched: of a run when it was first at work and its last states, of an output its last sizes, of a
session its last states, and of its alerts that are over the newest.
"""

from __future__ import annotations

import sqlite3

RUN_STATES = 8
SESSION_STATES = 2_000
SIZES = 16
ALERT_BYTES = 3_000_000

_ALERT_ROW = 300
"""Bytes of an alert beside its texts, with its notices and indexes: as measured, rounded up."""

_RUN = """
DELETE FROM run_state WHERE session_id = ?1 AND run = ?2
AND seq <= (SELECT seq FROM run_state WHERE session_id = ?1 AND run = ?2 ORDER BY seq DESC LIMIT 1 OFFSET ?3)
AND seq IS NOT (SELECT min(seq) FROM run_state WHERE session_id = ?1 AND run = ?2 AND status = 'running')"""

_SESSION = """
DELETE FROM session_state WHERE session_id = ?1
AND seq <= (SELECT seq FROM session_state WHERE session_id = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)"""

_OUTPUT = """
DELETE FROM output_size WHERE output_id = ?1
AND time <= (SELECT time FROM output_size WHERE output_id = ?1 ORDER BY time DESC LIMIT 1 OFFSET ?2)"""

_ALERTS = f"""
DELETE FROM alert WHERE id IN (
    SELECT id FROM (SELECT id, sum({_ALERT_ROW} + 2 * length(text) + length(detail)) OVER (ORDER BY until DESC, id DESC)
                    AS bytes FROM alert WHERE session_id = ?1 AND until IS NOT NULL)
    WHERE bytes > ?2)"""


def trim_run(tx: sqlite3.Connection, session: int, run: str) -> None:
    """Forget all but the first state at work and the last few of a run."""
    tx.execute(_RUN, (session, run, RUN_STATES))


def trim_session(tx: sqlite3.Connection, session: int) -> None:
    """Forget all but the last states of a session."""
    tx.execute(_SESSION, (session, SESSION_STATES))


def trim_output(tx: sqlite3.Connection, output: int) -> None:
    """Forget all but the last sizes of an output."""
    tx.execute(_OUTPUT, (output, SIZES))


def trim_alerts(tx: sqlite3.Connection, session: int) -> None:
    """Forget the oldest alerts of a session that are over, beyond so many bytes."""
    tx.execute(_ALERTS, (session, ALERT_BYTES))
