"""The monitors of CTF, gain and machine, side by side in one project, and from a workflow template."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.window import Window, settings, wait
from tests.scipion.framework import PYTHON
from tests.support.influxd import InfluxServer
from tests.support.smtp import MailServer

pytestmark = [pytest.mark.scipion, pytest.mark.timeout(240)]

SCHEDULE = """
import runpy, sys
import pyworkflow.protocol
pyworkflow.protocol.INITIAL_SLEEP_TIME = 4
sys.argv = ["schedule", sys.argv[1]]
runpy.run_module("pyworkflow.project.scripts.schedule", run_name="__main__")
"""
"""Scipion's own script, whose half a minute of waiting for each level of the workflow is cut short."""


def test_each_monitor_alone_raises_its_own_alarms_and_mails_them(
    window: Window, mail: MailServer, tmp_path: Path
) -> None:
    base = tmp_path / "facility.toml"
    base.write_text("[alerts.rules.memory]\nminutes = 0\n[mail]\nsecurity = 'none'\n")
    window.environment(CRYOWATCH_CONFIG=str(base))
    window.create("three", tmp_path)
    window.goal(30)
    micrographs = window.new("StreamProtMicrographs", "import micrographs")
    micrographs.launch()
    gain = window.new("XmippProtMovieGain", "gain", stddev=0.05)
    gain.launch()
    micrographs.until(lambda said: said["outputs"])
    ctf = window.new("StreamProtCTF", "ctf", {"inputMicrographs": [micrographs.number, "outputMicrographs"]})
    ctf.launch()
    post = {
        "samplingInterval": 1, "doMail": True, "emailFrom": "scipion@example.org", "emailTo": "staff@example.org",
        "smtp": f"127.0.0.1:{mail.port}",
    }  # fmt: skip
    monitors = {
        "astigmatism": window.new(
            "CryowatchMonitorCTF", "ctf monitor", {"inputProtocol": [ctf.number]}, astigmatism=100.0, **post
        ),
        "gain residual": window.new(
            "CryowatchMonitorMovieGain", "gain monitor", {"inputProtocol": [gain.number]}, **post
        ),
        "memory": window.new(
            "CryowatchMonitorSystem", "system monitor", {"inputProtocols": [micrographs.number]}, memAlert=0.01, **post
        ),
    }
    for monitor in monitors.values():
        monitor.launch()
    for word, monitor in monitors.items():
        said = monitor.until(lambda said: "Active alerts: 1" in said["summary"])["summary"]
        [alert] = [line for line in said if line.startswith("  warning:")]
        assert word in alert.lower()

    def missing() -> list[str]:
        told = "".join(message.as_string().lower() for message in mail.answers.taken)
        return [word for word in monitors if word not in told]

    wait(lambda: not missing(), "a mail about each alarm")
    window.goal(30, ends=True)
    for monitor in monitors.values():
        over = monitor.until(lambda said: said["status"] == "finished")
        assert "Ended: what was watched has ended." in over["summary"]


def test_a_template_with_scipions_own_monitor_runs_with_ours(
    window: Window, influx: InfluxServer, secrets: Path, tmp_path: Path
) -> None:
    template, ours = tmp_path / "template.json", tmp_path / "ours.json"
    window.create("source", tmp_path)
    micrographs = window.new("StreamProtMicrographs", "import micrographs")
    ctf = window.new("StreamProtCTF", "ctf", {"inputMicrographs": [micrographs.number, "outputMicrographs"]})
    gain = window.new("XmippProtMovieGain", "gain", stddev=0.021)
    watched = {"inputProtocols": [micrographs.number, ctf.number, gain.number]}
    window.new("ProtMonitorSummary", "summary", watched, doInflux=True, samplingInterval=2, maxDefocus=31000.0)
    window.order("export", file=str(template))
    command: list[str | Path] = [sys.executable, "-m", "cryowatch", "scipion", "template", template, "--out", ours]
    subprocess.run(command, check=True, timeout=60, capture_output=True)

    data = tmp_path / "data"
    (data / "projects").mkdir(parents=True)
    environment = settings(SCIPION_USER_DATA=str(data), EMFACILITIES_HOME=str(secrets))
    create: list[str | Path] = [PYTHON, "-m", "pyworkflow.project.scripts.create", "night", ours]
    subprocess.run(create, check=True, timeout=60, capture_output=True, env=environment)
    project = data / "projects" / "night"
    window.open(project)
    window.goal(9)
    with (tmp_path / "schedule.log").open("w") as log:  # no pipe: what it starts holds it open
        schedule: list[str | Path] = [PYTHON, "-c", SCHEDULE, "night"]
        subprocess.run(schedule, check=True, timeout=60, stdout=log, stderr=log, env=environment)
    [monitor] = [window.run(number) for number, kind, _ in window.order("runs") if kind == "CryowatchMonitorSummary"]
    query = "SELECT * FROM night WHERE section = '{}'"
    wait(lambda: len(influx.rows(query.format("ctf"))) == 9, "9 estimates of CTF", seconds=100)
    wait(lambda: len(influx.rows(query.format("gain"))) == 9, "9 residuals of gain")
    wait(lambda: influx.rows(query.format("system")), "the machine's load")
    window.goal(12, ends=True)
    over = monitor.until(lambda said: said["status"] == "finished")
    assert "0 movies, 12 micrographs, 12 CTFs, 12 gain residuals" in over["summary"]
    assert len(influx.rows(query.format("ctf"))) == 12
    lines = [line.split() for line in next(project.glob("Runs/*Gain/summaryForMonitor.txt")).read_text().splitlines()]
    rows = {row["idx"]: row for row in influx.rows(query.format("gain"))}
    assert len(rows) == len(lines) == 12
    for number, (_, stddev, low, high, most) in enumerate(lines, start=1):
        row = rows[number]
        assert row["stddev"] == float(stddev)
        assert row["ratio1"] == float(high) / float(low)
        assert row["ratio2"] == float(most) / float(high)
    config = next(project.glob("Runs/*/extra/cryowatch.toml")).read_text()
    assert "high = 3.1\n" in config
    assert json.loads(template.read_text()) != json.loads(ours.read_text())
