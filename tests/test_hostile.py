"""Hostile names end to end: of projects, runs, micrographs and files, through everything that shows or sends them.

One agent watches genuine folders of such names and serves pages, writes to a real InfluxDB, publishes by a real SFTP
server, sends mail and posts to a webhook; commands print, export and report what it has stored.
"""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import Browser, Dialog

from cryowatch.alerts.stages import MOST_FAILED
from cryowatch.demo.project import Run, SetFile, local, write_objects
from cryowatch.errors import one_line
from cryowatch.influx.lines import tag_text
from tests.support.browsing import Visit
from tests.support.influxd import ADMIN, InfluxServer
from tests.support.projects import columns, execute
from tests.support.receiver import Receiver
from tests.support.serving import until
from tests.support.smtp import MailServer
from tests.support.sshd import Sshd
from tests.system.test_logs import LINE

COMMAND = [sys.executable, "-m", "cryowatch"]
PATIENCE = 60.0
CTFS = "Runs/000135_CistemProtCTFFind/ctfs.sqlite"
SECRET = "what lies outside of the project"

MARKUP = '"><img src=x onerror=alert(1)>'
COLOURED = "\x1b[31mred\x1b]0;title\x07"
NAMES = (
    "<script>alert(1)<b>", "\n=1", "'one' \"two\" `three`", "two\nlines",
    "head\r\nBcc: evil@example.org\r\n\r\nbody", "=cmd|' -C calc'!A0", "+1+1", "-1-1", "@SUM(A1)", "\t=1", "\r=1",
    "x';DROP TABLE micrograph;--", "' OR 1=1 --", '" OR 1=1; DROP DATABASE scipion', "comma, space =equals",
    "field=1,x=2 17", "end\\", '\\"', COLOURED, "\u202egpj.exe", "{{7*7}}${7*7}%s%n", "#", "-rf",
    "x" * 251, "é" * 100, "😀\u2028\u0085", MARKUP,
)  # fmt: skip
"""What folders, runs, micrographs and files are called; a folder's and a file's name is one of these."""

BROKEN = "\ufffd\ufffd n"
"""How `BYTES` are read."""

BYTES = "CAST(x'fffe206e' AS TEXT)"
"""A name in a database that is no UTF-8."""

PATHS = ("../../../outside", "/etc/passwd", "..", "a/../../b", "//evil.example.org/x", "file:///etc/passwd")
"""What only a micrograph or a run can be called."""


def image(path: Path) -> None:
    Image.new("L", (8, 8), 99).save(path, format="PNG")


def project(folder: Path, labels: Sequence[str], items: Sequence[tuple[str, str]]) -> None:
    """Write a project of failed runs of these labels; the first has CTFs: names, and the files of their images."""
    folder.mkdir()
    (folder / "Runs").mkdir()
    now = time.time()
    runs = [Run(folder, 135 + 100 * number, "CistemProtCTFFind", label) for number, label in enumerate(labels)]
    for run in runs:
        run.status, run.started, run.ended, run.error = "failed", local(now - 60), local(now), f"it broke\n{run.label}"
    runs[0].output = "outputCTF"
    runs[0].set = SetFile(folder, CTFS, "SetOfCTF", {})
    values = {"_defocusU": 15_000.0, "_defocusV": 14_800.0, "_defocusAngle": 45.0, "_resolution": 3.5}
    runs[0].set.append(
        [
            (number, now, {"_micObj._micName": name, "_micObj._filename": file, **values})
            for number, (name, file) in enumerate(items, 1)
        ]
    )
    runs[0].set.close_stream()
    objects = [row for run in runs for row in run.objects()]
    write_objects(folder / "project.sqlite", [(1, None, "CreationTime", "String", local(now), ""), *objects])


class Facility:
    """Servers, projects, and an agent between them."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.folder = folder
        self.projects = folder / "projects"
        self.projects.mkdir()
        self.folders = [self.projects / name for name in NAMES]
        for one in self.folders:
            project(one, [one.name], [(one.name, "none.mrc")])
        project(self.projects / os.fsdecode(b"\xff\xfe"), ["never seen"], [("never seen", "none.mrc")])
        self.everything = self.folders[0]
        self.outside = folder / "outside"
        self._write_everything()
        self.names = Counter(one.name for one in self.folders[1:]) + Counter(self.all_names)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        self.influx = InfluxServer(folder / "influx")
        self.influx.query("CREATE DATABASE scipion")
        self.sshd = Sshd(folder / "sshd")
        self.mail = MailServer()
        self.chat = Receiver()
        for end in (self.influx.stop, self.sshd.stop, self.mail.stop, self.chat.close):
            opened.callback(end)
        self._start(opened)

    def _write_everything(self) -> None:
        """Write the one project that has all names, of runs, micrographs and files."""
        for file in sorted(self.everything.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        self.everything.rmdir()
        self.outside.mkdir()
        (self.outside / "secret.txt").write_text(SECRET)
        image(self.outside / "secret.png")
        self.all_names = [*NAMES, *PATHS, "text", "link to text", BROKEN]
        extra = "Runs/000135_CistemProtCTFFind/extra"
        named = [f"{extra}/{name[:251]}.png" for name in NAMES]
        ways = ["../../outside/secret.png", str(self.outside / "secret.png"), f"{extra}/../../../../outside/secret.png",
                "../../outside/secret.txt", str(self.outside / "secret.txt"), "/etc/passwd",
                f"{extra}/text.png", f"{extra}/link.png", f"{extra}/folder/secret.txt"]  # fmt: skip
        project(self.everything, [*NAMES, *PATHS], list(zip(self.all_names, [*named, *ways], strict=True)))
        column = columns(self.everything / CTFS)["_micObj._micName"]
        execute(self.everything / CTFS, f"UPDATE Objects SET {column} = {BYTES} WHERE {column} = '{BROKEN}'")
        for name in named:
            image(self.everything / name)
        (self.everything / extra / "text.png").write_text(SECRET)
        (self.everything / extra / "link.png").symlink_to(self.outside / "secret.txt")
        (self.everything / extra / "folder").symlink_to(self.outside)

    def settings(self, name: str, more: str) -> Path:
        file = self.folder / f"{name}.toml"
        file.write_text(f'data_dir = "{self.folder}/{name}"\n[log]\nfile = "{self.folder}/{name}.log"\n{more}')
        return file

    def _start(self, opened: ExitStack) -> None:
        password = self.folder / "password"
        password.write_text(ADMIN[1])
        self.config = self.settings(
            "data",
            f"""
[web]
listen = "127.0.0.1:0"
[alerts]
digest_minutes = 0
[influx]
url = "{self.influx.url}"
username = "{ADMIN[0]}"
password_file = "{password}"
[images]
publish = "{self.sshd.url}"
known_hosts = "{self.sshd.known_hosts}"
key_file = "{self.sshd.key}"
[mail]
host = "localhost"
port = {self.mail.port}
security = "none"
sender = "a@example.org"
to = ["b@example.org"]
[webhooks.chat]
url = "{self.chat.url}/hook"
""",
        )
        self.error = self.folder / "stderr"
        command = [*COMMAND, "watch", str(self.projects), "--config", str(self.config)]
        with self.error.open("wb") as error:
            process = subprocess.Popen(command, env=self.environment, stderr=error)

        def end() -> None:
            process.terminate()
            process.wait(PATIENCE)

        opened.callback(end)
        found = until(lambda: re.search(r"http://127\.0\.0\.1:\d+", self.error.read_text()), PATIENCE)
        self.address = str(found[0])
        self.client = opened.enter_context(httpx2.Client(base_url=self.address, timeout=PATIENCE))
        until(lambda: len(self.get("/api/sessions")["sessions"]) == len(self.folders), PATIENCE)
        until(self._stored, PATIENCE)

    def _stored(self) -> bool:
        counts = [one["counts"]["ctf"] for one in self.get("/api/sessions")["sessions"]]
        return bool(sum(counts) == self.names.total())

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def keys(self) -> dict[str, str]:
        """Return the sessions' names by key."""
        return {one["id"]: one["name"] for one in self.get("/api/sessions")["sessions"]}

    def key(self) -> str:
        """Return the key of the project with all names."""
        return next(key for key, name in self.keys().items() if name == self.everything.name)

    def run(self, *words: str | Path) -> str:
        """Return what a command prints."""
        command = [*COMMAND, *map(str, words)]
        done = subprocess.run(command, env=self.environment, capture_output=True, check=False, timeout=PATIENCE)
        assert done.returncode in (0, 1), done.stderr
        return done.stdout.decode()


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    with ExitStack() as opened:
        yield Facility(tmp_path_factory.mktemp("hostile"), opened)


def test_the_store_and_the_interface_hold_every_name_as_it_is(facility: Facility) -> None:
    assert sorted(facility.keys().values()) == sorted(NAMES)
    found: Counter[str] = Counter()
    for key in list(facility.keys()):
        assert re.fullmatch(r"[A-Za-z0-9._-]+", key)
        micrographs = facility.get(f"/api/sessions/{key}/micrographs?limit=500")["micrographs"]
        found += Counter(one["name"] for one in micrographs)
    exported = json.loads(facility.run("export", facility.key(), "--format", "json", "--config", facility.config))
    assert Counter(one["name"] for one in exported) == Counter(facility.all_names)
    assert found == facility.names
    labels = [run["label"] for run in facility.get(f"/api/sessions/{facility.key()}")["runs"]]
    assert sorted(labels) == sorted([*NAMES, *PATHS])


def test_a_spreadsheet_gets_no_formula_and_no_further_row(facility: Facility) -> None:
    for kind, column, expected in (
        ("micrographs", "name", facility.all_names),
        ("runs", "label", [*NAMES, *PATHS]),
    ):
        printed = facility.run("export", facility.key(), "--kind", kind, "--format", "csv", "--config", facility.config)
        rows = list(csv.DictReader(io.StringIO(printed, newline="")))
        assert sorted(row[column].removeprefix("'") for row in rows) == sorted(n.removeprefix("'") for n in expected)
        cells = [cell for row in rows for cell in row.values()]
        assert [c for c in cells if c[:1] in "=+-@\t\r\n" and c and not re.fullmatch(r"-?[\d.e+-]+", c)] == []


SHOWN = """text => document.body.innerText.includes(text)
    || [...document.querySelectorAll('body *:not(script, style)')].some(
        (one) => !one.children.length && one.textContent.includes(text))"""
"""Whether a text stands on a page, also where it is not in sight."""


def harmed(page: Any) -> list[str]:
    """Return what a name has made of a page that it must not."""
    made: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('*')].filter((one) =>
            [...one.attributes].some((a) => a.name.startsWith('on'))
            || one.matches('img[src="x"]')
            || (one.tagName === 'SCRIPT' && !one.src && one.textContent.includes('alert(1)')
                && one.type !== 'application/json'))
        .map((one) => one.outerHTML.slice(0, 200))"""
    )
    return made


@pytest.mark.browser
def test_pages_and_the_report_show_names_as_text(facility: Facility, browser: Browser) -> None:
    visit = Visit(browser, facility.address)
    dialogs: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    visit.page.on("dialog", dismiss)
    key = facility.key()
    report = facility.folder / "report.html"
    facility.run("report", key, "--out", report, "--config", facility.config)
    try:
        for path, text in (("/", MARKUP), (f"/s/{key}/summary", MARKUP), (f"/s/{key}/gallery", MARKUP),
                           (f"/s/{key}/ctf", ""), (f"/s/{key}/system", "")):  # fmt: skip
            page = visit.go(path)
            page.wait_for_function("() => document.readyState === 'complete'")
            if path.endswith("/summary"):
                page.locator('[data-panel="runs"]').scroll_into_view_if_needed()
            if text:
                page.wait_for_function(SHOWN, arg=text)
            assert harmed(page) == [], path
        assert [error for error in visit.errors if "Content Security Policy" in error] == []
        visit.page.goto(report.as_uri())
        visit.page.wait_for_function(SHOWN, arg=MARKUP)
        assert harmed(visit.page) == []
    finally:
        visit.requests = [url for url in visit.requests if url != report.as_uri()]
        visit.close(tolerant=True)
    assert dialogs == []


def test_influxdb_holds_every_value_and_no_series_more(facility: Facility) -> None:
    influx = facility.influx
    until(lambda: len(influx.rows('SELECT "name" FROM micrograph')) == facility.names.total(), PATIENCE)
    assert Counter(row["name"] for row in influx.rows('SELECT "name" FROM micrograph')) == facility.names
    projects = Counter(tag_text(name) for name in NAMES)
    assert max(projects.values()) == 1
    tagged = {row["value"] for row in influx.rows('SHOW TAG VALUES FROM micrograph WITH KEY = "project"')}
    assert tagged == set(projects)
    [count] = influx.rows("SHOW SERIES EXACT CARDINALITY FROM micrograph")
    assert count["count"] == len(facility.folders)
    for name in projects:
        quoted = name.replace("\\", "\\\\").replace("'", "\\'")
        [row] = influx.rows(f"SELECT count(ctfID) FROM micrograph WHERE project = '{quoted}'")
        assert row["count"] == (len(facility.all_names) if name == tag_text(NAMES[0]) else 1), name
    labels = {row["label"] for row in influx.rows(f"SELECT label FROM run WHERE project = '{tag_text(NAMES[0])}'")}
    assert labels == {*NAMES, *PATHS}
    fields = {row["fieldKey"] for row in influx.rows("SHOW FIELD KEYS FROM micrograph")}
    assert "x" not in fields
    assert {row["name"] for row in influx.rows("SHOW DATABASES")} == {"scipion"}


def test_what_is_published_stays_below_its_folder(facility: Facility) -> None:
    root = facility.sshd.root
    key = facility.key()
    until(lambda: len(list(root.glob(f"{key}/*.*"))) >= len(NAMES), PATIENCE)
    local = facility.folder / "public"
    local.mkdir()
    config = facility.settings("second", f'[images]\npublish = "{local.as_uri()}"\n')
    facility.run("watch", "--once", facility.projects, "--config", config)
    for place in (root, local):
        files = [file for file in place.rglob("*") if file.is_file()]
        assert len(files) == len(NAMES), place
        assert {file.parent for file in files} == {place / key}
        assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.(jpg|png)", file.name) for file in files)
    assert sorted(one.name for one in facility.folder.iterdir()) == sorted(
        ["projects", "outside", "influx", "sshd", "data", "second", "public", "password", "data.toml", "second.toml",
         "data.log", "second.log", "stderr", *(["report.html"] if (facility.folder / "report.html").exists() else [])]
    )  # fmt: skip
    assert sorted(one.name for one in facility.outside.iterdir()) == ["secret.png", "secret.txt"]


def test_images_are_of_files_of_the_project_alone(facility: Facility) -> None:
    shown = {}
    for one in facility.get(f"/api/sessions/{facility.key()}/micrographs?limit=500")["micrographs"]:
        answer = facility.client.get(f"/images/{one['id']}/micrograph?size=128")
        assert SECRET.encode() not in answer.content
        assert b"root:" not in answer.content
        shown[one["name"]] = answer.status_code
    assert {name for name, status in shown.items() if status == 200} == set(NAMES)
    assert {shown[name] for name in facility.all_names if name not in NAMES} == {404}


def test_people_get_mail_without_a_further_header(facility: Facility) -> None:
    told = len(facility.folders) - 1 + min(MOST_FAILED, len([*NAMES, *PATHS]))
    until(lambda: sum(mail.as_string().count("has failed") for mail in facility.mail.answers.taken) >= told, PATIENCE)
    known = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "X-Mailer",
             "Importance", "X-Priority", "MIME-Version", "Content-Type"}  # fmt: skip
    for mail in facility.mail.answers.taken:
        assert set(mail.keys()) <= known
        assert "\n" not in mail["Subject"]
        html = mail.get_body(("html",))
        assert html is not None
        assert "<script" not in html.get_content()
        assert "<img src=x" not in html.get_content()
    assert {address for all_ in facility.mail.answers.recipients for address in all_} == {"b@example.org"}


def test_a_webhook_gets_json_with_names_on_one_line(facility: Facility) -> None:
    until(lambda: facility.chat.bodies, PATIENCE)
    said = json.dumps(facility.chat.bodies, ensure_ascii=False)
    assert "has failed" in said
    for (path, headers), body in zip(facility.chat.requests, facility.chat.bodies, strict=True):
        assert path == "/hook"
        assert "Bcc" not in headers
        assert isinstance(body, dict)


def test_metrics_can_be_read_by_prometheus(facility: Facility) -> None:
    text = r'"(?:[^"\\\n]|\\[\\"n])*"'
    line = re.compile(rf"[a-z0-9_]+(\{{[a-z_]+={text}(,[a-z_]+={text})*\}})? [-+0-9.eE]+")
    lines = facility.client.get("/metrics").text.split("\n")
    assert [one for one in lines if one and not one.startswith("#") and not line.fullmatch(one)] == []
    sessions = {found[1] for one in lines if (found := re.match(r'cryowatch_readable\{session="(.*?)"\}', one))}
    assert sessions == set(facility.keys())


def clean(text: str) -> bool:
    """Return whether nothing in a text but line ends controls a terminal."""
    return all(c.isprintable() or c == "\n" for c in text)


def test_every_record_of_the_log_is_one_line(facility: Facility) -> None:
    until(lambda: (facility.folder / "data.log").read_text().count("alert: ") > 2, PATIENCE)
    for file in (facility.folder / "data.log", facility.error):
        text = file.read_text(encoding="utf-8")
        assert clean(text), file
        lines = [one for one in text.split("\n")[:-1] if "Ctrl+C" not in one]
        assert [one for one in lines if not LINE.fullmatch(one)] == [], file
    log = (facility.folder / "data.log").read_text(encoding="utf-8")
    assert log.count(r"\xff\xfe: its name is not UTF-8. Rename the folder") == 1


def on_a_terminal(facility: Facility, *words: str | Path) -> str:
    """Return what a command shows on a terminal."""
    leader, follower = pty.openpty()
    environment = {**facility.environment, "TERM": "xterm-256color", "COLUMNS": "2000"}
    with subprocess.Popen(
        [*COMMAND, *map(str, words)], env=environment, stdin=follower, stdout=follower, stderr=follower
    ):
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # it has ended
                break
            if not part:
                break
            shown += part
    os.close(leader)
    return shown.decode()


def test_a_terminal_shows_names_and_obeys_none(facility: Facility) -> None:
    commands: Sequence[Sequence[str | Path]] = (
        ["status", "--config", facility.config],
        ["doctor", facility.projects, "--config", facility.config],
        ["export", COLOURED, "--format", "csv", "--config", facility.config],
        ["share", "list", "--config", facility.config],
    )
    for words in commands:
        shown = on_a_terminal(facility, *words)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.replace("\r\n", "\n"))
        assert clean(plain), (words, [c for c in plain if not c.isprintable() and c != "\n"])
        assert "\x1b[31mred" not in shown
        if words[0] == "status":
            assert [name for name in NAMES if one_line(name) not in plain] == []


TRAVERSALS = ("../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "/etc/passwd", "....//....//etc/passwd",
              "..\\..\\etc\\passwd", "file:///etc/passwd", "\0", "%00", ".", "..", "\udcff", "a" * 900)  # fmt: skip


def test_no_parameter_of_any_address_leads_out(facility: Facility) -> None:
    described = facility.get("/api/openapi.json")["paths"]
    pages: Mapping[str, Any] = {
        "/s/{session}": {},
        "/s/{session}/{dashboard}": {},
        "/static/{file}": {},
        "/login": {},
        "/logo": {},
    }
    asked = 0
    for path, methods in {**described, **pages}.items():
        if path == "/api/events":
            continue
        said = methods.get("get", {}).get("parameters", [])
        if methods and "get" not in methods:
            continue
        query = [one["name"] for one in said if one["in"] == "query"]
        for attack in TRAVERSALS:
            escaped = quote(attack.encode(errors="surrogateescape"), safe="")
            for name in query or [""]:
                target = re.sub(r"\{\w+\}", escaped, path) if not name else re.sub(r"\{session\}", facility.key(), path)
                target = re.sub(r"\{\w+\}", "1", target)
                answer = facility.client.get(f"{target}?{name}={escaped}" if name else target)
                assert answer.status_code < 500, (target, answer.text[:200])
                assert "root:" not in answer.text, target
                assert SECRET not in answer.text, target
                asked += 1
    assert asked > 100
