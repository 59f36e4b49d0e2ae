"""The summary monitor in a project that streams, launched, stopped, killed and continued by Scipion itself."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.plugin.window import Run, Window, agent_of, there, wait
from tests.scipion.framework import api_values
from tests.support.influxd import ADMIN, InfluxServer
from tests.support.smtp import MailServer

pytestmark = [pytest.mark.scipion, pytest.mark.timeout(240)]

SCIPION = "SELECT * FROM \"{project}\" WHERE section = 'ctf'"
OWN = "SELECT * FROM micrograph WHERE project = '{project}'"


def session(window: Window, name: str, folder: Path, count: int) -> tuple[Run, Run]:
    """Return two runs of a new project that stream micrographs and their CTFs, up to a count at first."""
    window.create(name, folder)
    window.goal(count)
    micrographs = window.new("StreamProtMicrographs", "import micrographs")
    micrographs.launch()
    micrographs.until(lambda said: said["outputs"])
    ctf = window.new("StreamProtCTF", "ctf", {"inputMicrographs": [micrographs.number, "outputMicrographs"]})
    ctf.launch()
    return micrographs, ctf


def delivered(influx: InfluxServer, query: str, count: int) -> list[dict[str, Any]]:
    """Return the rows of the estimates once there are so many."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        rows = [row for row in influx.rows(query) if row["ctfID"] is not None]
        if len(rows) >= count:
            assert len(rows) == count
            return rows
        time.sleep(0.1)
    raise AssertionError(f"{len(rows)} of {count} CTFs were delivered")


def estimates(project: Path) -> list[dict[str, Any]]:
    """Return what Scipion's own API says of the CTFs of a project."""
    [items] = [found for file, found in api_values(project).items() if file.endswith("/ctfs.sqlite")]
    return items


def compare(rows: list[dict[str, Any]], project: Path) -> None:
    """Compare what was delivered with what Scipion's own API says, item by item."""
    items = estimates(project)
    assert sorted(row["ctfID"] for row in rows) == [item["item"] for item in items]
    known = {row["ctfID"]: row for row in rows}
    for item in items:
        row = known[item["item"]]
        assert row["defocusU"] == item["defocus_u"]
        assert row["defocusV"] == item["defocus_v"]
        assert row["defocus"] == (item["defocus_u"] + item["defocus_v"]) / 2
        assert row["astigmatism"] == item["defocus_u"] - item["defocus_v"]
        assert row["fitQuality"] == item["fit_quality"]
        assert row["resolution"] == (item["resolution"] if math.isfinite(item["resolution"]) else None)


def test_a_session_with_secrets_cfg_is_delivered_whole_through_a_stop_and_tells_by_mail(
    window: Window, influx: InfluxServer, mail: MailServer, secrets: Path, tmp_path: Path
) -> None:
    window.environment(EMFACILITIES_HOME=str(secrets))
    watched = session(window, "grid-7", tmp_path, 30)
    inputs = {"inputProtocols": [run.number for run in watched]}
    post = {"doMail": True, "emailFrom": "scipion@example.org", "emailTo": "staff@example.org"}
    monitor = window.new(
        "CryowatchMonitorSummary", "monitor", inputs, samplingInterval=1, astigmatism=100.0, doInflux=True,
        smtp=f"127.0.0.1:{mail.port}", **post,
    )  # fmt: skip
    monitor.launch()
    query = SCIPION.format(project="grid-7")
    delivered(influx, query, 30)
    said = monitor.until(lambda said: "Active alerts: 1" in said["summary"])["summary"]
    assert "0 movies, 30 micrographs, 30 CTFs" in said
    [alert] = [line for line in said if line.startswith("  warning:")]
    assert "astigmatism" in alert.lower()
    [address] = [line.removeprefix("Pages: ") for line in said if line.startswith("Pages: ")]
    page = httpx2.get(f"{address}api/sessions")
    assert page.status_code == 200
    assert "grid-7" in page.text
    assert window.order("pages", run=monitor.number) == [address]

    second = window.new("CryowatchMonitorSummary", "another", inputs)
    [refusal] = second.validate()
    assert refusal.startswith(f"Run {monitor.number}, 'monitor' on ")
    assert refusal.endswith("watches this project already. Stop it first: two monitors would tell everything twice.")
    assert not list(window.path.glob(f"Runs/*{second.number:06d}*/extra/cryowatch*"))

    agent = agent_of(monitor)
    monitor.stop()
    assert monitor.look()["status"] == "aborted"
    wait(lambda: not there(agent), "an agent that ends with its monitor")
    window.goal(40)
    watched[1].until(lambda said: len(estimates(window.path)) == 40)
    monitor.launch(resume=True)
    delivered(influx, query, 40)
    wait(lambda: mail.answers.taken, "a mail")
    assert "grid-7" in str(mail.answers.taken[0]["Subject"])
    assert "astigmatism" in mail.answers.taken[0].as_string().lower()
    assert monitor.look()["status"] == "running"
    window.goal(47, ends=True)
    over = monitor.until(lambda said: said["status"] == "finished")
    assert "0 movies, 47 micrographs, 47 CTFs" in over["summary"]
    assert "Ended: what was watched has ended." in over["summary"]
    assert not [line for line in over["summary"] if line.startswith("Pages:")]
    compare(delivered(influx, query, 47), window.path)
    assert len({message["Message-ID"] for message in mail.answers.taken}) == len(mail.answers.taken)


def test_the_layout_of_a_settings_file_and_a_monitor_that_is_killed(
    window: Window, influx: InfluxServer, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(ADMIN[1])
    own = tmp_path / "facility.toml"
    own.write_text(
        f'[influx]\nurl = "{influx.url}"\nusername = "{ADMIN[0]}"\npassword_file = "{tmp_path}/password"\n'
        'layout = "cryowatch"\n'
    )
    watched = session(window, "killed", tmp_path, 6)
    inputs = {"inputProtocols": [run.number for run in watched]}
    monitor = window.new(
        "CryowatchMonitorSummary", "monitor", inputs, samplingInterval=1, doInflux=True, configFile=str(own)
    )
    monitor.launch()
    query = OWN.format(project="killed")
    delivered(influx, query, 6)
    agent = agent_of(monitor)
    os.kill(monitor.look()["pid"], signal.SIGKILL)
    wait(lambda: not there(agent), "an agent that ends with its monitor")
    window.goal(11, ends=True)
    for run in watched:
        run.until(lambda said: said["status"] == "finished")
    monitor.launch(resume=True)
    over = monitor.until(lambda said: said["status"] == "finished")
    assert "0 movies, 11 micrographs, 11 CTFs" in over["summary"]
    rows = delivered(influx, query, 11)
    compare(rows, window.path)
    assert {row["name"] for row in rows} == {f"hole_{number:04d}.mrc" for number in range(1, 12)}
