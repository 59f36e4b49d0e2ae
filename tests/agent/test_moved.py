"""A session is a project, whatever becomes of its folder: moved, renamed, copied, linked, deleted and made anew."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cryowatch.access.key import key_of
from cryowatch.access.shares import Shares
from cryowatch.agent.agent import Agent
from cryowatch.alerts.alarms import Alarms
from cryowatch.alerts.rules import STANDARD
from cryowatch.errors import NotFoundError
from cryowatch.store import Reader, Store
from cryowatch.store.status import status
from cryowatch.store.writer import FILE_NAME
from cryowatch.web.sight import Sights
from tests.support.links import earlier_link
from tests.support.projects import CTFS, append, execute, genuine

NOW = 1_800_000_000 * 10**9
Restarted = Callable[..., Agent]


class Machine:
    """A folder that is watched, by one agent after another over the same store."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.projects = folder / "projects"
        self.projects.mkdir()
        self.now = NOW
        self.store = Store(self.data)
        self.agent = self.start()

    def start(self, *paths: Path, zone: ZoneInfo | None = None) -> Agent:
        """Begin anew, as after a restart."""
        watched = paths or (self.projects,)
        self.agent = Agent(self.store, watched, host="gpu1", zone=zone, clock=lambda: self.now)
        return self.agent

    def look(self) -> None:
        """Look for projects and read each to its end, as the agent's threads do."""
        self.now += 61 * 10**9
        self.agent.discover()
        for _ in range(3):
            for watch in list(self.agent.watches.values()):
                watch.step()
        self.agent._note_missing()

    @property
    def reader(self) -> Reader:
        return self.store.reader()

    def sessions(self) -> dict[str, dict[str, Any]]:
        """Return what the store holds, by key."""
        return {row["key"]: row for row in self.reader.sessions()}

    def items(self, key: str) -> list[int]:
        """Return the items of a session's CTF estimates."""
        outputs = self.reader.outputs(self.sessions()[key]["id"])
        [place] = [output["id"] for output in outputs if output["name"] == "outputCTF"]
        return [row["item"] for row in self.reader.micrographs_after([place], 0, limit=1000)]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.store.close()


def another(folder: Path, name: str) -> Path:
    """Return a project like the genuine one that was made, and whose runs were started, at another time."""
    project = genuine(folder, name)
    for file in (project / "project.sqlite", *project.glob("Runs/*/logs/run.db")):
        execute(file, "UPDATE Objects SET value = replace(value, '2026-11-24 04:14', '2026-11-25 09:30')",
                "UPDATE Objects SET creation = replace(creation, '2026-11-24 04:14', '2026-11-25 09:30')")  # fmt: skip
    return project


def prepared(folder: Path, name: str, started: str) -> Path:
    """Return a copy of a prepared project whose runs were started, some seconds after the hour, in the copy."""
    project = genuine(folder, name)
    for file in (project / "project.sqlite", *project.glob("Runs/*/logs/run.db")):
        execute(file, f"UPDATE Objects SET value = '2026-11-26 10:00:{started}' WHERE name LIKE '%.initTime'")
    return project


@pytest.mark.parametrize("restarted", [False, True])
def test_a_project_that_is_renamed_is_the_same_session(machine: Machine, *, restarted: bool) -> None:
    project = genuine(machine.projects, "grid1")
    machine.look()
    [before] = machine.sessions().values()
    append(project / CTFS, 9)
    project.rename(machine.projects / "2026-11-30_lysozyme")
    if restarted:
        machine.start()
    machine.look()
    [after] = machine.sessions().values()
    assert (after["id"], after["key"], after["state"]) == (before["id"], "grid1", "ok")
    assert (after["name"], after["path"]) == ("2026-11-30_lysozyme", str(machine.projects / "2026-11-30_lysozyme"))
    assert len(machine.items("grid1")) == 9
    assert after["generation"] == before["generation"], "nothing was dropped and read anew"
    assert list(machine.agent.watches) == [machine.projects / "2026-11-30_lysozyme"]
    (machine.projects / "2026-11-30_lysozyme").rename(project)
    machine.look()
    [back] = machine.sessions().values()
    assert (back["id"], back["name"], back["state"]) == (before["id"], "grid1", "ok")


def test_a_project_that_is_moved_to_another_disk_is_the_same_session(machine: Machine, tmp_path: Path) -> None:
    project = genuine(machine.projects, "grid1")
    genuine_inode = (project / "project.sqlite").stat().st_ino
    another(machine.projects, "grid2")
    machine.look()
    before = machine.sessions()["grid1"]
    archive = tmp_path / "archive"
    archive.mkdir()
    shutil.copytree(project, archive / "grid1")
    shutil.rmtree(project)
    assert (archive / "grid1/project.sqlite").stat().st_ino != genuine_inode
    machine.start(machine.projects, archive)
    machine.look()
    after = machine.sessions()
    assert set(after) == {"grid1", "grid2"}
    assert (after["grid1"]["id"], after["grid1"]["path"]) == (before["id"], str(archive / "grid1"))


def test_a_project_made_anew_in_a_folder_is_a_new_session_and_the_old_one_keeps_its_micrographs(
    machine: Machine,
) -> None:
    project = genuine(machine.projects, "grid1")
    machine.look()
    old = machine.sessions()["grid1"]
    shutil.rmtree(project)
    machine.look()
    assert machine.sessions()["grid1"]["state"] == "gone"
    another(machine.projects, "grid1")
    append(project / CTFS, 9, 10)
    for _ in range(2):
        machine.look()
        sessions = machine.sessions()
        assert len(sessions) == 2
        [new] = [row for key, row in sessions.items() if key != "grid1"]
        assert (sessions["grid1"]["id"], sessions["grid1"]["state"]) == (old["id"], "gone")
        assert "another project was made in this folder" in sessions["grid1"]["state_text"]
        assert sessions["grid1"]["path"].startswith(f"{project} (until "), "none of the new images is shown as its own"
        assert (new["name"], new["path"], new["state"]) == ("grid1", str(project), "ok")
        assert (len(machine.items("grid1")), len(machine.items(new["key"]))) == (8, 10)
        machine.start()
    assert machine.reader.session(str(project))["id"] == new["id"]


def test_a_folder_in_which_projects_come_and_go_has_a_key_for_each(machine: Machine) -> None:
    for number in range(4):
        project = prepared(machine.projects, "grid1", f"0{number}")
        execute(project / "project.sqlite", f"UPDATE Objects SET value = '2026-11-2{number} 10:00:00.5' WHERE id = 1")
        machine.look()
        shutil.rmtree(project)
    assert len(machine.sessions()) == 4


def test_a_session_that_was_replaced_needs_nobody(machine: Machine) -> None:
    project = genuine(machine.projects, "grid1")
    machine.look()
    shutil.rmtree(project)
    another(machine.projects, "grid1")
    machine.look()
    old = machine.sessions()["grid1"]["id"]
    alarms = Alarms(
        machine.store, STANDARD, host="gpu1", read_at=machine.agent.read_at, clock=lambda: machine.now + 3600 * 10**9
    )
    alarms.step()
    assert machine.reader.rows("SELECT rule FROM alert WHERE session_id = ?", (old,)) == []
    written = io.StringIO()
    assert status(machine.data, bounds=(), as_json=True, out=written) == 0
    assert {one["status"]: one["needs"] for one in json.loads(written.getvalue())["sessions"]} == {
        "gone": [], "running": [],
    }  # fmt: skip


def test_a_copy_is_a_session_of_its_own(machine: Machine) -> None:
    project = genuine(machine.projects, "grid1")
    machine.look()
    copy = Path(shutil.copytree(project, machine.projects / "grid1_copy"))
    for _ in range(2):
        machine.look()
        assert set(machine.sessions()) == {"grid1", "grid1_copy"}
        assert {row["state"] for row in machine.sessions().values()} == {"ok"}
        machine.start()
    number = machine.sessions()["grid1_copy"]["id"]
    copy.rename(machine.projects / "renamed")
    shutil.rmtree(project)
    machine.look()
    sessions = machine.sessions()
    assert (sessions["grid1_copy"]["id"], sessions["grid1_copy"]["name"]) == (number, "renamed")
    assert (sessions["grid1"]["name"], sessions["grid1"]["state"]) == ("grid1", "gone")


def test_copies_of_a_prepared_project_are_sessions_of_their_own(machine: Machine, tmp_path: Path) -> None:
    first = prepared(machine.projects, "monday", "01")
    machine.look()
    monday = machine.sessions()["monday"]["id"]
    shutil.move(first, tmp_path / "elsewhere")
    prepared(machine.projects, "tuesday", "02")
    machine.look()
    sessions = machine.sessions()
    assert set(sessions) == {"monday", "tuesday"}
    assert (sessions["monday"]["id"], sessions["monday"]["state"]) == (monday, "gone")


def test_a_project_by_its_path_and_by_links_is_one_session(machine: Machine, tmp_path: Path) -> None:
    project = genuine(tmp_path / "disk", "grid1")
    (machine.projects / "grid1").symlink_to(project)
    (machine.projects / "today").symlink_to(project)
    (tmp_path / "whole").symlink_to(tmp_path / "disk")
    machine.start(machine.projects, project, tmp_path / "whole", machine.projects / "today")
    machine.look()
    [session] = machine.sessions().values()
    assert (session["name"], session["path"], list(machine.agent.watches)) == ("grid1", str(project), [project])


def test_projects_that_change_places_stay_what_they_are(machine: Machine) -> None:
    first, second = genuine(machine.projects, "first"), another(machine.projects, "second")
    append(second / CTFS, 9)
    machine.look()
    numbers = {key: row["id"] for key, row in machine.sessions().items()}
    first.rename(machine.projects / "third")
    second.rename(first)
    (machine.projects / "third").rename(second)
    machine.look()
    machine.look()
    sessions = machine.sessions()
    assert {key: row["id"] for key, row in sessions.items()} == numbers
    assert (sessions["first"]["name"], sessions["second"]["name"]) == ("second", "first")
    assert (len(machine.items("first")), len(machine.items("second"))) == (8, 9)
    assert {row["state"] for row in sessions.values()} == {"ok"}


def test_a_disk_that_is_not_mounted_is_not_taken_for_a_move(machine: Machine, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    project = genuine(disk, "grid1")
    machine.start(disk, machine.projects)
    machine.look()
    disk.rename(tmp_path / "unplugged")
    disk.mkdir()
    shutil.copytree(tmp_path / "unplugged/grid1", machine.projects / "backup")
    machine.look()
    sessions = machine.sessions()
    assert (sessions["grid1"]["path"], sessions["grid1"]["state"]) == (str(project), "gone")
    assert sessions["backup"]["state"] == "ok"


def test_another_time_zone_makes_no_session_new(machine: Machine) -> None:
    genuine(machine.projects, "grid1")
    machine.start(zone=ZoneInfo("Europe/Madrid"))
    machine.look()
    before = machine.sessions()["grid1"]
    machine.start(zone=ZoneInfo("UTC"))
    machine.look()
    (machine.projects / "grid1").rename(machine.projects / "grid2")
    machine.start(zone=ZoneInfo("Asia/Tokyo"))
    machine.look()
    [after] = machine.sessions().values()
    assert (after["id"], after["name"], after["created"]) == (before["id"], "grid2", before["created"])


def test_a_project_that_does_not_say_when_it_was_made_is_known_by_its_folder(machine: Machine) -> None:
    project = genuine(machine.projects, "grid1")
    execute(project / "project.sqlite", "DELETE FROM Objects WHERE name = 'CreationTime'")
    machine.look()
    before = machine.sessions()["grid1"]["id"]
    machine.start()
    machine.look()
    assert [row["id"] for row in machine.sessions().values()] == [before]


def earlier(machine: Machine, *, created: int | None = 0) -> None:
    """Make the store one of an earlier version: it knows no origins.  `created` None: nor when projects were made.

    Times of creation were read in another zone, by so many ns.
    """
    machine.store.close()
    with closing(sqlite3.connect(machine.data / FILE_NAME)) as database, database:
        database.execute("UPDATE session SET origin = '', inode = NULL")
        if created is None:
            database.execute("UPDATE session SET created = NULL")
        else:
            database.execute("UPDATE session SET created = created + ?", (created,))
    (machine.data / f"{FILE_NAME}.seal").unlink(missing_ok=True)
    machine.store = Store(machine.data)
    machine.start()


@pytest.mark.parametrize("created", [0, 2 * 3600 * 10**9, None])
def test_a_store_of_an_earlier_version_keeps_its_sessions(machine: Machine, created: int | None) -> None:
    genuine(machine.projects, "grid1")
    machine.look()
    before = machine.sessions()["grid1"]
    earlier(machine, created=created)
    machine.look()
    [after] = machine.sessions().values()
    assert (after["id"], after["origin"]) == (before["id"], "2026-11-24 04:14:20.995271")
    assert machine.items("grid1") == list(range(1, 9))


def test_a_project_that_was_moved_or_made_anew_before_an_upgrade_is_known(machine: Machine) -> None:
    moved, anew = genuine(machine.projects, "moved"), another(machine.projects, "anew")
    machine.look()
    numbers = {key: row["id"] for key, row in machine.sessions().items()}
    earlier(machine)
    moved.rename(machine.projects / "moved_on")
    shutil.rmtree(anew)
    prepared(machine.projects, "anew", "07")
    execute(machine.projects / "anew/project.sqlite", "UPDATE Objects SET value = '2026-11-27 10:00:01.5' WHERE id = 1")
    machine.look()
    sessions = machine.sessions()
    assert (sessions["moved"]["id"], sessions["moved"]["name"]) == (numbers["moved"], "moved_on")
    assert (sessions["anew"]["id"], sessions["anew"]["state"]) == (numbers["anew"], "gone")
    assert len(sessions) == 3


def test_a_project_that_waits_for_its_writer_at_first_is_still_the_one_that_was_moved(machine: Machine) -> None:
    project = genuine(machine.projects, "grid1")
    machine.look()
    number = machine.sessions()["grid1"]["id"]
    project.rename(machine.projects / "grid2")
    with closing(sqlite3.connect(machine.projects / "grid2/project.sqlite", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        machine.look()
        assert len(machine.sessions()) == 2, "nobody knows yet"
        writer.execute("ROLLBACK")
    machine.look()
    [session] = machine.sessions().values()
    assert (session["id"], session["name"], session["state"]) == (number, "grid2", "ok")


def test_a_link_for_one_session_follows_it_and_opens_no_other(machine: Machine) -> None:
    project = genuine(machine.projects, "grid1")
    machine.look()
    row = machine.sessions()["grid1"]
    key = key_of(machine.data)
    shares = Shares(machine.data, key, clock=lambda: machine.now)
    made = {"session": row["key"], "path": row["path"], "days": 1, "by": "ada"}
    _, token = shares.create(**made, origin=row["origin"])
    older = earlier_link(machine.data, key, session=row["key"], path=row["path"], now=machine.now // 10**6)
    project.rename(machine.projects / "grid2")
    machine.look()
    another(machine.projects, "grid1")
    machine.look()
    [other] = [row for key, row in machine.sessions().items() if key != "grid1"]
    share, old_share = shares.find(token), shares.find(older)
    assert share is not None
    assert old_share is not None
    sight = Sights(machine.reader, key).of_share(share)
    assert [row["name"] for row in sight.sessions()] == ["grid2"]
    assert sight.session("grid1")["id"] == row["id"]
    with pytest.raises(NotFoundError):
        sight.session(other["key"])
    assert Sights(machine.reader, key).of_share(old_share).sessions() == [], "its folder is another project's now"
    forged = (machine.data / "shares.json").read_text().replace(row["origin"], other["origin"])
    (machine.data / "shares.json").write_text(forged)
    os.utime(machine.data / "shares.json")
    assert Shares(machine.data, key, clock=lambda: machine.now).find(token) is None


@pytest.mark.parametrize("restarted", [False, True])
def test_an_old_link_opens_no_copy_of_the_same_prepared_project_in_its_folder(
    machine: Machine, *, restarted: bool
) -> None:
    project = prepared(machine.projects, "grid1", "01")
    machine.look()
    row = machine.sessions()["grid1"]
    key = key_of(machine.data)
    shares = Shares(machine.data, key, clock=lambda: machine.now)
    share, _ = shares.create(session=row["key"], path=row["path"], origin=row["origin"], days=1, by="ada")
    older = shares.find(earlier_link(machine.data, key, session="grid1", path=row["path"], now=machine.now // 10**6))
    project.rename(machine.projects.parent / "archived")
    prepared(machine.projects, "grid1", "02")
    append(project / CTFS, 9)
    if restarted:
        machine.start()
    machine.look()
    sessions = machine.sessions()
    assert len(sessions) == 2
    [new] = [row for key, row in sessions.items() if key != "grid1"]
    assert (len(machine.items("grid1")), len(machine.items(new["key"]))) == (8, 9)
    sight = Sights(machine.reader, key).of_share(share)
    assert [row["id"] for row in sight.sessions()] == [row["id"]], "what was read of the one before"
    with pytest.raises(NotFoundError):
        sight.session(new["key"])
    assert older is not None
    assert Sights(machine.reader, key).of_share(older).sessions() == []


def test_a_database_that_was_copied_back_is_the_same_session(machine: Machine) -> None:
    project = prepared(machine.projects, "grid1", "01")
    machine.look()
    number = machine.sessions()["grid1"]["id"]
    shutil.copytree(project, machine.projects.parent / "backup")
    shutil.rmtree(project)
    machine.look()
    shutil.copytree(machine.projects.parent / "backup", project)
    append(project / CTFS, 9)
    machine.look()
    [session] = machine.sessions().values()
    assert (session["id"], session["state"], len(machine.items("grid1"))) == (number, "ok", 9)


def test_a_link_of_an_earlier_version_opens_no_project_that_was_made_after_it(machine: Machine) -> None:
    project = genuine(machine.projects, "grid1")
    machine.look()
    row = machine.sessions()["grid1"]
    key = key_of(machine.data)
    made = row["created"] // 10**6
    shares = Shares(machine.data, key, clock=lambda: (made + 1000) * 10**6)
    for now, opened in ((made + 500, True), (made - 500, False)):
        share = shares.find(earlier_link(machine.data, key, session="grid1", path=str(project), now=now))
        assert share is not None
        assert bool(Sights(machine.reader, key).of_share(share).sessions()) is opened


def test_a_project_that_was_deleted_while_no_agent_ran_is_gone(machine: Machine) -> None:
    project = genuine(machine.projects, "grid1")
    machine.look()
    shutil.rmtree(project)
    assert machine.start().once(lambda *_: None) == []
    row = machine.sessions()["grid1"]
    assert (row["state"], row["state_text"]) == (
        "gone", f"{project}: is not there. Was it moved, deleted or not mounted?"
    )  # fmt: skip
    machine.start(machine.data.parent / "elsewhere")
    genuine(machine.data.parent / "elsewhere", "grid2")
    machine.look()
    genuine(machine.projects, "grid1")
    machine.start(machine.projects)
    machine.look()
    assert machine.sessions()["grid1"]["state"] == "ok"
