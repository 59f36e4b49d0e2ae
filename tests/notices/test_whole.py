"""From a rule to the mail that people read: storms, values that flap, clocks that jump, and what the pages say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cryowatch.alerts.alarms import Alarms
from cryowatch.alerts.rules import STANDARD
from cryowatch.notices.mail import Mail, MailServer
from cryowatch.notices.message import Context
from cryowatch.notices.notifier import Notifier
from cryowatch.notices.pace import quiet_hours
from cryowatch.records import DeviceSample, HostSample
from cryowatch.store import Store
from tests.support import smtp
from tests.support.projects import genuine
from tests.support.serving import serving as watched

HOST = "gpu2"
SECOND = 10**9
STEP = 10.0
MINUTE = 60.0
HOUR = 60 * MINUTE


class Machine:
    """A machine whose samples a test says, its alarms, and mail through a real server; time passes as told."""

    def __init__(self, store: Store, server: smtp.MailServer, *, repeat: float = 0, quiet: str = "") -> None:
        self.now = time.time_ns()
        self.mono = 0.0
        self._taken = server.answers.taken
        self._store = store
        self._alarms = Alarms(store, STANDARD, host=HOST, read_at=lambda _: None, repeat=repeat, clock=lambda: self.now)
        to = MailServer(host="localhost", port=server.port, security="none")
        self._notifier = Notifier(
            store,
            Mail(to, sender="a@example.org", to=["b@example.org"]),
            Context(host=HOST),
            quiet=quiet_hours(quiet, None),
            clock=lambda: self.now,
            mono=lambda: self.mono,
        )

    def live(
        self, seconds: float, *, memory: float | Callable[[int], float] = 40.0, disks: float | None = None
    ) -> list[str]:
        """Sample, look and tell every ten seconds for a while; returns the subjects of the mail that came meanwhile."""
        before = len(self._taken)
        for step in range(round(seconds / STEP)):
            devices = tuple(
                DeviceSample(kind="filesystem", device=f"/data/{number:04d}", used=disks, free=1e9)
                for number in range(1000 if disks is not None else 0)
            )
            used = memory(step) if callable(memory) else memory
            self._store.add_host_sample(HostSample(host=HOST, time=self.now, memory=used, devices=devices))
            self._alarms.step()
            self._notifier.step()
            self.now += round(STEP * SECOND)
            self.mono += STEP
        return [str(message["Subject"]) for message in self._taken[before:]]


@pytest.fixture
def server(serving: Callable[..., smtp.MailServer]) -> smtp.MailServer:
    return serving()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "data")
    yield found
    found.close()


def test_a_storm_of_a_thousand_is_one_mail_and_so_is_its_end(store: Store, server: smtp.MailServer) -> None:
    machine = Machine(store, server)
    assert machine.live(MINUTE, disks=99.0) == ["1,000 critical"]
    plain = server.answers.taken[0].get_body(("plain",))
    assert plain is not None
    text = plain.get_content()
    assert text.count("Critical: Disk /data/") == 30
    assert "and 970 more" in text
    assert machine.live(5 * MINUTE, disks=99.0) == []
    assert machine.live(6 * MINUTE, disks=20.0) == ["1,000 over"]


def test_what_flaps_for_an_hour_is_one_mail_and_one_of_its_end_also_where_the_clock_goes_back(
    store: Store, server: smtp.MailServer
) -> None:
    machine = Machine(store, server)

    def flapping(step: int) -> float:
        return 99.0 if step % 12 < 9 else 90.0

    assert machine.live(15 * MINUTE, memory=99.5) == ["Warning: Memory: 99.5 %, should be below 95.0 % (gpu2)"]
    assert machine.live(HOUR, memory=flapping) == []
    machine.now -= round(HOUR * SECOND)
    assert machine.live(HOUR, memory=flapping) == []
    (over,) = machine.live(30 * MINUTE)
    assert over.startswith("Over: Memory: ")


def test_what_is_said_on_the_pages_holds_for_the_mail(tmp_path: Path, server: smtp.MailServer) -> None:
    with watched([genuine(tmp_path)], tmp_path / "data") as served:
        machine = Machine(served.store, server, repeat=60)

        def say(what: str, **content: int) -> None:
            """Say something of the alert that lasts, as a page does."""
            ((alert,),) = served.store.reader().table("SELECT id FROM alert WHERE until IS NULL AND host = ?", (HOST,))[
                1
            ]
            headers = {"Origin": served.address, "Content-Type": "application/json"}
            path = f"/api/alerts/{alert}/{what}"
            answer = served.client.post(path, content=json.dumps(content).encode(), headers=headers)
            assert answer.status_code == 200, answer.text

        (raised,) = machine.live(10 * MINUTE, memory=99.0)
        assert raised == "Warning: Memory: 99.0 %, should be below 95.0 % (gpu2)"
        still = raised.replace("Warning", "Still warning")
        assert machine.live(65 * MINUTE, memory=99.0) == [still]
        say("acknowledge")
        assert machine.live(2 * HOUR, memory=99.0) == []
        (over,) = machine.live(20 * MINUTE)
        assert over.startswith("Over: Memory: ")
        (again,) = machine.live(15 * MINUTE, memory=99.0)
        assert again.startswith("Warning: Memory: ")
        say("mute", minutes=24 * 60)
        assert machine.live(2 * HOUR, memory=99.0) == []
        say("mute", minutes=0)
        assert machine.live(10 * MINUTE, memory=99.0) == [still]
