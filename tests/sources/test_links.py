"""Links in a folder of projects: none takes a project's place, and each that counts for nothing is told."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryowatch.agent.agent import Agent
from cryowatch.sources.discovery import Finder, find_projects
from cryowatch.store import Store
from tests.support.projects import execute, genuine
from tests.support.strangers import ATTACKER, VICTIM, as_root, link, open_folder, owned, python


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as name:
        (name / "projects").mkdir()
        yield name


def names(path: Path) -> list[str]:
    """Return the names of what is found below a path."""
    return [project.name for project in Finder(path).find().projects]


def told(path: Path) -> list[str]:
    return [f"{Path(trouble.where).name} {trouble.text}" for trouble in find_projects(path).troubles]


@as_root
def test_a_project_stays_watched_whatever_links_are_put_before_it(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    projects = folder / "projects"
    victim = owned(genuine(projects, "victim"), VICTIM)
    link(projects / "aaa", "victim", ATTACKER)
    (projects / "bbb").mkdir()
    link(projects / "bbb/project.sqlite", victim / "project.sqlite", ATTACKER)
    for _ in range(2):  # as after a restart
        store = Store(folder / "data")
        try:
            agent = Agent(store, [projects])
            agent.once(lambda *_: None)
            states = {row["name"]: row["state"] for row in store.reader().sessions()}
            assert states == {"victim": "ok", "bbb": "malformed"}
            assert set(agent.watches) == {victim, projects / "bbb"}
        finally:
            store.close()
        assert f"{projects}/aaa: leads to {victim}, which is watched by its own path" in caplog.text
        caplog.clear()


@as_root
def test_a_session_of_somebody_is_not_taken_for_the_project_that_a_link_leads_to(folder: Path) -> None:
    """A project that does not say when it was made is known by its folder, and its folder may become a link."""
    projects, store = folder / "projects", Store(folder / "data")
    attacker = genuine(projects, "aaa")
    execute(attacker / "project.sqlite", "DELETE FROM Objects WHERE name = 'CreationTime'")
    owned(attacker, ATTACKER)
    try:
        Agent(store, [projects]).once(lambda *_: None)
        [mine] = store.reader().sessions()
        attacker.rename(folder / "away")
        link(attacker, "victim", ATTACKER)
        owned(genuine(projects, "victim"), VICTIM)
        Agent(store, [projects]).once(lambda *_: None)
        found = {row["id"]: row["path"] for row in store.reader().sessions()}
        assert found[mine["id"]] == str(attacker)
        assert str(projects / "victim") in found.values()
    finally:
        store.close()


@as_root
def test_a_link_to_a_project_elsewhere_counts_where_its_maker_could_read_it(folder: Path) -> None:
    projects = folder / "projects"
    for name, user, mode in (("own", ATTACKER, 0o700), ("open", VICTIM, 0o755), ("closed", VICTIM, 0o750)):
        owned(genuine(folder, name), user, mode)
        link(projects / f"to-{name}", folder / name, ATTACKER)
    assert names(projects) == ["open", "own"]
    assert told(projects) == [
        "to-closed is a link to a project that whoever made it may not read. To watch it, name it by its own path"
    ]
    assert names(projects / "to-closed") == ["closed"], "who starts cryowatch names what is watched"
    os.chown(projects / "to-closed", 0, 0, follow_symlinks=False)
    assert "closed" in names(projects)


@as_root
def test_a_link_into_another_project_is_none(folder: Path) -> None:
    projects = folder / "projects"
    inner = genuine(genuine(folder, "outer"), "copy")
    link(projects / "a", inner, ATTACKER)
    assert told(projects) == ["a is a link into another project. To watch it, name it by its own path"]


def test_the_links_of_a_whole_folder_lead_where_it_is(folder: Path) -> None:
    genuine(folder / "projects", "alpha")
    (folder / "user").mkdir()
    (folder / "user/projects").symlink_to(folder / "projects")
    (folder / "all").symlink_to(folder / "projects")
    for path in (folder / "user", folder / "all"):
        assert list(Finder(path).find().projects) == [folder / "projects/alpha"]


@pytest.mark.parametrize("inner", [False, True])
def test_a_folder_of_projects_that_becomes_one_itself_says_so(folder: Path, *, inner: bool) -> None:
    path = folder if inner else folder / "projects"
    for name in ("alpha", "beta"):
        genuine(folder / "projects", name)
    assert names(path) == ["alpha", "beta"]
    assert told(path) == []
    genuine(folder, "gamma")
    (folder / "gamma/project.sqlite").rename(folder / "projects/project.sqlite")
    [said] = told(path)
    assert said.startswith("projects is a project itself, so 2 in it are not watched. Watch them by their own paths")


FIND = """
import sys
from pathlib import Path
from cryowatch.sources.discovery import find_projects
print(*find_projects(Path(sys.argv[1])).projects)
"""


@as_root
def test_a_project_that_may_be_passed_and_not_listed_is_found_as_itself(folder: Path) -> None:
    project = owned(genuine(folder, "alpha"), VICTIM, 0o711)
    assert python(ATTACKER, FIND, project) == f"{project}\n"
