"""Projects that somebody made to harm: each takes no more than its share, and is told of in a line."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cryowatch.errors import SourceError, SourceMalformed
from cryowatch.sources.scipion.copies import NoRoom, Room, private_copy
from cryowatch.sources.scipion.database import Database, reading
from cryowatch.sources.scipion.guard import Guard
from cryowatch.sources.scipion.project import read_project
from cryowatch.sources.scipion.scalars import MOST_TEXT
from tests.sources import crafted
from tests.support.projects import CTFS, SETS, Watched, append, change, execute, genuine

READ = """
import json, sys, time
from pathlib import Path
from cryowatch.errors import SourceError
from cryowatch.sources.scipion import ScipionSource
source = ScipionSource(Path(sys.argv[1]), clock=lambda: time.time_ns() + 10**10)
def peak():  # what getrusage says begins with the peak of the process that started this one
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
before = peak()
began, cursor, items, troubles = time.process_time(), "", 0, []
try:
    while True:
        found = source.read(cursor)
        cursor, items = found.cursor, items + sum(len(span.items) for span in found.spans)
        troubles = [trouble.text for trouble in found.troubles]
        if found.finished:
            break
except SourceError as error:
    troubles = [error.what]
took = peak() - before
print(json.dumps({"items": items, "troubles": troubles, "mb": took, "seconds": time.process_time() - began}))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return genuine(tmp_path)


@pytest.fixture
def watched(project: Path, tmp_path: Path) -> Iterator[Watched]:
    found = Watched(project, tmp_path / "data")
    yield found
    found.close()


def read(project: Path, **environment: str) -> dict[str, Any]:
    """Return what a process of its own finds in a project, and what that takes."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(project)],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(project: Path) -> str:
    """Return what is said of the one set that is refused; the others are read, quickly and with little memory."""
    found = read(project)
    assert found["items"] == 24
    assert found["mb"] < 60
    assert found["seconds"] < 3
    [trouble] = found["troubles"]
    return str(trouble)


GENERATED = (
    "PRAGMA page_size = 1024",
    "CREATE TABLE Properties (key, value)",
    "CREATE TABLE Classes (id INTEGER PRIMARY KEY, label_property, column_name, class_name)",
    "INSERT INTO Classes VALUES (1, '_micObj._micName', 'c01', 'String'), (2, '_psdFile', 'c02', 'String')",
    "CREATE TABLE Objects (id INTEGER PRIMARY KEY, enabled, creation, c01 AS (hex(zeroblob({bytes}))), c02 AS (c01))",
    f"INSERT INTO Objects (id) VALUES {', '.join(f'({number})' for number in range(1, 201))}",
)


def written(file: Path, *statements: str) -> None:
    """Write a database anew."""
    file.unlink()
    execute(file, *statements)


@pytest.mark.parametrize("length", [100, 7_500_000])
def test_a_set_that_computes_its_values_is_refused(project: Path, length: int) -> None:
    written(project / CTFS, *(statement.format(bytes=length) for statement in GENERATED))
    assert (project / CTFS).stat().st_size <= 8 * 1024
    assert "is damaged" in refused(project) or "computes" in refused(project)


LARGE = "hex(zeroblob(3000000))"
MANY = f"VALUES {', '.join(f'({number})' for number in range(1, 201))}"
COLUMNS = (
    "CREATE TABLE Properties (key, value)",
    "CREATE TABLE Objects (id INTEGER PRIMARY KEY, enabled, creation)",
    f"CREATE TABLE Classes (id INTEGER PRIMARY KEY, label_property AS ({LARGE} || id), column_name AS ({LARGE}))",
    f"INSERT INTO Classes (id) {MANY}",
)
OBJECTS = (
    "CREATE TABLE Objects (id INTEGER PRIMARY KEY, parent_id, name AS ({0}), classname, value, label, creation)",
    "INSERT INTO Objects (id) {1}",
)


def test_columns_that_a_set_computes_are_not_unfolded(project: Path) -> None:
    written(project / CTFS, *COLUMNS)
    assert (project / CTFS).stat().st_size <= 32 * 1024
    assert "is damaged" in refused(project)


def test_objects_that_a_project_computes_are_not_unfolded(project: Path) -> None:
    written(project / "project.sqlite", *(statement.format(LARGE, MANY) for statement in OBJECTS))
    found = read(project)
    assert "is damaged" in found["troubles"][0]
    assert found["mb"] < 60
    assert found["seconds"] < 3


def test_a_set_that_computes_without_a_function_is_refused(project: Path) -> None:
    plain = [statement.replace("hex(zeroblob({bytes}))", "enabled + 1") for statement in GENERATED]
    written(project / CTFS, *plain)
    assert refused(project).startswith("is not as Scipion writes it: its table 'Objects' computes a column")


def test_rows_that_share_their_bytes_are_refused(project: Path) -> None:
    rows = [crafted.text_row(number, 1_800) for number in range(1, 9)]
    many = crafted.interior([(6, number) for number in range(8, 640, 8)], 6)
    crafted.ctf_set(project / CTFS, [many, crafted.leaf(rows)], size=8)
    assert "Scipion writes it" in refused(project)


def test_a_table_of_columns_without_end_is_refused(project: Path) -> None:
    loops = [crafted.loop(6), crafted.loop(7), crafted.leaf(crafted.classes())]
    crafted.ctf_set(project / CTFS, loops, size=1, of_classes=crafted.loop(5))
    assert "it hands out more than it can hold" in refused(project)


def test_a_project_whose_objects_have_no_end_is_refused(project: Path) -> None:
    objects = "CREATE TABLE Objects (id INTEGER PRIMARY KEY, parent_id, name, classname, value, label, creation)"
    rows = [crafted.row(n, crafted.record(None, None, "x" * 90, "String", "", "", "")) for n in range(1, 8)]
    pages = [crafted.loop(3), crafted.loop(4), crafted.loop(5), crafted.leaf(rows)]
    crafted.write(project / "project.sqlite", [("Objects", 2, objects)], pages)
    found = read(project)
    assert found["troubles"] == ["is not as Scipion writes it: it hands out more than it can hold"]
    assert found["mb"] < 60
    assert found["seconds"] < 3


def test_counting_has_an_end(tmp_path: Path) -> None:
    file = tmp_path / "endless.sqlite"
    loops = [crafted.loop(page) for page in range(3, 9)]
    rows = [crafted.row(n, crafted.record(None)) for n in range(1, 5)]
    crafted.write(file, [("Objects", 2, "CREATE TABLE Objects (id INTEGER PRIMARY KEY)")], [*loops, crafted.leaf(rows)])
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        database = Database(connection, file, size=file.stat().st_size, seconds=0.2)
        database.load()
        began = time.process_time()
        with pytest.raises(SourceMalformed, match="takes too long"):
            database.rows("SELECT count(*) FROM Objects WHERE id > 0")
        assert time.process_time() - began < 2


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, i AS c01 FROM n"
HARMFUL = (
    "CREATE TABLE Objects (id INTEGER PRIMARY KEY, c01 AS (instr(hex(zeroblob(id)), 'x')))",
    f"CREATE VIEW Objects AS {ENDLESS}",
    "CREATE VIRTUAL TABLE Objects USING fts5(id, c01)",
    "CREATE VIRTUAL TABLE Objects USING rtree(id, c01, c02)",
)


@pytest.mark.parametrize("harmful", HARMFUL)
def test_a_schema_that_changes_while_it_is_read_computes_nothing(project: Path, harmful: str) -> None:
    """What was a table when it was looked at is something else when it is read."""
    with reading(project / CTFS) as database:
        execute(project / CTFS, "DROP TABLE Objects", harmful)
        began = time.process_time()
        with pytest.raises(SourceError):
            database.rows("SELECT c01 FROM Objects WHERE id > 0")
        assert time.process_time() - began < 1


@pytest.mark.parametrize("name", ["hex", "instr", "like", "printf", "replace", "json", "randomblob", "group_concat"])
def test_no_function_of_sqlite_can_be_called(name: str) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        assert connection.execute("SELECT 1 FROM pragma_function_list WHERE name = ?", (name,)).fetchone()
        Guard(connection)
        for arguments in ("", "1", "1, 2", "1, 2, 3"):
            with pytest.raises(sqlite3.DatabaseError):
                connection.execute(f"SELECT {name}({arguments})").fetchall()


def test_a_schema_of_very_many_tables_is_refused(project: Path) -> None:
    with closing(sqlite3.connect(project / CTFS)) as writer, writer:
        declared = ", ".join(f"c{n}" for n in range(100))
        writer.execute(f"CREATE TABLE t0 ({declared})")
        writer.execute("PRAGMA writable_schema = ON")  # as if each had been created, in a hundredth of the time
        place = "(SELECT rootpage FROM sqlite_master WHERE name = 't0')"
        writer.executemany(
            f"INSERT INTO sqlite_master VALUES ('table', ?1, ?1, {place}, 'CREATE TABLE ' || ?1 || ' ({declared})')",
            [(f"t{number}",) for number in range(1, 5_000)],
        )
    assert "too many tables" in refused(project)


def test_a_value_of_more_than_a_megabyte_is_refused(project: Path) -> None:
    change(project / CTFS, 2, psdFile="x" * 2_000_000)
    assert refused(project).startswith("holds a value of more than 1,048,576 bytes")


def test_long_texts_are_cut_and_the_rest_is_as_it_was(project: Path, watched: Watched) -> None:
    for item in range(1, 9):
        change(project / CTFS, item, **{"micObj._micName": f"{item}" + "x" * 500_000})
    name = "UPDATE Objects SET label = ?, value = ? WHERE parent_id IS NULL"
    with closing(sqlite3.connect(project / "project.sqlite")) as writer, writer:
        writer.execute(name, ("l" * 900_000, "v" * 900_000))
    watched.look()
    assert [row["name"] for row in watched.items().values()] == [f"{n}" + "x" * (MOST_TEXT - 1) for n in range(1, 9)]
    assert [row["defocus_u"] is None for row in watched.items().values()] == [False] * 8
    assert {len(run["label"]) for run in watched.store.reader().runs(watched.watch.session)} == {300}
    assert watched.troubles() == []


def test_long_rows_are_read_in_smaller_pages(project: Path, watched: Watched) -> None:
    append(project / CTFS, *range(9, 109), values={"_psdFile": "x" * 100_000})
    watched.look()
    assert len(watched.items()) == 108
    assert watched.troubles() == []


def journal(file: Path, *, named: Path | None = None) -> None:
    """Leave a database as a writer does that was killed in mid-transaction; its journal may name another file."""
    script = f"""
import os, sqlite3
writer = sqlite3.connect({str(file)!r}, isolation_level=None)
writer.execute("PRAGMA cache_size = 1")
writer.execute("BEGIN EXCLUSIVE")
writer.execute("UPDATE Objects SET comment = hex(zeroblob(5000))")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    if named is not None:
        name = os.fsencode(named)
        check = sum(byte - 256 if byte > 127 else byte for byte in name) & 0xFFFFFFFF
        end = b"\0\x40\0\0" + name + struct.pack(">II", len(name), check) + b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
        with Path(f"{file}-journal").open("ab") as end_of:
            end_of.write(end)


def test_a_crafted_journal_deletes_no_file(project: Path, tmp_path: Path, watched: Watched) -> None:
    """SQLite deletes the file that a journal names when it recovers the database, here from a copy."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"\0")
    journal(project / CTFS, named=victim)
    watched.look()
    assert victim.exists()
    [trouble] = watched.troubles()
    assert trouble["text"] == "has a journal that names another file"


@contextmanager
def counted_connections() -> Iterator[list[str]]:
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


def sparse(file: Path, size: int) -> None:
    """Make a WAL database that nobody has open of a file, with a hole that makes it so large."""
    with closing(sqlite3.connect(file)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
    os.truncate(file, size)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 MB."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("only root can mount a file system of 300 MB")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def peak_of(folder: Path, stop: threading.Event) -> list[int]:
    """Return a list whose last value is how much of a disk was used at most."""
    most = [0]

    def look() -> None:
        while not stop.wait(0.002):
            found = os.statvfs(folder)
            most[0] = max(most[0], (found.f_blocks - found.f_bfree) * found.f_frsize)

    threading.Thread(target=look, daemon=True).start()
    return most


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (10 * 10**12, "can only be read from a copy, and takes 10,000.0 GB. Up to 1.1 GB are copied"),
        (200 * 10**6, "can only be read from a copy, which cannot be made: it takes more than 50% of the free space"),
    ],
)
def test_a_file_that_is_a_hole_does_not_fill_the_disk(project: Path, small_disk: Path, size: int, said: str) -> None:
    sparse(project / CTFS, size)
    stop = threading.Event()
    most = peak_of(small_disk, stop)
    found = read(project, TMPDIR=str(small_disk))
    stop.set()
    assert found["items"] == 24
    assert [trouble[: len(said)] for trouble in found["troubles"]] == [said]
    assert most[0] < 2**20
    assert found["seconds"] < 3


def test_what_a_copy_holds_of_a_hole_is_a_hole(project: Path) -> None:
    sparse(project / CTFS, 200 * 10**6)
    with private_copy(project / CTFS, 200 * 10**6) as copy:
        assert copy.stat().st_size == 200 * 10**6
        assert copy.stat().st_blocks * 512 < 2**20


def test_a_file_that_grows_while_it_is_copied_is_not_copied_on(project: Path) -> None:
    size = (project / CTFS).stat().st_size
    with (project / CTFS).open("ab") as writer:
        writer.write(bytes(10_000))
    with pytest.raises(SourceError, match="it changed while it was being copied"), private_copy(project / CTFS, size):
        pass


@pytest.mark.parametrize("suffix", ["-wal", "-journal", "-shm"])
@pytest.mark.parametrize("kind", ["link to /dev/zero", "pipe"])
def test_what_lies_beside_a_database_and_is_no_file_is_refused(project: Path, suffix: str, kind: str) -> None:
    with closing(sqlite3.connect(project / CTFS)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
    beside = Path(f"{project / CTFS}{suffix}")
    if kind == "pipe":
        os.mkfifo(beside)
    else:
        beside.symlink_to("/dev/zero")
    assert refused(project).startswith("is not a file")


def test_copies_together_take_no_more_room_than_there_is() -> None:
    room = Room(100)
    with room.of(60, patience=0), room.of(40, patience=0), pytest.raises(NoRoom), room.of(1, patience=0.01):
        pass
    with room.of(10_000, patience=0), pytest.raises(NoRoom), room.of(1, patience=0.01):
        pass
    with room.of(100, patience=0):
        pass


@pytest.mark.parametrize("file", ["project.sqlite", CTFS])
def test_what_is_malformed_is_opened_again_when_it_changes(project: Path, watched: Watched, file: str) -> None:
    whole = (project / file).read_bytes()
    (project / file).write_bytes(whole[:700] + bytes(len(whole) - 700))
    watched.look()
    said = watched.state()
    assert said[0] == "malformed"
    with counted_connections() as opened:
        for _ in range(3):
            watched.look()
    assert [name for name in opened if file in name] == []
    assert watched.state() == said
    (project / file).write_bytes(whole)
    watched.look()
    assert watched.state()[0] == "ok"
    assert len(watched.items()) == 8


def test_a_run_file_that_is_malformed_is_opened_again_when_it_changes(project: Path, watched: Watched) -> None:
    file = "Runs/000135_CistemProtCTFFind/logs/run.db"
    execute(project / "project.sqlite", "UPDATE Objects SET value = 'running' WHERE name = '135.status'",
            "UPDATE Objects SET value = '' WHERE name = '135.lastUpdateTimeStamp'")  # fmt: skip
    whole = (project / file).read_bytes()
    (project / file).write_bytes(whole[:700] + bytes(len(whole) - 700))
    watched.look()
    assert [trouble["where"] for trouble in watched.troubles()] == [file]
    with counted_connections() as opened:
        for _ in range(3):
            watched.look()
    assert opened == []
    (project / file).write_bytes(whole)
    watched.look()
    assert watched.troubles() == []


def objects(file: Path, rows: list[tuple[Any, ...]]) -> None:
    """Add objects to a project: id, parent, name, class and value."""
    with closing(sqlite3.connect(file)) as writer, writer:
        writer.executemany("INSERT INTO Objects (id, parent_id, name, classname, value) VALUES (?, ?, ?, ?, ?)", rows)


def with_outputs(project: Path, count: int) -> None:
    """Let a run have very many outputs, each a set of a file that is not there."""
    made: list[tuple[Any, ...]] = []
    for number in range(1_000, 1_000 + 2 * count, 2):
        made.append((number, 135, f"135.outputCTF{number}", "SetOfCTF", None))
        made.append((number + 1, number, f"135.outputCTF{number}._mapperPath", "CsvList", f"{'x' * 200}{number}, "))
    objects(project / "project.sqlite", made)


def with_runs(project: Path, count: int) -> None:
    """Add very many runs that have failed, with long labels and errors."""
    made: list[tuple[Any, ...]] = []
    for number in range(1_000, 1_000 + 3 * count, 3):
        made.append((number, None, f"{number}", "ProtImportMovies", None))
        made.append((number + 1, number, f"{number}.status", "String", "failed"))
        made.append((number + 2, number, f"{number}._error", "String", "e" * 5_000))
    objects(project / "project.sqlite", made)


def test_outputs_beyond_the_first_are_left_out_and_that_is_said(project: Path, watched: Watched) -> None:
    with_outputs(project, 5_000)
    watched.look()
    reader, session = watched.store.reader(), watched.watch.session
    assert len(reader.outputs(session)) == 2_000
    troubles = watched.troubles()
    assert troubles[0]["text"] == "holds more than 2,000 outputs; the first 2,000 are shown"
    assert len(troubles) == 21
    assert troubles[-1]["text"].endswith("more files with troubles")
    assert len(json.dumps(troubles)) < 20_000
    assert len(watched.items("outputMicrographs")) == 8


def test_runs_beyond_the_first_are_left_out_and_that_is_said(project: Path, watched: Watched) -> None:
    with_runs(project, 1_500)
    watched.look()
    runs = watched.store.reader().runs(watched.watch.session)
    assert len(runs) == 1_000
    assert max(len(run["error"]) for run in runs) == MOST_TEXT
    assert watched.troubles()[0]["text"] == "holds more than 1,000 runs; the first 1,000 are shown"


def test_the_first_outputs_keep_their_runs(project: Path) -> None:
    found = read_project(
        project, host="", zone=None, known={}, now=time.time_ns() + 10**10, most_runs=2, most_outputs=2
    )
    assert (len(found.runs), len(found.outputs)) == (2, 2)
    assert {output.run for output in found.outputs} <= {run.run for run in found.runs}


def test_a_set_that_two_outputs_name_is_shown_once(project: Path, watched: Watched) -> None:
    objects(project / "project.sqlite", [
        (1_000, 135, "135.again", "SetOfCTF", None), (1_001, 1_000, "135.again._mapperPath", "CsvList", f"{CTFS}, "),
    ])  # fmt: skip
    watched.look()
    assert len(watched.items()) == 8
    assert watched.items("again") == {}
    assert [t["text"] for t in watched.troubles()] == ["is the set of outputCTF of run 135 as well, and shown as that"]


def test_a_small_project_cannot_fill_the_store(tmp_path: Path) -> None:
    """Many outputs of a file of 8 kB, whose rows share their bytes."""
    project = genuine(tmp_path)
    rows = [crafted.text_row(number, 1_800) for number in range(1, 9)]
    crafted.ctf_set(project / CTFS, [crafted.leaf(rows)], size=8)
    watched = Watched(project, tmp_path / "data")
    with closing(watched):
        watched.look()
        assert len(watched.items()) in (0, 8)
        assert sum(file.stat().st_size for file in (tmp_path / "data").iterdir()) < 5_000_000


def test_a_set_that_says_another_size_than_it_has_is_told(project: Path, watched: Watched) -> None:
    for file in (project / "project.sqlite", project / "Runs/000135_CistemProtCTFFind/logs/run.db"):
        execute(file, "UPDATE Objects SET value = 'finished' WHERE name = '135.status'",
                "UPDATE Objects SET value = '2' WHERE name LIKE '135.%._streamState'")  # fmt: skip
    execute(project / CTFS, "DELETE FROM Objects WHERE id = 4")
    watched.look()
    [trouble] = watched.troubles()
    assert trouble["where"] == CTFS
    assert trouble["text"].startswith("says that it holds 8 items, and 7 are there.")
    assert sorted(watched.items()) == [1, 2, 3, 5, 6, 7, 8]
    watched.look()
    watched.restart()
    watched.look()
    assert len(watched.troubles()) == 1
    append(project / CTFS, 4)
    watched.look()
    assert watched.troubles() == []


def test_a_set_that_is_being_written_may_say_another_size(project: Path, watched: Watched) -> None:
    append(project / CTFS, 9, count=False)
    watched.look()
    assert len(watched.items()) == 9
    assert watched.troubles() == []


def test_every_genuine_set_says_the_size_that_it_has(watched: Watched) -> None:
    watched.look()
    assert {name: len(watched.items(name)) for name in SETS.values()} == dict.fromkeys(SETS.values(), 8)
    assert watched.troubles() == []
