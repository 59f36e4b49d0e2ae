"""When people are told: what happens together goes together, not too often, and at night only what cannot wait.

How long something has waited already is known by the clock's times and never taken as less than nothing or more than
the whole wait; the wait itself is counted by a clock that only goes forward.  So a clock that is set back neither
repeats a message nor holds one up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from cryowatch.records import Severity
from cryowatch.store.alerts import Event
from cryowatch.times import SECOND

GATHER_SECONDS = 20.0
URGENT_GATHER_SECONDS = 5.0
URGENT_GAP_SECONDS = 60.0
"""Between two messages with new critical alerts: each of a storm in a message of its own would be noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice on its way: `worst` is the worst that was ever said of its alert, `time` in UTC ns."""

    id: int
    alert: int
    event: Event
    time: int
    severity: Severity
    worst: Severity

    @property
    def urgent(self) -> bool:
        """Whether it waits for nothing but what happens at the same moment."""
        return self.event in (Event.RAISED, Event.REPEATED) and self.severity is Severity.CRITICAL

    def concerns(self, least: Severity) -> bool:
        """Return whether it goes where only this severity and worse is told: an end goes where its alert went."""
        return (self.worst if self.event is Event.OVER else self.severity).weight >= least.weight


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of the local day, from the first up to the second, also over midnight; a zone of None is the machine's."""

    start: time
    end: time
    zone: ZoneInfo | None

    def holds(self, now: int) -> bool:
        """Return whether a time (UTC ns) lies in them."""
        clock = datetime.fromtimestamp(now // SECOND, self.zone).time()
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


def quiet_hours(text: str, zone: ZoneInfo | None) -> QuietHours | None:
    """Return what a text such as `22:00-07:00` says; None for an empty one."""
    found = re.fullmatch(r"(\d\d:\d\d)-(\d\d:\d\d)", text)
    return QuietHours(time.fromisoformat(found[1]), time.fromisoformat(found[2]), zone) if found else None


class Pace:
    """Decides which of the waiting notices go now; `mono` is a time in seconds that only goes forward."""

    def __init__(self, *, digest_minutes: float, quiet: QuietHours | None) -> None:
        self._gap = digest_minutes * 60
        self._quiet = quiet
        self._ready: dict[int, float] = {}
        self._next = -float("inf")
        self._next_urgent = -float("inf")

    def take_up(self, last: int | None, *, now: int, mono: float) -> None:
        """Take note of when (UTC ns) the last message went, before this began."""
        if last is not None:
            self._next = mono + self._gap - _between(0.0, (now - last) / SECOND, self._gap)

    def due(self, notices: Sequence[Notice], *, now: int, mono: float) -> list[Notice]:
        """Return what goes now, as one message; nothing while it is better to wait."""
        self._ready = {n.id: self._ready[n.id] if n.id in self._ready else _ready(n, now, mono) for n in notices}
        allowed = self.allowed(notices, now)
        urgent = self._first(n for n in allowed if n.urgent)
        if mono >= max(self._first(allowed), self._next) or mono >= max(urgent, self._next_urgent):
            return allowed
        return []

    def allowed(self, notices: Sequence[Notice], now: int) -> list[Notice]:
        """Return what may go at this hour."""
        if self._quiet is None or not self._quiet.holds(now):
            return list(notices)
        chosen = {n.alert for n in notices if n.urgent or (n.event is Event.OVER and n.worst is Severity.CRITICAL)}
        return [n for n in notices if n.alert in chosen]

    def went(self, notices: Sequence[Notice], *, mono: float) -> None:
        """Take note that a message went."""
        self._next = mono + self._gap
        if any(n.urgent for n in notices):
            self._next_urgent = mono + URGENT_GAP_SECONDS

    def _first(self, notices: Iterable[Notice]) -> float:
        return min((self._ready[n.id] for n in notices), default=float("inf"))


def _ready(notice: Notice, now: int, mono: float) -> float:
    """Return when (by the clock that only goes forward) a notice has been gathered for long enough."""
    wait = URGENT_GATHER_SECONDS if notice.urgent else GATHER_SECONDS
    return mono + wait - _between(0.0, (now - notice.time) / SECOND, wait)


def _between(low: float, value: float, high: float) -> float:
    return min(max(low, value), high)
