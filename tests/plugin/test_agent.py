"""The plugin finds the agent, asks its version, hands it no more than it needs, and one monitor watches a thing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emcryowatch import agent, bundle
from emcryowatch.following import AgentFailed, follow
from emcryowatch.lock import Hold, Watched, refuse
from emcryowatch.settings import data_dir

PLUGIN = Path(__file__).parent.parent.parent / "plugin"

MADE = """[influx]
usernameInflux=cm9vdA==
passwordInflux=???
dataBase=scipion
hostinflux=127.0.0.1
port=8086
ssl=False
verify_ssl=False
timeZone=Europe/Madrid
timeDelta=0
"""


def program(folder: Path, text: str) -> Path:
    """Return a program that prints something, in an environment's bin."""
    path = folder / "bin" / "cryowatch"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_variable_comes_before_the_path_and_that_before_the_bundled_one(tmp_path: Path) -> None:
    home, on_path, bundled = (program(tmp_path / name, "") for name in ("home", "path", "bundled"))
    path = {"PATH": str(on_path.parent)}
    assert agent.find({"CRYOWATCH_HOME": str(tmp_path / "home"), **path}, bundled) == home
    assert agent.find(path, bundled) == on_path
    assert agent.find({"PATH": str(tmp_path)}, bundled) == bundled


def test_a_slip_in_the_variable_starts_no_other_version(tmp_path: Path) -> None:
    bundled = program(tmp_path / "bundled", "")
    with pytest.raises(agent.AgentError, match="CRYOWATCH_HOME is /nowhere, and there is no program"):
        agent.find({"CRYOWATCH_HOME": "/nowhere", "PATH": str(bundled.parent)}, bundled)


def test_an_agent_that_is_not_there_is_said_to_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(agent.AgentError, match=r"was not found.*set CRYOWATCH_HOME.*scipion3 installb cryowatch"):
        agent.find({"PATH": str(tmp_path)}, tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo cryowatch 0.0.9", "is cryowatch 0.0.9, and this plugin needs"),
        ("echo ImportError: no module; exit 1", "does not say its version: ImportError: no module"),
        ("true", "it says nothing"),
    ],
)
def test_an_agent_that_is_too_old_or_broken_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(agent.AgentError, match=said):
        agent.check_version(program(tmp_path, text), {})


def test_the_agent_of_this_repository_is_new_enough() -> None:
    here = Path(sys.executable).with_name("cryowatch")
    assert agent.check_version(here, dict(os.environ))


def test_the_agent_sees_no_packages_of_scipion_and_no_accounts_it_was_not_given() -> None:
    whole = {
        "PATH": "/bin", "PYTHONPATH": "/scipion", "EMFACILITIES_HOME": "/etc", "CRYOWATCH_HOME": "/opt",
        "CRYOWATCH_DATA_DIR": "/data", "CRYOWATCH_MAIL__PASSWORD": "m", "CRYOWATCH_INFLUX__URL": "http://x",
    }  # fmt: skip
    assert set(agent.environment_of(whole, influx=False)) == {"PATH", "CRYOWATCH_MAIL__PASSWORD"}
    assert {"CRYOWATCH_INFLUX__URL", "EMFACILITIES_HOME"} <= set(agent.environment_of(whole, influx=True))


def test_secrets_that_cannot_be_used_are_named_without_their_values(tmp_path: Path) -> None:
    here = Path(sys.executable).with_name("cryowatch")
    file = tmp_path / "secrets.cfg"
    assert "No such file" in agent.secrets_problems(here, file, dict(os.environ))[0]
    file.write_text(MADE)
    [said] = agent.secrets_problems(here, file, dict(os.environ))
    assert "passwordInflux" in said
    assert "???" not in said
    file.write_text(MADE.replace("???", "cm9vdA=="))
    assert agent.secrets_problems(here, file, dict(os.environ)) == []


def test_a_second_monitor_of_the_same_is_refused_and_one_of_something_else_is_not(tmp_path: Path) -> None:
    refuse(tmp_path, ["ctf"], 9)
    hold = Hold(tmp_path, ["ctf", "gain"], 7, "our monitor")
    with pytest.raises(Watched, match=r"Run 7, 'our monitor' on .*, watches this project already"):
        refuse(tmp_path, ["gain", "system"], 9)
    refuse(tmp_path, ["system"], 9)
    hold.release()
    refuse(tmp_path, ["ctf", "gain"], 9)


def test_a_monitor_waits_for_the_agent_of_one_that_was_killed(tmp_path: Path) -> None:
    code = f"import sys, time, os; sys.path.insert(0, {str(PLUGIN)!r}); from emcryowatch.lock import Hold\n"
    code += f"from pathlib import Path; hold = Hold(Path({str(tmp_path)!r}), ['ctf'], 7, 'killed')\n"
    code += "import subprocess; p = subprocess.Popen(['sleep', '1'], pass_fds=hold.descriptors)\n"
    code += "os.kill(os.getpid(), 9)"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        process.wait(30)
        hold = Hold(tmp_path, ["ctf"], 9, "next", seconds=30)
    hold.release()


def test_the_installer_takes_the_clone_the_plugin_lies_in_or_what_it_is_told(tmp_path: Path) -> None:
    assert Path(bundle.source({})) == PLUGIN.parent
    assert bundle.source({"CRYOWATCH_PACKAGE": "cryowatch==0.1"}) == "cryowatch==0.1"
    assert bundle.python({"CRYOWATCH_PYTHON": sys.executable}) == sys.executable
    assert bundle.python({"PATH": str(tmp_path)}) == ""


def test_each_run_has_data_of_its_own(tmp_path: Path) -> None:
    extra = tmp_path / "Runs" / "7" / "extra"
    assert data_dir(extra, Path("/a/p"), 7, "") == extra / "cryowatch"
    folders = {data_dir(extra, Path(project), run, "/d") for project in ("/a/p", "/b/p") for run in (7, 8)}
    assert {folder.parent for folder in folders} == {Path("/d")}
    assert len(folders) == 4
    assert all(folder.name.startswith("p-") for folder in folders)


def follow_script(folder: Path, text: str, **options: Any) -> tuple[dict[str, Any], list[str]]:
    """Follow a program in the agent's place; returns its last state and what was said."""
    said: list[str] = []
    script = program(folder, text)
    state = follow(
        [str(script)], environment=dict(os.environ), log=folder / "log", state_file=folder / "state.json",
        say=said.append, pause=lambda _: 0.0, **options,
    )  # fmt: skip
    return state, said


ENDED = """echo '{"phase": "ended", "reason": "over", "left": [], "sessions": []}' > """


def test_an_agent_that_is_killed_is_started_again(tmp_path: Path) -> None:
    text = (
        f"if [ -e {tmp_path}/once ]; then {ENDED}{tmp_path}/state.json; exit 0; fi; touch {tmp_path}/once; kill -9 $$"
    )
    state, said = follow_script(tmp_path, text)
    assert state["reason"] == "over"
    assert said == ["The agent ended by itself with -9; it is started again, and goes on where it was."]


def test_a_mistake_in_the_settings_ends_it_with_the_agents_own_line(tmp_path: Path) -> None:
    with pytest.raises(AgentFailed, match=r"^cryowatch: some\.toml: mail\.to: is missing$"):
        follow_script(tmp_path, "echo starting >&2; echo 'cryowatch: some.toml: mail.to: is missing' >&2; exit 2")


def test_data_on_a_network_file_system_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(AgentFailed, match="set CRYOWATCH_DATA_DIR to a folder on a local disk"):
        follow_script(tmp_path, "echo 'cryowatch: /x: lies on a network file system (nfs)' >&2; exit 2")


def test_an_agent_that_always_dies_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(AgentFailed, match="ended 5 times by itself, last with 7: no memory"):
        follow_script(tmp_path, "echo no memory; exit 7")


def test_an_agent_that_somebody_stopped_is_started_again(tmp_path: Path) -> None:
    stopped = ENDED.replace('"over"', '""')
    text = f"if [ -e {tmp_path}/once ]; then {ENDED}{tmp_path}/state.json; exit 0; fi; touch {tmp_path}/once; "
    state, said = follow_script(tmp_path, f"{text}{stopped}{tmp_path}/state.json; exit 0")
    assert (state["reason"], len(said)) == ("over", 1)


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_lock_that_somebody_made_a_link_or_a_pipe_writes_nowhere_else(tmp_path: Path, kind: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("what somebody keeps")
    (tmp_path / "Logs").mkdir()
    lock = tmp_path / "Logs" / "cryowatch-ctf.lock"
    if kind == "link":
        lock.symlink_to(precious)
    else:
        os.mkfifo(lock)
    with pytest.raises(Watched, match="Delete it"):
        Hold(tmp_path, ["ctf"], 7, "our monitor")
    with pytest.raises(Watched, match="Delete it"):
        refuse(tmp_path, ["ctf"], 7)
    assert precious.read_text() == "what somebody keeps"
