"""Publishing into a folder: whole files that a web server may read, never outside, and a hanging disk holds nobody."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cryowatch.agent.build.targets import target_of
from cryowatch.errors import SinkAway, SinkRefused
from cryowatch.publish.folder import MOST_THREADS, Folder
from cryowatch.publish.target import Put
from cryowatch.settings.config import Images
from tests.publish import parts

DATA = bytes(range(256)) * 160


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def put(path: Path, name: str = "alpha/1-mic.jpg", data: bytes = DATA) -> Put:
    return asyncio.run(Folder(path).put(name, data))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir())


def test_the_settings_name_the_folder(tmp_path: Path) -> None:
    target = target_of(Images(publish=f"file://{tmp_path}/with%20space"))
    assert target.where == f"file://{tmp_path}/with space"
    assert asyncio.run(target.put("alpha/1.jpg", DATA)) is Put.SENT
    assert (tmp_path / "with space/alpha/1.jpg").read_bytes() == DATA


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_a_web_server_may_read_what_is_published(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        assert put(tmp_path / "srv/public") is Put.SENT
    assert mode(tmp_path / "srv/public/alpha/1-mic.jpg") == 0o644
    assert [mode(tmp_path / "srv" / part) for part in ("", "public", "public/alpha")] == [0o755] * 3
    assert names(tmp_path / "srv/public/alpha") == ["1-mic.jpg"]


def test_the_mode_of_a_folder_that_is_there_is_left(tmp_path: Path) -> None:
    (tmp_path / "alpha").mkdir()
    (tmp_path / "alpha").chmod(0o2770)
    put(tmp_path)
    assert mode(tmp_path / "alpha") == 0o2770


def test_what_is_there_with_the_right_size_is_left(tmp_path: Path) -> None:
    put(tmp_path)
    file = tmp_path / "alpha/1-mic.jpg"
    before = file.stat()
    assert put(tmp_path) is Put.THERE
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert put(tmp_path, data=DATA[1:]) is Put.SENT
    assert file.read_bytes() == DATA[1:]


def test_readers_see_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    sizes = {len(DATA), len(DATA) - 1}
    put(tmp_path)
    seen: set[int] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add(len((tmp_path / "alpha/1-mic.jpg").read_bytes()))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        put(tmp_path, data=DATA[number % 2 :])
    over.set()
    reader.join()
    assert seen <= sizes


def test_two_agents_that_publish_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    async def work() -> None:
        await asyncio.gather(*(Folder(tmp_path).put("alpha/1.jpg", DATA[n:]) for n in range(20)))

    asyncio.run(work())
    assert (tmp_path / "alpha/1.jpg").read_bytes() in [DATA[n:] for n in range(20)]
    assert names(tmp_path / "alpha") == ["1.jpg"]


def test_a_project_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "public").mkdir()
    (tmp_path / "public/alpha").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SinkRefused, match=r"public/alpha: is a link, and may lead anywhere\. Make it a folder"):
        put(tmp_path / "public")
    assert names(tmp_path / "elsewhere") == []


def test_a_file_that_is_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(DATA)
    (tmp_path / "public/alpha").mkdir(parents=True)
    (tmp_path / "public/alpha/1-mic.jpg").symlink_to(outside)
    assert put(tmp_path / "public", data=b"new") is Put.SENT
    assert outside.read_bytes() == DATA
    assert not (tmp_path / "public/alpha/1-mic.jpg").is_symlink()


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "public").symlink_to(tmp_path / "real")
    assert put(tmp_path / "public") is Put.SENT
    assert (tmp_path / "real/alpha/1-mic.jpg").read_bytes() == DATA


@pytest.mark.parametrize("name", ["../1.jpg", "a/../1.jpg", "/etc/1.jpg", "a/b/c.jpg", "a/.hidden", "a\0/b", "a/b\n"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(SinkRefused, match="is no name"):
        put(tmp_path / "public", name=name)
    assert names(tmp_path) == []


@pytest.mark.parametrize("folder", ["..", "a/b", "", ".x"])
def test_no_question_leads_out_of_the_folder(tmp_path: Path, folder: str) -> None:
    with pytest.raises(SinkRefused, match="is no name"):
        asyncio.run(Folder(tmp_path).holds(folder))


def test_a_folder_deleted_meanwhile_is_made_again(tmp_path: Path) -> None:
    target = Folder(tmp_path / "public")

    async def work() -> None:
        await target.put("alpha/1.jpg", DATA)
        assert await target.holds("alpha")
        await target.remove("alpha/1.jpg")
        assert not await target.holds("alpha")
        (tmp_path / "public").rmdir()
        assert await target.put("alpha/1.jpg", DATA) is Put.SENT

    asyncio.run(work())


def test_a_file_where_a_folder_should_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "alpha").write_text("hello")
    with pytest.raises(SinkRefused, match=r"cannot be written: Not a directory \(.*alpha\)"):
        put(tmp_path)


@contextmanager
def disk(path: Path, options: str) -> Iterator[None]:
    """Mount a small disk; skips where only root could."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_disk_that_is_read_only_is_explained(tmp_path: Path) -> None:
    with disk(tmp_path, "ro"), pytest.raises(SinkRefused, match=r"cannot be written: Read-only file system"):
        put(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_explained(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(SinkRefused, match=r"cannot be written: Permission denied .* Check owner and mode"):
        put(tmp_path)


def test_a_full_disk_needs_a_person_and_leaves_no_part(tmp_path: Path) -> None:
    with disk(tmp_path, "size=64k"):
        with pytest.raises(SinkRefused, match=r"takes no more: No space left on device\. Free some space"):
            put(tmp_path, data=bytes(200_000))
        assert names(tmp_path / "alpha") == []
        assert put(tmp_path, data=bytes(20_000)) is Put.SENT


def test_what_a_killed_agent_left_is_removed_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    gone, kept = parts.leave(tmp_path / "alpha")
    put(tmp_path)
    assert names(tmp_path / "alpha") == sorted(["1-mic.jpg", *kept])
    assert gone


def test_a_disk_that_hangs_is_given_up_in_time_and_holds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = threading.Event()
    target = Folder(tmp_path, seconds=0.2)
    real = Folder._put

    def hanging(self: Folder, project: str, name: str, data: bytes) -> Put:
        again.wait(30)
        return real(self, project, name, data)

    monkeypatch.setattr(Folder, "_put", hanging)

    async def work() -> None:
        began = time.monotonic()
        for _ in range(2):
            puts = [target.put(f"alpha/{n}.jpg", DATA) for n in range(MOST_THREADS)]
            results = await asyncio.gather(*puts, return_exceptions=True)
            assert all(isinstance(result, SinkAway) for result in results)
        assert threading.active_count() < MOST_THREADS + 20
        assert time.monotonic() - began < 20
        again.set()
        while any(thread.name == "publishing: folder" for thread in threading.enumerate()):
            await asyncio.sleep(0.02)
        assert await target.put("alpha/1.jpg", DATA) is Put.THERE

    asyncio.run(work())
