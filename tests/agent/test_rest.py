"""Finished projects rest: nothing of them is opened while nothing changes, and whatever is done in one is seen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cryowatch.agent.rest import REST_AFTER, TROUBLED_SECONDS, WHOLE_SECONDS
from cryowatch.agent.session import Watch
from cryowatch.sources.scipion import ScipionSource
from cryowatch.store import Store
from tests.support.projects import CTFS, change, execute, genuine

SECOND = 10**9
MARK = "project.sqlite"


class Resting:
    """A project that ended days ago, watched by a clock that stands unless it is moved."""

    def __init__(self, folder: Path) -> None:
        self.project = genuine(folder)
        execute(self.project / MARK, "UPDATE Objects SET value = 'finished' WHERE name LIKE '%.status'")
        for file in self.project.rglob("run.db"):
            file.unlink()
        self.store = Store(folder / "data")
        self.now = (self.project / MARK).stat().st_mtime_ns
        self.pass_by(3 * REST_AFTER)
        self.start()

    def start(self) -> None:
        source = ScipionSource(self.project, host="gpu1", clock=self.clock)
        self.watch = Watch(self.project, source, self.store, host="gpu1", clock=self.clock)

    def clock(self) -> int:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    def look(self) -> set[str]:
        """Look until there is a pause; returns the names of the files that were opened."""
        with opened() as names:
            while self.watch.look(1.0, lambda _: None) == 0.0:
                pass
        return {name for name in names if self.project.name in name}

    def defocus(self, item: int) -> float:
        sql = "SELECT defocus_u FROM micrograph JOIN output ON output.id = output_id WHERE output.name = ? AND item = ?"
        return float(self.store.reader().table(sql, ("outputCTF", item))[1][0][0])


@contextmanager
def opened() -> Iterator[list[str]]:
    """Give a list of the databases that are opened meanwhile."""
    found: list[str] = []
    active = True

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if active and event == "sqlite3.connect":
            found.append(str(arguments[0]))

    sys.addaudithook(look)
    try:
        yield found
    finally:
        active = False


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Resting]:
    resting = Resting(tmp_path)
    yield resting
    resting.store.close()


def test_an_old_project_is_read_once_and_then_left_alone(old: Resting) -> None:
    assert old.look()
    assert not old.watch.active
    for _ in range(5):
        old.pass_by(30)
        assert old.look() == set()
        assert old.watch.last_read == old.now, "it is as good as read"
        assert old.watch.whole
    assert old.watch.look(1.0, lambda _: None) == 30.0


def test_it_is_read_now_and_then_all_the_same(old: Resting) -> None:
    old.look()
    change(old.project / CTFS, 3, defocusU=23456.0)
    old.pass_by(WHOLE_SECONDS - 1)
    assert old.look() == set()
    old.pass_by(2)
    assert old.look()
    assert old.defocus(3) == 23456.0


LAUNCHED = "UPDATE Objects SET value = 'launched' WHERE name LIKE '%.status'"
CHANGES: dict[str, Callable[[Path], object]] = {
    "a run was launched": lambda p: execute(p / MARK, LAUNCHED),
    "a run has a new folder": lambda p: (p / "Runs" / "000300_ProtUserSubSet").mkdir(),
    "a writer is at work": lambda p: (p / f"{MARK}-journal").write_bytes(b"x"),
    "the file was replaced by a copy as old": lambda p: replaced(p / MARK),
    "the file has its old time again": lambda p: written_and_dated_back(p / MARK),
}  # fmt: skip


def replaced(file: Path) -> None:
    found = file.stat()
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.rename(file)


def written_and_dated_back(file: Path) -> None:
    found = file.stat()
    execute(file, "UPDATE Objects SET label = 'X' WHERE label <> ''")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("restarted", [False, True])
def test_what_somebody_does_in_it_is_seen_at_once(old: Resting, what: str, *, restarted: bool) -> None:
    old.look()
    old.pass_by(30)
    assert old.look() == set()
    CHANGES[what](old.project)
    if restarted:
        old.start()
    assert old.look()


def test_after_a_restart_it_goes_on_resting_and_is_read_within_an_hour(old: Resting) -> None:
    old.look()
    old.start()
    assert old.look() == set()
    assert (old.watch.last_read, old.watch.whole, old.watch.active) == (old.now, True, False)
    old.pass_by(WHOLE_SECONDS)
    assert old.look()


def test_one_that_was_not_read_whole_before_a_restart_is_read(old: Resting) -> None:
    old.look()
    execute(old.store.path, "UPDATE session SET cursor = replace(cursor, ',true,', ',false,')")
    old.start()
    assert old.look()


def test_one_of_which_something_cannot_be_read_is_tried_more_often(old: Resting) -> None:
    away = (old.project / CTFS).rename(old.project / "away")
    old.look()
    old.pass_by(TROUBLED_SECONDS - 1)
    assert old.look() == set()
    old.pass_by(2)
    away.rename(old.project / CTFS)
    assert old.look()
    assert old.defocus(3) > 0
    old.pass_by(30)
    assert old.look() == set()


def test_a_trouble_is_looked_into_after_a_restart(old: Resting) -> None:
    (old.project / CTFS).rename(old.project / "away")
    old.look()
    old.start()
    assert old.look()


def test_one_that_is_gone_is_told(old: Resting) -> None:
    old.look()
    old.project.rename(old.project.with_name("elsewhere"))
    old.pass_by(30)
    old.look()
    assert old.store.reader().session("small")["state"] == "gone"


def test_one_with_a_run_at_work_does_not_rest(old: Resting) -> None:
    execute(old.project / MARK, "UPDATE Objects SET value = 'running' WHERE name = '135.status'")
    date = old.now - round(2 * REST_AFTER * SECOND)
    os.utime(old.project / MARK, ns=(date, date))
    old.look()
    assert old.watch.active
    change(old.project / CTFS, 3, defocusU=23456.0)
    old.pass_by(61)
    assert old.watch.look(1.0, lambda _: None) == 1.0
    assert old.defocus(3) == 23456.0
