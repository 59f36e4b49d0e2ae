"""Alerts, and what people are to be told of them.

An alert is raised once, may change while it lasts, and ends; one that lasts is known by its rule, session, host and
subject.  A notice is written in the same transaction as what it tells of, so that a restart neither loses nor repeats
one; a channel marks each that it has sent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum

from cryowatch.records import Severity
from cryowatch.store import history
from cryowatch.store.alert_sql import mute_of

Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]


class Event(StrEnum):
    """What a notice tells."""

    RAISED = "raised"
    REPEATED = "repeated"
    OVER = "over"
    REPLACED = "replaced"
    """A worse alert about the same thing has taken its place: nobody need be told of this one any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What tells one alert from another: its rule, and what it is about (a session, a host; there a run, disk, …)."""

    rule: str
    session: int | None = None
    host: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What an alert says now: `value` and `limit` in `unit`, of `field` where it is one of the model's.

    `text` is one line, `detail` what there is to say beyond it, in lines.
    """

    severity: Severity
    text: str
    value: float | None = None
    limit: float | None = None
    field: str = ""
    unit: str = ""
    detail: str = ""


_RAISE = """
INSERT INTO alert (rule, session_id, host, subject, severity, since, text, detail, value, "limit", field, unit,
                   last_bad, seq)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

_CHANGE = """
UPDATE alert SET severity = ?, text = ?, detail = ?, value = ?, "limit" = ?, field = ?, unit = ?, last_bad = ?, seq = ?,
                 broken_text = NULL, broken_value = NULL, broken_limit = NULL
WHERE id = ?"""

_CALM = """
UPDATE alert SET broken_value = CASE WHEN broken_text IS NULL THEN value ELSE broken_value END,
                 broken_limit = CASE WHEN broken_text IS NULL THEN "limit" ELSE broken_limit END,
                 broken_text = coalesce(broken_text, text),
                 text = ?, value = ?, "limit" = ?, seq = ?
WHERE id = ?"""

_END = """
UPDATE alert SET until = max(since, ?), seq = ?,
                 value = CASE WHEN broken_text IS NULL THEN value ELSE broken_value END,
                 "limit" = CASE WHEN broken_text IS NULL THEN "limit" ELSE broken_limit END,
                 text = coalesce(broken_text, text)
WHERE id = ?"""

_MUTED = f"""
SELECT EXISTS (
    SELECT 1 FROM alert JOIN mute ON {mute_of("alert")}
    WHERE alert.id = ? AND mute.until > ?)"""

_MUTE = """
INSERT OR REPLACE INTO mute (rule, session_id, host, subject, until)
SELECT rule, coalesce(session_id, 0), host, subject, ? FROM alert WHERE id = ?"""

_UNMUTE = """
DELETE FROM mute WHERE (rule, session_id, host, subject) = (
    SELECT rule, coalesce(session_id, 0), host, subject FROM alert WHERE id = ?)"""

_NOTICE = """
INSERT INTO notice (alert_id, event, time, severity, text)
SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM alert WHERE id = ?1)"""

_SENT = """
INSERT OR IGNORE INTO notice_sent (notice_id, channel, time)
SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM notice WHERE id = ?1)"""

_THERE = "SELECT EXISTS (SELECT 1 FROM session WHERE id = ?)"


class Ledger:
    """Writes alerts and notices; may be used from any thread.  Times are UTC ns."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def raise_(self, key: Key, state: State, *, since: int, now: int) -> int:
        """Store a new alert, with a notice unless it is muted; returns its id, 0 where its session is gone."""
        with self._transaction() as tx:
            if key.session is not None and not tx.execute(_THERE, (key.session,)).fetchone()[0]:
                return 0
            values = (
                state.severity, since, state.text, state.detail, state.value, state.limit, state.field, state.unit, now,
            )  # fmt: skip
            done = tx.execute(_RAISE, (key.rule, key.session, key.host, key.subject, *values, _touch(tx, key.session)))
            alert = int(done.lastrowid or 0)
            self._notice(tx, alert, Event.RAISED, state.severity, state.text, now)
        return alert

    def change(self, alert: int, session: int | None, state: State, *, last_bad: int, now: int, worse: bool) -> None:
        """Store what an alert says now; one that got `worse` is told of again."""
        values = (
            state.severity, state.text, state.detail, state.value, state.limit, state.field, state.unit, last_bad,
        )  # fmt: skip
        with self._transaction() as tx:
            tx.execute(_CHANGE, (*values, _touch(tx, session), alert))
            if worse:
                tx.execute("UPDATE alert SET acknowledged = NULL WHERE id = ?", (alert,))
                self._notice(tx, alert, Event.RAISED, state.severity, state.text, now)

    def calm(self, alert: int, session: int | None, text: str, value: float | None, limit: float | None) -> None:
        """Store what holds now of an alert whose rule is not broken any more, until it is over."""
        with self._transaction() as tx:
            tx.execute(_CALM, (text, value, limit, _touch(tx, session), alert))

    def still_bad(self, alerts: Sequence[int], now: int) -> None:
        """Record that the rules of some alerts were broken at a time; this alone is no change that anybody sees."""
        with self._transaction() as tx:
            tx.executemany("UPDATE alert SET last_bad = ? WHERE id = ?", [(now, alert) for alert in alerts])

    def end(self, alert: int, session: int | None, severity: Severity, text: str, *, now: int) -> None:
        """Store that an alert is over, with a notice where people knew of it."""
        with self._transaction() as tx:
            tx.execute(_END, (now, _touch(tx, session), alert))
            (known,) = tx.execute("SELECT EXISTS (SELECT 1 FROM notice WHERE alert_id = ?)", (alert,)).fetchone()
            if known:
                self._notice(tx, alert, Event.OVER, severity, text, now)
            if session is not None:
                history.trim_alerts(tx, session)

    def replaced(self, alert: int, session: int | None, severity: Severity, text: str, *, now: int) -> None:
        """Store that an alert has ended because a worse one about the same thing goes on in its place."""
        with self._transaction() as tx:
            tx.execute(_END, (now, _touch(tx, session), alert))
            tx.execute(_NOTICE, (alert, Event.REPLACED, now, severity, text))
            if session is not None:
                history.trim_alerts(tx, session)

    def tell(self, alert: int, severity: Severity, text: str, *, now: int) -> None:
        """Tell of an alert that was raised while it was muted, and lasts."""
        with self._transaction() as tx:
            self._notice(tx, alert, Event.RAISED, severity, text, now)

    def repeat(self, alert: int, severity: Severity, text: str, *, now: int) -> None:
        """Tell once more of an alert that lasts."""
        with self._transaction() as tx:
            self._notice(tx, alert, Event.REPEATED, severity, text, now)

    def acknowledge(self, alert: int, *, now: int) -> bool:
        """Record that somebody sees to an alert; returns whether there is such a one that lasts."""
        with self._transaction() as tx:
            row = tx.execute("SELECT session_id FROM alert WHERE id = ? AND until IS NULL", (alert,)).fetchone()
            if row is None:
                return False
            tx.execute(
                "UPDATE alert SET acknowledged = coalesce(acknowledged, ?), seq = ? WHERE id = ?",
                (now, _touch(tx, row[0]), alert),
            )
        return True

    def mute(self, alert: int, *, until: int) -> bool:
        """Tell nobody of an alert, nor of the same raised anew, until a time; returns whether there is such a one."""
        return self._muted(alert, _MUTE, (until, alert))

    def unmute(self, alert: int) -> bool:
        """Tell people of a muted alert again from now on; returns whether there is such a one."""
        return self._muted(alert, _UNMUTE, (alert,))

    def _muted(self, alert: int, sql: str, values: tuple[int, ...]) -> bool:
        with self._transaction() as tx:
            row = tx.execute("SELECT session_id FROM alert WHERE id = ?", (alert,)).fetchone()
            if row is None:
                return False
            tx.execute(sql, values)
            tx.execute("UPDATE alert SET seq = ? WHERE id = ?", (_touch(tx, row[0]), alert))
        return True

    def sent(self, notices: Sequence[int], channel: str, *, now: int) -> None:
        """Record that notices have gone to a channel, or need not go there."""
        with self._transaction() as tx:
            tx.executemany(_SENT, [(notice, channel, now) for notice in notices])

    @staticmethod
    def _notice(tx: sqlite3.Connection, alert: int, event: Event, severity: Severity, text: str, now: int) -> None:
        (muted,) = tx.execute(_MUTED, (alert, now)).fetchone()
        if not muted:
            tx.execute(_NOTICE, (alert, event, now, severity, text))


def _touch(tx: sqlite3.Connection, session: int | None) -> int:
    """Take the next place in the order of changes, for an alert and the session that it is about."""
    tx.execute("UPDATE counter SET seq = seq + 1")
    (seq,) = tx.execute("SELECT seq FROM counter").fetchone()
    if session is not None:
        tx.execute("UPDATE session SET seq = ? WHERE id = ?", (seq, session))
    return int(seq)
