"""Rules about the machine that the agent runs on, and about the agent itself.

A host's value is the mean of the last minutes, so that a peak is none; of a file system the newest sample counts.  A
source or sink is in trouble when it has been for some minutes, since its writer may only be busy, or the net away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from cryowatch.alerts.finding import Finding, broken_limit
from cryowatch.alerts.rules import About, Rule
from cryowatch.errors import one_line
from cryowatch.judgement import between, inside
from cryowatch.reading import READABLE
from cryowatch.store import samples
from cryowatch.store.alerts import Key, State
from cryowatch.store.reader import Reader, Row
from cryowatch.times import MINUTE, duration

FEWEST_SAMPLES = 3
_HYSTERESIS = 0.05
_SEEN = 10 * MINUTE
_SOON = 86_400.0


class ShutOut(Protocol):
    """A folder that cannot be looked into although somebody works there: where, why, and since when (UTC ns)."""

    @property
    def where(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def since(self) -> int: ...


def host_findings(reader: Reader, rules: Iterable[Rule], host: str, now: int, *, lately: int) -> Iterator[Finding]:
    """Yield what the rules find about a host; `lately` is in how many ns a few samples come, whatever happens.

    Of a device that is there but does not say its value, and of a host that was hardly sampled yet, nothing is known:
    an alert that lasts goes on.
    """
    for rule in rules:
        file_systems = rule.about is About.FILESYSTEM
        since = now - (lately if file_systems else max(round(rule.minutes * MINUTE), lately))
        kind = rule.about.value
        rows = samples.judged(reader, host, kind, rule.field, since=since, upto=now, fewest=FEWEST_SAMPLES)
        for device, value, known, unsure, first, full_in in rows:
            if known >= FEWEST_SAMPLES:
                yield _judged(rule, host, device, rule.quantity.shown(value), first, full_in)
            elif unsure:
                yield _told_nothing(rule, host, device, now, kept=False)
            elif file_systems:  # its free space is known, and does not shrink
                yield _told_nothing(rule, host, device, now, kept=True)


def _told_nothing(rule: Rule, host: str, device: str, now: int, *, kept: bool) -> Finding:
    text = f"{rule.title} {one_line(device)}: no longer filling up"
    state = State(severity=rule.severity, text=text, field=rule.field, unit=rule.quantity.shown_unit)
    key = Key(rule=rule.name, host=host, subject=device)
    return Finding(key=key, rule=rule, state=state, since=now, broken=False, kept=kept)


def _judged(rule: Rule, host: str, device: str, value: float, since: int, full_in: float | None) -> Finding:
    """Return what a value in shown units says; in how many seconds a disk is full is told along, where that is soon."""
    quantity = rule.quantity
    name = f"{rule.title} {one_line(device)}" if device else rule.title
    label = quantity.label.lower()
    measured = "" if label in rule.title.lower() else f"{label} "
    limits = between(rule.low, rule.high, quantity)
    soon = full_in is not None and full_in < _SOON and rule.field != "full_in"
    more = f"; full in {duration(full_in or 0.0)}" if soon else ""
    low = None if rule.low is None else rule.low + abs(rule.low) * _HYSTERESIS
    high = None if rule.high is None else rule.high - abs(rule.high) * _HYSTERESIS
    return Finding(
        key=Key(rule=rule.name, host=host, subject=device),
        rule=rule,
        state=State(
            severity=rule.severity,
            text=f"{name}: {measured}{quantity.said(value)}, should be {limits}{more}",
            value=value,
            limit=broken_limit(value, rule.low, rule.high),
            field=rule.field,
            unit=quantity.shown_unit,
        ),
        since=since,
        broken=not inside(value, rule.low, rule.high),
        kept=inside(value, low, high),
    )


def source_findings(session: Row, rules: Iterable[Rule], host: str, now: int, *, since: int) -> Iterator[Finding]:
    """Yield what the rules find about reading a session, which was read last, or first tried, at `since` (UTC ns)."""
    well = session["state"] in READABLE
    for rule in rules:
        yield Finding(
            key=Key(rule=rule.name, session=session["id"], host=host),
            rule=rule,
            state=State(
                severity=rule.severity,
                text="Can be read" if well else f"Cannot be read: {session['state_text'] or session['state']}",
            ),
            since=since,
            broken=not well and now - since >= rule.minutes * MINUTE,
            kept=well,
        )


def shut_findings(shut: Iterable[ShutOut], rules: Sequence[Rule], host: str, now: int) -> Iterator[Finding]:
    """Yield what the rules find about folders that cannot be looked into, of which nobody knows whether it is over."""
    for folder in shut:
        name = folder.where.rpartition("/")[2]
        for rule in rules:
            if rule.concerns(name):
                yield Finding(
                    key=Key(rule=rule.name, host=host, subject=folder.where),
                    rule=rule,
                    state=State(severity=rule.severity, text=f"Cannot be read: {folder.where}: {folder.text}"),
                    since=folder.since,
                    broken=now - folder.since >= rule.minutes * MINUTE,
                    kept=False,
                )


def _fares(row: Row) -> str:
    """Say how somebody fares who delivers; what was dropped meanwhile, a person has to know."""
    text = f"{row['follower']}: {row['problem'] or 'well'}"
    if not row["dropped"] or row["dropped_at"] < (row["since"] or 0):
        return text
    return f"{text}; {row['dropped']:,} host samples were dropped before they could be delivered"


def sink_findings(reader: Reader, rules: Iterable[Rule], host: str, now: int) -> Iterator[Finding]:
    """Yield what the rules find about deliveries, images and notices on their way out."""
    followers = reader.followers(since=now - _SEEN)
    for rule in rules:
        for row in followers:
            since = row["since"] or now
            yield Finding(
                key=Key(rule=rule.name, host=host, subject=row["follower"]),
                rule=rule,
                state=State(severity=rule.severity, text=_fares(row)),
                since=since,
                broken=bool(row["problem"]) and now - since >= rule.minutes * MINUTE,
                kept=not row["problem"],
            )
