"""What a channel has still to tell, asked of the store."""

from __future__ import annotations

from collections.abc import Collection

from cryowatch.notices.pace import Notice
from cryowatch.records import Severity
from cryowatch.store import Reader, notices
from cryowatch.store.alerts import Event
from cryowatch.store.reader import Row


class Pending:
    """The notices of one store that have not gone to one channel."""

    def __init__(self, reader: Reader, channel: str) -> None:
        self._reader = reader
        self._channel = channel

    def newest(self) -> int:
        """Return the id of the newest notice of all; 0 where there is none."""
        return notices.newest(self._reader)

    def position(self, follower: str) -> int | None:
        """Return up to which notice everything was dealt with; None for a follower that the store does not know."""
        return self._reader.known_position(follower)

    def last_sent(self) -> int | None:
        """Return when (UTC ns) something went to the channel last."""
        return notices.last_sent(self._reader, self._channel)

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
            for row in notices.unsent(self._reader, self._channel, after=notice)
        ]

    def told(self, wanted: Collection[int], *, now: int) -> list[Row]:
        """Return some notices with their alerts and sessions, oldest first; what is gone or muted now is left out."""
        return notices.whole(self._reader, wanted, now=now)

    def there(self, wanted: Collection[int]) -> list[int]:
        """Return which of some notices are still there: they go when their session does."""
        return notices.there(self._reader, wanted)
