"""Free space of the file systems below some paths, and none that hangs holds up another."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cryowatch.records import DeviceSample
from cryowatch.sources.host import filesystems
from cryowatch.sources.host.filesystems import FileSystems
from cryowatch.system.aside import STALE

NOW = 1_795_000_000 * 10**9
SHM = Path("/dev/shm")
TB = 10**12


class Disks:
    """What `statvfs` says: real values, values that a test sets, or nothing for ever."""

    def __init__(self) -> None:
        self.set: dict[str, Any] = {}
        self.dead: set[str] = set()
        self.asked: list[str] = []
        self.revived = threading.Event()
        self.now = 100.0
        self.file_systems = FileSystems(usage=self.usage, clock=lambda: self.now)

    def usage(self, mount: str) -> Any:
        self.asked.append(mount)
        if mount in self.dead:
            self.revived.wait(60)
        answer = self.set.get(mount)
        if isinstance(answer, Exception):
            raise answer
        return answer or os.statvfs(mount)

    def look(self, *paths: Path, after: float = 0) -> dict[str, DeviceSample]:
        """Ask once, and wait for all but the dead; `after` is how many seconds later than `NOW` that is."""
        self.file_systems.ask(paths)
        mounts = self.file_systems._asked
        until(lambda: all(mount.aside._ended.is_set() or mount.place in self.dead for mount in mounts))
        found = self.file_systems.answered(NOW + int(after * 10**9), time.monotonic())
        assert len({d.device for d in found}) == len(found)
        return {d.device: d for d in found}


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that is not on `SHM`, as that of other tests may be."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def disks() -> Iterator[Disks]:
    found = Disks()
    yield found
    found.revived.set()


@pytest.fixture
def other() -> Iterator[Path]:
    """A folder on another file system than the tests' own."""
    folder = SHM / f"cryowatch-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    folder.rmdir()


def space(*, size: int, free: int, reserved: int = 0) -> Any:
    block = 4096
    return SimpleNamespace(
        f_frsize=block, f_blocks=size // block, f_bavail=free // block, f_bfree=(free + reserved) // block
    )


def mount_of(path: Path) -> str:
    while not path.is_mount():
        path = path.parent
    return str(path)


def test_numbers_are_those_of_df(disks: Disks, tmp_path: Path) -> None:
    place = mount_of(tmp_path)
    disks.set[place] = space(size=20 * TB, free=int(1.5 * TB), reserved=TB)
    (found,) = disks.look(tmp_path).values()
    assert found.total == pytest.approx(20 * TB, rel=1e-6)
    assert found.free == pytest.approx(1.5 * TB, rel=1e-6)
    assert found.used == pytest.approx(100 * 17.5 / 19, abs=0.01), "what is reserved for root is not to be had"
    assert found.full_in is None


def test_file_systems_are_named_once_by_where_they_are_mounted(disks: Disks, tmp_path: Path, other: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    found = disks.look(tmp_path, tmp_path / "a" / "b", other, tmp_path / "a")
    assert set(found) == {mount_of(tmp_path), str(SHM)}


def test_a_link_to_another_file_system_counts_where_it_leads(disks: Disks, tmp_path: Path, other: Path) -> None:
    (tmp_path / "link").symlink_to(other)
    disks.look(tmp_path / "link")
    assert set(disks.look(tmp_path / "link")) == {str(SHM)}


def test_a_path_that_is_not_there_yet_is_found_when_it_is(disks: Disks, tmp_path: Path) -> None:
    assert disks.look(tmp_path / "later") == {}
    (tmp_path / "later").mkdir()
    assert set(disks.look(tmp_path / "later")) == {mount_of(tmp_path)}


def test_a_file_system_with_an_error_or_without_a_size_is_left_out(disks: Disks, tmp_path: Path, other: Path) -> None:
    disks.set[str(SHM)] = OSError("stale handle")
    assert set(disks.look(tmp_path, other)) == {mount_of(tmp_path)}
    disks.set[str(SHM)] = space(size=0, free=0)
    assert set(disks.look(tmp_path, other)) == {mount_of(tmp_path)}
    del disks.set[str(SHM)]
    assert str(SHM) in disks.look(tmp_path, other)


def test_one_that_hangs_from_the_start_holds_up_no_other(disks: Disks, tmp_path: Path, other: Path) -> None:
    disks.dead.add(str(SHM))
    began = time.monotonic()
    assert set(disks.look(tmp_path, other)) == {mount_of(tmp_path)}
    assert time.monotonic() - began < 10
    disks.now += STALE
    found = disks.look(tmp_path, other)
    assert found[str(SHM)] == DeviceSample(kind="filesystem", device=str(SHM), note="has not answered for 1 min")
    assert found[mount_of(tmp_path)].free is not None


def test_one_that_begins_to_hang_keeps_its_last_numbers_for_a_minute_alone(
    disks: Disks, tmp_path: Path, other: Path
) -> None:
    before = disks.look(tmp_path, other)[str(SHM)]
    disks.dead.add(str(SHM))
    disks.look(tmp_path, other)
    disks.now += STALE - 1
    assert disks.look(tmp_path, other)[str(SHM)] == before
    disks.now += 3600
    silent = disks.look(tmp_path, other)[str(SHM)]
    assert (silent.free, silent.used, silent.note) == (None, None, "has not answered for 1 h")


def test_one_that_hangs_is_asked_by_one_thread_and_counts_again_when_it_answers(disks: Disks, other: Path) -> None:
    disks.dead.add(str(SHM))
    for _ in range(5):
        disks.look(other)
    until(lambda: bool(disks.asked))
    assert disks.asked == [str(SHM)]
    disks.dead.clear()
    disks.revived.set()
    assert disks.look(other)[str(SHM)].free is not None


def test_the_time_to_full_follows_from_the_samples(disks: Disks, tmp_path: Path) -> None:
    place = mount_of(tmp_path)
    for minute in range(31):
        disks.set[place] = space(size=20 * TB, free=4 * TB - minute * 12 * 10**9)
        found = disks.look(tmp_path, after=minute * 60)
    assert found[place].full_in == pytest.approx((4 * TB - 30 * 12e9) / 0.2e9, rel=1e-3)


def test_a_trend_that_was_known_before_a_start_goes_on(disks: Disks, tmp_path: Path) -> None:
    place = mount_of(tmp_path)
    known = [(place, NOW + minute * 60 * 10**9, 4.0 * TB - minute * 12e9, 20.0 * TB) for minute in range(31)]
    disks.set[place] = space(size=20 * TB, free=4 * TB - 32 * 12 * 10**9)
    assert disks.look(tmp_path, after=32 * 60)[place].full_in is None
    again = Disks()
    again.set.update(disks.set)
    again.file_systems.recall(known)
    assert again.look(tmp_path, after=32 * 60)[place].full_in == pytest.approx((4 * TB - 32 * 12e9) / 0.2e9, rel=1e-3)


def test_places_of_mounts_are_read_as_the_kernel_writes_them(
    disks: Disks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "36 35 98:0 / / rw - ext4 /dev/sda1 rw\n"
        "40 36 0:50 / /data/Titan\\040Krios rw,noatime master:1 - nfs4 nas:/krios rw\n"
        "41 36 0:51 / /data rw - nfs4 nas:/data rw\n"
    )
    monkeypatch.setattr(filesystems, "MOUNTS", table)
    disks.file_systems.ask([Path("/data/Titan Krios/p"), Path("/data/Titan"), Path("/database"), Path("/data")])
    assert [m.place for m in disks.file_systems._asked] == ["/", "/data", "/data/Titan Krios"]


def test_without_a_table_of_mounts_all_is_one(disks: Disks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystems, "MOUNTS", tmp_path / "none")
    assert set(disks.look(tmp_path)) == {mount_of(tmp_path)}
