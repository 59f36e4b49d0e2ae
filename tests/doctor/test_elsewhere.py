"""The doctor tries mail, webhooks, sftp, Grafana and projects for real, sends nothing, and never hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryowatch.dashboards import STANDARD
from cryowatch.doctor import GrafanaAt, certificates
from cryowatch.grafana.dashboard import compile_grafana
from cryowatch.grafana.push import Grafana, push
from cryowatch.influx.layouts import Layout
from tests.commands.test_cli import project
from tests.doctor.looking import looked, silent
from tests.grafana.server import TOKEN, GrafanaServer
from tests.support.receiver import Receiver
from tests.support.smtp import ACCOUNT, MailServer, server_context
from tests.support.sshd import Sshd, make_key


def mail_section(server: MailServer, folder: Path, ca_file: Path, *, password: str = ACCOUNT[1]) -> str:
    (folder / "mail.password").write_text(password)
    (folder / "mail.password").chmod(0o600)
    return (
        f'[mail]\nhost = "localhost"\nport = {server.port}\nusername = "{ACCOUNT[0]}"\nca_file = "{ca_file}"\n'
        f'password_file = "{folder}/mail.password"\nsender = "a@example.org"\nto = ["b@example.org"]\n'
    )


def test_the_mail_server_is_logged_in_to_and_nothing_is_sent(tmp_path: Path) -> None:
    context, ca_file = server_context(tmp_path / "tls")
    server = MailServer(starttls=context, account=True)
    try:
        found = looked(tmp_path, mail_section(server, tmp_path, ca_file))
        assert found["notices, mail"][0] == "well"
        assert server.logins == [ACCOUNT]
        found = looked(tmp_path, mail_section(server, tmp_path, ca_file, password="wrong-hunter2"))
        assert found["notices, mail"][0] == "bad"
        assert "Check mail.username and the password" in found["notices, mail"][1]
        assert "hunter2" not in str(found)
    finally:
        server.stop()
    assert server.answers.tries == 0
    assert "cannot be reached" in looked(tmp_path, mail_section(server, tmp_path, ca_file))["notices, mail"][1]


def test_a_mail_server_that_refuses_sender_or_recipients_is_told_before_any_alert(tmp_path: Path) -> None:
    context, ca_file = server_context(tmp_path / "tls")
    server = MailServer(starttls=context, account=True)
    config = mail_section(server, tmp_path, ca_file).replace('["b@', '["c@example.org", "b@')
    try:
        server.answers.to = lambda address: "550 5.1.1 nobody here" if address.startswith("b@") else ""
        state, text = looked(tmp_path, config)["notices, mail"]
        assert state == "look"
        assert "b@example.org: 550 5.1.1 nobody here" in text
        server.answers.to = lambda _: "550 5.7.1 relaying denied"
        state, text = looked(tmp_path, config)["notices, mail"]
        assert state == "bad"
        assert "refuses every recipient" in text
    finally:
        server.stop()
    assert server.answers.tries == 0


def test_a_webhooks_host_is_asked_without_the_address_that_is_the_secret(tmp_path: Path) -> None:
    receiver = Receiver()
    config = f'[webhooks.staff]\nurl = "{receiver.url}/services/T0/hunter2"\n'
    found = looked(tmp_path, config)
    receiver.close()
    assert found["notices, webhook staff"][0] == "well"
    assert receiver.bodies == []
    found = looked(tmp_path, config)
    assert found["notices, webhook staff"][0] == "bad"
    assert "hunter2" not in str(found)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


def test_sftp_is_tried_with_a_file_and_another_host_key_is_refused(tmp_path: Path, sshd: Sshd) -> None:
    config = f'[images]\npublish = "{sshd.url}"\nkey_file = "{sshd.key}"\nknown_hosts = "{sshd.known_hosts}"\n'
    assert looked(tmp_path, config)["images"][0] == "well"
    assert list(sshd.root.iterdir()) == []
    sshd.trust(make_key(tmp_path / "other"))
    try:
        verdict, text = looked(tmp_path, config)["images"]
        assert verdict == "bad"
        assert "key" in text
    finally:
        sshd.trust(sshd.host_key)


def test_grafana_is_asked_with_the_token(tmp_path: Path) -> None:
    server = GrafanaServer()
    server.scripted[("GET", "/api/health")] = (200, b'{"version": "12.1.0", "database": "ok"}', {})
    token = tmp_path / "token"
    token.write_text(TOKEN)
    try:
        at = GrafanaAt(url=server.url, token_file=token, dashboards=tmp_path / "none")
        found = looked(tmp_path, at=at)
        assert found["Grafana"] == ("well", f"{server.url}: answers, version 12.1.0")
        assert "Put them there: `cryowatch grafana push` or `provision`" in found["Grafana, account"][1]
        with Grafana(server.url, TOKEN) as grafana:
            list(push(grafana, [compile_grafana(d, Layout.CRYOWATCH) for d in STANDARD]))
        assert looked(tmp_path, at=at)["Grafana, account"][0] == "well"
        token.write_text("glsa_wrong_hunter2")
        found = looked(tmp_path, at=at)
        assert "Check the token" in found["Grafana"][1]
        assert "hunter2" not in str(found)
    finally:
        server.stop()
    assert looked(tmp_path, at=at)["Grafana"][0] == "bad"


def test_images_outside_the_path_of_grafana_are_told(tmp_path: Path) -> None:
    server = GrafanaServer()
    server.scripted[("GET", "/grafana/api/health")] = (200, b'{"version": "12.1.0", "database": "ok"}', {})
    at = GrafanaAt(url=f"{server.url}/grafana/", dashboards=tmp_path / "none")
    config = f'[images]\npublish = "file://{tmp_path}/public"\n'
    try:
        state, text = looked(tmp_path, config, at=at)["Grafana, images"]
        assert state == "look"
        assert 'Write "/grafana/public/img/scipionbox"' in text
        assert "Grafana, images" not in looked(
            tmp_path, f'{config}url_prefix = "/grafana/public/img/scipionbox"\n', at=at
        )
        assert "Grafana, images" not in looked(tmp_path, f'{config}url_prefix = "https://images.org"\n', at=at)
    finally:
        server.stop()


def test_dashboards_of_another_version_are_told(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "cryowatch", "grafana", "provision", "--out", str(tmp_path / "grafana")],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, check=True, capture_output=True,
    )  # fmt: skip
    at = GrafanaAt(dashboards=tmp_path / "grafana" / "dashboards")
    assert looked(tmp_path, at=at)["Grafana, files"][0] == "well"
    file = at.dashboards / "gain.json"
    file.write_text(file.read_text().replace("Gain", "Gains", 1))
    (at.dashboards / "ctf.json").unlink()
    verdict, text = looked(tmp_path, at=at)["Grafana, files"]
    assert verdict == "look"
    assert "ctf.json is missing, gain.json differs. Run `cryowatch grafana provision` again" in text


def test_projects_are_read_as_the_agent_would(tmp_path: Path) -> None:
    root = tmp_path / "projects"
    project(root / "alpha")
    (root / "broken").mkdir()
    (root / "broken" / "project.sqlite").write_bytes(b"no database at all, though it is long enough" * 100)
    found = looked(tmp_path, paths=[root])
    assert found["projects"][0] == "bad"
    assert "broken" in found["projects"][1]
    assert looked(tmp_path, paths=[root / "alpha"])["projects"] == ("well", f"{root / 'alpha'}: 1 of 1 can be read")
    assert looked(tmp_path, paths=[tmp_path / "gone"])["projects"][0] == "bad"
    assert looked(tmp_path)["projects"][0] == "absent"


def test_projects_that_were_watched_are_looked_at_without_being_named(tmp_path: Path) -> None:
    folder = project(tmp_path / "alpha")
    subprocess.run(
        [sys.executable, "-m", "cryowatch", "watch", "--once", "--data-dir", str(tmp_path / "data"), str(folder)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, check=True, capture_output=True,
    )  # fmt: skip
    assert looked(tmp_path)["projects"] == ("well", "1 of the 1 that were watched can be read")
    folder.rename(tmp_path / "moved")
    assert looked(tmp_path)["projects"][0] == "look"


def test_servers_that_never_say_a_word_hold_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "_SECONDS", 0.3)
    with silent() as port:
        config = (
            f'[influx]\nurl = "https://127.0.0.1:{port}"\nusername = "w"\n'
            f'[images]\npublish = "sftp://a@127.0.0.1:{port}/x"\n'
            f'[mail]\nhost = "127.0.0.1"\nport = {port}\nsender = "a@example.org"\nto = ["b@example.org"]\n'
            f'[webhooks.staff]\nurl = "http://127.0.0.1:{port}/x"\n'
        )
        began = time.monotonic()
        found = looked(tmp_path, config, seconds=0.8, at=GrafanaAt(url=f"http://127.0.0.1:{port}"))
    assert time.monotonic() - began < 20
    for what in ("InfluxDB", "images", "Grafana", "notices"):
        assert found[what] == ("bad", "does not answer within 0.8 s. Is a server or a file system away?"), what


def test_a_file_that_never_answers_holds_up_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "token")
    config = f'[influx]\nurl = "http://127.0.0.1:9"\nusername = "w"\npassword_file = "{tmp_path}/token"\n'
    found = looked(tmp_path, config, seconds=0.5)
    assert found["secrets"][0] == "bad"
    assert found["GPUs"]


def test_output_for_programs_and_for_the_hurried(tmp_path: Path) -> None:
    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cryowatch", "doctor", "--config", str(tmp_path / "c.toml"), *more],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    (tmp_path / "taken").touch()
    images = f'[images]\npublish = "file://{tmp_path}/taken"\n'
    (tmp_path / "c.toml").write_text(f'{images}[web]\nlisten = "127.0.0.1:0"\n')
    done = run("--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["healthy"]) == (1, False)
    assert {"what": "pages", "verdict": "well", "text": "127.0.0.1:0 is free"} in said["findings"]
    quiet = run("--quiet")
    assert quiet.returncode == 1
    assert all(line.startswith(("bad", "look")) for line in quiet.stdout.splitlines())
    assert [line.split()[1] for line in quiet.stdout.splitlines() if line.startswith("bad")] == ["images"]
