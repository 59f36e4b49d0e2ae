"""What a channel has still to tell, asked of the store."""

from __future__ import annotations

import json
from collections.abc import Collection

from cryowatch.notices.pace import Notice
from cryowatch.records import Severity
from cryowatch.store import Reader
from cryowatch.store.alerts import Event
from cryowatch.store.reader import Row

_WORST = """
coalesce((SELECT CASE max(CASE n.severity WHEN 'critical' THEN 2 WHEN 'warning' THEN 1 ELSE 0 END)
                 WHEN 2 THEN 'critical' WHEN 1 THEN 'warning' ELSE 'info' END
          FROM notice AS n
          WHERE n.alert_id = notice.alert_id AND n.event NOT IN ('over', 'replaced')), notice.severity)"""

_NEW = f"""
SELECT notice.id, notice.alert_id, notice.event, notice.time, notice.severity, {_WORST} AS worst FROM notice
WHERE notice.id > ?1 AND NOT EXISTS (SELECT 1 FROM notice_sent WHERE notice_id = notice.id AND channel = ?2)
ORDER BY notice.id"""

_TOLD = f"""
SELECT notice.id, notice.alert_id, notice.event, notice.time, notice.severity, notice.text AS said, {_WORST} AS worst,
       alert.rule, alert.host, alert.subject, alert.since, alert.until, alert.text, alert.detail, alert.value,
       alert."limit", alert.field, alert.unit, alert.acknowledged, alert.session_id, session.name AS session,
       session.key
FROM json_each(?1) AS wanted JOIN notice ON notice.id = wanted.value JOIN alert ON alert.id = notice.alert_id
LEFT JOIN session ON session.id = alert.session_id
WHERE NOT EXISTS (
    SELECT 1 FROM mute WHERE mute.rule = alert.rule AND mute.session_id = coalesce(alert.session_id, 0)
    AND mute.host = alert.host AND mute.subject = alert.subject AND mute.until > ?2)
ORDER BY notice.id"""

_THERE = "SELECT notice.id FROM json_each(?) AS wanted JOIN notice ON notice.id = wanted.value"
_LAST_SENT = "SELECT max(time) FROM notice_sent WHERE channel = ?"


class Pending:
    """The notices of one store that have not gone to one channel."""

    def __init__(self, reader: Reader, channel: str) -> None:
        self._reader = reader
        self._channel = channel

    def newest(self) -> int:
        """Return the id of the newest notice of all; 0 where there is none."""
        return int(self._reader.value("SELECT max(id) FROM notice") or 0)

    def position(self, follower: str) -> int | None:
        """Return up to which notice everything was dealt with; None for a follower that the store does not know."""
        found = self._reader.value("SELECT seq FROM position WHERE follower = ?", (follower,))
        return None if found is None else int(found)

    def last_sent(self) -> int | None:
        """Return when (UTC ns) something went to the channel last."""
        found = self._reader.value(_LAST_SENT, (self._channel,))
        return None if found is None else int(found)

    def after(self, notice: int) -> list[Notice]:
        """Return what was written after a notice and has not gone, oldest first."""
        return [
            Notice(
                id=row["id"],
                alert=row["alert_id"],
                event=Event(row["event"]),
                time=row["time"],
                severity=Severity(row["severity"]),
                worst=Severity(row["worst"]),
            )
            for row in self._reader.rows(_NEW, (notice, self._channel))
        ]

    def told(self, notices: Collection[int], *, now: int) -> list[Row]:
        """Return some notices with their alerts and sessions, oldest first; what is gone or muted now is left out."""
        return self._reader.rows(_TOLD, (json.dumps(sorted(notices)), now))

    def there(self, notices: Collection[int]) -> list[int]:
        """Return which of some notices are still there: they go when their session does."""
        return [row[0] for row in self._reader.table(_THERE, (json.dumps(sorted(notices)),))[1]]
