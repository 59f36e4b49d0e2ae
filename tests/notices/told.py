"""Alerts for tests of who is told of them, and clocks that say what they are told."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryowatch.errors import SinkError
from cryowatch.images import Rendered
from cryowatch.notices.message import Context, Message, compose
from cryowatch.notices.notifier import Notifier
from cryowatch.notices.pace import quiet_hours
from cryowatch.notices.pending import Pending
from cryowatch.records import Severity
from cryowatch.store import Store
from cryowatch.store.alerts import Key, State
from tests.support.records import START, reading, session

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


class Time:
    """A wall clock and one that only goes forward; `pass_` moves both."""

    def __init__(self, now: int = START) -> None:
        self.now = now
        self.mono = 1000.0

    def clock(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.mono

    def pass_(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)
        self.mono += seconds


class House:
    """A store with a session, in which alerts come and go."""

    def __init__(self, folder: Path, time: Time, *, name: str = "alpha") -> None:
        self.store = Store(folder)
        self.ledger = self.store.ledger()
        self.time = time
        self.session = self.store.register(session(f"/projects/{name}")).session
        self.store.commit(self.session, reading(), now=time.now)
        self._numbers = itertools.count()

    def raise_(self, severity: Severity = Severity.WARNING, text: str = "Defocus: too low", **values: Any) -> int:
        """Raise an alert of the session, each of another rule."""
        place = {"session": self.session, **values.pop("place", {})}
        key = Key(rule=f"rule-{next(self._numbers)}", host="gpu1", **place)
        since = values.pop("since", self.time.now)
        return self.ledger.raise_(key, State(severity=severity, text=text, **values), since=since, now=self.time.now)

    def end(self, alert: int, severity: Severity = Severity.WARNING, text: str = "Defocus: well again") -> None:
        """Let an alert be over."""
        self.ledger.end(alert, self.session, severity, text, now=self.time.now)

    def replaced(self, alert: int, severity: Severity = Severity.WARNING) -> None:
        """Let a worse alert about the same thing take the place of one."""
        self.ledger.replaced(alert, self.session, severity, "replaced", now=self.time.now)


@dataclass
class Recording:
    """A channel that keeps what it is given, and fails as it is told."""

    name: str = "mail"
    severity: Severity = Severity.WARNING
    pictured: bool = False
    where: str = "a channel for tests"
    messages: list[Message] = field(default_factory=list)
    pictures: list[Mapping[int, Rendered]] = field(default_factory=list)
    failure: SinkError | None = None
    tries: int = 0

    def send(self, message: Message, pictures: Mapping[int, Rendered]) -> str:
        self.tries += 1
        if self.failure is not None:
            raise self.failure
        self.messages.append(message)
        self.pictures.append(pictures)
        return ""


def message(house: House, **values: Any) -> Message:
    """Return a message of everything that was noted in a house."""
    context = Context(**{"host": "gpu1", "url": "https://watch.example.org", **values})
    pending = Pending(house.store.reader(), "mail")
    ids = [notice.id for notice in pending.after(0)]
    return compose(pending.told(ids, now=house.time.now), context, channel="mail", now=house.time.now, age=10**18)


def notifier(house: House, channel: Any, *, quiet: str = "", zone: Any = None, **values: Any) -> Notifier:
    """Return who tells of what happens in a house."""
    context = values.pop("context", Context(host="gpu1", url="https://watch.example.org", zone=zone))
    return Notifier(
        house.store,
        channel,
        context,
        quiet=quiet_hours(quiet, zone),
        clock=house.time.clock,
        mono=house.time.monotonic,
        chance=lambda: 1.0,
        **values,
    )


def run(told: Notifier, time: Time, seconds: float) -> None:
    """Let some time pass, in which the notifier comes as often as it wants to."""
    end = time.mono + seconds
    while time.mono < end:
        time.pass_(min(told.step(), end - time.mono))
    told.step()
