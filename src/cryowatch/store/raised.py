"""Alerts as they are read: those that last, those that are over, and what they are about.  Times are UTC ns."""

from __future__ import annotations

from collections.abc import Sequence

from cryowatch.store.alert_sql import mute_of, weight
from cryowatch.store.reader import Reader, Row

LATEST = 2**63 - 1

_ALERT = f"""
SELECT a.id, a.rule, session.key AS session, a.host, a.subject, a.severity, a.since, a.until, a.value, a."limit",
       a.field, a.unit, a.text, a.detail, a.acknowledged, mute.until AS muted_until
FROM alert AS a LEFT JOIN session ON session.id = a.session_id
LEFT JOIN mute ON {mute_of("a")} AND mute.until > :now"""

_ACTIVE = f"{_ALERT} WHERE a.until IS NULL ORDER BY {weight('a.severity')} DESC, a.since DESC, a.id DESC"
_ONE = f"{_ALERT} WHERE a.id = :id"
_OF = "(a.session_id = :session OR (a.session_id IS NULL AND a.host = :host))"
_PAST = f"""{_ALERT}
WHERE {_OF} AND a.until >= :start AND a.since <= :stop ORDER BY a.until DESC, a.id DESC LIMIT :most"""
_HEAD = f"SELECT coalesce(max(a.seq), 0) FROM alert AS a WHERE {_OF}"
_BRIEFLY = f"""
SELECT a.rule, a.host, a.subject, a.severity, a.since, a.text FROM alert AS a
WHERE a.until IS NULL AND {_OF} ORDER BY a.since, a.id"""

_CONCERNED = """
SELECT session.id, session.key, session.seq, session.generation FROM session JOIN alert ON alert.id = ?
WHERE session.id = alert.session_id OR (alert.session_id IS NULL AND session.host = alert.host)"""

_LASTING = f"""
SELECT id, rule, session_id, host, subject, severity, since, value, "limit", text, detail, last_bad, acknowledged,
       (SELECT max(time) FROM notice WHERE alert_id = alert.id) AS told,
       (SELECT max(mute.until) FROM mute WHERE {mute_of("alert")}) AS muted_until
FROM alert WHERE until IS NULL AND host = ? ORDER BY id"""

_NEWEST_START = """
SELECT max(coalesce(started, (SELECT min(time) FROM run_state WHERE session_id = run.session_id
                              AND run_state.run = run.run AND run_state.status = 'running')))
FROM run WHERE session_id = ?"""

_NEWEST_ITEM = """
SELECT max((SELECT max(time) FROM micrograph WHERE output_id = output.id)) FROM output WHERE session_id = ?"""


def active(reader: Reader, *, now: int) -> list[Row]:
    """Return all alerts that last, the worst first."""
    return reader.rows(_ACTIVE, {"now": now})


def one(reader: Reader, alert: int, *, now: int) -> Row | None:
    """Return an alert by its id."""
    return next(iter(reader.rows(_ONE, {"id": alert, "now": now})), None)


def past(
    reader: Reader, session: int, host: str | None, *, start: int | None, stop: int | None, most: int, now: int
) -> list[Row]:
    """Return what was over of a session and of a host within some time, the newest first."""
    span = {"start": start or 0, "stop": LATEST if stop is None else stop}
    return reader.rows(_PAST, {"session": session, "host": host, **span, "most": most, "now": now})


def head(reader: Reader, session: int, host: str | None) -> int:
    """Return the position of the last change of an alert of a session or of a host."""
    return int(reader.value(_HEAD, {"session": session, "host": host}))


def briefly(reader: Reader, session: int, host: str) -> list[Row]:
    """Return what lasts of a session and of its host, the oldest first: what it is and what it says."""
    return reader.rows(_BRIEFLY, {"session": session, "host": host})


def concerned(reader: Reader, alert: int) -> list[Row]:
    """Return the sessions that an alert is about: its own, or all of its host."""
    return reader.rows(_CONCERNED, (alert,))


def lasting(reader: Reader, host: str) -> list[Row]:
    """Return the alerts that last on a host, with when each was told last and until when it is muted."""
    return reader.rows(_LASTING, (host,))


def newest_of(reader: Reader, session: int) -> Sequence[int]:
    """Return when a session brought something last, and when a run of it was started last; 0 for never."""
    return [int(reader.value(sql, (session,)) or 0) for sql in (_NEWEST_ITEM, _NEWEST_START)]
