"""Finding the agent, `cryowatch`, which lives in an environment of its own; and asking it something."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Mapping, Sequence

from emcryowatch.constants import CONFIG, DATA_DIR, HOME, LEAST_AGENT, PACKAGE, PYTHON, SECRETS_HOME

SECONDS = 60
_OWN = {HOME, PACKAGE, PYTHON, CONFIG, DATA_DIR, "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"}
"""What the agent must not see: it would take them for its own settings or import Scipion's packages."""
_INFLUX = (SECRETS_HOME, "CRYOWATCH_INFLUX__", "CRYOWATCH_IMAGES__PUBLISH")


class AgentError(Exception):
    """The agent cannot be used; the text says why and how to mend it."""


def find(environment: Mapping[str, str], bundled: Path) -> Path:
    """Return the agent: of `$CRYOWATCH_HOME`, else on the path, else the bundled one; raises `AgentError`.

    Where the variable is set, nothing else is tried: a slip in it must not start some other version.
    """
    home = environment.get(HOME, "")
    if home:
        agent = Path(home).expanduser() / "bin" / "cryowatch"
        if not _runs(agent):
            raise AgentError(f"{HOME} is {home}, and there is no program bin/cryowatch in that folder. Correct {HOME}.")
        return agent
    on_path = shutil.which("cryowatch", path=environment.get("PATH"))
    if on_path:
        return Path(on_path)
    if _runs(bundled):
        return bundled
    raise AgentError(
        "The program cryowatch was not found: it is not on the PATH, and not in the plugin's own environment. "
        f"Install it into an environment of its own and set {HOME} to that folder, "
        "or install the plugin's binaries: scipion3 installb cryowatch"
    )


def _runs(program: Path) -> bool:
    return program.is_file() and os.access(str(program), os.X_OK)


def environment_of(environment: Mapping[str, str], *, influx: bool) -> dict[str, str]:
    """Return the agent's environment; passwords stay (`CRYOWATCH_MAIL__PASSWORD`), without `influx` not its own."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _OWN and (influx or not name.startswith(_INFLUX))
    }


def check_version(agent: Path, environment: Mapping[str, str]) -> str:
    """Return the agent's version; raises `AgentError` where it is too old or says none."""
    code, said = ask(agent, ["--version"], environment)
    found = re.search(r"cryowatch (\d+(?:\.\d+)*)", said)
    if code or not found:
        last = said.strip().splitlines()[-1:] or ["it says nothing"]
        raise AgentError(f"{agent} does not say its version: {last[0]}. Install cryowatch anew.")
    if _numbers(found.group(1)) < _numbers(LEAST_AGENT):
        raise AgentError(
            f"{agent} is cryowatch {found.group(1)}, and this plugin needs {LEAST_AGENT} or newer. Update cryowatch."
        )
    return found.group(1)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def ask(agent: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a short command of the agent; returns its exit code and all that it said; raises `AgentError`."""
    try:
        done = subprocess.run(  # noqa: S603  our own program
            [str(agent), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AgentError(f"{agent} did not answer within {SECONDS} s. Is its disk reachable?") from None
    except OSError as error:
        raise AgentError(f"{agent} cannot be started: {error.strerror}. Install cryowatch anew.") from None
    return done.returncode, done.stdout.decode("utf-8", "replace")


def secrets_problems(agent: Path, file: Path, environment: Mapping[str, str]) -> list[str]:
    """Return what is wrong in a secrets.cfg, a line each; no text holds a value that may be a password."""
    try:
        file.open("rb").close()
    except OSError as error:
        return [f"{file}: cannot be read: {error.strerror}. It holds the accounts for InfluxDB."]
    code, said = ask(agent, ["secrets", "check", str(file)], environment)
    if code == 0:
        return []
    lines = [" ".join(line.split()) for line in said.splitlines()]
    wrong = [line for line in lines if line and not re.search(r"(\s(ok|set|not set)$)|^note:", line)]
    return [f"{file}: {line}" if str(file) not in line else line for line in wrong] or [f"{file}: is not right"]
