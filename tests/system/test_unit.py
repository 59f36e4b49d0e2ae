"""`cryowatch service install` writes a unit that systemd takes, and the agent tells systemd how it is."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cryowatch.demo.project import local, write_objects
from cryowatch.settings.config import load
from cryowatch.settings.installed import MARK
from cryowatch.system.systemd import Systemd
from cryowatch.system.unit import Manager, Service, unit, warnings

HOSTILE = ["krios 1", 'a"b', "100%h", "$HOME and ${x}", "back\\slash", "-first", "día"]


def cryowatch(
    home: Path, *arguments: object, typed: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cryowatch", *map(str, arguments)],
        cwd=home, env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **environment},
        capture_output=True, text=True, check=False, timeout=30, input=typed,
    )  # fmt: skip


def printed(home: Path, *arguments: object, **environment: str) -> str:
    done = cryowatch(home, "service", "install", "--print", *arguments, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def verified(folder: Path, text: str, *, user: bool = False) -> str:
    """Return what systemd says against a unit: nothing where all is well."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    file = folder / "cryowatch-test.service"
    file.write_text(text)
    manager = ["--user"] if user else []
    done = subprocess.run(
        ["systemd-analyze", *manager, "verify", "--man=no", "--recursive-errors=no", str(file)],
        capture_output=True, text=True, check=False, env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
    )  # fmt: skip
    return "\n".join(line for line in done.stderr.splitlines() if "cryowatch" in line)


def setting(text: str, key: str) -> list[str]:
    return [line.removeprefix(f"{key}=") for line in text.splitlines() if line.startswith(f"{key}=")]


def test_systemd_takes_the_unit_whatever_the_projects_are_called(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in HOSTILE]
    for path in paths:
        path.mkdir()
    text = printed(tmp_path, "--run-as", "root", "--data-dir", tmp_path, "--", *paths)
    assert verified(tmp_path, text) == ""
    assert verified(tmp_path, text.replace("ProtectSystem=strict", "ProtectSystem=nonsense")) != ""
    assert len(setting(text, "ReadOnlyPaths")) == len(HOSTILE)
    (command,) = setting(text, "ExecStart")
    for expected in ('"', "100%%h", "$$HOME and $${x}", "back\\\\slash", "día"):
        assert expected in command


def test_projects_on_a_private_mount_are_not_mounted_again(tmp_path: Path) -> None:
    project = tmp_path / "nfs" / "project"
    project.mkdir(parents=True)
    text = printed(tmp_path, "--run-as", "root", project)
    assert setting(text, "ReadOnlyPaths") == []
    assert setting(text, "ProtectSystem") == ["strict"]
    assert setting(printed(tmp_path, "--run-as", "root", "--data-dir", tmp_path / "d", project), "ReadOnlyPaths") == []
    above = printed(tmp_path, "--run-as", "root", "--data-dir", tmp_path / "nfs", project)
    assert setting(above, "ReadOnlyPaths") == [f"-{project}"]


def test_the_unit_leaves_little_to_attack(tmp_path: Path) -> None:
    text = printed(tmp_path, "--run-as", "daemon", tmp_path)
    assert verified(tmp_path, text) == ""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=35", str(tmp_path / "cryowatch-test.service")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_users_unit_needs_no_root(tmp_path: Path) -> None:
    text = printed(tmp_path, "--user", tmp_path)
    assert verified(tmp_path, text, user=True) == ""
    assert setting(text, "User") == []
    assert setting(text, "WantedBy") == ["default.target"]
    done = cryowatch(tmp_path, "service", "install", "--user", tmp_path)
    unit = tmp_path / ".config/systemd/user/cryowatch.service"
    assert (done.returncode, unit.read_text()) == (0, text)
    assert done.stdout.startswith(f"made    {unit}\n")
    assert "systemctl --user enable --now cryowatch" in done.stdout
    assert cryowatch(tmp_path, "service", "install", "--user", tmp_path).stdout.startswith("same ")
    assert cryowatch(tmp_path, "service", "install", "--user", "--listen", ":1", tmp_path).returncode == 2


def test_a_unit_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    unit = tmp_path / ".config/systemd/user/cryowatch.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    done = cryowatch(tmp_path, "service", "install", "--user", tmp_path)
    assert done.returncode == 2
    assert "is there already, and not written by this command. Nothing was changed" in done.stderr
    assert "ExecStart=/bin/true" in unit.read_text()
    unit.write_text(f"{MARK}, an older one\n")
    changed = cryowatch(tmp_path, "service", "install", "--user", tmp_path).stdout
    assert changed.startswith("changed ")
    assert "systemctl --user restart cryowatch" in changed, "or the old one goes on"
    assert sorted(path.name for path in unit.parent.iterdir()) == ["cryowatch.service"]


def test_agents_with_names_share_nothing(tmp_path: Path) -> None:
    texts = [printed(tmp_path, "--run-as", "daemon", "--name", name, tmp_path) for name in ("krios1", "krios2")]
    assert [setting(text, "StateDirectory") for text in texts] == [["cryowatch-krios1"], ["cryowatch-krios2"]]
    assert "--data-dir /var/lib/cryowatch-krios1 " in texts[0]
    user = printed(tmp_path, "--user", "--name", "krios1", tmp_path)
    assert f"--data-dir {tmp_path}/.local/share/cryowatch-krios1 " in user


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["PATH"], "Name one that may read the projects: --run-as USER"),
        (["--run-as", "a b", "PATH"], "is no name of an account"),
        (["--run-as", "daemon", "--name", "a/b", "PATH"], "is no name for a service"),
        (["--run-as", "daemon", "PATH/gone"], "is not there"),
        (["--user", "--run-as", "daemon", "PATH"], "runs services under your account"),
    ],
)
def test_what_cannot_work_is_one_line(tmp_path: Path, arguments: Sequence[str], text: str) -> None:
    said = [argument.replace("PATH", str(tmp_path)) for argument in arguments]
    done = cryowatch(tmp_path, "service", "install", "--print", *said)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert text in done.stderr


def test_the_unit_bounds_what_a_project_made_to_harm_could_take(tmp_path: Path) -> None:
    assert setting(printed(tmp_path, "--run-as", "daemon", tmp_path), "MemoryMax") == ["4G"]
    assert setting(printed(tmp_path, "--user", tmp_path, CRYOWATCH_IMAGES__WORKERS="3"), "MemoryMax") == ["6G"]
    assert setting(printed(tmp_path, "--run-as", "daemon", tmp_path), "UMask") == ["0027"]


def test_sudo_tells_whose_service_it_is(tmp_path: Path) -> None:
    assert setting(printed(tmp_path, tmp_path, SUDO_USER="scipion"), "User") == ["scipion"]


def test_passwords_are_handed_over_by_systemd_and_never_in_the_unit(tmp_path: Path) -> None:
    secret = tmp_path / "writer.password"
    secret.write_text("hunter2")
    config = tmp_path / "cryowatch.toml"
    config.write_text(
        f'[influx]\nurl = "https://i.example.org:8086"\npassword_file = "{secret}"\n'
        f'[images]\npublish = "file://{tmp_path}/my%20images"\n[log]\nfile = "{tmp_path}/log/cryowatch.log"\n'
    )
    text = printed(tmp_path, "--run-as", "daemon", "--config", config, tmp_path)
    assert verified(tmp_path, text) == ""
    assert setting(text, "LoadCredential") == [f"influx.password:{secret}"]
    assert setting(text, "Environment") == ["CRYOWATCH_INFLUX__PASSWORD_FILE=/run/credentials/%n/influx.password"]
    assert setting(text, "ReadWritePaths") == [f'"-{tmp_path}/my images"', f"-{tmp_path}/log"]
    assert "hunter2" not in text
    found = load(config, environment={"CRYOWATCH_INFLUX__PASSWORD_FILE": str(secret)})
    assert found.influx.secret()[0] == "hunter2"


def test_a_systemd_that_hands_over_no_passwords_is_said_with_what_to_do(tmp_path: Path) -> None:
    config = tmp_path / "cryowatch.toml"
    config.write_text(f'[influx]\nurl = "https://i.example.org:8086"\npassword_file = "{tmp_path}/writer.password"\n')
    made = Service(paths=[tmp_path], manager=Manager.SYSTEM, account="scipion")
    settings = load(config, environment={})
    text = unit(made, settings, renderers=3, version=239)
    assert (setting(text, "LoadCredential"), setting(text, "Environment")) == ([], [])
    [warning] = warnings(made, settings, version=239)
    assert warning == (
        f"systemd 239 hands over no passwords, so scipion has to read {tmp_path}/writer.password itself:"
        f" sudo chown scipion {tmp_path}/writer.password"
    )
    assert warnings(made, settings, version=249) == []


def test_systemd_hears_that_the_agent_is_ready_lives_and_ends(tmp_path: Path) -> None:
    project = tmp_path / "alpha"
    project.mkdir()
    write_objects(project / "project.sqlite", [(1, None, "CreationTime", "String", local(1_790_000_000.0), "")])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000", "HOME": str(tmp_path)}
        with subprocess.Popen(
            [sys.executable, "-m", "cryowatch", "watch", "--listen", "127.0.0.1:0", "--data-dir", "data", str(project)],
            cwd=tmp_path, env={"PATH": os.environ["PATH"], **environment}, stderr=subprocess.PIPE,
        ) as agent:  # fmt: skip
            told: list[str] = []
            for expected in ("READY=1\nSTATUS=pages at http://127.0.0.1:", "WATCHDOG=1\nSTATUS=1 project watched"):
                while not any(text.startswith(expected) for text in told):
                    told.append(manager.recv(4096).decode())
            agent.send_signal(signal.SIGTERM)
            while told[-1] != "STOPPING=1":
                told.append(manager.recv(4096).decode())
            assert agent.wait(20) == 0


def test_a_watchdog_of_another_process_is_not_answered_faster() -> None:
    assert Systemd({"WATCHDOG_USEC": "3000000"}).beat_seconds == pytest.approx(1.0)
    assert Systemd({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}).beat_seconds == pytest.approx(10.0)
