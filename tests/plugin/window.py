"""Scipion as somebody works it at its window: projects, runs, and what is said of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.scipion.framework import PYTHON, environment

DRIVER = Path(__file__).parent / "driver.py"
SECONDS = 60.0
ACTIVE = ("launched", "running", "scheduled")
OWN = ("CRYOWATCH_", "EMFACILITIES_HOME")


def here() -> dict[str, str]:
    """Return what names the agent of these tests."""
    return {"CRYOWATCH_HOME": str(Path(sys.executable).parent.parent), "PATH": os.environ["PATH"]}


def settings(**more: str) -> dict[str, str]:
    """Return an environment for Scipion, in which the agent is that of these tests."""
    own = {name: value for name, value in environment().items() if not name.startswith(OWN)}
    return {
        **own,
        "SCIPION_PYTHON": str(PYTHON),
        "SCIPION_DOMAIN": "pwem",
        **here(),
        "NO_PROXY": "*",
        "no_proxy": "*",
        **more,
    }


def wait(wanted: Callable[[], object], what: str, *, seconds: float = SECONDS) -> None:
    """Wait until something is so; raises AssertionError, naming it, where that takes too long."""
    end = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end, f"there is not: {what}"
        time.sleep(0.1)


class Run:
    """One run of the project that is open."""

    def __init__(self, window: Window, number: int) -> None:
        self.number = number
        self._window = window

    def look(self) -> dict[str, Any]:
        """Return what the window shows of it."""
        found: dict[str, Any] = self._window.order("look", run=self.number)
        return found

    @property
    def extra(self) -> Path:
        return Path(self.look()["folder"]) / "extra"

    def validate(self) -> list[str]:
        """Return what the window says instead of executing."""
        found: list[str] = self._window.order("validate", run=self.number)
        return found

    def launch(self, *, resume: bool = False) -> None:
        """Execute or continue, where nothing speaks against it."""
        assert self.validate() == []
        self._window.order("launch", run=self.number, resume=resume)

    def stop(self) -> None:
        self._window.order("stop", run=self.number)

    def until(self, wanted: Callable[[dict[str, Any]], object], *, seconds: float = SECONDS) -> dict[str, Any]:
        """Return what the window shows once it is what is wanted."""
        end = time.monotonic() + seconds
        while True:
            found = self.look()
            if wanted(found):
                return found
            assert time.monotonic() < end, self.said(found)
            assert found["status"] != "failed", self.said(found)
            time.sleep(0.1)

    def said(self, found: dict[str, Any]) -> str:
        """Return everything that helps to see what went wrong."""
        logs = [*Path(found["folder"]).glob("logs/run.std*"), *Path(found["folder"]).glob("extra/cryowatch.log")]
        return "\n".join([str(found), *(f"== {file}\n{file.read_text()[-3000:]}" for file in logs)])


class Window:
    """Scipion at work on one project at a time."""

    def __init__(self, folder: Path) -> None:
        self._log = (folder / "scipion.log").open("w")
        self._process = subprocess.Popen(
            [str(PYTHON), str(DRIVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=settings(),
            text=True,
            start_new_session=True,
        )
        self.folder = folder
        self.path = Path()

    def order(self, what: str, **more: Any) -> Any:
        """Give one order, and return its answer; raises AssertionError where there was an error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "Scipion ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["is"]

    def create(self, name: str, location: Path) -> Path:
        """Make a project in which nothing flows yet, and work in it."""
        self.path = Path(self.order("create", name=name, location=str(location)))
        self.goal(0)
        return self.path

    def open(self, project: Path) -> None:
        """Work in a project that is there."""
        self.path = Path(self.order("open", path=str(project)))

    def goal(self, count: int, *, ends: bool = False) -> None:
        """Let what streams go on to a count, and end there if so."""
        beside = self.path / "goal.new"
        beside.write_text(f"{count}{' end' if ends else ''}\n")
        beside.replace(self.path / "goal")

    def new(self, kind: str, label: str, inputs: dict[str, list[Any]] | None = None, **params: Any) -> Run:
        return Run(self, self.order("new", kind=kind, label=label, params=params, inputs=inputs or {}))

    def run(self, number: int) -> Run:
        """Return a run of the project by its id."""
        return Run(self, number)

    def environment(self, **values: str | None) -> None:
        """Set variables as somebody who starts Scipion anew has set them; None takes one away."""
        self.order("environment", values=values)

    def end_runs(self) -> None:
        """End the runs of the project that is open; an agent ends with its monitor."""
        if self.path.parts:
            for number, _, status in self.order("runs"):
                if status in ACTIVE and self.order("look", run=number)["status"] in ACTIVE:
                    self.order("stop", run=number)

    def close(self) -> None:
        """End it."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._log.close()


def agent_of(run: Run) -> int:
    """Return the process that a monitor has started."""
    return int(json.loads((run.extra / "cryowatch.json").read_text())["pid"])


def there(agent: int) -> bool:
    """Return whether an agent's process is at work, and not another that has got its number since."""
    try:
        return b"cryowatch" in Path(f"/proc/{agent}/cmdline").read_bytes()
    except OSError:
        return False
