"""`watch` that ends by itself, in its own process: with the runs, after some time, with whoever started it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cryowatch.agent.agent import Agent
from cryowatch.agent.until import Ending, Until
from cryowatch.store import Store
from cryowatch.store.reader import Reader
from cryowatch.store.writer import FILE_NAME
from tests.support.projects import execute, genuine
from tests.support.smtp import MailServer

Start = Callable[..., "subprocess.Popen[str]"]


def say(project: Path, status: str, *runs: int) -> None:
    """Let Scipion say of runs that they have a status, and no longer what their own processes said."""
    for run in runs:
        for file in project.glob(f"Runs/*{run:06d}*/logs/run.db"):
            file.unlink()
        statement = f"UPDATE Objects SET value = '{status}' WHERE name = '{run}.status'"
        execute(project / "project.sqlite", statement)


def finished(folder: Path) -> Path:
    """Return a project whose runs have ended."""
    project = genuine(folder)
    say(project, "finished", 2, 67, 135)
    return project


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []
    environment = {name: value for name, value in os.environ.items() if name != "EMFACILITIES_HOME"}

    def watch(project: Path, *options: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "cryowatch", "watch", str(project), "--data-dir", str(tmp_path / "data")]
        command += ["--listen", "127.0.0.1:0", "--state-file", str(tmp_path / "state.json"), *map(str, options)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, "HOME": str(tmp_path)},
        )
        started.append(process)
        return process

    yield watch
    for process in started:
        process.kill()
        if process.stderr is not None and not process.stderr.closed:
            process.communicate()


def state(folder: Path, *, until: Callable[[dict[str, Any]], object], seconds: float = 40) -> dict[str, Any]:
    """Return what the state file says once it says what is wanted."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        file = folder / "state.json"
        if file.exists() and until(said := json.loads(file.read_text())):
            return dict(said)
        time.sleep(0.05)
    raise AssertionError(f"the state file does not say so: {file.read_text() if file.exists() else 'not there'}")


def test_it_ends_with_the_runs_and_not_before(tmp_path: Path, start: Start) -> None:
    project = finished(tmp_path)
    say(project, "running", 135)
    process = start(project, "--until-ended")
    said = state(tmp_path, until=lambda said: said["sessions"] and said["sessions"][0]["ctf"] == 8)
    assert (said["phase"], said["sessions"][0]["status"]) == ("watching", "running")
    assert said["address"].startswith("http://127.0.0.1:")
    say(project, "finished", 135)
    assert (process.wait(40), process.communicate()[1].count("Traceback")) == (0, 0)
    assert state(tmp_path, until=lambda said: said["phase"] == "ended")["left"] == []


def test_a_workflow_that_nobody_launched_yet_has_not_ended(tmp_path: Path, start: Start) -> None:
    project = genuine(tmp_path)
    say(project, "saved", 2, 67, 135)
    process = start(project, "--until-ended", "--for", "0.05", "--no-web")
    assert process.wait(40) == 0
    assert "the time is over" in process.communicate()[1]


class Refusing(BaseHTTPRequestHandler):
    """An InfluxDB that knows nobody."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(401, "unauthorized")

    def log_message(self, *_: object) -> None:
        pass


def test_what_cannot_be_delivered_is_named_when_patience_is_over(tmp_path: Path, start: Start) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        config = tmp_path / "some.toml"
        config.write_text(f'[influx]\nurl = "{url}"\n')
        process = start(finished(tmp_path), "--until-ended", "--patience", "0", "--no-web", "--config", config)
        assert process.wait(50) == 1
    finally:
        server.shutdown()
        server.server_close()
    assert f"not delivered: {url}" in process.communicate()[1]
    left = state(tmp_path, until=lambda said: said["phase"] == "ended")["left"]
    assert len(left) == 1
    assert "changes are not delivered" in left[0]


def test_it_ends_with_whoever_holds_its_standard_input(tmp_path: Path, start: Start) -> None:
    project = finished(tmp_path)
    say(project, "running", 135)
    process = start(project, "--leashed")
    state(tmp_path, until=lambda said: said["address"])
    assert process.poll() is None
    process.communicate(timeout=30)  # closes its standard input first
    assert process.returncode == 0
    assert state(tmp_path, until=lambda said: said["phase"] == "ended")["left"] == []


def test_a_signal_while_it_waits_for_a_server_ends_it(tmp_path: Path, start: Start) -> None:
    config = tmp_path / "some.toml"
    config.write_text('[influx]\nurl = "http://127.0.0.1:9"\n')
    process = start(finished(tmp_path), "--until-ended", "--no-web", "--config", config)
    state(tmp_path, until=lambda said: said["phase"] == "finishing")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert state(tmp_path, until=lambda said: said["phase"] == "ended")["reason"] == ""


def test_an_alarm_at_the_end_is_told_before_it_ends(tmp_path: Path, start: Start) -> None:
    server = MailServer()
    try:
        config = tmp_path / "some.toml"
        config.write_text(
            f'[mail]\nhost = "localhost"\nport = {server.port}\nsecurity = "none"\n'
            'sender = "a@example.org"\nto = ["b@example.org"]\n'
        )
        project = finished(tmp_path)
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        say(project, "failed", 67)
        execute(
            project / "project.sqlite",
            f"UPDATE Objects SET value = '{now}' WHERE name IN ('CreationTime', '67.endTime')",
        )
        process = start(project, "--until-ended", "--no-web", "--config", config)
        assert process.wait(40) == 0
        assert "has failed" in server.answers.taken[0].as_string()
    finally:
        server.stop()


def test_the_report_of_named_runs_is_handed_over_though_they_ended_before(tmp_path: Path, start: Start) -> None:
    config = tmp_path / "some.toml"
    config.write_text(
        f'[scipion]\nruns = [2, 67, 135]\n[report]\nminutes = 5\nfolder = "{tmp_path / "reports"}"\n'
        f'command = ["cp", "{{file}}", "{tmp_path / "published.html"}"]\n'
    )
    process = start(finished(tmp_path), "--until-ended", "--no-web", "--config", config)
    assert process.wait(50) == 0
    assert "small" in (tmp_path / "published.html").read_text()


def test_what_hangs_at_the_end_is_said_and_waited_for_no_longer(tmp_path: Path) -> None:
    with contextlib.closing(Store(tmp_path / "data")) as store:
        ending = Ending(Until(ended=True), Agent(store, []), store)
        assert "does not answer" in ending.finish(lambda *_: None, alone=False)[0]


def test_only_the_runs_that_are_named_are_watched(tmp_path: Path, start: Start) -> None:
    config = tmp_path / "some.toml"
    config.write_text("[scipion]\nruns = [135]\n")
    project = finished(tmp_path)
    say(project, "running", 67)
    process = start(project, "--until-ended", "--no-web", "--config", config)
    assert process.wait(40) == 0
    reader = Reader(tmp_path / "data" / FILE_NAME)
    [session] = reader.sessions()
    assert [run["run"] for run in reader.runs(session["id"])] == ["135"]
    assert {output["name"]: output["count"] for output in reader.outputs(session["id"])} == {"outputCTF": 8}
