"""What is said: one message of all that is told at one time, an alert in each entry.

Every text that comes from a project (its name, its runs, their errors) is one line without control characters; how it
is kept from meaning anything in HTML or in a chat is up to those who write it there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Literal
from zoneinfo import ZoneInfo

from cryowatch.errors import one_line
from cryowatch.records import RECORDS, Severity, quantities, spaced
from cryowatch.store.alerts import Event
from cryowatch.store.reader import Row
from cryowatch.times import DAY, MINUTE, SECOND, duration

MOST_ENTRIES = 30
MOST_CHARACTERS = 500
_SUBJECT_CHARACTERS = 150
_MEASURED = ("micrograph", "gain", "host", "device")

What = Literal["raised", "repeated", "over", "passed"]
"""`passed`: raised and over before anybody could be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One alert in a message; `reason` is why it is over, times are UTC ns, `value` and `limit` in `unit`.

    `detail` is what there is to say beyond the text, in lines: the whole error of a run.
    """

    what: What
    severity: Severity
    text: str
    rule: str
    host: str
    since: int
    until: int | None = None
    reason: str = ""
    detail: str = ""
    session: str = ""
    session_id: int | None = None
    subject: str = ""
    field: str = ""
    unit: str = ""
    value: float | None = None
    limit: float | None = None
    acknowledged: bool = False
    url: str = ""

    @property
    def place(self) -> str:
        """The session that it is about, else the host."""
        return self.session or self.host

    @property
    def label(self) -> str:
        """How it is introduced."""
        return {"raised": self.severity.capitalize(), "repeated": f"Still {self.severity}", "over": "Over"}.get(
            self.what, "Was"
        )

    @property
    def measured(self) -> str:
        """Value and limit with their unit, as the pages write them; empty where there is none."""
        shown = [
            f"{word} {amount(number, self.field, self.unit)}"
            for word, number in (("value", self.value), ("limit", self.limit))
            if number is not None
        ]
        return ", ".join(shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What all messages of one agent share: where its pages are (empty: nowhere known), whose times are shown."""

    host: str
    url: str = ""
    zone: ZoneInfo | None = None
    facility: str = ""

    def page(self, key: str | None) -> str:
        """Return the address of a session's page, or of all sessions'; empty where it is not known."""
        if not self.url:
            return ""
        return f"{self.url}/s/{key}/summary" if key else f"{self.url}/"

    def moment(self, time: int, now: int) -> str:
        """Return a time (UTC ns) as people here read it, with its zone, and its day where that is another one."""
        local, today = (datetime.fromtimestamp(t // SECOND, self.zone).astimezone(self.zone) for t in (time, now))
        day = "" if local.date() == today.date() else f"{local.day} {local:%b} "
        if abs(now - time) > 300 * DAY:
            day = f"{local.day} {local:%b %Y} "
        return f"{day}{local:%H:%M %Z}"

    def lasted(self, entry: Entry, now: int) -> str:
        """Return since when an alert lasts, or from when to when it did."""
        begin = self.moment(entry.since, now)
        if entry.until is None:
            return f"since {begin}, for {duration((now - entry.since) / SECOND)}"
        return f"from {begin} to {self.moment(entry.until, now)}, for {duration((entry.until - entry.since) / SECOND)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What goes to a channel at once: `more` alerts are not listed, `older` ones neither (over for long).

    `id` is the same for the same notices of the same agent and channel, so that receivers can tell a repetition.
    """

    id: str
    time: int
    context: Context
    entries: tuple[Entry, ...]
    counts: Mapping[str, int]
    more: int = 0
    older: int = 0
    refused: str = ""
    """Why the alerts are counted only: the server does not take a message with their texts."""
    trial: bool = False

    @property
    def severity(self) -> Severity:
        """The worst that is new or lasts; of what is over alone, info."""
        found = [s for s in (Severity.CRITICAL, Severity.WARNING) if self.counts.get(s)]
        return found[0] if found else Severity.INFO

    @property
    def subject(self) -> str:
        """One line: the alert itself where there is one, else how many of which kind."""
        if self.trial:
            return "cryowatch: a test, nothing has happened"
        if len(self.entries) == 1 and not self.more and not self.older:
            entry = self.entries[0]
            return cut(f"{entry.label}: {entry.text} ({entry.place})", _SUBJECT_CHARACTERS)
        places = {entry.place for entry in self.entries}
        where = f" ({places.pop()})" if len(places) == 1 and not self.more else ""
        return cut(f"{self.summary}{where}", _SUBJECT_CHARACTERS)

    @property
    def summary(self) -> str:
        """How many alerts of which kind."""
        words = []
        for kind, one, many in (
            (Severity.CRITICAL, "critical", "critical"),
            (Severity.WARNING, "warning", "warnings"),
            (Severity.INFO, "information", "information"),
            ("over", "over", "over"),
            ("passed", "came and went", "came and went"),
        ):
            number = self.counts.get(kind, 0)
            if number:
                words.append(f"{number:,} {one if number == 1 else many}")
        text = ", ".join(words) or "older alerts"
        return f"{text[0].upper()}{text[1:]}"

    @property
    def rest(self) -> tuple[str, ...]:
        """What is to be said of alerts that are not listed."""
        lines = []
        if self.trial:
            lines.append("This is a test of how people are told of alerts. Nothing has happened.")
        if self.refused:
            lines.append(f"The alerts are not listed, since their texts were refused: {self.refused}")
        elif self.more:
            lines.append(f"and {self.more:,} more")
        if self.older:
            lines.append(f"and {self.older:,} that were over more than a day ago, and could not be told of in time")
        return tuple(lines)

    def bare(self, reason: str) -> Message:
        """Return the message without the texts of its alerts, for a server that refuses them."""
        return replace(self, entries=(), more=self.more + len(self.entries), refused=cut(one_line(reason), 200))

    def first(self, number: int) -> Message:
        """Return the message with at most so many entries listed."""
        left = len(self.entries) - number
        return replace(self, entries=self.entries[:number], more=self.more + left) if left > 0 else self

    @property
    def bodies(self) -> Iterator[list[str]]:
        """Yield each entry as lines of plain text: what, then where, since when, how much."""
        for entry in self.entries:
            lines = [f"{entry.label}: {entry.text}"]
            lines.append(f"{'session' if entry.session else 'host'} {entry.place}")
            lines.append(self.context.lasted(entry, self.time))
            if entry.measured:
                lines.append(entry.measured)
            if entry.reason:
                lines.append(f"now: {entry.reason}")
            if entry.session and entry.host:
                lines.append(f"host {entry.host}")
            if entry.acknowledged:
                lines.append("somebody sees to it")
            if entry.url:
                lines.append(entry.url)
            yield lines

    @property
    def plain(self) -> str:
        """The whole message as plain text."""
        blocks = ["\n  ".join([*lines, *_under(entry)]) for entry, lines in zip(self.entries, self.bodies, strict=True)]
        if len(self.entries) != 1 and not self.trial:
            blocks.insert(0, self.summary)
        blocks += self.rest
        if self.context.url and not any(entry.url for entry in self.entries):
            blocks.append(self.context.page(None))
        return "\n\n".join([*blocks, f"-- \n{self.signature}"]) + "\n"

    @property
    def signature(self) -> str:
        """Who says this."""
        facility = f" for {one_line(self.context.facility)}" if self.context.facility else ""
        return f"cryowatch on {one_line(self.context.host)}{facility}"


def _under(entry: Entry) -> list[str]:
    """Return what stands under the lines of an entry, where a message has room for it."""
    return ["", *(f"| {line}" for line in entry.detail.split("\n"))] if entry.detail else []


def compose(rows: Sequence[Row], context: Context, *, channel: str, now: int, age: int) -> Message:
    """Return what is said of some notices (see `Pending.told`).

    An alert is one entry, whatever was noted of it.  Those that were over for longer than `age` (ns) are only counted;
    what still lasts is always told.  The worst comes first, then what is newest; what is over comes last.
    """
    entries, older = [], 0
    counts: dict[str, int] = {}
    for _, group in groupby(sorted(rows, key=itemgetter("alert_id")), key=itemgetter("alert_id")):
        entry = _entry(list(group), context)
        if entry.until is not None and now - entry.until > age:
            older += 1
            continue
        entries.append(entry)
        kind = entry.what if entry.what in ("over", "passed") else entry.severity
        counts[kind] = counts.get(kind, 0) + 1
    entries.sort(key=lambda e: (e.until is not None, -e.severity.weight, -e.since))
    identity = "\0".join([context.host, channel, *(f"{row['id']} {row['time']}" for row in rows)])
    return Message(
        id=hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:32],
        time=now,
        context=context,
        entries=tuple(entries[:MOST_ENTRIES]),
        counts=counts,
        more=max(0, len(entries) - MOST_ENTRIES),
        older=older,
    )


def _entry(notices: Sequence[Row], context: Context) -> Entry:
    """Return what a group of notices of one alert, oldest first, amounts to."""
    newest = notices[-1]
    events = {Event(row["event"]) for row in notices}
    over = Event.OVER in events
    what: What = "repeated" if Event.RAISED not in events else "raised"
    if over:
        what = "passed" if Event.RAISED in events else "over"
    severity = max((Severity(row["worst" if over else "severity"]) for row in notices), key=attrgetter("weight"))
    return Entry(
        what=what,
        severity=severity,
        text=cut(one_line(newest["text"]), MOST_CHARACTERS),
        rule=newest["rule"],
        host=one_line(newest["host"]),
        since=newest["since"],
        until=newest["until"] if newest["until"] is not None or not over else newest["time"],
        reason=cut(one_line(newest["said"]), MOST_CHARACTERS) if over else "",
        detail="" if over else "\n".join(map(one_line, newest["detail"].split("\n"))),
        session=one_line(newest["session"] or ""),
        session_id=newest["session_id"],
        subject=one_line(newest["subject"]),
        field=newest["field"],
        unit=newest["unit"],
        value=newest["value"],
        limit=newest["limit"],
        acknowledged=newest["acknowledged"] is not None and not over,
        url=context.page(newest["key"]),
    )


def trial(context: Context, *, channel: str, now: int) -> Message:
    """Return a message that tests a channel: it looks like a real one and says that it is none."""
    entry = Entry(
        what="raised",
        severity=Severity.INFO,
        text="Defocus: only 4 of the last 25 micrographs within 0.10–4.00 µm (median 4.31 µm)",
        rule="test",
        session="a made-up session",
        host=one_line(context.host),
        since=now - 35 * MINUTE,
        field="defocus",
        unit="µm",
        value=4.31,
        limit=4.0,
        url=context.page(None),
    )
    identity = hashlib.sha256(f"{context.host}\0{channel}\0{now}".encode()).hexdigest()[:32]
    return Message(id=identity, time=now, context=context, entries=(entry,), counts={Severity.INFO: 1}, trial=True)


def amount(value: float, field: str, unit: str) -> str:
    """Return a shown value with its unit, with as many decimals as the pages give its field, else no needless ones."""
    known = next((q for q in (quantities(RECORDS[record]).get(field) for record in _MEASURED) if q is not None), None)
    if known is not None and known.decimals is not None:
        return known.said(value)
    return f"{value:,.3f}".rstrip("0").rstrip(".") + spaced(unit)


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters, with an ellipsis where something is missing."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def sessions(entries: Iterable[Entry]) -> list[int]:
    """Return the row ids of the sessions that entries are about, those of the first entries first."""
    return list(dict.fromkeys(entry.session_id for entry in entries if entry.session_id is not None))
