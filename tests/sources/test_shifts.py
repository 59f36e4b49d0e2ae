"""The shifts of aligned movies come from the set that holds them, in Å."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.projects import MICROGRAPHS, MOVIES, Watched, change, columns, execute, genuine

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
        return self.store.reader().shifts(self.watch.session, self.items("outputMovies")[item])


def said(shifts: tuple[tuple[float, ...], tuple[float, ...]] | None) -> str:
    """Return shifts as text, in which one nan is like another."""
    return " ".join(f"{x},{y}" for x, y in zip(*(shifts or ((), ())), strict=True))


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
    movie = aligned.items("outputMovies")[3]
    execute(aligned.project / MOVIES, "DELETE FROM Objects WHERE id = 3")
    aligned.look()
    assert aligned.store.reader().shifts(aligned.watch.session, movie) is None


@pytest.mark.parametrize(("x", "y"), [("0,1,2", "0,1"), ("", "0,1"), (None, None), ("0,1", None)])
def test_half_a_path_is_none(aligned: Aligned, x: str | None, y: str | None) -> None:
    align(aligned.project, {1: (x, y)})
    assert aligned.shifts(1) is None
    assert aligned.troubles() == []


@pytest.mark.parametrize("missing", ["nan", "inf", "-inf", "", " ", "-9999", "-9999.0", "-9998.25", "9999", "1e300"])
def test_a_frame_without_a_shift_is_left_out_and_the_others_are_kept(aligned: Aligned, missing: str) -> None:
    align(aligned.project, {1: (f"0,{missing},2", "0,1,2"), 2: ("0,1,2", f"0,1,{missing}")})
    assert said(aligned.shifts(1)) == "0.0,0.0 nan,nan 1.66,1.66"
    assert said(aligned.shifts(2)) == "0.0,0.0 0.83,0.83 nan,nan"
    assert aligned.troubles() == []


@pytest.mark.parametrize("path", ["-9999,-9999,-9999", "nan,nan", ",,", "-9999,nan,", "-9999", "0,9999,9999", "0,0,0"])
def test_a_failed_alignment_has_no_shifts(aligned: Aligned, path: str) -> None:
    align(aligned.project, {1: (path, path), 2: ("0,1", "0,1")})
    assert aligned.shifts(1) is None
    assert aligned.shifts(2) is not None
    assert aligned.store.reader().shifted(aligned.watch.session, [aligned.items("outputMovies")[1]]) == set()
    assert aligned.troubles() == []


def test_shifts_that_were_stored_before_a_failed_alignment_go(aligned: Aligned) -> None:
    align(aligned.project, {1: ("0,1", "0,1"), 2: ("0,1", "0,1")})
    assert aligned.shifts(1) is not None
    align(aligned.project, {1: ("-9999,-9999", "-9999,-9999")})
    assert aligned.shifts(1) is None


def test_a_frame_whose_shift_is_no_number_is_told_and_left_out(aligned: Aligned) -> None:
    align(aligned.project, {1: ("0,nonsense,1", "0,1,2"), 2: ("0,1", "0,1")})
    assert said(aligned.shifts(1)) == "0.0,0.0 nan,nan 0.83,1.66"
    assert aligned.shifts(2) is not None
    (trouble,) = aligned.troubles()
    assert "item 1" in trouble["text"]
    assert "_alignment._xshifts" in trouble["text"]


def test_motion_that_was_added_up_over_frames_without_a_shift_is_none(aligned: Aligned) -> None:
    """As a plugin adds it up, from shifts of which one is -9999 in x and y."""
    file = aligned.project / MICROGRAPHS
    execute(
        file,
        "ALTER TABLE Objects ADD COLUMN c90 REAL",
        "ALTER TABLE Objects ADD COLUMN c91 REAL",
        "INSERT INTO Classes (label_property, column_name, class_name) VALUES"
        " ('_rlnAccumMotionTotal', 'c90', 'Float'), ('_rlnAccumMotionLate', 'c91', 'Float')",
        f"UPDATE Objects SET c90 = {2**0.5 * 9_999 * PIXEL_SIZE}, c91 = 12.5 WHERE id = 1",
        "UPDATE Objects SET c90 = -9999.0, c91 = -9999 WHERE id = 2",
        "UPDATE Objects SET c90 = 1500.0, c91 = 0.0 WHERE id = 3",
    )
    aligned.look()
    found = aligned.items("outputMicrographs")
    assert [(found[n]["motion_total"], found[n]["motion_late"]) for n in (1, 2, 3)] == [
        (None, 12.5), (None, None), (1500.0, 0.0)
    ]  # fmt: skip


def test_without_a_pixel_size_there_are_no_lengths(aligned: Aligned) -> None:
    align(aligned.project, {1: ("0,1", "0,1")})
    change(aligned.project / MOVIES, 1, samplingRate=None)
    assert aligned.shifts(1) is None
