"""Commands talk to the service that is installed on the machine, unless they are told another store."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cryowatch.errors import ConfigError
from cryowatch.settings.installed import installed, service_of
from tests.support.projects import genuine
from tests.system.test_unit import HOSTILE, cryowatch, printed


def install(home: Path, project: Path, *options: object) -> None:
    """Install a service in this user's manager, which nobody starts."""
    done = cryowatch(home, "service", "install", "--user", *options, "--", project)
    assert done.returncode == 0, done.stderr


def watched(home: Path, project: Path, data: Path) -> None:
    done = cryowatch(home, "watch", "--once", "--no-web", "--data-dir", data, project)
    assert done.returncode == 0, done.stderr


def sessions(home: Path, *options: object, **environment: str) -> list[str]:
    done = cryowatch(home, "status", "--json", *options, **environment)
    return [one["name"] for one in json.loads(done.stdout)["sessions"]]


def test_commands_talk_to_the_service_and_not_to_another_store(tmp_path: Path) -> None:
    mine, its = genuine(tmp_path, "mine"), genuine(tmp_path, "its")
    watched(tmp_path, mine, tmp_path / ".local/share/cryowatch")
    watched(tmp_path, its, tmp_path / "data of the service")
    assert sessions(tmp_path) == ["mine"]
    install(tmp_path, its, "--data-dir", tmp_path / "data of the service")
    assert sessions(tmp_path) == ["its"]
    assert cryowatch(tmp_path, "export", "its", "--kind", "runs").returncode == 0
    assert "data of the service" in cryowatch(tmp_path, "doctor", "--json").stdout
    cryowatch(tmp_path, "accounts", "add", "ada", "--password-file", "-", typed="long enough for all")
    assert (tmp_path / "data of the service" / "accounts.json").exists()


def test_who_names_a_store_or_settings_gets_those(tmp_path: Path) -> None:
    mine, its = genuine(tmp_path, "mine"), genuine(tmp_path, "its")
    watched(tmp_path, mine, tmp_path / "mine of my own")
    watched(tmp_path, its, tmp_path / "of the service")
    install(tmp_path, its, "--data-dir", tmp_path / "of the service")
    assert sessions(tmp_path, "--data-dir", tmp_path / "mine of my own") == ["mine"]
    assert sessions(tmp_path, CRYOWATCH_DATA_DIR=str(tmp_path / "mine of my own")) == ["mine"]
    config = tmp_path / "own.toml"
    config.write_text(f'data_dir = "{tmp_path}/mine of my own"\n')
    assert sessions(tmp_path, "--config", config) == ["mine"]


def test_of_several_services_a_command_asks_which(tmp_path: Path) -> None:
    project = genuine(tmp_path)
    for name in ("krios1", "krios2"):
        install(tmp_path, project, "--name", name, "--data-dir", tmp_path / name)
        watched(tmp_path, project, tmp_path / name)
    done = cryowatch(tmp_path, "status")
    assert done.returncode == 2
    assert done.stderr == (
        f"cryowatch: there are 2 services on this machine. Say which with --data-dir: {tmp_path}/krios1"
        f" (cryowatch-krios1), {tmp_path}/krios2 (cryowatch-krios2)\n"
    )
    assert sessions(tmp_path, "--data-dir", tmp_path / "krios2") == ["small"]


def test_the_settings_of_a_service_come_with_its_store(tmp_path: Path) -> None:
    project = genuine(tmp_path)
    config = tmp_path / "facility.toml"
    config.write_text("[alerts.rules.defocus]\nhigh = 3.25\n")
    install(tmp_path, project, "--config", config, "--data-dir", tmp_path / "data")
    assert "3.25" in cryowatch(tmp_path, "alerts", "rules").stdout


def test_paths_of_any_name_are_found_in_a_unit(tmp_path: Path) -> None:
    (tmp_path / "projects").mkdir()
    for name in HOSTILE:
        text = printed(
            tmp_path, "--user", "--data-dir", tmp_path / name, "--listen", "127.0.0.1:9", "--", tmp_path / "projects"
        )
        (tmp_path / "cryowatch.service").write_text(text)
        [found] = installed([tmp_path])
        assert (found.data_dir, found.listen, found.config) == (tmp_path / name, "127.0.0.1:9", None)


def test_a_unit_that_somebody_else_wrote_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "cryowatch.service").write_text("[Service]\nExecStart=/opt/x watch --data-dir /srv\n")
    assert installed([tmp_path]) == []
    assert service_of(None, None, {}, folders=[tmp_path, tmp_path / "nowhere"]) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_who_may_not_read_the_services_store_is_told_as_whom(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "projects").mkdir()
    text = printed(tmp_path, "--run-as", "daemon", "--data-dir", tmp_path / "data", "--", tmp_path / "projects")
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "cryowatch.service").write_text(text)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o005)
    process = os.fork()
    if process == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            service_of(None, None, {}, folders=[tmp_path / "units"])
        except ConfigError as error:
            os._exit(0 if "sudo -u daemon cryowatch" in str(error) else 2)
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
