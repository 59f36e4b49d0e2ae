"""Rendered images are kept up to a number of bytes, and never a wrong one."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from cryowatch.images.cache import Cache
from cryowatch.images.process import Rendered

SECOND = 10**9
OLD = 1_700_000_000 * SECOND


def name(number: int) -> str:
    """Return a key as `Cache.key` makes them."""
    return f"{number * 7919 % 256:02x}{number:062x}"


def image(data: bytes) -> Rendered:
    return Rendered(data=data, media_type="image/jpeg", width=4092, height=5760)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def kept(folder: Path) -> int:
    return sum(path.stat().st_size for path in files(folder))


def aged(folder: Path, number: int, age: int) -> None:
    """Make an image look as if it had last been asked for long ago."""
    key = name(number)
    os.utime(folder / key[:2] / key[2:], ns=(OLD, OLD - age * SECOND))


def test_what_was_kept_is_found_also_after_a_restart(tmp_path: Path) -> None:
    Cache(tmp_path, limit=1000).put(name(1), image(b"picture"))
    assert Cache(tmp_path, limit=1000).get(name(1)) == image(b"picture")
    assert Cache(tmp_path, limit=1000).get(name(2)) is None


def test_the_cache_stays_below_its_limit(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=10_000)
    for number in range(60):
        cache.put(name(number), image(bytes(700)))
        assert kept(tmp_path) <= 10_000
    assert kept(tmp_path) > 7_000, "it is not emptied at once"


def test_a_cache_found_too_large_is_cut_down(tmp_path: Path) -> None:
    for number in range(20):
        Cache(tmp_path, limit=10**6).put(name(number), image(bytes(1000)))
    Cache(tmp_path, limit=5_000).put(name(99), image(bytes(1000)))
    assert kept(tmp_path) <= 5_000


def test_the_images_not_asked_for_longest_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=5_400)
    for number in range(5):
        cache.put(name(number), image(bytes(1000)))
        aged(tmp_path, number, age=100 - number)
    assert cache.get(name(0)) is not None
    cache.put(name(5), image(bytes(1000)))
    found = [number for number in range(6) if cache.get(name(number)) is not None]
    assert found == [0, 3, 4, 5]


def test_an_image_larger_than_the_limit_does_no_harm(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=1000)
    cache.put(name(1), image(bytes(5000)))
    assert kept(tmp_path) <= 1000
    cache.put(name(2), image(bytes(500)))
    assert cache.get(name(2)) == image(bytes(500))


def test_the_folder_may_be_deleted_at_any_time(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    cache = Cache(folder, limit=1000)
    cache.put(name(1), image(b"picture"))
    for path in files(folder):
        path.unlink()
        path.parent.rmdir()
    folder.rmdir()
    assert cache.get(name(1)) is None
    cache.put(name(1), image(b"again"))
    assert cache.get(name(1)) == image(b"again")


def test_a_disk_that_takes_nothing_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("a file where the folder should be")
    cache = Cache(tmp_path / "images", limit=1000)
    cache.put(name(1), image(b"picture"))
    assert cache.get(name(1)) is None


def test_a_file_that_a_power_cut_left_empty_is_not_an_image(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=1000)
    cache.put(name(1), image(b"picture"))
    (only,) = files(tmp_path)
    only.write_bytes(b"")
    assert cache.get(name(1)) is None
    cache.put(name(1), image(b"picture"))
    assert cache.get(name(1)) == image(b"picture")


def test_a_file_that_a_power_cut_left_short_is_not_an_image(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=1000)
    cache.put(name(1), image(b"picture"))
    (only,) = files(tmp_path)
    whole = only.read_bytes()
    for length in range(len(whole)):
        only.write_bytes(whole[:length])
        assert cache.get(name(1)) is None


def test_keys_tell_apart_what_they_are_made_of() -> None:
    keys = {Cache.key("a", "b"), Cache.key("ab"), Cache.key("a", "b", ""), Cache.key("b", "a")}
    assert len(keys) == 4
    assert Cache.key("a", "b") in keys
    assert all(key.isalnum() and len(key) == 64 for key in keys)


def test_names_that_are_not_text_have_keys_too() -> None:
    assert len(Cache.key(os.fsdecode(b"caf\xe9.mrc"))) == 64


def test_several_threads_keep_and_drop_at_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=20_000)
    wrong: list[int] = []

    def work(first: int) -> None:
        for number in range(first, first + 60):
            cache.put(name(number), image(bytes([number % 256]) * 500))
            found = cache.get(name(number))
            if found is not None and found != image(bytes([number % 256]) * 500):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 40, 80, 120)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert kept(tmp_path) <= 20_000
    assert all(len(path.name) == 62 for path in files(tmp_path)), "no temporary file is left"
