"""Databases that Scipion did not write like that: each is read as far as it is right, or refused in a line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cryowatch.sources.scipion.scalars import count_of, is_number_list, local_time, number_of, numbers_of
from tests.support.projects import CTFS, Watched, change, columns, execute, genuine


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return genuine(tmp_path)


@pytest.fixture
def watched(project: Path, tmp_path: Path) -> Iterator[Watched]:
    found = Watched(project, tmp_path / "data")
    yield found
    found.close()


WITHOUT_TYPES = ("ALTER TABLE Objects RENAME TO old", "CREATE TABLE Objects AS SELECT * FROM old")
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id FROM n"


def the_trouble(watched: Watched) -> str:
    """Look once and return the text of the one trouble, which is with the CTFs; the other sets are read."""
    watched.look()
    [trouble] = watched.troubles()
    assert trouble["where"] == CTFS
    assert len(watched.items("outputMicrographs")) == 8
    return trouble["text"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE Objects SET id = 'x' WHERE id = 3",
        "UPDATE Objects SET id = NULL WHERE id = 3",
        "UPDATE Objects SET id = 4 WHERE id = 3",
        "UPDATE Objects SET id = -3 WHERE id = 3",
        "UPDATE Objects SET id = 2.5 WHERE id = 3",
    ],
)
def test_ids_that_are_no_ids_are_said(project: Path, watched: Watched, statement: str) -> None:
    execute(project / CTFS, *WITHOUT_TYPES, statement)
    assert "is not as Scipion writes it" in the_trouble(watched)
    assert watched.items() == {}


def test_objects_of_a_project_whose_ids_are_none_are_said(project: Path, watched: Watched) -> None:
    execute(project / "project.sqlite", *WITHOUT_TYPES, "UPDATE Objects SET id = 'x' WHERE id = 2")
    assert watched.look() is None
    assert "'x' is no id of an object" in watched.state()[1]


def test_a_set_that_lies_still_without_one_of_its_tables_is_said(project: Path, watched: Watched) -> None:
    execute(project / CTFS, "DROP TABLE Properties")
    assert the_trouble(watched).startswith("lacks a table")


@pytest.mark.parametrize("kind", ["view", "table"])
def test_a_view_without_end_is_no_table_whatever_it_calls_itself(project: Path, watched: Watched, kind: str) -> None:
    execute(project / CTFS, "ALTER TABLE Objects RENAME TO old", f"CREATE VIEW Objects AS {ENDLESS}")
    with closing(sqlite3.connect(project / CTFS)) as writer, writer:
        writer.execute("PRAGMA writable_schema = ON")
        writer.execute("UPDATE sqlite_master SET type = ? WHERE name = 'Objects'", (kind,))
    assert the_trouble(watched).startswith(("lacks a table", "is damaged"))  # the second is SQLite's own word


def test_a_label_that_is_there_twice_tells_nothing(project: Path, watched: Watched) -> None:
    execute(
        project / CTFS,
        "ALTER TABLE Classes RENAME TO old",
        "CREATE TABLE Classes AS SELECT * FROM old UNION ALL SELECT 99, '_defocusU', 'c02', 'Float'",
    )
    assert "a label twice" in the_trouble(watched)


def test_a_column_whose_name_is_no_text_is_not_taken_for_its_name(project: Path, watched: Watched) -> None:
    place = columns(project / CTFS)["_psdFile"].encode()
    data = (project / CTFS).read_bytes()
    (project / CTFS).write_bytes(data.replace(place + b"  TEXT", place[:-1] + b"\xff  TEXT").replace(b"c06", b"c0\xff"))
    watched.look()
    assert not [row["power_spectrum_path"] for row in watched.items().values() if "c0" in row["power_spectrum_path"]]


def test_one_defocus_without_the_other_is_no_estimate(project: Path, watched: Watched) -> None:
    execute(project / CTFS, "DELETE FROM Classes WHERE label_property = '_defocusU'")
    watched.look()
    row = watched.items()[1]
    assert (row["defocus_u"], row["defocus_v"], row["defocus_angle"]) == (None, None, None)


def test_what_is_discarded_is_so_in_a_column_without_a_type(project: Path, watched: Watched) -> None:
    execute(project / CTFS, *WITHOUT_TYPES, "UPDATE Objects SET enabled = '0' WHERE id = 2")
    watched.look()
    assert [item for item, row in watched.items().items() if not row["enabled"]] == [2]


def test_times_that_cannot_be_held_are_none(project: Path, watched: Watched) -> None:
    execute(project / CTFS, "UPDATE Objects SET creation = '9999-12-31 23:59:59' WHERE id = 2")
    execute(project / "project.sqlite", "UPDATE Objects SET value = '9999-12-31 23:59:59' WHERE name LIKE '%initTime'")
    watched.look()
    assert abs(watched.items()[2]["time"] - (project / CTFS).stat().st_mtime_ns) < 10**9
    assert local_time("0001-01-01 00:00:00", None) is None


def test_sizes_that_are_none_are_not_stored(project: Path, watched: Watched) -> None:
    execute(project / "project.sqlite", "UPDATE Objects SET value = '1e300' WHERE name LIKE '%_size'")
    watched.look()
    assert len(watched.items()) == 8
    assert [count_of(text) for text in ("-1", "1e300", "nan", "8.0", "", None)] == [None, None, None, 8, None, None]


def test_names_that_are_bytes_are_texts(project: Path, watched: Watched) -> None:
    change(project / CTFS, 2, **{"micObj._micName": b"m\xc3\xbc.mrc"})
    watched.look()
    assert watched.items()[2]["name"] == "mü.mrc"


def test_only_what_every_program_takes_for_a_number_is_one() -> None:
    assert [number_of(value) for value in ("1_000", "٣", b"3", "0x10", "", None)] == [None] * 6
    assert [number_of(value) for value in (" 5 ", "5e-1", 5, "-inf")] == [5.0, 0.5, 5.0, float("-inf")]
    assert [str(number) for number in numbers_of("1_0,2,,nan,٣")] == ["nan", "2.0", "nan", "nan", "nan"]
    assert numbers_of("1.5, -2") == (1.5, -2.0)
    assert [numbers_of(value) for value in ("", " ", None)] == [()] * 3
    assert [is_number_list(value) for value in ("1,,nan,inf", "", "1_0,2", "1,x")] == [True, True, False, False]
