"""Several sets in one file, told apart by a prefix of their tables, are each read from their own tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.projects import CTFS, Watched, execute, genuine

RUN = "Runs/000135_CistemProtCTFFind/logs/run.db"


def add_set(file: Path, prefix: str, *changes: str) -> None:
    """Copy the tables of the set without a prefix to those of another set in the same file."""
    with closing(sqlite3.connect(file)) as database, database:
        for table in ("Classes", "Objects"):
            [(sql,)] = database.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchall()
            database.execute(sql.replace(table, f'"{prefix}{table}"', 1))
            database.execute(f'INSERT INTO "{prefix}{table}" SELECT * FROM {table}')
        for statement in changes:
            database.execute(statement)


def add_output(project: Path, name: str, prefix: str, *, size: int = 8, number: int = 5_000) -> None:
    """Let the CTF estimation have another output in its file."""
    values = {"_mapperPath": f"{CTFS}, {prefix}", "_size": size, "_streamState": 2}
    rows = ", ".join(
        f"({number + place}, {number}, '135.{name}.{key}', 'String', '{value}')"
        for place, (key, value) in enumerate(values.items(), 1)
    )
    execute(
        project / "project.sqlite",
        f"INSERT INTO Objects (id, parent_id, name, classname) VALUES ({number}, 135, '135.{name}', 'SetOfCTF')",
        f"INSERT INTO Objects (id, parent_id, name, classname, value) VALUES {rows}",
    )


def move_set(project: Path, prefix: str) -> None:
    """Give the one set of CTFs a prefix, in its file and where it is named."""
    execute(project / CTFS, *(f'ALTER TABLE {table} RENAME TO "{prefix}_{table}"' for table in ("Classes", "Objects")))
    for file in ("project.sqlite", RUN):
        execute(project / file, f"UPDATE Objects SET value = '{CTFS}, {prefix}' WHERE value = '{CTFS}, '")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return genuine(tmp_path)


@pytest.fixture
def watched(project: Path, tmp_path: Path) -> Iterator[Watched]:
    found = Watched(project, tmp_path / "data")
    yield found
    found.close()


def test_two_sets_of_one_file_have_their_own_values(project: Path, watched: Watched) -> None:
    column = "c01"
    add_set(
        project / CTFS,
        "Bad_",
        f"UPDATE Bad_Objects SET {column} = {column} + 7",
        "DELETE FROM Bad_Objects WHERE id > 3",
    )
    add_output(project, "outputBad", "Bad", size=3)
    watched.look()
    good, bad = watched.items(), watched.items("outputBad")
    assert (len(good), sorted(bad)) == (8, [1, 2, 3])
    assert [bad[item]["defocus_u"] - good[item]["defocus_u"] for item in bad] == [7.0] * 3
    assert watched.troubles() == []


def test_a_set_with_a_prefix_alone_in_its_file_is_read(project: Path, watched: Watched) -> None:
    move_set(project, "Bad")
    watched.look()
    assert len(watched.items()) == 8
    assert watched.troubles() == []


def test_sets_of_one_file_grow_and_shrink_one_by_one(project: Path, watched: Watched) -> None:
    """Both share the size that Scipion writes into the file, which is that of the set that was written last."""
    add_set(project / CTFS, "Bad_", "DELETE FROM Bad_Objects WHERE id > 3")
    add_output(project, "outputBad", "Bad", size=3)
    watched.look()
    execute(
        project / CTFS,
        "INSERT INTO Bad_Objects SELECT * FROM Objects WHERE id IN (5, 6)",
        "DELETE FROM Objects WHERE id = 2",
        "UPDATE Properties SET value = 5 WHERE key = '_size'",
    )
    watched.look()
    assert sorted(watched.items("outputBad")) == [1, 2, 3, 5, 6]
    assert sorted(watched.items()) == [1, 3, 4, 5, 6, 7, 8]
    execute(
        project / CTFS,
        "DELETE FROM Bad_Objects WHERE id = 1",
        "INSERT INTO Bad_Objects SELECT * FROM Objects WHERE id = 4",
    )
    watched.look()
    assert sorted(watched.items("outputBad")) == [2, 3, 4, 5, 6]


def test_a_row_that_goes_is_seen_at_once_though_the_size_in_the_file_is_another_sets(
    project: Path, watched: Watched
) -> None:
    add_set(project / CTFS, "Bad_")
    add_output(project, "outputBad", "Bad")
    execute(
        project / "project.sqlite",
        "UPDATE Objects SET value = 'running' WHERE name = '135.status'",
        "UPDATE Objects SET value = 1 WHERE name LIKE '135.output%._streamState'",
    )
    execute(project / RUN, "UPDATE Objects SET value = 'running' WHERE name = '135.status'")
    watched.look()
    watched.late -= 60 * 10**9  # no sweep is due
    execute(project / CTFS, "DELETE FROM Bad_Objects WHERE id = 2")
    watched.look()
    assert (len(watched.items("outputBad")), len(watched.items())) == (7, 8)


def test_an_output_that_changes_its_prefix_is_read_anew(project: Path, watched: Watched) -> None:
    add_set(project / CTFS, "Good_")
    add_set(project / CTFS, "Bad_", "UPDATE Bad_Objects SET c01 = 9999.0", "UPDATE Bad_Objects SET id = id + 10")
    for file in ("project.sqlite", RUN):
        execute(project / file, f"UPDATE Objects SET value = '{CTFS}, Good' WHERE value = '{CTFS}, '")
    watched.look()
    assert sorted(watched.items()) == list(range(1, 9))
    watched.restart()
    for file in ("project.sqlite", RUN):
        execute(project / file, f"UPDATE Objects SET value = '{CTFS}, Bad' WHERE value = '{CTFS}, Good'")
    watched.look()
    assert {item: row["defocus_u"] for item, row in watched.items().items()} == dict.fromkeys(range(11, 19), 9_999.0)


def test_a_file_without_the_tables_of_the_prefix_says_so(project: Path, watched: Watched) -> None:
    add_output(project, "outputBad", "Bad")
    watched.look()
    [trouble] = watched.troubles()
    assert trouble["where"] == f"{CTFS}, Bad"
    assert trouble["text"].startswith("holds no tables of those whose names begin with 'Bad_'")
    assert (len(watched.items()), watched.items("outputBad")) == (8, {})


def test_a_set_that_is_empty_beside_another_is_empty(project: Path, watched: Watched) -> None:
    add_output(project, "outputBad", "Bad", size=0)
    watched.look()
    assert (watched.items("outputBad"), watched.troubles()) == ({}, [])


def test_a_set_without_a_prefix_that_is_empty_beside_another_is_empty(project: Path, watched: Watched) -> None:
    move_set(project, "Bad")
    add_output(project, "outputGood", "", size=0)
    watched.look()
    assert (len(watched.items()), watched.items("outputGood"), watched.troubles()) == (8, {}, [])


def test_a_prefix_is_a_part_of_a_name_and_nothing_else(project: Path, watched: Watched) -> None:
    odd = 'a`b"c; DROP TABLE Objects --'
    with closing(sqlite3.connect(project / CTFS)) as database, database:
        for table in ("Classes", "Objects"):
            quoted = f"`{(odd + '_' + table).replace('`', '``')}`"
            database.execute(f"CREATE TABLE {quoted} AS SELECT * FROM {table} LIMIT 1000")
    add_output(project, "outputOdd", odd)
    watched.look()
    assert (len(watched.items("outputOdd")), len(watched.items())) == (8, 8)
