"""The first start over a facility's folder: years of old projects are nobody's alarm, and what lives is."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cryowatch.agent.agent import Agent
from cryowatch.alerts.alarms import Alarms
from cryowatch.alerts.rules import STANDARD
from cryowatch.store import Store
from tests.support.projects import execute, genuine

MINUTE = 60 * 10**9
DAY = 86_400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "data")
    yield found
    found.close()


def told_of(store: Store, folder: Path) -> list[tuple[str, str]]:
    """Watch a folder for half an hour and return the projects and rules of the alerts."""
    now = [time.time_ns()]
    agent = Agent(store, [folder], host="gpu1", clock=lambda: now[0])
    watches = agent.discover()
    alarms = Alarms(
        store, STANDARD, host="gpu1", read_at=agent.read_at, unread=agent.unread, clock=lambda: now[0],
        shut=lambda: [shut for finder in agent.finders.values() for shut in finder.shut],
    )  # fmt: skip
    for _ in range(4):
        agent.discover()
        for watch in watches:
            while (reading := watch.step()[0]) is not None and not reading.finished:
                pass
        alarms.step()
        now[0] += 10 * MINUTE
    _, rows = store.reader().table(
        "SELECT coalesce(name, subject), rule FROM alert LEFT JOIN session ON session.id = session_id"
    )
    return [(name, rule) for name, rule in rows]


def failed(project: Path) -> None:
    execute(project / "project.sqlite", "UPDATE Objects SET value = 'failed' WHERE name LIKE '%.status'")


def left_running(project: Path) -> None:
    execute(project / "project.sqlite", "UPDATE Objects SET value = 'running' WHERE name LIKE '%.status'")


def damaged(project: Path) -> None:
    (project / "project.sqlite").write_bytes(b"no database" * 1000)


def untouched(project: Path) -> None:
    """Leave it as Scipion finished it."""


STATES: tuple[Callable[[Path], None], ...] = (failed, left_running, damaged, untouched, untouched)


@pytest.mark.timeout(120)
def test_two_hundred_old_projects_raise_nothing(tmp_path: Path, store: Store) -> None:
    projects = tmp_path / "projects"
    first = genuine(projects, "project-000")
    for number in range(1, 200):
        shutil.copytree(first, projects / f"project-{number:03d}")
    for number in range(200):
        project = projects / f"project-{number:03d}"
        STATES[number % len(STATES)](project)
        old = time.time() - (2 + number) * DAY
        os.utime(project / "project.sqlite", (old, old))
    assert told_of(store, projects) == []
    assert len(store.reader().sessions()) == 200
    states = [session["state"] for session in store.reader().sessions()]
    assert states.count("malformed") == 40


def test_a_project_of_today_that_cannot_be_read_is_told(tmp_path: Path, store: Store) -> None:
    damaged(genuine(tmp_path / "projects", "new"))
    old = genuine(tmp_path / "projects", "old")
    damaged(old)
    os.utime(old / "project.sqlite", (time.time() - 2 * DAY, time.time() - 2 * DAY))
    assert told_of(store, tmp_path / "projects") == [("new", "unreadable")]


def test_a_folder_of_today_that_cannot_be_looked_into_is_told(tmp_path: Path, store: Store) -> None:
    projects = tmp_path / "projects"
    projects.mkdir()
    for name, days in ((b"new\xff", 0), (b"old\xff", 2)):
        place = os.fsdecode(os.fsencode(projects) + b"/" + name)
        shutil.move(genuine(tmp_path, "made"), place)
        written = time.time() - days * DAY
        os.utime(place, (written, written))
    assert told_of(store, projects) == [(f"{projects}/new\\xff", "unreadable")]
    ((text, until),) = store.reader().table("SELECT text, until FROM alert")[1]
    assert text == f"Cannot be read: {projects}/new\\xff: its name is not UTF-8. Rename the folder"
    assert until is None
    shutil.move(os.fsdecode(os.fsencode(projects) + b"/new\xff"), projects / "new")
    told_of(store, projects)
    assert store.reader().value("SELECT count(*) FROM alert WHERE until IS NULL") == 0
