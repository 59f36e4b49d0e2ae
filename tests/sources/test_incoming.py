"""The microscope's clock: when something last came where an import looks."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from cryowatch.sources import incoming
from cryowatch.sources.incoming import Incoming, newest_change
from cryowatch.sources.scipion import ScipionSource
from tests.projects import genuine

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
    monkeypatch.setattr(incoming, "newest_change", lambda *_: never.wait(20) or None)
    looked = Incoming(seconds=0.05)
    assert looked.newest("/dead/*.tiff", "/project") is None
    before = time.monotonic()
    assert looked.newest("/dead/*.tiff", "/project") is None
    assert time.monotonic() - before < 0.05, "it is not waited for a second time"
    never.set()


def test_a_genuine_import_says_where_it_looks(tmp_path: Path) -> None:
    reading = ScipionSource(genuine(tmp_path)).read("")
    assert reading.runs is not None
    assert {run.label: run.files for run in reading.runs} == {
        "import movies": "/data/small_frames/*.mrcs", "movie alignment - motioncor": "", "ctffind 4": "",
    }  # fmt: skip
