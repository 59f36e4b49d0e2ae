"""Works Scipion as its window does, by orders from standard input: a JSON object a line, and an answer to each.

Run by Scipion's interpreter.  An order is `{"do": NAME, …}`, an answer `{"is": VALUE}` or `{"error": TEXT}`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import pyworkflow as pw

pw.Config.setDomain("pwem")

from pwem import Domain  # noqa: E402  only now does it know itself
from pyworkflow.project import Manager, Project  # noqa: E402
from pyworkflow.protocol.constants import MODE_RESUME  # noqa: E402
from pyworkflow.protocol.params import Group, Line  # noqa: E402


class Driver:
    """One project at a time."""

    def __init__(self) -> None:
        self._project: Any = None

    def create(self, name: str, location: str) -> str:
        """Make a project, and work in it from now on."""
        self._project = Manager().createProject(name, location=location)
        os.chdir(self._project.path)
        return str(self._project.path)

    def open(self, path: str) -> str:
        """Work in a project that is there."""
        self._project = Project(Domain, path)
        self._project.load()
        return str(self._project.path)

    def runs(self) -> list[list[Any]]:
        """Return the project's runs, as id, class and status as far as it is known."""
        return [[run.getObjId(), run.getClassName(), run.getStatus()] for run in self._project.getRuns()]

    def new(self, kind: str, label: str, params: dict[str, Any], inputs: dict[str, list[Any]]) -> int:
        """Make a run that is saved, and return its id.

        `inputs` are lists of runs' ids; with a name behind the id, an output of that run.
        """
        run = self._project.newProtocol(Domain.getProtocols()[kind], **params)
        run.setObjLabel(label)
        for name, chosen in inputs.items():
            if name == "inputProtocols":
                run.inputProtocols.set([self._run(number) for number in chosen])
            else:
                getattr(run, name).set(self._run(chosen[0]))
                if chosen[1:]:
                    getattr(run, name).setExtended(chosen[1])
        self._project.saveProtocol(run)
        return int(run.getObjId())

    def validate(self, run: int) -> list[str]:
        """Return what the window would say instead of executing."""
        return [str(problem) for problem in self._run(run).validate()]

    def launch(self, run: int, *, resume: bool) -> bool:
        """Execute or continue a run, in processes of its own, as Scipion does it."""
        found = self._run(run)
        if resume:
            found.runMode.set(MODE_RESUME)
        self._project.launchProtocol(found, wait=False)
        return True

    def stop(self, run: int) -> bool:
        """Stop a run as the window's button does."""
        self._project.stopProtocol(self._run(run))
        return True

    def look(self, run: int) -> dict[str, Any]:
        """Return what the window shows of a run."""
        found = self._run(run)
        self._project._updateProtocol(found)
        return {
            "status": found.getStatus(),
            "error": found.getErrorMessage(),
            "summary": [str(line) for line in found.summary()],
            "outputs": [name for name, _ in found.iterOutputAttributes()],
            "pid": found.getPid(),
            "folder": str(Path(self._project.path, found.getWorkingDir())),
        }

    def form(self, kind: str) -> dict[str, Any]:
        """Return the parameters of a protocol's form, with their presets and choices."""
        run = self._project.newProtocol(Domain.getProtocols()[kind])
        found = {}
        for name, param in run._definition.iterAllParams():
            if not isinstance(param, (Group, Line)):
                found[name] = [str(param.default), list(getattr(param, "choices", []))]
        return found

    def export(self, file: str) -> bool:
        """Write all runs of the project to a workflow template."""
        self._project.exportProtocols(self._project.getRuns(), file)
        return True

    def environment(self, values: dict[str, str | None]) -> bool:
        """Set variables, as somebody who starts Scipion anew has set them; None takes one away."""
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        from emcryowatch import Plugin  # noqa: PLC0415

        Plugin._defineVariables()
        return True

    def pages(self, run: int) -> list[str]:
        """Return the addresses that the button Analyze Results opens."""
        found = self._run(run)
        self._project._updateProtocol(found)
        views = []
        for viewer in Domain.findViewers(found.getClassName(), "tkinter"):
            views += viewer(project=self._project, protocol=found)._visualize(found)
        return [getattr(view, "address", "") for view in views]

    def _run(self, number: int) -> Any:
        return self._project.getProtocol(int(number), fromRuns=True)


def main() -> None:
    """Answer until there are no more orders; what Scipion prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    Domain.getPlugins()
    driver = Driver()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"is": getattr(driver, order.pop("do"))(**order)}
        except Exception:  # noqa: BLE001  whatever it is, the test is to read it
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


main()
