"""Forms as Scipion shows them: every parameter of its own monitors, and what is said of values that cannot be."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.plugin.window import Window

pytestmark = [pytest.mark.scipion, pytest.mark.timeout(120)]


@pytest.mark.parametrize("kind", ["Summary", "CTF", "MovieGain", "System"])
def test_every_parameter_of_scipions_own_monitor_is_there_with_its_preset(window: Window, kind: str) -> None:
    if not window.path.parts:
        window.create("forms", Path(window.folder))
    theirs = window.order("form", kind=f"ProtMonitor{kind}")
    ours = window.order("form", kind=f"CryowatchMonitor{kind}")
    assert len(theirs) > 8
    assert {name: ours.get(name) for name in theirs} == theirs, "an interface has the same number, too"


@pytest.fixture
def monitor(window: Window, tmp_path: Path) -> Monitor:
    return Monitor(window, tmp_path)


class Monitor:
    """A monitor that is filled in and not yet executed."""

    def __init__(self, window: Window, folder: Path) -> None:
        window.create("wrong", folder)
        self._window = window
        self._watched = window.new("StreamProtMicrographs", "import micrographs").number

    def said(self, **params: object) -> list[str]:
        """Return what the window says instead of executing; nothing is written then."""
        run = self._window.new("CryowatchMonitorSummary", "m", {"inputProtocols": [self._watched]}, **params)
        problems = run.validate()
        assert not list(self._window.path.glob("Runs/*CryowatchMonitor*/**/cryowatch*"))
        return problems


def test_an_agent_that_is_missing_or_too_old(window: Window, monitor: Monitor, tmp_path: Path) -> None:
    assert monitor.said() == []
    window.environment(CRYOWATCH_HOME=str(tmp_path / "none"))
    [problem] = monitor.said()
    assert problem.startswith(
        f"CRYOWATCH_HOME is {tmp_path}/none, and there is no program bin/cryowatch in that folder"
    )
    window.environment(CRYOWATCH_HOME=None, PATH="/usr/bin:/bin")
    [problem] = monitor.said()
    assert problem.startswith("The program cryowatch was not found: it is not on the PATH")
    assert problem.endswith("scipion3 installb cryowatch")
    program = tmp_path / "old" / "bin" / "cryowatch"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho cryowatch 0.0.9\n")
    program.chmod(0o755)
    window.environment(CRYOWATCH_HOME=str(tmp_path / "old"))
    [problem] = monitor.said()
    assert problem.startswith(f"{program} is cryowatch 0.0.9, and this plugin needs ")


def test_a_monitor_that_is_executed_all_the_same_fails_with_the_same_words(
    window: Window, monitor: Monitor, tmp_path: Path
) -> None:
    window.environment(CRYOWATCH_HOME=str(tmp_path))
    [problem] = monitor.said()
    [number] = [number for number, kind, _ in window.order("runs") if kind == "CryowatchMonitorSummary"]
    window.order("launch", run=number, resume=False)
    said = window.run(number).until(lambda said: said["status"] == "failed")
    assert problem in said["error"]


def test_accounts_that_are_missing_or_cannot_be_read(window: Window, monitor: Monitor, tmp_path: Path) -> None:
    [problem] = monitor.said(doInflux=True)
    assert "EMFACILITIES_HOME" in problem
    window.environment(EMFACILITIES_HOME=str(tmp_path))
    file = tmp_path / "secrets.cfg"
    assert monitor.said() == []
    [problem] = monitor.said(doInflux=True)
    assert problem.startswith(f"{file}: cannot be read")
    hidden = "Not-base64!"
    word = base64.b64encode(b"writer").decode()
    file.write_text(
        f"[influx]\nusernameInflux={word}\npasswordInflux={hidden}\ndataBase=scipion\nhostinflux=localhost\n"
        "port=8086\nssl=False\nverify_ssl=False\ntimeZone=Europe/Madrid\ntimeDelta=0\n"
    )
    problems = monitor.said(doInflux=True)
    assert any(str(file) in line and "passwordInflux" in line for line in problems), problems
    assert not [line for line in problems if hidden in line]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"samplingInterval": 0}, "Sampling Interval must lie between 1 and 3600 s (it is 0)"),
        ({"minDefocus": 50000.0}, "minimum defocus must be below maximum defocus"),
        ({"doGpu": True, "gpusToUse": "first"}, 'must be numbers like "0 1 2" (it is "first")'),
        ({"doNetwork": True, "netInterfaces": 9999}, "Interface: this machine has none of number 9999"),
        ({"doMail": True, "emailTo": "staff"}, "To: must be a mail address like someone@example.org"),
        ({"publishCmd": "rsync %(FOLDER)s there:"}, "Publish command: only %(REPORT_FOLDER)s can be filled in"),
    ],
)
def test_values_that_cannot_be_are_one_line(monitor: Monitor, params: dict[str, object], words: str) -> None:
    [problem] = monitor.said(**params)
    assert words in problem
