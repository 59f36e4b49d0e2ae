"""A backup is the store as of one moment, made while an agent writes, and a data directory can be begun from it."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from cryowatch.errors import StoreFailed
from cryowatch.records import OutputKind
from cryowatch.store import Store
from cryowatch.store.backup import backup
from cryowatch.store.writer import FILE_NAME
from tests.support.records import START, micrograph, output, reading, run, session, span


def filled(folder: Path, count: int = 10) -> Store:
    store = Store(folder)
    known = store.register(session())
    values = reading(span([micrograph(number) for number in range(1, count + 1)]), cursor=str(count))
    store.commit(known.session, values, now=START)
    return store


def test_a_micrograph_counts_once_whatever_stages_it_went_through(tmp_path: Path) -> None:
    store = filled(tmp_path / "data", 3)
    movies = [micrograph(number, run="2", output="outputMovies") for number in range(1, 6)]
    aligned = [micrograph(number, run="67", output="outputMicrographs") for number in range(1, 5)]
    values = reading(
        span(movies, run="2", output="outputMovies"),
        span(aligned, run="67", output="outputMicrographs"),
        cursor="more",
        runs=(run("2"), run("67"), run()),
        outputs=(
            output("2", "outputMovies", kind=OutputKind.MOVIES, class_name="SetOfMovies"),
            output("67", "outputMicrographs", kind=OutputKind.MICROGRAPHS, class_name="SetOfMicrographs"),
            output(),
        ),
    )
    store.commit(store.register(session()).session, values, now=START)
    assert backup(tmp_path / "data" / FILE_NAME, tmp_path / "copy.sqlite").micrographs == 4
    store.close()


def test_a_data_directory_begun_from_a_backup_goes_on_where_it_was(tmp_path: Path) -> None:
    store = filled(tmp_path / "data")
    made = backup(tmp_path / "data" / FILE_NAME, tmp_path / "copy.sqlite")
    assert (made.sessions, made.micrographs) == (1, 10)
    assert made.bytes == (tmp_path / "copy.sqlite").stat().st_size
    store.close()
    (tmp_path / "new").mkdir()
    shutil.copy(tmp_path / "copy.sqlite", tmp_path / "new" / FILE_NAME)
    again = Store(tmp_path / "new")
    known = again.register(session())
    assert again.cursor(known.session) == "10"
    assert again.reader().value("SELECT count(*) FROM micrograph") == 10
    again.close()


def test_the_agent_commits_on_and_every_copy_is_whole(tmp_path: Path) -> None:
    store = filled(tmp_path / "data", 3000)
    known = store.register(session())
    stop = threading.Event()
    commits = []

    def work() -> None:
        number = 3000
        while not stop.is_set():
            number += 1
            commits.append(number)
            new = span([micrograph(number)], after=number - 1)
            store.commit(known.session, reading(new, cursor=str(number)), now=START + number)

    writer = threading.Thread(target=work)
    writer.start()
    try:
        for number in range(5):
            before = len(commits)
            made = backup(tmp_path / "data" / FILE_NAME, tmp_path / f"{number}.sqlite")
            with closing(sqlite3.connect(made.file)) as copy:
                (cursor,) = copy.execute("SELECT cursor FROM session").fetchone()
                (newest,) = copy.execute("SELECT max(item) FROM micrograph").fetchone()
            assert int(cursor) == newest == made.micrographs
            assert newest >= 3000 + before - 1
    finally:
        stop.set()
        writer.join()
        store.close()
    assert len(commits) > 5, "the writer was kept waiting"
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.is_file()) == [".sqlite"] * 5


def test_nothing_is_replaced_unless_told(tmp_path: Path) -> None:
    filled(tmp_path / "data").close()
    store = tmp_path / "data" / FILE_NAME
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(StoreFailed, match="is there already"):
        backup(store, tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"
    assert backup(store, tmp_path / "mine", force=True).micrographs == 10
    for wrong, text in ((store, "is there already"), (tmp_path, "is a folder"), (tmp_path / "no" / "x", "No such")):
        with pytest.raises(StoreFailed, match=text):
            backup(store, wrong, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "mine"]


def test_a_full_disk_leaves_the_older_backup_and_no_half_one(tmp_path: Path) -> None:
    filled(tmp_path / "data", 5000).close()
    (tmp_path / "old").write_text("older backup")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # Python ignores SIGXFSZ
    try:
        with pytest.raises(StoreFailed, match="cannot be"):
            backup(tmp_path / "data" / FILE_NAME, tmp_path / "old", force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "old").read_text() == "older backup"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "old"]


def test_a_damaged_store_is_told_and_not_copied(tmp_path: Path) -> None:
    filled(tmp_path / "data", 3000).close()
    store = tmp_path / "data" / FILE_NAME
    content = bytearray(store.read_bytes())
    content[40_000:90_000] = b"\xff" * 50_000
    store.write_bytes(content)
    with pytest.raises(StoreFailed):
        backup(store, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
