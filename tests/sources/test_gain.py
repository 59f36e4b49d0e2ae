"""Every line of a gain protocol's file is read once and in order, whatever happens to the file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cryowatch.sources.scipion import gain
from tests.support.projects import Watched, execute, genuine

FOLDER = "Runs/000300_XmippProtMovieGain"
LINE = "movie_000001_residual: 0.016680 0.976350 1.028174 17.423561\n"


def line(number: int, stddev: float = 0.02) -> str:
    return f"movie_{number:06d}_residual: {stddev:.6f} 0.950000 1.045000 2.090000\n"


def add_run(project: Path, number: int = 300, folder: str = FOLDER, class_name: str = gain.PROTOCOL) -> None:
    """Add a finished run to what the GUI stored."""
    execute(
        project / "project.sqlite",
        "INSERT INTO Objects (id, parent_id, name, classname, label) VALUES"
        f" ({number}, NULL, '', '{class_name}', 'gain')",
        "INSERT INTO Objects (id, parent_id, name, classname, value) VALUES"
        f" ({number + 1}, {number}, '{number}.status', 'String', 'finished'),"
        f" ({number + 2}, {number}, '{number}.workingDir', 'String', '{folder}')",
    )


class Gains(Watched):
    """A watched project with a run of the gain protocol."""

    def __init__(self, project: Path, data: Path) -> None:
        add_run(project)
        (project / FOLDER / "extra").mkdir(parents=True)
        self.file = project / FOLDER / gain.FILE
        super().__init__(project, data)

    def append(self, text: str) -> None:
        with self.file.open("a") as file:
            file.write(text)

    def rows(self) -> list[dict[str, Any]]:
        """Look, and return what is stored."""
        self.look()
        return self.store.reader().rows("SELECT * FROM gain ORDER BY run, item")

    def movies(self) -> list[str]:
        return [row["movie"] for row in self.rows()]


@pytest.fixture
def gains(tmp_path: Path) -> Iterator[Gains]:
    found = Gains(genuine(tmp_path), tmp_path / "data")
    yield found
    found.close()


def test_a_line_is_a_residual_with_its_ratios(gains: Gains) -> None:
    gains.append(LINE)
    (row,) = gains.rows()
    assert (row["run"], row["item"], row["movie"], row["stddev"]) == ("300", 1, "movie_000001", 0.01668)
    assert row["ratio1"] == pytest.approx(1.028174 / 0.976350)
    assert row["ratio2"] == pytest.approx(17.423561 / 1.028174)


def test_lines_are_read_once_and_in_order_as_they_come(gains: Gains) -> None:
    gains.append(line(1) + line(11))
    assert gains.movies() == ["movie_000001", "movie_000011"]
    before = gains.rows()
    gains.append(line(21))
    assert gains.movies() == ["movie_000001", "movie_000011", "movie_000021"]
    assert gains.rows()[:2] == before
    gains.restart()
    assert gains.rows()[:2] == before
    assert gains.store.commit(gains.watch.session, gains.source.read(""), now=gains.clock()) is None


def test_a_line_without_its_end_waits_for_it(gains: Gains) -> None:
    gains.append(line(1) + line(2)[:40])
    assert gains.movies() == ["movie_000001"]
    assert gains.troubles() == []
    gains.append(line(2)[40:])
    assert gains.movies() == ["movie_000001", "movie_000002"]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    "text",
    [line(7), line(7) + line(8) + line(9), line(7) * 5, ""],
    ids=["shorter", "as long", "longer", "empty"],
)
def test_a_file_that_was_rewritten_in_place_is_read_anew(gains: Gains, text: str, *, restarted: bool) -> None:
    gains.append(line(1) + line(2) + line(3))
    assert len(gains.rows()) == 3
    gains.file.write_text(text)
    if restarted:
        gains.restart()
    rows = gains.rows()
    assert [row["item"] for row in rows] == list(range(1, text.count("\n") + 1))
    assert [row["movie"] for row in rows] == [told.partition("_residual")[0] for told in text.splitlines()]


def test_another_file_in_its_place_is_read_anew_even_when_it_begins_the_same(gains: Gains) -> None:
    gains.append(line(1) + line(2))
    gains.look()
    other = gains.file.with_suffix(".new")
    other.write_text(line(1) + line(2) + line(3))
    other.replace(gains.file)
    assert gains.movies() == ["movie_000001", "movie_000002", "movie_000003"]


@pytest.mark.parametrize(
    "bad", ["nonsense", "movie_000002_residual: 1 2 3", "movie_000002_residual: 1 2 3 4 5", "\0\xff"]
)
def test_a_malformed_line_is_told_with_its_number_and_the_rest_is_read(gains: Gains, bad: str) -> None:
    gains.append(f"{line(1)}{bad}\n\n{line(4)}")
    rows = gains.rows()
    assert [(row["item"], row["movie"]) for row in rows] == [(1, "movie_000001"), (4, "movie_000004")]
    (trouble,) = gains.troubles()
    assert trouble["where"] == f"{FOLDER}/{gain.FILE}"
    assert trouble["state"] == "malformed"
    assert "line 2 " in trouble["text"]
    gains.restart()
    gains.look()
    assert len(gains.troubles()) == 1, "it is still wrong after a restart"


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ("0.1 0.0 1.0 2.0", (0.1, None, 2.0)),
        ("0.1 0.5 0.0 2.0", (0.1, 0.0, None)),
        ("nan 0.5 1.0 inf", (None, 2.0, None)),
        ("-nan 0.5 nan 3.0", (None, None, None)),
        ("-1.0 -0.5 1.0 3.0", (None, None, 3.0)),
        ("1e-2 5.0e-01 1 3", (0.01, 2.0, 3.0)),
    ],
)
def test_what_is_no_number_or_no_ratio_is_no_value(
    gains: Gains, numbers: str, expected: tuple[float | None, ...]
) -> None:
    gains.append(f"movie_000001_residual: {numbers}\n")
    (row,) = gains.rows()
    assert (row["stddev"], row["ratio1"], row["ratio2"]) == expected
    assert gains.troubles() == []


def test_a_large_file_is_read_in_parts(gains: Gains, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gain, "MOST_BYTES", 500)
    gains.append("".join(line(i) for i in range(1, 101)))
    first = gains.source.read("")
    while len(first.gains) == 0:
        first = gains.source.read(first.cursor)
    assert len(first.gains) == 500 // len(line(1))
    assert not first.finished
    assert [row["item"] for row in gains.rows()] == list(range(1, 101))


def test_a_line_without_any_end_is_told_and_not_read_again_and_again(
    gains: Gains, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gain, "MOST_BYTES", 500)
    gains.append(line(1) + "x" * 2_000)
    reading = gains.look()
    assert reading is not None
    assert gains.movies() == ["movie_000001"]
    assert "line 2 is too long" in gains.troubles()[0]["text"]
    opened = []
    monkeypatch.setattr(os, "open", lambda *a: opened.append(a))
    gains.look()
    assert opened == []


@pytest.mark.parametrize("length", [1, 100, 499, 500, 501, 1_000, 1_234, 5_000])
def test_after_a_hole_that_a_crash_left_the_rest_is_read(
    gains: Gains, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr(gain, "MOST_BYTES", 500)
    gains.append(line(1) + "\0" * length)
    gains.look()
    gains.append(line(2) + line(3) + line(4))
    gains.look()
    assert [(row["item"], row["movie"]) for row in gains.rows()] == [
        (1, "movie_000001"), (3, "movie_000003"), (4, "movie_000004")
    ]  # fmt: skip
    assert "line 2 is" in gains.troubles()[0]["text"]


def test_a_cursor_of_an_earlier_version_goes_on_with_the_sets_and_begins_with_the_gains(gains: Gains) -> None:
    gains.append(line(1))
    gains.look()
    cursor = json.loads(gains.store.cursor(gains.watch.session))
    del cursor["gains"]
    gains.restart()
    reading = gains.source.read(json.dumps(cursor))
    assert [g.movie for g in reading.gains] == ["movie_000001"]
    assert reading.spans == ()


def test_after_an_upgrade_sets_are_read_anew_and_the_lines_of_gains_are_not(gains: Gains) -> None:
    gains.append(line(1))
    gains.look()
    cursor = json.loads(gains.store.cursor(gains.watch.session))
    cursor["version"] = 1
    cursor["sets"] = [known[:-1] for known in cursor["sets"]]
    gains.restart()
    reading = gains.source.read(json.dumps(cursor))
    assert reading.gains == ()
    assert sum(len(span.items) for span in reading.spans) == 32


def test_the_time_is_that_of_the_residual_image_else_the_start_of_the_run(gains: Gains) -> None:
    gains.append(line(1) + line(2))
    image = gains.project / FOLDER / "extra" / "movie_000001_residual_gain.xmp"
    image.touch()
    os.utime(image, ns=(0, 1_790_000_000 * 10**9))
    os.utime(gains.file, ns=(0, 1_790_000_500 * 10**9))
    assert [row["time"] // 10**9 for row in gains.rows()] == [1_790_000_000, 1_790_000_500]


def test_a_run_without_its_file_and_one_of_another_class_bring_nothing(gains: Gains) -> None:
    add_run(gains.project, 400, "Runs/000400_Other", "ProtOther")
    (gains.project / "Runs/000400_Other").mkdir()
    (gains.project / "Runs/000400_Other" / gain.FILE).write_text(line(1))
    assert gains.rows() == []
    assert gains.troubles() == []


def test_a_file_that_has_gone_keeps_what_was_read(gains: Gains) -> None:
    gains.append(line(1))
    assert len(gains.rows()) == 1
    gains.file.unlink()
    assert len(gains.rows()) == 1
    assert gains.troubles()[0]["state"] == "gone"


@pytest.mark.parametrize("folder", ["../elsewhere", "{tmp}/elsewhere", "Runs/../../elsewhere"])
def test_a_working_folder_outside_the_project_is_not_read(tmp_path: Path, folder: str) -> None:
    project = genuine(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / gain.FILE).write_text(line(1))
    add_run(project, folder=folder.format(tmp=tmp_path))
    watched = Watched(project, tmp_path / "data")
    watched.look()
    assert watched.store.reader().rows("SELECT * FROM gain") == []
    (trouble,) = watched.troubles()
    assert "outside the project" in trouble["text"]
    watched.close()


@pytest.mark.parametrize("way", ["run", "Runs", "project"])
def test_residuals_of_a_run_on_another_disk_are_read(tmp_path: Path, gains: Gains, way: str) -> None:
    gains.append(line(1))
    linked = {"run": gains.project / FOLDER, "Runs": gains.project / "Runs", "project": gains.project}[way]
    linked.rename(tmp_path / "disk2")
    linked.symlink_to(tmp_path / "disk2")
    assert gains.movies() == ["movie_000001"]
    gains.append(line(2))
    assert gains.movies() == ["movie_000001", "movie_000002"]
    assert gains.troubles() == []


def test_a_link_beside_the_file_is_followed_and_one_out_of_the_project_is_not(tmp_path: Path, gains: Gains) -> None:
    real = gains.file.with_name("other.txt")
    real.write_text(line(1))
    gains.file.symlink_to(real)
    assert gains.movies() == ["movie_000001"]
    gains.file.unlink()
    gains.file.symlink_to(real.rename(tmp_path / "other.txt"))
    gains.look()
    assert "outside the project" in gains.troubles()[0]["text"]


def test_a_link_or_a_pipe_in_place_of_the_file_is_not_read(gains: Gains, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(line(1))
    gains.file.symlink_to(tmp_path / "secret")
    assert gains.rows() == []
    assert "outside the project" in gains.troubles()[0]["text"]
    gains.file.unlink()
    os.mkfifo(gains.file)
    assert gains.rows() == []
    assert "is not a file" in gains.troubles()[0]["text"]
