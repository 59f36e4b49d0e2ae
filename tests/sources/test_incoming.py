"""The microscope's clock: when something last came where an import looks."""

from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path

import pytest

from cryowatch.sources import incoming
from cryowatch.sources.incoming import Incoming, newest_change
from cryowatch.sources.scipion import ScipionSource
from tests.support.projects import genuine
from tests.support.strangers import ATTACKER, as_root, link, open_folder, owned

SECOND = 10**9


def aged(folder: Path, seconds: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder, ns=(seconds * SECOND, seconds * SECOND))
    return folder


def test_a_new_file_moves_the_clock(tmp_path: Path) -> None:
    folder = aged(tmp_path / "frames", 1000)
    assert newest_change(f"{folder}/*.tiff", str(tmp_path)) == 1000 * SECOND
    (folder / "1.tiff").write_bytes(b"")
    assert (newest_change(f"{folder}/*.tiff", str(tmp_path)) or 0) > 1000 * SECOND


def test_of_many_folders_the_newest_counts(tmp_path: Path) -> None:
    for number, seconds in ((1, 1000), (2, 3000), (3, 2000)):
        aged(tmp_path / f"GridSquare_{number}" / "Data", seconds)
    assert newest_change(f"{tmp_path}/GridSquare_*/Data/*.tiff", str(tmp_path)) == 3000 * SECOND


@pytest.mark.parametrize("pattern", ["", "*.tiff", "sub/*.tiff", "{}/sub/*.tiff", "/**/*.tiff", "/a\0b/*.tiff"])
def test_what_cannot_be_told_is_not(tmp_path: Path, pattern: str) -> None:
    assert newest_change(pattern.replace("{}", str(tmp_path)), str(tmp_path)) is None


def test_a_folder_that_hangs_is_unknown_and_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(incoming, "newest_change", lambda *_: never.wait(60) or None)
    looked = Incoming(seconds=2.0)
    assert looked.newest("/dead/*.tiff", "/project") is None
    before = time.monotonic()
    assert looked.newest("/dead/*.tiff", "/project") is None
    assert time.monotonic() - before < 1.8, "it is not waited for a second time"
    never.set()


def test_a_genuine_import_says_where_it_looks(tmp_path: Path) -> None:
    reading = ScipionSource(genuine(tmp_path)).read("")
    assert reading.runs is not None
    assert {run.label: run.files for run in reading.runs} == {
        "import movies": "/data/small_frames/*.mrcs", "movie alignment - motioncor": "", "ctffind 4": "",
    }  # fmt: skip


@as_root
@pytest.mark.parametrize(
    "pattern", ["private/*.tiff", "private/known", "*/inner/*.tiff", "private/inner/*.tiff", "link/inner/*.tiff"]
)
def test_nobody_learns_when_something_changed_where_they_may_not_look(pattern: str) -> None:
    with open_folder() as place:
        project = place / "project"
        project.mkdir()
        (project / "project.sqlite").touch()
        owned(project, ATTACKER)
        aged(place / "private/inner", 1000)
        aged(place / "private/known", 1000)
        aged(place / "private", 1000)
        link(project / "link", place / "private", ATTACKER)
        where = f"{project if pattern.startswith('link') else place}/{pattern}"
        parents = pattern.count("/") > 1 or pattern.endswith("known")
        assert newest_change(where, str(project)) == 1000 * SECOND
        (place / "private").chmod(0o700)
        if parents:
            assert newest_change(where, str(project)) is None
        else:  # the time of a folder is that of its own entry, in a folder that everybody may pass
            assert newest_change(where, str(project)) == 1000 * SECOND
        os.chown(place / "private", ATTACKER, ATTACKER)
        assert newest_change(where, str(project)) == 1000 * SECOND


@as_root
def test_a_folder_that_may_be_passed_and_not_listed_says_nothing_of_its_names() -> None:
    with open_folder() as place:
        (place / "project").mkdir()
        owned(place / "project", ATTACKER)
        aged(place / "closed/secret-1/Data", 1000)
        (place / "closed").chmod(0o711)
        assert newest_change(f"{place}/closed/secret-*/Data/*.tiff", str(place / "project")) is None
        assert newest_change(f"{place}/closed/secret-1/Data/*.tiff", str(place / "project")) == 1000 * SECOND


def test_a_pattern_for_more_than_can_be_looked_at_says_nothing_soon(tmp_path: Path) -> None:
    for number in range(30):
        aged(tmp_path / f"{number}", 1000)
    pattern, project = f"{tmp_path}/*/*.tiff", str(tmp_path)
    assert newest_change(pattern, project, entries=30) == 1000 * SECOND
    assert newest_change(pattern, project, entries=29) is None
    assert newest_change(pattern, project, seconds=0) is None
    ticks = itertools.count()
    assert newest_change(pattern, project, seconds=10, clock=lambda: float(next(ticks))) is None


def test_links_in_a_circle_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "up").symlink_to("up/up")
    for name in ("loop", "up"):
        assert newest_change(f"{tmp_path}/{name}/*.tiff", str(tmp_path)) is None


def test_links_are_followed_as_the_system_does(tmp_path: Path) -> None:
    aged(tmp_path / "disk/session/Data", 1000)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/relative").symlink_to("../disk/session")
    (tmp_path / "whole").symlink_to(tmp_path / "a/relative")
    assert newest_change(f"{tmp_path}/who*/../session/Data/*.tiff", str(tmp_path)) == 1000 * SECOND
    assert newest_change(f"{tmp_path}/whole/Data/*.tiff", str(tmp_path)) == 1000 * SECOND


def test_imports_of_many_runs_are_not_kept_for_ever(tmp_path: Path) -> None:
    looks = Incoming(most=3)
    for number in range(10):
        folder = aged(tmp_path / str(number), 1000 + number)
        assert looks.newest(f"{folder}/*.tiff", str(tmp_path)) == (1000 + number) * SECOND
    assert len(looks._looks) == 3


def test_a_look_that_takes_long_is_not_repeated_all_the_time(tmp_path: Path) -> None:
    (tmp_path / "movies").mkdir()
    times = itertools.chain([0.0, 0.0, 2.0], itertools.repeat(50.0))
    incoming = Incoming(clock=lambda: next(times))
    first = incoming.newest(str(tmp_path / "movies" / "*.mrc"), str(tmp_path))
    os.utime(tmp_path / "movies", (1, 1))
    assert first is not None
    assert incoming.newest(str(tmp_path / "movies" / "*.mrc"), str(tmp_path)) == first
    later = Incoming(clock=itertools.count().__next__)
    assert later.newest(str(tmp_path / "movies" / "*.mrc"), str(tmp_path)) == 10**9
