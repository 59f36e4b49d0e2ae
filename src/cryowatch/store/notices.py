"""Notices as a channel needs them: what it has not told, and with what.  Times are UTC ns."""

from __future__ import annotations

import json
from collections.abc import Collection

from cryowatch.store.alert_sql import mute_of, of_weight, weight
from cryowatch.store.reader import Reader, Row

_HEAVIEST = f"max({weight('n.severity')})"
_WORST = f"""
coalesce((SELECT {of_weight(_HEAVIEST)} FROM notice AS n
          WHERE n.alert_id = notice.alert_id AND n.event NOT IN ('over', 'replaced')), notice.severity)"""

_UNSENT = f"""
SELECT notice.id, notice.alert_id, notice.event, notice.time, notice.severity, {_WORST} AS worst FROM notice
WHERE notice.id > ?1 AND NOT EXISTS (SELECT 1 FROM notice_sent WHERE notice_id = notice.id AND channel = ?2)
ORDER BY notice.id"""

_WHOLE = f"""
SELECT notice.id, notice.alert_id, notice.event, notice.time, notice.severity, notice.text AS said, {_WORST} AS worst,
       alert.rule, alert.host, alert.subject, alert.since, alert.until, alert.text, alert.detail, alert.value,
       alert."limit", alert.field, alert.unit, alert.acknowledged, alert.session_id, session.name AS session,
       session.key
FROM json_each(?1) AS wanted JOIN notice ON notice.id = wanted.value JOIN alert ON alert.id = notice.alert_id
LEFT JOIN session ON session.id = alert.session_id
WHERE NOT EXISTS (SELECT 1 FROM mute WHERE {mute_of("alert")} AND mute.until > ?2)
ORDER BY notice.id"""

_THERE = "SELECT notice.id FROM json_each(?) AS wanted JOIN notice ON notice.id = wanted.value"


def newest(reader: Reader) -> int:
    """Return the id of the newest notice of all; 0 where there is none."""
    return int(reader.value("SELECT max(id) FROM notice") or 0)


def last_sent(reader: Reader, channel: str) -> int | None:
    """Return when something went to a channel last."""
    found = reader.value("SELECT max(time) FROM notice_sent WHERE channel = ?", (channel,))
    return None if found is None else int(found)


def unsent(reader: Reader, channel: str, *, after: int) -> list[Row]:
    """Return what was written after a notice and has not gone to a channel, the oldest first."""
    return reader.rows(_UNSENT, (after, channel))


def whole(reader: Reader, notices: Collection[int], *, now: int) -> list[Row]:
    """Return some notices with their alerts and sessions, the oldest first; what is gone or muted now is left out."""
    return reader.rows(_WHOLE, (json.dumps(sorted(notices)), now))


def there(reader: Reader, notices: Collection[int]) -> list[int]:
    """Return which of some notices are still there: they go when their session does."""
    return [row[0] for row in reader.table(_THERE, (json.dumps(sorted(notices)),))[1]]
