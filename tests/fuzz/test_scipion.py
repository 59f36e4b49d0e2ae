"""Scipion databases whose schema, cells or bytes are wrong: reading ends, and gives the file's own values or a line."""

from __future__ import annotations

import math
import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cryowatch.agent.session import Watch
from cryowatch.errors import SourceError
from cryowatch.reading import Reading
from cryowatch.records import Micrograph
from cryowatch.sources.scipion import ScipionSource
from cryowatch.store import Store
from tests.fuzz.effort import fuzzed, tried
from tests.support.projects import CTFS, MICROGRAPHS, MOVIES, genuine

FILES = ("project.sqlite", CTFS, MICROGRAPHS, MOVIES, "Runs/000135_CistemProtCTFFind/logs/run.db")
TABLES = ("Objects", "Classes", "Properties")
PLAIN_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)

_MOTION = {"motion_total": "_rlnAccumMotionTotal", "motion_early": "_rlnAccumMotionEarly",
           "motion_late": "_rlnAccumMotionLate"}  # fmt: skip
NUMBERS: Mapping[str, Mapping[str, str]] = {
    "ctf": {
        "defocus_u": "_defocusU", "defocus_v": "_defocusV", "defocus_angle": "_defocusAngle",
        "phase_shift": "_phaseShift", "resolution": "_resolution", "fit_quality": "_fitQuality",
        "pixel_size": "_micObj._samplingRate", **{field: f"_micObj.{label}" for field, label in _MOTION.items()},
    },
    "micrographs": {"pixel_size": "_samplingRate", **_MOTION},
    "movies": {"pixel_size": "_samplingRate"},
}  # fmt: skip
"""Fields of the items of each kind of set, and the labels they have in Scipion."""
OF_A_FIT = {"defocus_u", "defocus_v", "defocus_angle", "phase_shift", "resolution", "fit_quality"}
"""What says nothing of a micrograph that has no defocus."""

LABELS = {label for labels in NUMBERS.values() for label in labels.values()}


def number(raw: object) -> float | None:
    """Return what a cell says as a number, in the simplest reading."""
    if isinstance(raw, int | float):
        return float(raw)
    return float(raw) if isinstance(raw, str) and PLAIN_NUMBER.fullmatch(raw) else None


def is_value(field: str, found: float | None) -> bool:
    """Return whether a number is a value and no sign for "none"."""
    if found is None or not math.isfinite(found):
        return False
    if field in ("defocus_angle", "phase_shift"):
        return abs(found) <= 360
    if field.startswith("motion"):
        return found >= 0
    return found > (-1 if field == "fit_quality" else 0)


@dataclass(frozen=True)
class Plain:
    """A set as plain sqlite3 has it: rows by id, each with its cells by label."""

    rows: Mapping[Any, Mapping[str, Any]]


def plainly(file: Path) -> Plain | None:
    """Return a set as it is in its file; None where sqlite3 cannot read it, or not within a second."""
    end = time.monotonic() + 1
    with tempfile.TemporaryDirectory() as folder, suppress(sqlite3.Error, UnicodeDecodeError):  # in a column's name
        copy = shutil.copy(file, folder)
        with closing(sqlite3.connect(copy)) as database:
            database.text_factory = lambda data: data.decode("utf-8", "replace")
            database.set_progress_handler(lambda: int(time.monotonic() > end), 10_000)
            rows: dict[Any, dict[str, Any]] = {}
            for (number,) in database.execute("SELECT id FROM Objects").fetchmany(10_000):
                rows[number] = {"enabled": 1}
            columns = {str(a): str(b) for a, b in database.execute("SELECT label_property, column_name FROM Classes")}
            there = {found[1] for found in database.execute("PRAGMA table_info(Objects)")}
            for label, column in {"enabled": "enabled", **columns}.items():
                if label in ("enabled", *LABELS) and column in there:
                    for number, cell in database.execute(
                        f"SELECT id, `{column.replace('`', '``')}` FROM Objects LIMIT 10000"
                    ):
                        rows.setdefault(number, {"enabled": 1})[label] = cell
            return Plain(rows)
    return None


def check_item(kind: str, item: Micrograph, cells: Mapping[str, Any]) -> None:
    """Compare one item with its cells."""
    said = {field: number(cells.get(label)) for field, label in NUMBERS[kind].items()}
    size = said["pixel_size"]
    whole = all(is_value(field, said.get(field)) for field in ("defocus_u", "defocus_v"))
    for field, cell in said.items():
        expected = cell if is_value(field, cell) else None
        if field in OF_A_FIT and not whole:
            expected = None
        if field.startswith("motion") and expected and size and 0 < size < math.inf and expected >= 9_000 * size:
            expected = None
        assert getattr(item, field) == expected, (item.item, field, cells)
    assert item.enabled is (cells["enabled"] not in (0, "0")), (item.item, cells)


def check(project: Path, reading: Reading) -> None:
    """Compare what was read with what plain sqlite3 says of the same files; what is left out must be said."""
    told = {trouble.where for trouble in reading.troubles}
    for trouble in reading.troubles:
        assert trouble.text.strip(), trouble
    for output in reading.outputs or ():
        if output.kind.value not in NUMBERS or output.path not in (CTFS, MICROGRAPHS, MOVIES):
            continue
        items = [item for span in reading.spans if span.output == output.name for item in span.items]
        plain = plainly(project / output.path)
        if plain is None:
            assert not items, "what sqlite3 cannot read has values"
            continue
        for item in items:
            check_item(output.kind.value, item, plain.rows[item.item])
        if output.path not in told:
            assert [item.item for item in items] == sorted(plain.rows)
        if output.size is not None:
            assert 0 <= output.size < 2**63


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def spoiled() -> Iterator[Path]:
    """A genuine project to be spoiled."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        yield genuine(Path(folder))


def read_twice(project: Path) -> None:
    """Read as the agent does, store it and compare; then again after a restart, which must say the same."""
    before = contents(project)
    began = time.monotonic()

    def late() -> int:
        return time.time_ns() + 3600 * 10**9

    with suppress(SourceError):
        reading = ScipionSource(project, host="gpu1", clock=late).read("")
        check(project, reading)
        with closing(Store(project.parent / "data")) as store:
            source = ScipionSource(project, host="gpu1", clock=late)
            watch = Watch(project, source, store, host="gpu1", clock=late)
            stored, _ = watch.step()
            assert stored == reading
            again, _ = watch.step()
            assert again is not None
            assert not again.spans or again.troubles
    assert time.monotonic() - began < 30
    assert contents(project) == before, "the project was written to"


CELLS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.sampled_from(
        [0, -1, 25, 25.0, "25", "inf", "nan", "-inf", "1e999", "1_0", "٣", "3,4", " 5 ", "0x10", "1" * 400, "", "None"]
    ),
    st.sampled_from(["2026-11-23 20:29:31", "9999-12-31 23:59:59", "0001-01-01 00:00:00", "2026-02-30 00:00:00"]),
)
"""What can stand in a cell where something else belongs."""


@st.composite
def cell_changes(draw: st.DrawFn) -> tuple[str, str, int, int, Any]:
    """Draw one cell to change: file, table, which row and column, and its new value."""
    file = draw(st.sampled_from(FILES))
    table = "Objects" if file.endswith(".db") or file == "project.sqlite" else draw(st.sampled_from(TABLES))
    return file, table, draw(st.integers(0, 300)), draw(st.integers(1, 30)), draw(CELLS)


def change_cell(project: Path, file: str, table: str, row: int, column: int, value: Any) -> None:
    """Change one cell, where it is there and its table allows the value."""
    with closing(sqlite3.connect(project / file)) as database, database, suppress(sqlite3.Error):
        columns = [found[1] for found in database.execute(f"PRAGMA table_info({table})")]
        rows = [found[0] for found in database.execute(f"SELECT rowid FROM {table} ORDER BY rowid")]
        database.execute(
            f'UPDATE {table} SET "{columns[column % len(columns)]}" = ? WHERE rowid = ?', (value, rows[row % len(rows)])
        )


@given(st.lists(cell_changes(), min_size=1, max_size=4))
@fuzzed(examples=60)
def test_any_value_in_any_cell_is_itself_or_none(changes: list[tuple[str, str, int, int, Any]]) -> None:
    tried("cells of Scipion's databases")
    with spoiled() as project:
        for change in changes:
            change_cell(project, *change)
        read_twice(project)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
AS_A_VIEW = f"CREATE VIEW {{table}} AS {ENDLESS} SELECT i AS id, i AS enabled, i AS key, i AS value, i AS c01 FROM n"

SCHEMES = {
    "dropped": ["DROP TABLE {table}"],
    "emptied": ["DELETE FROM {table}"],
    "renamed": ['ALTER TABLE {table} RENAME TO "{name}"'],
    "column renamed": ['ALTER TABLE {table} RENAME COLUMN "{column}" TO "{name}"'],
    "column dropped": ['ALTER TABLE {table} DROP COLUMN "{column}"'],
    "column added": ['ALTER TABLE {table} ADD COLUMN "{name}"'],
    "column emptied": ['UPDATE {table} SET "{column}" = NULL'],
    "column filled": ['UPDATE {table} SET "{column}" = {value}'],
    "without types": ["ALTER TABLE {table} RENAME TO old", "CREATE TABLE {table} AS SELECT * FROM old"],
    "doubled": [
        "ALTER TABLE {table} RENAME TO old",
        "CREATE TABLE {table} AS SELECT * FROM old UNION ALL SELECT * FROM old",
    ],
    "ids as texts": [
        "ALTER TABLE {table} RENAME TO old", "CREATE TABLE {table} AS SELECT * FROM old",
        "UPDATE {table} SET id = 'x' || id",
    ],
    "an id as text": [
        "ALTER TABLE {table} RENAME TO old", "CREATE TABLE {table} AS SELECT * FROM old",
        "UPDATE {table} SET id = {value} WHERE rowid = 3",
    ],
    "negative id": ["UPDATE {table} SET id = -id WHERE id % 3 = 1"],
    "huge id": ["UPDATE {table} SET id = 9223372036854775807 WHERE id = 3"],
    "without rowid": [
        "ALTER TABLE {table} RENAME TO old",
        "CREATE TABLE {table} (id PRIMARY KEY, enabled, label, comment, creation, c01, c02, c03, c04) WITHOUT ROWID",
        "INSERT INTO {table} SELECT id, enabled, label, comment, creation, c01, c02, c03, c04 FROM old",
    ],
    "generated": [
        "ALTER TABLE {table} RENAME TO old",
        "CREATE TABLE {table} (id INTEGER PRIMARY KEY, c01 AS (hex(zeroblob(20000000))), c02 AS ('x'))",
        "INSERT INTO {table}(id) SELECT rowid FROM old",
    ],
    "a view": ["ALTER TABLE {table} RENAME TO old", "CREATE VIEW {table} AS SELECT * FROM old"],
    "an endless view": ["ALTER TABLE {table} RENAME TO old", AS_A_VIEW],
    "an endless view called a table": [
        "ALTER TABLE {table} RENAME TO old", AS_A_VIEW, "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET type = 'table' WHERE name = '{table}'",
    ],
    "a virtual table": ["ALTER TABLE {table} RENAME TO old", "CREATE VIRTUAL TABLE {table} USING fts5(id, value)"],
    "a schema that is none": [
        "PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = {value} WHERE name = '{table}'",
    ],
    "a table elsewhere": [
        "PRAGMA writable_schema = ON", "UPDATE sqlite_master SET rootpage = {page} WHERE name = '{table}'",
    ],
    "two columns for one": ["UPDATE {table} SET column_name = 'c01' WHERE id = 2"],
    "a trigger": ["CREATE TRIGGER t AFTER UPDATE ON {table} BEGIN DELETE FROM {table}; END"],
}  # fmt: skip
"""What can be wrong with a schema; a statement that SQLite refuses is left out."""


@given(
    st.sampled_from(FILES),
    st.sampled_from(TABLES),
    st.sampled_from(sorted(SCHEMES)),
    st.integers(0, 30),
    st.sampled_from(["c05", "value", "Objects2", "ctfs", "x y", "a`b", "ü"]),
    st.sampled_from(["'text'", "NULL", "'inf'", "9e999", "-1", "25", "x'00ff'", "'CREATE TABLE x(y)'", "2.5", "'c02'"]),
    st.integers(0, 12),
)
@fuzzed(examples=90)
def test_any_schema_is_read_or_refused_in_a_line(
    file: str, table: str, scheme: str, column: int, name: str, value: str, page: int
) -> None:
    tried("schemas of Scipion's databases")
    with spoiled() as project:
        with closing(sqlite3.connect(project / file, isolation_level=None)) as database:
            columns = [found[1] for found in database.execute(f"PRAGMA table_info({table})")] or ["id"]
            for statement in SCHEMES[scheme]:
                words = {"table": table, "column": columns[column % len(columns)], "name": name, "value": value}
                with suppress(sqlite3.Error):
                    database.execute(statement.format(**words, page=page))
        read_twice(project)


@st.composite
def byte_changes(draw: st.DrawFn) -> tuple[str, str, int, bytes]:
    """Draw one change of a file's bytes: file, what is done, where (in thousandths of the file), and with what."""
    kind = draw(st.sampled_from(["written over", "flipped", "cut", "zeroed", "header", "page copied", "journal"]))
    return draw(st.sampled_from(FILES)), kind, draw(st.integers(0, 1000)), draw(st.binary(min_size=1, max_size=8))


def change_bytes(path: Path, kind: str, place: int, new: bytes) -> None:
    """Change the bytes of a file."""
    data = bytearray(path.read_bytes())
    at = min(len(data) * place // 1000, len(data) - 1)
    page = at // 1024 * 1024
    match kind:
        case "written over":
            data[at : at + len(new)] = new
        case "flipped":
            data[at] ^= new[0] or 1
        case "cut":
            del data[at:]
        case "zeroed":
            data[page : page + 1024] = bytes(len(data[page : page + 1024]))
        case "header":
            data[at % 100] = new[0]
        case "page copied":
            other = new[0] * 1024 % max(1, len(data) // 1024 * 1024)
            data[page : page + 1024] = data[other : other + 1024]
        case _:
            Path(f"{path}-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + new * 80)
    path.write_bytes(data)


@given(st.lists(byte_changes(), min_size=1, max_size=3))
@fuzzed(examples=90)
def test_any_bytes_are_read_or_refused_in_a_line(changes: list[tuple[str, str, int, bytes]]) -> None:
    tried("bytes of Scipion's databases")
    with spoiled() as project:
        for file, kind, place, new in changes:
            if (project / file).stat().st_size:
                change_bytes(project / file, kind, place, new)
        read_twice(project)
