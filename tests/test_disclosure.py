"""No secret is told: three agents with all kinds of secrets run in all kinds of trouble, and what they say is searched.

One is refused everywhere, one meets certificates and keys that it does not trust, one reaches nobody and crashes.  What
is searched: logs, standard output and error of many commands, pages and answers to everybody, the store, command lines
of all processes, the environment of those that cryowatch starts.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
import pytest

from cryowatch.system import certificates
from tests.support.influxd import ADMIN, InfluxServer
from tests.support.ports import free_port
from tests.support.receiver import Receiver
from tests.support.serving import demo_project, until
from tests.support.smtp import MailServer, server_context
from tests.support.sshd import Sshd, make_key

pytestmark = pytest.mark.timeout(240)  # what it looks through is gathered by three agents, once
COMMAND = [sys.executable, "-m", "cryowatch"]
MARK = "Geheimnis7731"
"""Every secret holds it: it is searched for as it is, and in base64 and hexadecimal digits at any place."""


def secret(what: str) -> str:
    return f"{MARK}={what}&%41/?"


def disguised() -> list[bytes]:
    """Return the mark as it may stand somewhere."""
    shifted = (base64.b64encode(b"x" * lead + MARK.encode()) for lead in range(3))
    return [MARK.encode(), MARK.encode().hex().encode(), *(text[4:-4] for text in shifted)]


MARKS = disguised()
PATIENCE = 60.0


@dataclass
class Evidence:
    """What was said, by place, and what else must stand nowhere than the mark."""

    said: dict[str, bytes] = field(default_factory=dict)
    further: list[bytes] = field(default_factory=list)

    def add(self, where: str, text: str | bytes) -> None:
        self.said[where] = text.encode() if isinstance(text, str) else text

    def of(self, place: str) -> dict[str, bytes]:
        return {where: text for where, text in self.said.items() if where.startswith(place)}

    def told(self, place: str) -> list[str]:
        """Return the places, of those that begin so, at which a secret stands."""
        there = self.of(place)
        assert there, place
        return [where for where, text in there.items() if any(one in text for one in [*MARKS, *self.further])]


class Facility:
    """Servers that refuse, a project, and what configures an agent against them."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.folder = folder
        self.project = demo_project(folder / "projects" / "demo", 2, ended=False)
        self.home = folder / "home"
        (self.home / ".ssh").mkdir(parents=True)
        made = certificates.create(folder / "tls", ["localhost"])
        self.authority = made.ca_certificate
        self.influx = InfluxServer(folder / "influx", certificate=made.certificate, key=made.key)
        opened.callback(self.influx.stop)
        self.sshd = Sshd(folder / "sshd")
        opened.callback(self.sshd.stop)
        context, self.mail_authority = server_context(folder / "mail")
        self.mail = MailServer(starttls=context, account=True)
        self.chat = Receiver(status=404, said=f"The requested URL /hook/{secret('path')} was not found here")
        self.strange_chat = Receiver(tls=context)
        for end in (self.mail.stop, self.chat.close, self.strange_chat.close):
            opened.callback(end)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8"}

    def file(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.write_text(content + "\n")
        path.chmod(0o600)
        return path

    def settings(self, name: str, sections: Mapping[str, str]) -> Path:
        """Write the settings of an agent: these sections, its places, and a rule that is broken at once."""
        token = self.file(f"{name}.metrics", f"{MARK}metrics-{name}")
        sections = {
            "web": f'listen = "127.0.0.1:0"\nmetrics_token_file = "{token}"',
            "log": f'level = "debug"\nfile = "{self.folder}/{name}.log"',
            "host": "interval = 1",
            "alerts": "digest_minutes = 0",
            "alerts.rules.disk": 'high = 0.001\nseverity = "critical"',
            **sections,
        }
        text = "".join(f"[{section}]\n{lines}\n" for section, lines in sections.items())
        return self.file(f"{name}.toml", f'data_dir = "{self.folder}/{name}"\n{text}')


def mail_to(port: int, security: str, more: str) -> str:
    return (
        f'host = "localhost"\nport = {port}\nsecurity = "{security}"\nusername = "watcher"\n'
        f'sender = "a@example.org"\nto = ["b@example.org"]\n{more}'
    )


class Agent:
    """A real `cryowatch watch`, and how it was configured."""

    def __init__(self, facility: Facility, name: str, config: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.config = config
        self.data = facility.folder / name
        self.log = facility.folder / f"{name}.log"
        self.error = facility.folder / f"{name}.stderr"
        self.environment = {**facility.environment, **environment}
        self.facility = facility
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *words: str | Path, typed: str = "", **environment: str) -> str:
        """Return all that a command says."""
        done = subprocess.run(
            [*COMMAND, *map(str, words)], env={**self.environment, **environment}, input=typed.encode(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.facility.folder, check=False, timeout=PATIENCE,
        )  # fmt: skip
        return f"exit {done.returncode}\n{done.stdout.decode(errors='backslashreplace')}"

    def start(self, opened: ExitStack) -> None:
        command = [*COMMAND, "watch", str(self.facility.project), "--config", str(self.config)]
        with self.error.open("wb") as error:
            self.process = subprocess.Popen(command, env=self.environment, stdout=error, stderr=error)
        opened.callback(self.stop)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)

    @property
    def address(self) -> str:
        found = until(lambda: re.search(r"http://127\.0\.0\.1:\d+", self.error.read_text()), PATIENCE)
        return str(found[0])

    def told(self, *words: str) -> bool:
        """Return whether the log holds these words."""
        text = self.log.read_text() if self.log.exists() else ""
        return all(word in text for word in words)


def refused(facility: Facility) -> Agent:
    """Return an agent whose passwords, from the environment, are wrong everywhere."""
    urls = facility.file("refused.urls", f"json://me:{MARK}user@localhost:{facility.chat.port}/{MARK}path")
    sections = {
        "influx": f'url = "{facility.influx.url}"\nca_file = "{facility.authority}"\nusername = "writer"',
        "images": f'publish = "{facility.sshd.url}"\nknown_hosts = "{facility.sshd.known_hosts}"',
        "mail": mail_to(facility.mail.port, "starttls", f'ca_file = "{facility.mail_authority}"'),
        "apprise": f'urls_file = "{urls}"',
        "report": f'minutes = 0.02\ncommand = ["sh", "-c", "env > {facility.folder}/report.env"]',
    }
    webhook = {"chat": {"url": f"{facility.chat.url}/hook/{secret('path')}"}}
    return Agent(
        facility, "refused", facility.settings("refused", sections),
        {"CRYOWATCH_INFLUX__PASSWORD": secret("influx"), "CRYOWATCH_IMAGES__PASSWORD": secret("images"),
         "CRYOWATCH_MAIL__PASSWORD": secret("mail"), "CRYOWATCH_WEBHOOKS": json.dumps(webhook)},
    )  # fmt: skip


def untrusting(facility: Facility) -> Agent:
    """Return an agent whose secrets are in files, and who trusts neither certificates nor host keys."""
    passphrase = secret("passphrase")
    key = make_key(facility.folder / "locked", passphrase=passphrase)
    files = {
        name: facility.file(f"untrusting.{name}", text)
        for name, text in {
            "token": secret("token"),
            "images": passphrase,
            "mail": secret("mail"),
            "hook": f"{facility.strange_chat.url}/hook/{secret('path')}",
            "urls": f"jsons://me:{MARK}user@localhost:{facility.strange_chat.port}/{MARK}path",
        }.items()
    }
    sections = {
        "influx": f'url = "{facility.influx.url}"\ntoken_file = "{files["token"]}"',
        "images": f'publish = "{facility.sshd.url}"\nknown_hosts = "{facility.folder}/known"\nkey_file = "{key}"\n'
        f'password_file = "{files["images"]}"',
        "mail": mail_to(facility.mail.port, "starttls", f'password_file = "{files["mail"]}"'),
        "webhooks.chat": f'url_file = "{files["hook"]}"',
        "apprise": f'urls_file = "{files["urls"]}"',
    }
    return Agent(facility, "untrusting", facility.settings("untrusting", sections), {})


def lonely(facility: Facility) -> Agent:
    """Return an agent with the legacy secrets.cfg that reaches nobody; its SSH goes by a `ProxyCommand`."""
    known = {name: base64.b64encode(secret(name).encode()).decode() for name in ("influx", "images")}
    key = make_key(facility.folder / "legacy", passphrase=secret("images"))
    text = (
        f"[influx]\nusernameInflux={base64.b64encode(b'writer').decode()}\npasswordInflux={known['influx']}\n"
        f"dataBase=scipion\nhostinflux=localhost\nport={free_port()}\nssl=False\nverify_ssl=False\n"
        f"timeZone=Europe/Madrid\ntimeDelta=0\nusernameParamiko={base64.b64encode(b'me').decode()}\n"
        f"passwordParamiko={known['images']}\nkeyfilepath={base64.b64encode(str(key).encode()).decode()}\n"
        f"keyfiletype={base64.b64encode(b'ED25519').decode()}\nremote_path=/srv/images\nhostparamiko=gateway\n"
    )
    (facility.folder / "legacy-home").mkdir()
    facility.file("legacy-home/secrets.cfg", text)
    facility.file("home/.ssh/config", f"Host gateway\n  ProxyCommand sh -c 'env > {facility.folder}/proxy.env'")
    sections = {
        "mail": mail_to(free_port(), "none", ""),
        "webhooks.chat": f'url = "http://localhost:{free_port()}/hook/{secret("path")}"',
        "apprise": f'urls_file = "{facility.file("lonely.urls", f"json://me:{MARK}user@localhost:{free_port()}")}"',
    }
    return Agent(
        facility, "lonely", facility.settings("lonely", sections),
        {"EMFACILITIES_HOME": str(facility.folder / "legacy-home"), "CRYOWATCH_MAIL__PASSWORD": secret("mail")},
    )  # fmt: skip


def commands(refused: Agent, untrusting: Agent, lonely: Agent) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield what else somebody types, and a call that returns what is said."""
    folder, at = refused.facility.folder, refused.facility
    crash = folder / "crash"
    crash.mkdir()
    (crash / "sitecustomize.py").write_text(
        "import smtplib, httpx2\n"
        "def broken(*args, **more):\n    raise RuntimeError('a scripted fault')\n"
        "httpx2.Client.post = smtplib.SMTP.login = broken\n"
    )
    bad = at.file("bad.toml", f"[influx]\npassword = {secret('unquoted')}")
    wrong = at.file("wrong.password", secret("wrong"))
    sole = folder / "sole"
    typed: Sequence[tuple[Agent, Sequence[str | Path], str, Mapping[str, str]]] = (
        (refused, ["doctor", "--config", refused.config], "", {}),
        (refused, ["doctor", "--config", refused.config, "--json"], "", {}),
        (untrusting, ["doctor", "--config", untrusting.config], "", {}),
        (lonely, ["doctor", "--config", lonely.config], "", {}),
        (refused, ["watch", at.project, "--once", "--config", refused.config, "--data-dir", folder / "crashed"], "",
         {"PYTHONPATH": str(crash)}),
        (refused, ["alerts", "test", "--config", refused.config], "", {"PYTHONPATH": str(crash)}),
        (refused, ["alerts", "test", "--config", refused.config], "", {}),
        (untrusting, ["alerts", "test", "--config", untrusting.config], "", {}),
        (refused, ["images", "check", "--config", refused.config], "", {}),
        (lonely, ["images", "check", "--config", lonely.config], "", {}),
        (refused, ["watch", at.project, "--config", bad], "", {}),
        (refused, ["watch", at.project, "--config", refused.config, "--listen", "nonsense"], "", {}),
        (refused, ["watch", at.project, "--config", refused.config, "--listen", "0.0.0.0:0"], "", {}),
        (refused, ["wacth", "--config", refused.config], "", {}),
        (refused, ["watch", "--help"], "", {}),
        (refused, ["status", "--config", refused.config, "--json"], "", {}),
        (refused, ["export", "demo", "--kind", "alerts", "--format", "json", "--config", refused.config], "", {}),
        (refused, ["report", "demo", "--config", refused.config, "--out", folder / "report.html"], "", {}),
        (refused, ["service", "install", at.project, "--user", "--print", "--config", refused.config], "", {}),
        (untrusting, ["service", "install", at.project, "--user", "--print", "--config", untrusting.config], "", {}),
        (lonely, ["secrets", "check"], "", {}),
        (refused, ["share", "list", "--config", refused.config], "", {}),
        (refused, ["accounts", "add", "ada", "--password-file", "-", "--config", refused.config], secret("again"), {}),
        (refused, ["accounts", "add", "eve", "--password-file", "-", "--data-dir", sole],
         f"{secret('one')}\n{secret('two')}", {}),
        (refused, ["influx", "init", "--url", at.influx.url, "--ca-file", at.authority, "--admin", ADMIN[0],
                   "--password-file", wrong, "--out", folder / "made"], "", {}),
        (refused, ["grafana", "push", "--url", at.chat.url], "", {"GRAFANA_TOKEN": secret("grafana")}),
    )  # fmt: skip
    for number, (agent, words, text, environment) in enumerate(typed):
        name = f"command {number} {agent.name}: {' '.join(str(word) for word in words[:2])}"
        yield name, lambda a=agent, w=words, t=text, e=environment: a.run(*w, typed=t, **e)  # type: ignore[misc]


PATHS = ("/", "/login", "/s/demo/summary", "/s/demo/system", "/api/openapi.json", "/api/sessions", "/api/sessions/demo",
         "/api/sessions/demo/alerts", "/api/sessions/demo/shares", "/api/sessions/demo/micrographs", "/api/fields",
         "/api/sessions/demo/data/summary", "/api/sessions/demo/data/system", "/metrics", "/healthz",
         "/api/micrographs/1", "/images/1/micrograph", "/images/99/micrograph", "/nothing", "/api/nothing",
         "/share/nonsense", "/static/base.css", "/logo", "/api/sessions/%00")  # fmt: skip


def visits(agent: Agent, evidence: Evidence, link: str, metrics: str) -> None:
    """Ask for everything: as nobody, as an operator after a wrong password, as who has a link, as Prometheus."""
    for who in ("nobody", "operator", "guest", "prometheus"):
        with httpx2.Client(base_url=agent.address, timeout=PATIENCE) as client:

            def heard(method: str, path: str, *, who: str = who, client: httpx2.Client = client, **more: str) -> None:
                answer = client.request(method, path, data=more or None, headers={"Origin": agent.address})
                headers = [f"{name}: {value}" for name, value in answer.headers.items() if name != "set-cookie"]
                status = f"{answer.status_code}\n"
                place = "/share/…" if path.startswith("/share/") else path
                name = f"answer {agent.name} {who} {method} {place} {len(evidence.said)}"
                evidence.add(name, (status + "\n".join(headers)).encode() + answer.content)

            if who == "operator":
                heard("POST", "/login", name="ada", password=secret("wrong"))
                heard("POST", "/login", name="ada", password=secret("account"))
                assert client.get("/api/sessions").status_code == 200
            elif who == "guest":
                heard("GET", link)
                heard("GET", link[:-3])
            elif who == "prometheus":
                client.headers["Authorization"] = f"Bearer {metrics}"
                assert client.get("/metrics").status_code == 200
            for path in PATHS:
                heard("GET", path)
            heard("POST", "/api/sessions/demo/shares")
            if who == "operator":
                with client.stream("GET", "/api/events") as stream:
                    lines = [line for line, _ in zip(stream.iter_lines(), range(4), strict=False)]
                evidence.add(f"answer {agent.name} {who} events", "\n".join(lines))
                assert client.get("/images/1/micrograph?size=777").status_code == 200
                assert agent.process is not None
                processes(evidence, agent.process.pid)
                heard("POST", "/logout")


def processes(evidence: Evidence, root: int) -> None:
    """Note command lines of all processes, and the environment of those below one."""
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            evidence.add(f"process {place.parent.name}", place.read_bytes())
    for child in psutil.Process(root).children(recursive=True):
        with contextlib.suppress(OSError, psutil.Error):
            inherited = Path(f"/proc/{child.pid}/environ").read_bytes()
            evidence.add(f"environment of {' '.join(child.cmdline()[-2:])} {child.pid}", inherited)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    found = Evidence()
    folder = tmp_path_factory.mktemp("disclosure")
    with ExitStack() as opened:
        facility = Facility(folder, opened)
        agents = [refused(facility), untrusting(facility), lonely(facility)]
        first = agents[0]
        for agent in agents:
            add: list[str | Path] = [
                "accounts",
                "add",
                "ada",
                "--role",
                "operator",
                "--password-file",
                "-",
                "--config",
                agent.config,
            ]
            found.add(f"command {agent.name}: accounts", agent.run(*add, typed=secret("account")))
            agent.start(opened)
        until(lambda: "demo" in first.run("status", "--config", first.config), PATIENCE)
        [link] = re.findall(r"/share/\S+", first.run("share", "create", "demo", "--config", first.config))
        found.further += [link.removeprefix("/share/").encode(), link.partition(".")[2].encode()]
        gather(found, agents, link)
        for agent in agents:
            agent.stop()
            found.add(f"log {agent.name}", agent.log.read_bytes())
            found.add(f"standard error {agent.name}", agent.error.read_bytes())
            assert (agent.data / "cryowatch.sqlite").exists()
            for file in agent.data.rglob("*"):
                if file.is_file():
                    found.add(f"file {agent.name} {file.name}", file.read_bytes())
        for file in folder.glob("*.env"):
            found.add(f"environment of {file.name}", file.read_bytes())
        found.add("written report", (folder / "report.html").read_bytes())
        yield found


def gather(found: Evidence, agents: Sequence[Agent], link: str) -> None:
    """Type and ask everything while the agents run into their troubles."""
    with ThreadPoolExecutor(3) as pool:
        waiting = {name: pool.submit(call) for name, call in commands(*agents)}
        for agent in agents:
            visits(agent, found, link, f"{MARK}metrics-{agent.name}")
        for name, one in waiting.items():
            found.add(name, one.result())
    until(
        lambda: agents[0].told("Check influx.username", "does not let us in", "answers 404", "account: 535"), PATIENCE
    )
    until(lambda: agents[1].told("cannot be verified", "host key is not known yet"), PATIENCE)
    until(lambda: agents[2].told("Connection refused", "mail through localhost"), PATIENCE)
    demo(agents[0], found)


def demo(agent: Agent, found: Evidence) -> None:
    """Look at what the demo's own process inherits."""
    command = [*COMMAND, "demo", "--no-browser", "--port", "0", "--micrographs", "1"]
    with subprocess.Popen(command, env=agent.environment, stderr=subprocess.PIPE) as process:
        try:
            until(lambda: psutil.Process(process.pid).children(), PATIENCE)
            processes(found, process.pid)
        finally:
            process.terminate()
            assert process.stderr is not None
            found.add("standard error of the demo", process.stderr.read())


@pytest.mark.parametrize(
    "place", ["log", "standard error", "command", "answer", "process", "environment", "file", "written"]
)
def test_no_secret_stands_anywhere(evidence: Evidence, place: str) -> None:
    assert evidence.told(place) == []


def test_who_is_started_inherits_no_setting_at_all(evidence: Evidence) -> None:
    there = evidence.of("environment of ")
    for one in ("cryowatch.images.worker", "report.env", "proxy.env", "--every"):
        assert [where for where in there if one in where], (one, list(there))
    assert [where for where, text in there.items() if b"CRYOWATCH_" in text] == []


def test_the_troubles_were_there(evidence: Evidence) -> None:
    def said(place: str) -> str:
        return b"\n".join(evidence.of(place).values()).decode(errors="replace")

    for words in (
        "InfluxDB               https", "does not let us in with", "refuses the account: 535", "answers 404",
        "cannot be verified", "host key is not known", "Connection refused", "Connection lost", "a scripted fault",
        "is not TOML", "nonsense: is not an address", "there is no TLS", "wacth", "set\n", "ends it.",
        "refuses the password of admin", "such an account already", "does not hold one password", "answers 501",
    ):  # fmt: skip
        assert words in said("command") + said("standard error"), words
    assert {text[:3] for text in evidence.of("answer ").values()} >= {b"200", b"303", b"401", b"403", b"404"}
