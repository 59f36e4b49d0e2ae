"""A project on a file system without locks, as some network mounts are, is read as any other."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cryowatch.sources.scipion.database import reading
from tests.support.projects import CTFS, genuine

ERRORS = ("ENOLCK", "ENOSYS", "EOPNOTSUPP", "EINVAL")
COMMAND = (sys.executable, "-m", "cryowatch")
READ = """
import sys
from pathlib import Path
from cryowatch.errors import SourceError
from cryowatch.sources.scipion.database import reading
try:
    with reading(Path(sys.argv[1])) as database:
        print(database.rows("SELECT count(*), min(c01) FROM Objects"))
except SourceError as error:
    print(f"{error.state}: {error}")
"""
CHANGING = """
import itertools, os, sys
times = itertools.count(1)
def look(event, arguments):
    if event == "os.truncate":
        time = next(times)
        os.utime(sys.argv[1], ns=(time, time))
sys.addaudithook(look)
"""
"""A writer changes the file while it is copied, of which a truncation is the last step."""

Environment = Callable[[Path, str], dict[str, str]]


@pytest.fixture(scope="module")
def without_locks(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Return the environment of a process for which locks below a folder fail with an error."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = tmp_path_factory.mktemp("library") / "no_locks.so"
    source = Path(__file__).with_name("no_locks.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)

    def environment(below: Path, error: str) -> dict[str, str]:
        number = str(getattr(errno, error))
        return {**os.environ, "LD_PRELOAD": str(library), "NO_LOCKS_BELOW": str(below), "NO_LOCKS_ERROR": number}

    return environment


def read(file: Path, environment: dict[str, str], script: str = READ) -> str:
    """Return what a process reads of a set, or why it cannot."""
    done = subprocess.run(
        [sys.executable, "-c", script, file], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def watched(project: Path, data: Path, environment: dict[str, str]) -> list[Any]:
    """Return what is exported of a project after it was watched once."""
    for words in (["watch", project, "--once", "--no-web"], ["export", project.name, "--format", "json"]):
        done = subprocess.run(
            [*COMMAND, *map(str, words), "--data-dir", data],
            env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(60)
@pytest.mark.parametrize("error", ERRORS)
def test_the_values_are_the_same_without_locks(tmp_path: Path, without_locks: Environment, error: str) -> None:
    project = genuine(tmp_path)
    environment = without_locks(project, error)
    plain = f"import sqlite3; sqlite3.connect({str(project / CTFS)!r}).execute('SELECT * FROM Objects').fetchall()"
    refused = subprocess.run(
        [sys.executable, "-c", plain], env=environment, capture_output=True, text=True, check=False
    )
    assert "sqlite3.OperationalError" in refused.stderr, "SQLite itself can lock"
    found = watched(project, tmp_path / "without", environment)
    assert len(found) == 8
    assert found == watched(project, tmp_path / "with", dict(os.environ))


@pytest.mark.parametrize("error", ERRORS)
def test_what_a_writer_has_not_committed_is_not_read(tmp_path: Path, without_locks: Environment, error: str) -> None:
    """The writer is on another machine: it has its locks, and the reader does not see them."""
    file = genuine(tmp_path) / CTFS
    before = read(file, dict(os.environ))
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("UPDATE Objects SET c01 = 1.0")
        writer.execute("INSERT INTO Objects (id, comment) SELECT id + 100, hex(zeroblob(50000)) FROM Objects")
        assert file.stat().st_size > 500_000, "the writer keeps its changes to itself"
        assert read(file, without_locks(tmp_path, error)) == before
        writer.execute("COMMIT")
        assert read(file, without_locks(tmp_path, error)) == "[(16, 1.0)]"


@pytest.mark.parametrize("error", ERRORS)
def test_a_wal_database_beside_its_writer_is_read_without_locks(
    tmp_path: Path, without_locks: Environment, error: str
) -> None:
    file = genuine(tmp_path) / CTFS
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("UPDATE Objects SET c01 = 1.0")
        files = sorted(file.parent.iterdir())
        assert read(file, without_locks(tmp_path, error)) == "[(8, 1.0)]"
        assert sorted(file.parent.iterdir()) == files


def test_a_file_that_never_stands_still_says_that_its_mount_has_no_locks(
    tmp_path: Path, without_locks: Environment
) -> None:
    file = genuine(tmp_path) / CTFS
    said = read(file, without_locks(tmp_path, "ENOLCK"), CHANGING + READ)
    assert said == (
        f"busy: {file}: changes all the time, and its file system has no locks by which it could be read in between."
        " Mount it with locks: NFS with its lock service, or with local_lock=all where Scipion runs on this machine;"
        " Lustre with flock"
    )


def test_a_writer_at_work_on_a_file_system_with_locks_is_waited_for(tmp_path: Path) -> None:
    file = genuine(tmp_path) / CTFS
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert read(file, dict(os.environ)) == f"busy: {file}: its writer is at work"


def test_one_file_under_two_names_is_read_by_one_thread_at_a_time(tmp_path: Path) -> None:
    """Else the second one, on closing the file, would take away the first one's lock."""
    file = genuine(tmp_path) / CTFS
    other = tmp_path / "other.sqlite"
    other.hardlink_to(file)
    events: list[str] = []

    def look() -> None:
        with reading(other) as database:
            events.append(f"second: {len(database.rows('SELECT id FROM Objects'))}")

    thread = threading.Thread(target=look)
    with reading(file) as database:
        thread.start()
        thread.join(0.1)
        events.append(f"first: {len(database.rows('SELECT id FROM Objects'))}")
    thread.join()
    assert events == ["first: 8", "second: 8"]


def test_the_doctor_says_that_a_mount_has_no_locks(tmp_path: Path, without_locks: Environment) -> None:
    project = genuine(tmp_path)
    words = ["doctor", str(project), "--json"]

    def found(environment: dict[str, str]) -> list[str]:
        done = subprocess.run(
            [*COMMAND, *words], env={**environment, "CRYOWATCH_DATA_DIR": str(tmp_path / "data")},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        return [one["text"] for one in json.loads(done.stdout)["findings"] if one["what"] == "locks"]

    assert found(dict(os.environ)) == []
    (text,) = found(without_locks(project, "ENOLCK"))
    assert text.startswith(f"{project}: its file system has no locks, so its databases are read from copies. Mount it")
