"""The agent tells people by the settings' channels; restarts and servers that are away lose nothing."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cryowatch.agent.build import agent_of
from cryowatch.errors import ConfigError
from cryowatch.images import ImageServer
from cryowatch.notices import notifier as notifying
from cryowatch.notices import pace
from cryowatch.notices.mail import Mail, MailServer
from cryowatch.records import Severity
from cryowatch.settings import effective
from cryowatch.settings.config import Settings, load
from cryowatch.store import Store, status
from cryowatch.store.alerts import Key, State
from tests.notices.told import House, notifier, run
from tests.support import smtp
from tests.support.projects import genuine
from tests.support.receiver import Receiver


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def server(serving: Callable[..., smtp.MailServer]) -> smtp.MailServer:
    return serving()


@pytest.fixture
def chat(receiving: Callable[..., Receiver]) -> Receiver:
    return receiving()


@pytest.fixture
def chosen(tmp_path: Path, server: smtp.MailServer, chat: Receiver) -> Settings:
    file = tmp_path / "cryowatch.toml"
    file.write_text(
        f'data_dir = "{tmp_path / "data"}"\n[web]\nurl = "https://watch.example.org"\n'
        f'[mail]\nhost = "localhost"\nport = {server.port}\nsecurity = "none"\n'
        f'sender = "a@example.org"\nto = ["b@example.org"]\n[webhooks.chat]\nurl = "{chat.url}/GEHEIM"\n'
    )
    return load(file, environment={})


def test_the_agent_tells_and_status_shows_how_it_goes(
    chosen: Settings,
    server: smtp.MailServer,
    chat: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(notifying, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(pace, "URGENT_GATHER_SECONDS", 0.2)
    with contextlib.closing(Store(chosen.data_dir)) as store, contextlib.closing(ImageServer(tmp_path / "i")) as images:
        agent = agent_of(chosen, store, lambda: images, [genuine(tmp_path)])
        agent.start()
        wait_for(lambda: agent.watches and all(watch.session for watch in list(agent.watches.values())))
        session = next(iter(agent.watches.values())).session
        for number in range(3):
            key = Key(rule=f"test-{number}", session=session, host="elsewhere")
            state = State(severity=Severity.CRITICAL, text=f"alert {number}")
            store.ledger().raise_(key, state, since=time.time_ns(), now=time.time_ns())
        wait_for(lambda: server.answers.taken and chat.bodies)
        said = {follower.name: follower.status() for follower in agent.followers}
        agent.stop()
    assert said["notices mail"].where == f"mail through localhost:{server.port}"
    assert said["notices webhook chat"].where == f"webhook chat (localhost:{chat.port})"
    body = server.answers.taken[0].as_string()
    assert "alert 0" in body
    assert "https://watch.example.org/s/small/summary" in body
    out = io.StringIO()
    status.status(chosen.data_dir, bounds=(), as_json=False, out=out)
    printed = out.getvalue()
    assert "notices mail: well; 0 notices behind" in printed
    assert "GEHEIM" not in printed + "".join(capsys.readouterr())


def test_a_mistake_in_a_channel_ends_the_start(chosen: Settings, tmp_path: Path) -> None:
    wrong = chosen.model_copy(update={"mail": chosen.mail.model_copy(update={"to": []})})
    with contextlib.closing(Store(chosen.data_dir)) as store, contextlib.closing(ImageServer(tmp_path / "i")) as images:
        with pytest.raises(ConfigError, match=r"mail\.to: is missing"):
            agent_of(wrong, store, lambda: images, [])
        off = wrong.model_copy(update={"alerts": wrong.alerts.model_copy(update={"enabled": False})})
        assert agent_of(off, store, lambda: images, []).followers == ()


def test_a_demo_tells_nobody(tmp_path: Path, chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYOWATCH_CONFIG", str(chosen.file))
    demo = effective.demo_settings(tmp_path / "demo", 0)
    assert (demo.mail.host, demo.webhooks, demo.apprise.urls_file) == ("", {}, None)


def test_a_mail_server_that_is_away_gets_everything_once_when_it_is_back(house: House, server: smtp.MailServer) -> None:
    mail = Mail(
        MailServer(host="localhost", port=server.port, security="none"), sender="a@example.org", to=["b@example.org"]
    )
    told = notifier(house, mail, digest_minutes=0)
    server.stop()
    alerts = [house.raise_(text=f"alert {number}.") for number in range(5)]
    run(told, house.time, 120)
    assert "Connection refused" in told.status().problem
    house.end(alerts[0])
    told = notifier(house, mail, digest_minutes=0)  # a restart meanwhile
    run(told, house.time, 120)
    server.start()
    run(told, house.time, 120)
    run(notifier(house, mail, digest_minutes=0), house.time, 120)
    (got,) = server.answers.taken
    body = got.get_body(("plain",))
    assert body is not None
    for number in range(5):
        assert body.get_content().count(f"alert {number}.") == 1
    assert told.status().problem == ""


def test_a_message_that_was_accepted_but_not_marked_has_the_same_id_again(
    house: House, server: smtp.MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = Mail(
        MailServer(host="localhost", port=server.port, security="none"), sender="a@example.org", to=["b@example.org"]
    )
    told = notifier(house, mail)
    house.raise_()

    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr(told._ledger, "sent", killed)
    with pytest.raises(Killed):
        run(told, house.time, 60)
    run(notifier(house, mail), house.time, 600)
    first, again = server.answers.taken
    assert first["Message-ID"] == again["Message-ID"]


def test_a_recipient_who_is_refused_is_shown_until_mended_and_repeats_nothing(
    house: House, server: smtp.MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    account = MailServer(host="localhost", port=server.port, security="none")
    mail = Mail(account, sender="a@example.org", to=["b@example.org", "c@example.org"])
    server.answers.to = lambda address: "550 nobody here" if address.startswith("c@") else ""
    told = notifier(house, mail, digest_minutes=0)
    for _ in range(2):
        house.raise_()
        run(told, house.time, 600)
    assert server.answers.recipients == [["b@example.org"]] * 2
    assert "c@example.org: 550 nobody here" in told.status().problem
    assert (told.status().needs_person, told.behind) == (True, 0)
    assert len([record for record in caplog.records if record.name.startswith("cryowatch")]) == 1
    server.answers.to = lambda _: ""
    house.raise_()
    run(told, house.time, 600)
    assert server.answers.recipients[2] == ["b@example.org", "c@example.org"]
    assert told.status().problem == ""
