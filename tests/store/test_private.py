"""What the data directory holds is nobody else's to read, to lock or to change, whatever the modes were before."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cryowatch.errors import StoreInUse
from cryowatch.store import Store
from cryowatch.store.lock import LOCK_NAME, Lock
from cryowatch.store.writer import FILE_NAME
from tests.doctor.looking import looked
from tests.support.records import START, reading, session

STRANGER = 61_003
HOLDING = """
import fcntl, sys
lock = open(sys.argv[1])
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@contextmanager
def held(path: Path, user: int) -> Iterator[None]:
    """Let a process of another user hold the lock of a file."""
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    command = [*as_user, sys.executable, "-c", HOLDING, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.kill()


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_store_and_lock_are_closed_to_others_whatever_the_folder_and_the_umask(tmp_path: Path, mask: int) -> None:
    tmp_path.chmod(0o755)
    before = os.umask(mask)
    try:
        store = Store(tmp_path)
        known = store.register(session())
        store.commit(known.session, reading(session=session()), now=START)
        found = modes(tmp_path)
        store.close()
    finally:
        os.umask(before)
    assert {FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", LOCK_NAME} <= set(found)
    assert not [name for name, mode in found.items() if mode & 0o007]
    assert found[LOCK_NAME] == 0o600


def test_what_an_older_version_left_open_is_closed(tmp_path: Path) -> None:
    Store(tmp_path).close()
    for name in (FILE_NAME, LOCK_NAME):
        (tmp_path / name).chmod(0o666)
    store = Store(tmp_path)
    found = modes(tmp_path)
    store.close()
    assert (found[FILE_NAME], found[LOCK_NAME]) == (0o660, 0o600)


@AS_ROOT
def test_a_stranger_who_locks_the_lock_keeps_nobody_from_starting(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    lock = tmp_path / LOCK_NAME
    lock.write_text("")
    lock.chmod(0o644)
    with held(lock, STRANGER):
        own = Lock(tmp_path)
        with pytest.raises(StoreInUse):
            Lock(tmp_path)
        own.release()


@AS_ROOT
def test_another_agent_of_the_same_user_is_no_stranger(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    data = tmp_path / "data"
    data.mkdir()
    lock = data / LOCK_NAME
    lock.write_text("")
    for path in (data, lock):
        os.chown(path, STRANGER, STRANGER)
    with held(lock, STRANGER), pytest.raises(StoreInUse):
        Lock(data)


@AS_ROOT
def test_a_look_by_root_leaves_the_lock_to_the_agents_user(tmp_path: Path) -> None:
    os.chown(tmp_path, STRANGER, STRANGER)
    Lock(tmp_path).release()
    assert (tmp_path / LOCK_NAME).stat().st_uid == STRANGER


def test_the_doctor_says_that_others_may_look_into_the_data_directory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o750)
    data.chmod(0o750)
    assert looked(tmp_path)["data directory"][0] == "well"
    data.chmod(0o755)
    verdict, text = looked(tmp_path)["data directory"]
    assert (verdict, text) == ("look", f"{data}: everybody on this machine may look into it. chmod o= {data}")
    data.chmod(0o777)
    verdict, text = looked(tmp_path)["data directory"]
    assert (verdict, text) == ("bad", f"{data}: everybody on this machine may write there. chmod o= {data}")
