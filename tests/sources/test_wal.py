"""Logs of databases in WAL mode: which SQLite opens by name, and nobody else's is read for a project's own."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cryowatch.errors import SourceBusy, SourceError
from cryowatch.sources.scipion.database import Database, reading
from tests.support.projects import CTFS, genuine

LOGGED = """
import os, sqlite3, sys
writer = sqlite3.connect(sys.argv[1], isolation_level=None)
writer.execute("PRAGMA journal_mode = WAL")
writer.execute("UPDATE Objects SET comment = 'logged'")
os._exit(0)
"""
"""Leaves a database in WAL mode with its log and index, as a program that was killed does."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return genuine(tmp_path)


def logged(file: Path) -> None:
    subprocess.run([sys.executable, "-c", LOGGED, file], check=True)


def comments(database: Database) -> str:
    return str(database.rows("SELECT min(comment) FROM Objects")[0][0])


def test_an_index_that_is_cut_short_ends_no_process(project: Path) -> None:
    """Whoever cuts the shared memory short that SQLite maps would end the whole process."""
    file = project / CTFS
    logged(file)
    read_on = f"""
import os
from pathlib import Path
from cryowatch.sources.scipion.database import reading
with reading(Path({str(file)!r})) as database:
    os.truncate({f"{file}-shm"!r}, 0)
    print(database.rows("SELECT min(comment) FROM Objects"))
"""
    done = subprocess.run([sys.executable, "-c", read_on], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[('logged',)]\n"), done.stderr


@pytest.mark.parametrize("stamped", [True, False], ids=["with its mode", "with its log alone"])
def test_the_log_of_another_database_that_appears_while_one_is_read_is_not_read(
    project: Path, tmp_path: Path, *, stamped: bool
) -> None:
    """As SQLite opens a log by name, folders that are exchanged would put the log of a neighbour's database there."""
    theirs = Path(shutil.copy(project / CTFS, tmp_path / "theirs.sqlite"))
    logged(theirs)
    file = project / CTFS
    with reading(file, project=project) as database:
        assert comments(database) != "logged"
        for suffix in ("-wal", "-shm"):
            Path(f"{theirs}{suffix}").rename(f"{file}{suffix}")
        if stamped:
            with file.open("r+b") as header:
                os.pwrite(header.fileno(), b"\x02\x02", 18)
        with pytest.raises(SourceBusy, match="begun a log"):
            comments(database)
        assert f"{file.name}-" not in Path("/proc/self/maps").read_text(encoding="utf-8"), "its index is not mapped"


def test_a_log_that_scipion_begins_while_its_database_is_read_is_read_the_next_time(project: Path) -> None:
    file = project / CTFS
    with reading(file, project=project) as database:
        comments(database)
        logged(file)
        with pytest.raises(SourceBusy):
            comments(database)
    with reading(file, project=project) as database:
        assert comments(database) == "logged"


def test_a_writer_works_between_two_queries_and_after_one_that_failed(project: Path) -> None:
    file = project / CTFS
    with reading(file, project=project) as database, closing(sqlite3.connect(file, timeout=0)) as writer:
        for number in range(3):
            database.columns("Objects")
            database.page("SELECT id FROM Objects WHERE id > 0 ORDER BY id")
            with pytest.raises(SourceError):
                database.rows("SELECT none FROM Objects")
            with writer:
                writer.execute("UPDATE Objects SET comment = ?", (str(number),))
            assert comments(database) == str(number)
