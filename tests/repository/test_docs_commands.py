"""What README and docs tell a person to type is typed here, line by line, and their settings are loaded.

Each page has a folder of its own; home, projects and servers are those of one small facility: an influxd with accounts
and TLS, an sshd, and what of Grafana's API is used.  A command that is neither run nor named in NOT_RUN fails.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer

from cryowatch import cli
from cryowatch.settings.config import load
from cryowatch.system import certificates
from tests.grafana.server import TOKEN, GrafanaServer
from tests.settings.test_secrets import b64
from tests.support.docs import ROOT, blocks, commands, pages
from tests.support.influxd import InfluxServer
from tests.support.serving import demo_project
from tests.support.sshd import Sshd
from tests.system.test_unit import verified

BIN = Path(sys.executable).parent
SECONDS = 60
SETUP = "docs/setup.md"
"""A page that tests/setup/test_setup.py follows on a machine of its own."""

NOT_RUN = {
    r"python3 -m venv |~?\S*pip install |sudo \S*/pip |sudo python3 ": "test_wheel.py installs what is built",
    r"sudo ln -s /opt/|(sudo )?ln -s \S+ /usr/share/grafana/": "writes to the machine's own folders",
    r"(sudo )?systemctl |loginctl |journalctl ": "there is no systemd at work where tests run",
    r"ssh -L ": "logs in to another machine, and stays there",
    r"(CRYOWATCH_PACKAGE=\S+ )?scipion3 |export CRYOWATCH_HOME=": "tests/plugin works inside genuine Scipion",
}
"""Beginnings of commands that no test here can run, and why."""


class Facility:
    """A home with a project, and the servers that pages name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.projects = self.home / "ScipionUserData/projects"
        demo_project(self.projects / "my-session", 4)
        created = certificates.create(folder / "certificates", ["influx.example.org"], 30)
        self.authority = created.ca_certificate
        self.influx = InfluxServer(
            folder / "influx", certificate=created.certificate, key=created.key, administrator=False
        )
        self.sshd = Sshd(folder / "sshd")
        self.grafana = GrafanaServer()
        self.passwords = self.home / ".config/cryowatch"

    def stop(self) -> None:
        self.grafana.stop()
        self.sshd.stop()
        self.influx.stop()

    def real(self, text: str) -> str:
        """Return a text with the places of this facility instead of those of a page."""
        for written, meant in (
            ("https://influx.example.org:8086", self.influx.url),
            ("https://grafana.example.org:3000", self.grafana.url),
            ("scipionbox@grafana.example.org/srv/scipionbox", self.sshd.url.removeprefix("sftp://")),
            ("/etc/cryowatch/scipion_writer.password", str(self.passwords / "scipion_writer.password")),
            ("/etc/cryowatch/ca-cert.pem", str(self.authority)),
            ("tls/ca-cert.pem", str(self.authority)),
            ("/etc/cryowatch/images_key", f"{self.sshd.key}"),
            ("--out passwords", f"--out {self.passwords}"),
            ("~/cryowatch/bin/cryowatch", "cryowatch"),
            (".venv/bin/cryowatch", "cryowatch"),
            ("/data/projects", str(self.projects)),
            ("/data/krios1", str(self.projects)),
            ("/data/krios2", str(self.projects)),
            ("--run-as scipion", f"--run-as {self.sshd.user}"),
            ("sudo -Hu scipion ", ""),
        ):
            text = text.replace(written, meant)
        return text.removeprefix("sudo ")

    def environment(self, where: Path) -> dict[str, str]:
        chosen = {"CRYOWATCH_CONFIG": str(where / "cryowatch.toml")} if (where / "cryowatch.toml").exists() else {}
        return {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(self.home), "LANG": "C.UTF-8", **chosen}

    def run(self, command: str, where: Path, stdin: str = "") -> str:
        """Return what a command that ends said, all of it."""
        done = subprocess.run(
            ["bash", "-c", f"{command}; exit $?"], cwd=where, env=self.environment(where), input=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def watch(self, command: str, where: Path, database: str = "", measurement: str = "") -> None:
        """Let a command go on until its pages answer, and its points are in a database where one is named."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=where, env=self.environment(where),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        said, end = "", time.monotonic() + SECONDS
        try:
            while (address := re.search(r"http://\S+:\d+", said)) is None:
                assert time.monotonic() < end, f"{command}\n{said}"
                assert process.poll() is None, f"{command}\n{said}"
                if select.select([process.stdout], [], [], 0.1)[0]:
                    said += os.read(process.stdout.fileno(), 4096).decode()
            while not httpx2.get(f"{address[0]}/api/sessions", timeout=SECONDS).json()["sessions"]:
                assert time.monotonic() < end, f"{command}\nshows no session"
                time.sleep(0.05)
            while database and not self.influx.rows(f'SELECT * FROM "{measurement}" LIMIT 1', auth=self.admin()):
                assert time.monotonic() < end, f"{command}\nnothing is in {database}"
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
            process.wait(SECONDS)
            process.stdout.close()

    def admin(self) -> tuple[str, str]:
        return "admin", (self.passwords / "admin.password").read_text().strip()


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    if shutil.which("influxd") is None:
        pytest.skip("there is no influxd")
    made = Facility(tmp_path_factory.mktemp("facility"))
    made.run("cryowatch watch --once ~/ScipionUserData/projects", made.folder)
    yield made
    made.stop()


def settle(facility: Facility, page: str, where: Path) -> None:
    """Put there what a page tells to write into files."""
    settings = [block.text for block in blocks(page) if block.language == "toml"]
    if page in ("docs/influxdb.md", "docs/images.md"):
        (where / "cryowatch.toml").write_text(facility.real(settings[0]))
        facility.sshd.known_hosts.unlink(missing_ok=True)
    (where / "token").write_text(TOKEN)


def secrets(facility: Facility, where: Path) -> None:
    """Write a secrets.cfg of the account that `influx init` made."""
    password = (facility.passwords / "scipion_writer.password").read_text().strip()
    file = where / "secrets.cfg"
    file.write_text(
        f"[influx]\nusernameInflux={b64('scipion_writer')}\npasswordInflux={b64(password)}\ndataBase=scipion\n"
        f"hostinflux=localhost\nport={facility.influx.port}\nssl=True\nverify_ssl=False\ntimeZone=Europe/Madrid\n"
        "timeDelta=0\n"
    )
    file.chmod(0o600)


def follow(facility: Facility, page: str, command: str, where: Path) -> None:
    """Do as a page says."""
    typed = facility.real(command)
    match typed.split()[:3]:
        case ["make", target, *_]:
            facility.run(f"make --dry-run --directory={ROOT} {target}", where)
        case ["cryowatch", "demo", *_]:
            facility.watch(f"{typed} --micrographs 4 --every 0.01 --port 0 --no-browser", where)
        case ["cryowatch", "watch", *_] if "--secrets" in typed:
            (where / "cryowatch.toml").unlink()
            facility.watch(f"{typed} --listen 127.0.0.1:0", where, "scipion", "my-session")
        case ["cryowatch", "watch", *_]:
            database = "scipion" if page == "docs/influxdb.md" else ""
            facility.watch(f"{typed} --listen 127.0.0.1:0", where, database, "micrograph")
        case ["cryowatch", "service", "install"]:
            unit = facility.run(f"{typed} --print", where)
            assert "ExecStart=" in unit
            assert verified(where, unit, user="--user" in typed) == ""
        case ["cryowatch", "accounts", "add"]:
            facility.run(f"{typed} --password-file -", where, stdin="a password for tests\n")
            facility.run(
                f"cryowatch accounts remove {typed.split()[3]}", where
            )  # or pages of other commands ask for it
        case ["cryowatch", "images", "trust"]:
            assert "ED25519" in facility.run(f"{typed} --yes", where).upper()
        case ["cryowatch", "secrets", "check"]:
            secrets(facility, where)
            assert " is not " not in facility.run(typed.replace("$EMFACILITIES_HOME", "."), where)
        case ["cryowatch", "scipion", "template"]:
            (where / "session.json").write_text(json.dumps([{"object.className": "ProtMonitorSummary"}]))
            facility.run(typed, where)
            assert "CryowatchMonitorSummary" in (where / typed.split()[-1]).read_text()
        case ["cryowatch", "--version"]:
            assert re.fullmatch(r"cryowatch \d+\.\d+\S*\n", facility.run(typed, where))
        case _:
            facility.run(typed, where)


@pytest.mark.parametrize("page", [page for page in pages() if commands(page) and page != SETUP])
def test_every_command_of_a_page_does_what_it_says(facility: Facility, tmp_path: Path, page: str) -> None:
    settle(facility, page, tmp_path)
    for command in commands(page):
        if not any(re.match(beginning, command) for beginning in NOT_RUN):
            follow(facility, page, command, tmp_path)
    if page == "docs/watching.md":  # which has the session forgotten and remembered
        facility.run("cryowatch watch --once ~/ScipionUserData/projects", tmp_path)
    assert "my-session" in facility.run("cryowatch status", tmp_path)  # also from a copy that was put back


def test_what_is_not_run_is_still_in_the_documentation() -> None:
    everything = [command for page in pages() if page != SETUP for command in commands(page)]
    assert len(everything) > 30
    idle = [words for words in NOT_RUN if not any(re.match(words, command) for command in everything)]
    assert idle == []


@pytest.mark.parametrize("page", [page for page in pages() if any(one.language == "toml" for one in blocks(page))])
def test_settings_in_the_documentation_load(tmp_path: Path, page: str) -> None:
    file = tmp_path / "cryowatch.toml"
    for block in blocks(page):
        if block.language == "toml":
            file.write_text(block.text, encoding="utf-8")
            assert load(file, environment={}), block.text


def written_commands() -> list[tuple[str, str]]:
    """Return each `cryowatch …` that stands in a line of text, with its page."""
    found = []
    for page in pages():
        text = re.sub(r"^( *)```.*?^\1```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.M | re.S)
        found += [(page, command) for command in re.findall(r"`cryowatch ([a-z-][^`\n]*)`", text)]
    return found


def test_commands_and_options_that_the_text_names_are_there() -> None:
    wrong = []
    for page, command in written_commands():
        known: Any = typer.main.get_command(cli.app)
        for word in command.split():
            if hasattr(known, "commands") and not word.startswith("-"):
                if word not in known.commands:
                    wrong.append((page, command, word))
                    break
                known = known.commands[word]
            elif word.startswith("--"):
                options = {name for parameter in known.params for name in (*parameter.opts, *parameter.secondary_opts)}
                if word not in options | {"--help", "--install-completion", "--show-completion"}:
                    wrong.append((page, command, word))
    assert not wrong
