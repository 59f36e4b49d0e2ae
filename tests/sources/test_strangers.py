"""What a user puts into a project, another's databases are not read by it, also where links change all the time."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cryowatch.errors import SourceError
from cryowatch.sources.scipion.database import reading
from tests.support.projects import CTFS, change, genuine
from tests.support.strangers import ATTACKER, VICTIM, as_root, link, open_folder, owned, swapping


@pytest.fixture
def projects() -> Iterator[tuple[Path, Path]]:
    """Return the attacker's project and the victim's, whose first CTF is disabled."""
    with open_folder() as folder:
        mine, theirs = genuine(folder, "mine"), genuine(folder, "theirs")
        change(theirs / CTFS, 1, enabled=0)
        yield owned(mine, ATTACKER), owned(theirs, VICTIM)


def enabled(project: Path) -> str:
    """Return what is read of the first CTF, or why not."""
    try:
        with reading(project / CTFS, project=project) as database:
            return str(database.rows("SELECT enabled FROM Objects WHERE id = 1")[0][0])
    except SourceError as error:
        return error.what


@as_root
def test_a_database_is_not_that_of_a_neighbour_however_fast_links_change(projects: tuple[Path, Path]) -> None:
    mine, theirs = projects
    link(mine / "link", theirs / "Runs", ATTACKER)
    with swapping(ATTACKER, mine / "Runs", mine / "link"):
        found = Counter(enabled(mine) for _ in range(2_000))
    assert "0" not in found
    assert found["1"]
    assert found["leads to what the project's owner may not read and is not read"]


@as_root
def test_runs_on_another_disk_are_read(projects: tuple[Path, Path]) -> None:
    mine, _ = projects
    disk = mine.parent / "disk"
    shutil.move(mine / "Runs", disk)
    link(mine / "Runs", disk, ATTACKER)
    assert enabled(mine) == "1"
    disk.chmod(0o700)
    assert enabled(mine) == "1"
    for place in (disk, *disk.rglob("*")):
        os.chown(place, VICTIM, VICTIM)
    assert "may not read" in enabled(mine)


@as_root
@pytest.mark.parametrize("there", [True, False])
def test_a_missing_run_says_nothing_of_what_is_elsewhere(projects: tuple[Path, Path], *, there: bool) -> None:
    mine, theirs = projects
    shutil.rmtree(mine / "Runs")
    link(mine / "Runs", theirs / ("Runs" if there else "Nothing"), ATTACKER)
    assert enabled(mine) == "leads to what the project's owner may not read and is not read"


@as_root
def test_a_copy_is_not_that_of_a_neighbours_database_however_fast_links_change(projects: tuple[Path, Path]) -> None:
    """A database in WAL mode that nobody has open is read from a copy."""
    mine, theirs = projects
    for project in projects:
        with closing(sqlite3.connect(project / CTFS)) as database:
            database.execute("PRAGMA journal_mode = WAL")
    owned(mine, ATTACKER)
    owned(theirs, VICTIM)
    assert enabled(mine) == "1"
    link(mine / "link", theirs / "Runs", ATTACKER)
    with swapping(ATTACKER, mine / "Runs", mine / "link"):
        found = Counter(enabled(mine) for _ in range(1_000))
    assert "0" not in found
    assert found["1"]
