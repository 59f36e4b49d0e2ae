"""In which zone the local times of a project are read.

Scipion writes a project's and its runs' times in the local time of its machine and names no zone.  The zone is the one
of `time_zone` in the settings, else this machine's, and either may be another than Scipion's: a container is in UTC.
The project shows that itself, as the time of its creation stands there twice: local, with microseconds, in the value of
`CreationTime`, and in whole seconds and UTC in the column `creation` of the same row, as SQLite's `datetime('now')`
gave it.  Their difference is how far Scipion's clocks were ahead of UTC then.

Where the zone disagrees with that, the difference itself is used in place of this machine's zone; a zone that somebody
named is kept.  A time that one zone puts before the row that holds it was made, or after the file was written last, is
looked for in the other and in both of the hours that a change of the clocks repeats.  One that is after the file's last
change in each of them is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from cryowatch.reading import ZONE, Trouble
from cryowatch.sources.scipion.scalars import local_time
from cryowatch.times import duration

SLACK = 10 * 60 * 10**9
"""By how much the clocks of a file's server and of the machine that computes may differ; zones differ by more."""

SAME_BEFORE, SAME_AFTER = 2_000, 10**9
"""Scipion keeps a file's time in microseconds, rounded; a copied file's may have lost its fraction of a second."""

_QUARTER = 900
_FARTHEST = 14 * 3600
_MADE_WITHIN = 2.0
_REMEDY = 'Set time_zone in cryowatch.toml to that of Scipion\'s machine, as time_zone = "Europe/Madrid"'


@dataclass(slots=True)
class LocalTimes:
    """Reads the local times of one project, of which nothing was written after `latest` (UTC ns).

    `zones` are tried in order (None: this machine's), `ahead` is how far Scipion's clocks were ahead of UTC when the
    project was made, as it says itself (None: it does not say), and `beyond` by how many ns the latest time that could
    not be is beyond `latest`.
    """

    zones: tuple[tzinfo | None, ...]
    latest: int
    ahead: timedelta | None = None
    created: int | None = None
    beyond: int = 0
    _disagreement: str = ""

    def utc(self, text: str | None, *, latest: int | None = None, earliest: int | None = None) -> int | None:
        """Return a time as UTC ns; None where there is none, or where it cannot be."""
        latest = self.latest if latest is None else latest
        times = list(self.readings(text))
        possible = [time for time in times if time <= latest + SLACK]
        if times and not possible:
            self.beyond = max(self.beyond, min(times) - latest)
        likely = (time for time in possible if earliest is None or time >= earliest - SLACK)
        return next(likely, possible[0] if possible else None)

    def is_that_of(self, text: str | None, changed: int) -> bool:
        """Return whether a local time is the one at which a file was changed (UTC ns)."""
        return any(-SAME_BEFORE <= time - changed <= SAME_AFTER for time in self.readings(text))

    def readings(self, text: str | None) -> Iterator[int]:
        """Yield what a time may mean, the likeliest first: in each zone, and in both hours that are called so."""
        for zone in self.zones:
            for fold in (0, 1):
                time = local_time(text, zone, fold=fold)
                if time is not None:
                    yield time

    def trouble(self, where: str) -> Trouble | None:
        """Return what speaks against the zone; None where nothing does."""
        if self._disagreement:
            return Trouble(where=where, state=ZONE, text=self._disagreement)
        if self.beyond:
            half_hours = -(-self.beyond // (1800 * 10**9))
            text = (
                f"holds a time that is about {duration(1800 * half_hours)} ahead of {named(self.zones[0], self.latest)}"
            )
            return Trouble(where=where, state=ZONE, text=f"{text}, and counts as none. {_REMEDY}")
        return None


def local_times(zone: ZoneInfo | None, value: str | None, creation: str | None, *, latest: int) -> LocalTimes:
    """Return what reads a project's times: `value` and `creation` are of its row `CreationTime`."""
    made = local_time(creation, UTC)
    ahead = _ahead(value, creation)
    if ahead is None or made is None:
        found = LocalTimes((zone,), latest)
        found.created = found.utc(value)
        return found
    own = timezone(ahead)
    created = local_time(value, own)
    if ahead == _offset(made, zone):
        return LocalTimes((zone,), latest, ahead, created)
    zones = (own, None) if zone is None else (zone, own)
    difference = ahead - _offset(made, zone)
    way = "ahead of" if difference > timedelta(0) else "behind"
    text = f"Scipion's times are {duration(abs(difference).total_seconds())} {way} {named(zone, made)}. {_REMEDY}"
    return LocalTimes(zones, latest, ahead, created, _disagreement=text)


def named(zone: tzinfo | None, time: int) -> str:
    """Return what a zone is called at a time (UTC ns), for people."""
    if isinstance(zone, ZoneInfo):
        return f"the zone {zone.key}"
    return f"this machine's zone ({datetime.fromtimestamp(time // 10**9, zone).astimezone(zone).tzname()})"


def _ahead(value: str | None, creation: str | None) -> timedelta | None:
    """Return how far local time was ahead of UTC, in whole quarters of an hour; None where the two do not go together.

    An old project may have got its row long after it was made, and a database that was put together anew has another
    time in that column.
    """
    local, utc = (local_time(text, UTC) for text in (value, creation))
    if local is None or utc is None:
        return None
    seconds = (local - utc) / 1e9
    quarters = round(seconds / _QUARTER) * _QUARTER
    if abs(quarters) > _FARTHEST or abs(seconds - quarters) > _MADE_WITHIN:
        return None
    return timedelta(seconds=quarters)


def _offset(time: int, zone: tzinfo | None) -> timedelta:
    return datetime.fromtimestamp(time // 10**9, UTC).astimezone(zone).utcoffset() or timedelta(0)
