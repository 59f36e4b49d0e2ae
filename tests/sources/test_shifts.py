"""The shifts of aligned movies come from the set that holds them, in Å."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.projects import MOVIES, Watched, change, columns, execute, genuine

PIXEL_SIZE = 0.83
ALIGNMENT = ("_alignment._xshifts", "_alignment._yshifts")


def align(project: Path, shifts: Mapping[int, tuple[str | None, str | None]]) -> None:
    """Give the set of movies the columns of an alignment, and some of its movies shifts as Scipion writes them."""
    file = project / MOVIES
    with closing(sqlite3.connect(file)) as database, database:
        if ALIGNMENT[0] not in columns(file):
            for number, label in enumerate(ALIGNMENT, 80):
                database.execute(f"ALTER TABLE Objects ADD COLUMN c{number} TEXT DEFAULT NULL")
                database.execute(
                    "INSERT INTO Classes (label_property, column_name, class_name) VALUES (?, ?, 'CsvList')",
                    (label, f"c{number}"),
                )
        for item, (x, y) in shifts.items():
            database.execute("UPDATE Objects SET c80 = ?, c81 = ? WHERE id = ?", (x, y, item))


class Aligned(Watched):
    def shifts(self, item: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Look, and return the stored shifts of a movie."""
        self.look()
        name = self.items("outputMovies")[item]["name"]
        return self.store.reader().shifts(self.watch.session, name)


@pytest.fixture
def aligned(tmp_path: Path) -> Iterator[Aligned]:
    found = Aligned(genuine(tmp_path), tmp_path / "data")
    yield found
    found.close()


def test_shifts_are_stored_in_angstrom(aligned: Aligned) -> None:
    align(aligned.project, {1: ("0.0,0.5,-1.2,1e-07", "0.0,1,2.0,-4.123456789")})
    assert aligned.shifts(1) == ((0.0, 0.415, -0.996, 0.0), (0.0, 0.83, 1.66, -3.422))
    assert aligned.shifts(2) is None
    assert aligned.troubles() == []


def test_movies_without_an_alignment_have_no_shifts(aligned: Aligned) -> None:
    assert aligned.shifts(1) is None
    assert aligned.store.reader().value("SELECT count(*) FROM shifts") == 0


def test_shifts_follow_what_the_set_says(aligned: Aligned) -> None:
    align(aligned.project, {1: ("0,1", "0,1"), 2: ("0,2", "0,2"), 3: ("0,3", "0,3")})
    aligned.look()
    align(aligned.project, {1: ("0,2", "0,0"), 2: ("", "")})
    assert aligned.shifts(1) == ((0.0, 1.66), (0.0, 0.0))
    assert aligned.shifts(2) is None
    name = aligned.items("outputMovies")[3]["name"]
    execute(aligned.project / MOVIES, "DELETE FROM Objects WHERE id = 3")
    aligned.look()
    assert aligned.store.reader().shifts(aligned.watch.session, name) is None


@pytest.mark.parametrize(("x", "y"), [("0,1,2", "0,1"), ("", "0,1"), (None, None), ("0,1", None)])
def test_half_a_path_is_none(aligned: Aligned, x: str | None, y: str | None) -> None:
    align(aligned.project, {1: (x, y)})
    assert aligned.shifts(1) is None
    assert aligned.troubles() == []


@pytest.mark.parametrize("x", ["0,nonsense", "0,nan", "0,inf", "0,,1"])
def test_a_path_with_what_is_no_number_is_told_and_left_out(aligned: Aligned, x: str) -> None:
    align(aligned.project, {1: (x, "0,1"), 2: ("0,1", "0,1")})
    assert aligned.shifts(1) is None
    assert aligned.shifts(2) is not None
    (trouble,) = aligned.troubles()
    assert "item 1" in trouble["text"]
    assert "_alignment._xshifts" in trouble["text"]


def test_without_a_pixel_size_there_are_no_lengths(aligned: Aligned) -> None:
    align(aligned.project, {1: ("0,1", "0,1")})
    change(aligned.project / MOVIES, 1, samplingRate=None)
    assert aligned.shifts(1) is None
