"""The doctor's looks at this machine, each made to fail for real: space, rights, files, store, GPUs."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from cryowatch.records import DeviceSample, HostSample
from cryowatch.store import Store
from cryowatch.store.writer import FILE_NAME
from tests.doctor.looking import looked

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can")


@ROOT_ONLY
def test_a_disk_with_little_space_is_told(tmp_path: Path) -> None:
    disk = tmp_path / "data"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0750,size=1m", "tmpfs", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        verdict, text = looked(tmp_path)["data directory"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert (verdict, text) == ("bad", f"{disk}: 0.0 GB free. Free some space, or choose another data_dir")


def test_a_disk_that_is_full_within_a_day_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    scratch = DeviceSample(kind="filesystem", device="/scratch", used=80.0, free=1e9, full_in=7200.0)
    store.add_host_sample(HostSample(host="krios", time=time.time_ns(), devices=(scratch,)))
    store.close()
    verdict, text = looked(tmp_path)["disk"]
    assert verdict == "look"
    assert text == "/scratch: is full in 2 h, at the speed of the last hour. Move data away, or stop what fills it"


def test_a_store_of_a_newer_version_is_told(tmp_path: Path) -> None:
    Store(tmp_path / "data").close()
    with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME)) as database:
        database.execute("PRAGMA user_version = 9999")
    verdict, text = looked(tmp_path)["store"]
    assert verdict == "bad"
    assert "was written by a newer cryowatch. Upgrade, or choose another data_dir" in text


@ROOT_ONLY
@pytest.mark.parametrize(
    ("there", "text"), [("data", "this user may not write there"), ("", "this user cannot make it, since it may not")]
)
def test_a_data_directory_that_may_not_be_written_is_told(tmp_path: Path, there: str, text: str) -> None:
    (tmp_path / there).mkdir(mode=0o755, exist_ok=True)
    os.setresuid(65534, 0, 0)  # what may be done is asked for the real user, here nobody
    try:
        found = looked(tmp_path)["data directory"]
    finally:
        os.setresuid(0, 0, 0)
    assert found[0] == "bad"
    assert text in found[1]


def test_a_file_of_a_secret_that_is_not_there_is_told(tmp_path: Path) -> None:
    verdict, text = looked(tmp_path, f'[images]\npublish = "file://{tmp_path}/out"\npassword_file = "/gone"\n')[
        "images.password_file"
    ]
    assert (verdict, text) == (
        "bad", "/gone: cannot be read: No such file or directory. Check the path, its owner and its mode"
    )  # fmt: skip


def test_settings_with_a_password_that_others_may_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "cryowatch.toml").touch(mode=0o644)
    verdict, text = looked(tmp_path, '[influx]\nurl = "http://127.0.0.1:9"\npassword = "hunter2"\n')["configuration"]
    assert verdict == "look"
    assert text.endswith(f"holds a password that others may read. chmod 600 {tmp_path}/cryowatch.toml")


def test_a_command_for_reports_that_is_not_there_is_told(tmp_path: Path) -> None:
    said = looked(tmp_path, f'[report]\nminutes = 5\nfolder = "{tmp_path}"\ncommand = ["no-such-program", "x"]\n')
    assert said["report"] == (
        "bad", f"{tmp_path}/cryowatch.toml: report.command: there is no program no-such-program"
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has NVIDIA's driver")
def test_a_machine_without_a_driver_of_nvidias_says_so(tmp_path: Path) -> None:
    verdict, text = looked(tmp_path)["GPUs"]
    assert verdict == "absent"
    assert "NVIDIA" in text or "driver" in text


def test_pages_of_the_agent_at_work_are_no_reason_to_look(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        config = f'[web]\nlisten = "127.0.0.1:{port}"\n'
        verdict, text = looked(tmp_path, config)["pages"]
        assert (verdict, "Is an agent at work?" in text) == ("look", True)
        store.publish_address(f"http://127.0.0.1:{port}/")
        assert looked(tmp_path, config)["pages"] == ("well", f"http://127.0.0.1:{port}/ is the agent's at work")
    store.close()
