"""A data directory has one writer, on a local disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryowatch.errors import StoreFailed, StoreInUse, StoreOnNetwork
from cryowatch.store import lock as lock_module
from cryowatch.store.lock import LOCK_NAME, NETWORK_FILE_SYSTEMS, Lock, file_system, prepare

MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
server:/export /home nfs4 rw,vers=4.2 0 0
tmpfs /home/scratch tmpfs rw 0 0
/dev/sdb1 /data/with\\040space\\134 xfs rw 0 0
server:/été /mnt/été nfs rw 0 0
odd
"""
HOLDER = """
import sys, time
from pathlib import Path
from cryowatch.store.lock import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return another process that holds the lock."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/homes/x", "ext4"),
        ("/home", "nfs4"),
        ("/home/me/.local/share", "nfs4"),
        ("/home/scratch/x", "tmpfs"),
        ("/data/with space\\/x", "xfs"),
        ("/mnt/été/x", "nfs"),
    ],
)
def test_the_innermost_mount_point_counts(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == kind


def test_a_mount_point_that_is_not_utf_8_disturbs_nothing() -> None:
    mounts = MOUNTS + b"server:/x /mnt/\xe9t\xe9 nfs rw 0 0\n".decode(errors="surrogateescape")
    assert file_system(Path("/srv"), mounts) == "ext4"
    assert file_system(Path(os.fsdecode(b"/mnt/\xe9t\xe9/x")), mounts) == "nfs"


def test_nothing_is_known_without_a_table() -> None:
    assert file_system(Path("/data"), "") == ""


@pytest.mark.parametrize("kind", sorted(NETWORK_FILE_SYSTEMS))
def test_a_network_file_system_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        lock_module, "_mounts", lambda: f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n"
    )
    with pytest.raises(StoreOnNetwork) as raised:
        prepare(tmp_path / "data")
    text = str(raised.value)
    assert text.startswith(f"{tmp_path / 'data'}: lies on a network file system ({kind})")
    assert "Choose a --data-dir on a local disk" in text


def test_a_link_does_not_hide_a_network_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "net")
    monkeypatch.setattr(lock_module, "_mounts", lambda: f"server:/x {tmp_path / 'net'} nfs4 rw 0 0\n")
    with pytest.raises(StoreOnNetwork):
        prepare(tmp_path / "link" / "data")


def test_the_directory_is_made_with_all_above_it_and_not_for_everybody(tmp_path: Path) -> None:
    made = prepare(tmp_path / "a" / "b" / ".." / "c")
    assert made == tmp_path / "a" / "c"
    assert made.is_dir()
    assert made.stat().st_mode & 0o007 == 0
    assert prepare(made) == made


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreFailed) as raised:
            prepare(path)
        assert str(raised.value).startswith(f"{path}: cannot be made: ")
        assert str(raised.value).endswith("Choose another --data-dir")


def test_a_second_one_is_refused_and_told_which_process_is_first(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    for _ in range(2):
        with pytest.raises(StoreInUse) as raised:
            Lock(tmp_path)
        assert str(raised.value) == (
            f"{tmp_path}: another cryowatch (process {holder.pid}) works with this data directory."
            " Stop it, or give this one its own --data-dir"
        )


def test_a_killed_process_leaves_no_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    lock = Lock(tmp_path)
    assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_released_lock_is_free(tmp_path: Path) -> None:
    first = Lock(tmp_path)
    with pytest.raises(StoreInUse):
        Lock(tmp_path)
    first.release()
    Lock(tmp_path).release()
    assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n", "and names one process, not all there were"


def test_a_lock_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).mkdir()
    with pytest.raises(StoreFailed) as raised:
        Lock(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / LOCK_NAME}: cannot be written: ")
