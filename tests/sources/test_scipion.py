"""What is read of a Scipion project equals what Scipion says of it, whatever happens to its files meanwhile."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryowatch.sources.scipion import ScipionSource
from cryowatch.sources.scipion.project import set_place
from cryowatch.sources.scipion.scalars import local_time
from cryowatch.sources.scipion.sets import bare_path
from tests.support.projects import CTFS, MICROGRAPHS, SETS, Watched, append, change, execute, genuine, scipion_values

Watching = Callable[[Path], Watched]


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Watching]:
    opened: list[Watched] = []

    def watch(project: Path) -> Watched:
        opened.append(Watched(project, tmp_path / f"data-{len(opened)}"))
        return opened[-1]

    yield watch
    for one in opened:
        one.close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return genuine(tmp_path)


def test_every_value_equals_what_scipions_own_api_says(project: Path, watching: Watching) -> None:
    watched = watching(project)
    watched.look()
    compared = 0
    for file, items in scipion_values().items():
        stored = watched.items(SETS[file])
        assert sorted(stored) == [item["item"] for item in items]
        for item in items:
            row = stored[item["item"]]
            for field, value in item.items():
                assert row[field] == value, (file, item["item"], field)
                compared += 1
    assert compared > 200


def test_a_session_whose_monitor_goes_on_has_finished_with_its_last_run(project: Path, watching: Watching) -> None:
    for file in (project / "project.sqlite", *project.glob("Runs/*/logs/run.db")):
        execute(file, "UPDATE Objects SET value = 'finished' WHERE name LIKE '%.status' AND value = 'running'")
    (monitor,) = project.glob("Runs/*_CistemProtCTFFind")
    for file in (project / "project.sqlite", monitor / "logs/run.db"):
        execute(
            file,
            "UPDATE Objects SET value = 'running' WHERE name LIKE '%.status' AND parent_id ="
            " (SELECT id FROM Objects WHERE classname = 'CistemProtCTFFind')",
            "UPDATE Objects SET classname = 'ProtMonitorSummary' WHERE classname = 'CistemProtCTFFind'",
        )
    watched = watching(project)
    watched.look()
    reader = watched.store.reader()
    session = reader.session("small")
    assert session["status"] == "finished"
    assert "running" in {run["status"] for run in reader.runs(session["id"])}


def test_the_session_has_its_acquisition_runs_and_outputs(project: Path, watching: Watching) -> None:
    watched = watching(project)
    watched.look()
    reader = watched.store.reader()
    session = reader.session("small")
    assert (session["voltage"], session["spherical_aberration"], session["pixel_size"]) == (300.0, 2.7, 0.83)
    assert (session["magnification"], session["dose_per_frame"], session["status"]) == (130_000.0, 1.02, "running")
    runs = {run["label"]: run["status"] for run in reader.runs(session["id"])}
    assert runs == {"import movies": "running", "movie alignment - motioncor": "running", "ctffind 4": "running"}
    outputs = {o["name"]: (o["kind"], o["size"], o["count"], o["stream_open"]) for o in reader.outputs(session["id"])}
    assert outputs == {
        "outputMovies": ("movies", 8, 8, 1),
        "outputMicrographs": ("micrographs", 8, 8, 1),
        "outputMicrographsDoseWeighted": ("micrographs", 8, 8, 1),
        "outputCTF": ("ctf", 8, 8, 1),
    }


def test_reading_an_unchanged_project_again_opens_no_file(
    project: Path, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = watching(project)
    watched.look()
    opened: list[str] = []
    connect = sqlite3.connect

    def counted(uri: str, **options: object) -> sqlite3.Connection:
        opened.append(uri)
        return connect(uri, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(sqlite3, "connect", counted)
    reading = watched.look()
    assert reading is not None
    assert (opened, reading.spans, reading.session) == ([], (), None)


def test_new_items_are_read_and_nothing_else(project: Path, watching: Watching) -> None:
    watched = watching(project)
    watched.look()
    append(project / CTFS, 9, 10, values={"_defocusU": 12_345.5})
    watched.late = 0
    reading = watched.watch.step()[0]
    assert reading is not None
    assert [(s.output, [m.item for m in s.items]) for s in reading.spans] == [("outputCTF", [9, 10])]
    assert watched.items()[10]["defocus_u"] == 12_345.5


def test_items_that_finish_out_of_order_are_not_missed(project: Path, watching: Watching) -> None:
    execute(
        project / CTFS, "DELETE FROM Objects WHERE id IN (3, 6)", "UPDATE Properties SET value = 6 WHERE key = '_size'"
    )
    watched = watching(project)
    watched.look()
    assert sorted(watched.items()) == [1, 2, 4, 5, 7, 8]
    append(project / CTFS, 6, 9)
    watched.look()
    append(project / CTFS, 3)
    watched.look()
    assert sorted(watched.items()) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_what_a_person_discards_is_seen_as_discarded(project: Path, watching: Watching) -> None:
    watched = watching(project)
    watched.look()
    change(project / CTFS, 4, enabled=0)
    watched.look()
    assert [item for item, row in watched.items().items() if not row["enabled"]] == [4]


def test_a_value_that_changes_later_is_read_again(project: Path, watching: Watching) -> None:
    watched = watching(project)
    watched.look()
    change(project / CTFS, 2, defocusU=31_000.0)
    watched.look()
    assert watched.items()[2]["defocus_u"] == 31_000.0


def test_a_rerun_protocol_replaces_its_old_items(project: Path, watching: Watching) -> None:
    watched = watching(project)
    watched.look()
    ids = {row["id"] for row in watched.items().values()}
    fresh = project / "new.sqlite"
    shutil.copyfile(project / CTFS, fresh)
    execute(fresh, "DELETE FROM Objects WHERE id > 3", "UPDATE Properties SET value = 3 WHERE key = '_size'")
    change(fresh, 2, defocusU=40_000.0)
    fresh.replace(project / CTFS)
    watched.look()
    assert sorted(watched.items()) == [1, 2, 3]
    assert watched.items()[2]["defocus_u"] == 40_000.0
    assert {row["id"] for row in watched.items().values()} < ids


def test_a_deleted_run_takes_its_items_along(project: Path, watching: Watching) -> None:
    watched = watching(project)
    watched.look()
    execute(project / "project.sqlite", "DELETE FROM Objects WHERE id = 135 OR name LIKE '135.%'")
    watched.look()
    assert watched.items() == {}
    assert len(watched.items("outputMicrographs")) == 8


@pytest.mark.parametrize(
    ("label", "field", "sentinels"),
    [
        ("resolution", "resolution", (float("inf"), -1.0, 0.0, "nan", None, "")),
        ("resolution", "resolution", (float("inf"), -1.0, 0.0)),
        ("defocusU", "defocus_u", (-999.0, 0.0, float("inf"), "nan")),
        ("fitQuality", "fit_quality", (-1.0, float("inf"), None)),
        ("fitQuality", "fit_quality", (-1.0, float("inf"), -2.0)),
        ("phaseShift", "phase_shift", (float("inf"), "nan", None, -999.0)),
        ("phaseShift", "phase_shift", (float("inf"), float("-inf"), -999.0, 360.5)),
    ],
)
def test_sentinels_are_no_values(
    project: Path, watching: Watching, label: str, field: str, sentinels: tuple[object, ...]
) -> None:
    for item, sentinel in enumerate(sentinels, start=1):
        change(project / CTFS, item, **{label: sentinel})
    watched = watching(project)
    watched.look()
    rows = watched.items()
    assert [rows[item][field] for item in range(1, len(sentinels) + 1)] == [None] * len(sentinels)
    assert rows[8][field] is not None
    if field == "defocus_u":
        assert (rows[1]["defocus_v"], rows[1]["defocus"], rows[1]["astigmatism"]) == (None, None, None)


def test_text_where_a_number_belongs_is_said_and_counts_as_none(project: Path, watching: Watching) -> None:
    change(project / CTFS, 3, resolution="3,4")
    watched = watching(project)
    watched.look()
    assert watched.items()[3]["resolution"] is None
    [trouble] = watched.troubles()
    assert trouble["where"] == CTFS
    assert "item 3 has '3,4' as _resolution, which is no number" in trouble["text"]


def test_a_writer_in_the_middle_of_a_commit_is_waited_for(project: Path, watching: Watching) -> None:
    watched = watching(project)
    watched.look()
    with closing(sqlite3.connect(project / CTFS, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("UPDATE Objects SET enabled = 0 WHERE id = 1")
        append(project / MICROGRAPHS, 9)
        watched.look()
        assert watched.state() == ("ok", "")
        watched.look()
        assert [t["state"] for t in watched.troubles()] == ["busy"]
        assert len(watched.items("outputMicrographs")) == 9
        assert watched.items()[1]["enabled"] == 1
        writer.execute("COMMIT")
    watched.look()
    assert (watched.state()[0], watched.items()[1]["enabled"]) == ("ok", 0)


def test_a_reader_never_holds_up_the_writer(project: Path, watching: Watching) -> None:
    watched = watching(project)
    watched.look()
    with closing(sqlite3.connect(project / CTFS, timeout=0)) as writer:
        for number in range(9, 30):
            append(project / CTFS, number)
            watched.watch.step()
            with writer:
                writer.execute("UPDATE Objects SET comment = 'x' WHERE id = 1")
    watched.look()
    assert len(watched.items()) == 29


KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN")
connection.execute("UPDATE Objects SET label = hex(randomblob(4000)), c01 = 1.0")
connection.execute("UPDATE Objects SET comment = hex(randomblob(4000))")
os._exit(9)
"""


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return every file below a folder with its time, its mode and its bytes."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_mode, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_writer_killed_in_mid_transaction_leaves_the_last_commit(project: Path, watching: Watching) -> None:
    before = scipion_values()[CTFS]
    subprocess.run([sys.executable, "-c", KILLED, project / CTFS], check=False)
    assert (project / f"{CTFS}-journal").stat().st_size > 0
    files = snapshot(project)
    watched = watching(project)
    watched.look()
    assert [watched.items()[n]["defocus_u"] for n in range(1, 9)] == [item["defocus_u"] for item in before]
    assert watched.state() == ("ok", "")
    assert snapshot(project) == files


def test_a_wal_database_that_nobody_has_open_is_left_alone(project: Path, watching: Watching) -> None:
    execute(project / CTFS, "PRAGMA journal_mode = WAL")
    files = snapshot(project)
    watched = watching(project)
    watched.look()
    assert len(watched.items()) == 8
    assert snapshot(project) == files


def test_a_wal_database_is_read_beside_its_writer(project: Path, watching: Watching) -> None:
    with closing(sqlite3.connect(project / CTFS, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("DELETE FROM Objects WHERE id = 8")
        watched = watching(project)
        watched.look()
        assert sorted(watched.items()) == [1, 2, 3, 4, 5, 6, 7]


def test_nothing_in_the_project_is_touched(project: Path, watching: Watching) -> None:
    files = snapshot(project)
    watched = watching(project)
    for _ in range(3):
        watched.look()
    watched.restart()
    watched.look()
    assert snapshot(project) == files


def test_a_truncated_set_is_named_and_its_stored_items_stay(project: Path, watching: Watching) -> None:
    watched = watching(project)
    watched.look()
    whole = (project / CTFS).read_bytes()
    (project / CTFS).write_bytes(whole[:9_000])
    append(project / MICROGRAPHS, 9)
    watched.look()
    assert watched.state() == (
        "malformed",
        f"{CTFS}: is damaged or cut short. What was read before is kept; check the disk and the copy",
    )
    assert (len(watched.items()), len(watched.items("outputMicrographs"))) == (8, 9)
    (project / CTFS).write_bytes(whole)
    watched.look()
    assert watched.state() == ("ok", "")


def test_a_set_that_is_no_database_is_named(project: Path, watching: Watching) -> None:
    (project / CTFS).write_text("moved to tape\n")
    watched = watching(project)
    watched.look()
    assert watched.state()[0] == "malformed"
    assert f"{CTFS}: is not a database" in watched.state()[1]
    assert len(watched.items("outputMovies")) == 8


def test_a_set_file_that_is_gone_is_named_and_its_items_stay(project: Path, watching: Watching) -> None:
    watched = watching(project)
    watched.look()
    (project / CTFS).unlink()
    watched.look()
    assert watched.state()[0] == "gone"
    assert len(watched.items()) == 8


def test_a_project_that_goes_away_keeps_what_was_read_and_comes_back(project: Path, watching: Watching) -> None:
    watched = watching(project)
    watched.look()
    project.rename(project.parent / "elsewhere")
    assert watched.look() is None
    assert watched.state()[0] == "gone"
    assert len(watched.items()) == 8
    (project.parent / "elsewhere").rename(project)
    watched.look()
    assert watched.state() == ("ok", "")


def test_a_set_without_tables_is_empty_while_its_run_is_at_work(project: Path, watching: Watching) -> None:
    (project / CTFS).write_bytes(b"")
    watched = watching(project)
    reading = watched.look()
    assert reading is not None
    assert (watched.state(), watched.items()) == (("ok", ""), {})


def test_a_set_without_tables_of_a_finished_run_is_malformed(project: Path, watching: Watching) -> None:
    (project / CTFS).write_bytes(b"")
    for file in ("project.sqlite", "Runs/000135_CistemProtCTFFind/logs/run.db"):
        execute(project / file, "UPDATE Objects SET value = 'finished' WHERE name = '135.status'")
    watched = watching(project)
    watched.look()
    assert watched.state() == (
        "malformed",
        f"{CTFS}: holds no tables. Was it cut short? Check the disk and the copy",
    )


def test_a_pipe_in_place_of_a_set_does_not_stop_the_watch(project: Path, watching: Watching) -> None:
    (project / CTFS).unlink()
    os.mkfifo(project / CTFS)
    watched = watching(project)
    watched.look()
    assert watched.state() == ("malformed", f"{CTFS}: is not a file")


def test_a_project_database_that_is_damaged_is_one_clear_line(project: Path, watching: Watching) -> None:
    (project / "project.sqlite").write_bytes(b"SQLite format 3\0" + bytes(5_000))
    watched = watching(project)
    assert watched.look() is None
    state, text = watched.state()
    assert state == "malformed"
    assert str(project / "project.sqlite") in text
    assert "\n" not in text


def test_a_project_without_runs_is_empty(project: Path, watching: Watching) -> None:
    execute(project / "project.sqlite", "DELETE FROM Objects WHERE id > 1")
    watched = watching(project)
    watched.look()
    assert watched.store.reader().session("small")["status"] == "empty"
    assert watched.state() == ("ok", "")


HOSTILE = [
    "two words.mrc",
    'it\'s "quoted".mrc',
    "<img src=x onerror=alert(1)>.mrc",
    "😀 Größe µ.mrc",
    "x" * 200,
    "a\nb\tc.mrc",
    "'; DROP TABLE micrograph; --",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_any_kind_are_kept_as_they_are(project: Path, watching: Watching, name: str) -> None:
    change(project / CTFS, 1, **{"micObj._micName": name})
    watched = watching(project)
    watched.look()
    assert watched.items()[1]["name"] == name


def test_a_project_in_a_folder_of_any_name_is_read(tmp_path: Path, watching: Watching) -> None:
    watched = watching(genuine(tmp_path, "a b?c#d%20 'é😀 <b>"))
    watched.look()
    assert len(watched.items()) == 8


def test_a_run_at_work_is_read_from_its_own_database(project: Path, watching: Watching) -> None:
    own = project / "Runs/000135_CistemProtCTFFind/logs/run.db"
    execute(project / "project.sqlite", "DELETE FROM Objects WHERE name LIKE '135.outputCTF%'")
    watched = watching(project)
    watched.look()
    assert len(watched.items()) == 8
    execute(own, "UPDATE Objects SET value = 'failed' WHERE name = '135.status'",
            "UPDATE Objects SET value = 'no GPU' WHERE name = '135._error'")  # fmt: skip
    watched.look()
    [run] = [r for r in watched.store.reader().runs(watched.watch.session) if r["run"] == "135"]
    assert (run["status"], run["error"]) == ("failed", "no GPU")


@pytest.mark.parametrize(
    "way",
    ["{elsewhere}", "{elsewhere}/../{project}/../elsewhere", "../elsewhere", "Runs/../../elsewhere", "file", "folder"],
)
def test_a_set_of_another_project_is_not_shown(tmp_path: Path, project: Path, watching: Watching, way: str) -> None:
    elsewhere = genuine(tmp_path, "elsewhere")
    change(elsewhere / CTFS, 1, **{"micObj._micName": "a secret of others"})
    if way == "file":
        (project / CTFS).unlink()
        (project / CTFS).symlink_to(elsewhere / CTFS)
    elif way == "folder":
        shutil.rmtree(project / "Runs")
        (project / "Runs").symlink_to(elsewhere / "Runs")
    else:
        named = f"{way.format(elsewhere=elsewhere, project=project.name)}/{CTFS}, "
        for file in ("project.sqlite", "Runs/000135_CistemProtCTFFind/logs/run.db"):
            execute(project / file, f"UPDATE Objects SET value = '{named}' WHERE value LIKE '{CTFS}%'")
    watched = watching(project)
    watched.look()
    names = [item["name"] for item in watched.items().values()]
    assert names == []
    told = {trouble["text"].split(".")[0] for trouble in watched.troubles()}
    assert told == {f"{'leads into another' if way == 'folder' else 'lies outside the'} project and is not read"}


def test_a_project_whose_database_is_a_link_to_that_of_another_is_not_shown(
    tmp_path: Path, project: Path, watching: Watching
) -> None:
    (project / "project.sqlite").unlink()
    (project / "project.sqlite").symlink_to(genuine(tmp_path, "elsewhere") / "project.sqlite")
    watched = watching(project)
    watched.look()
    state, text = watched.state()
    assert (state, "lies outside the project and is not read" in text) == ("malformed", True)


def test_a_set_that_is_named_by_its_whole_path_is_read(project: Path, watching: Watching) -> None:
    for file in ("project.sqlite", "Runs/000135_CistemProtCTFFind/logs/run.db"):
        execute(project / file, f"UPDATE Objects SET value = '{project}/{CTFS}, ' WHERE value LIKE '{CTFS}%'")
    watched = watching(project)
    watched.look()
    assert len(watched.items()) == 8


@pytest.mark.parametrize("watched_by", ["link", "place"])
def test_a_project_that_is_watched_by_another_of_its_names_is_read(
    tmp_path: Path, project: Path, watching: Watching, watched_by: str
) -> None:
    link, runs = tmp_path / "link", tmp_path / "disk2"
    link.symlink_to(project)
    (project / "Runs").rename(runs)
    (project / "Runs").symlink_to(runs)
    named, path = (project, link) if watched_by == "link" else (link, project)
    paths = "name LIKE '%._mapperPath' OR name LIKE '%.workingDir'"
    for file in ("project.sqlite", "Runs/000135_CistemProtCTFFind/logs/run.db"):
        execute(project / file, f"UPDATE Objects SET value = '{named}/' || value WHERE {paths}")
    execute(project / "project.sqlite", "UPDATE Objects SET value = 'running' WHERE name = '135.status'")
    watched = watching(path)
    watched.look()
    assert len(watched.items()) == 8
    assert watched.troubles() == []


@pytest.mark.parametrize("way", ["../elsewhere/{folder}", "{tmp}/elsewhere/{folder}", "link"])
def test_a_run_of_another_project_is_not_shown(tmp_path: Path, project: Path, watching: Watching, way: str) -> None:
    elsewhere = genuine(tmp_path, "elsewhere")
    folder = "Runs/000135_CistemProtCTFFind"
    execute(elsewhere / folder / "logs/run.db", "UPDATE Objects SET label = 'a secret' WHERE parent_id IS NULL",
            "UPDATE Objects SET value = 'failed' WHERE name = '135.status'",
            "UPDATE Objects SET value = 'a secret' WHERE name = '135._error'")  # fmt: skip
    if way == "link":
        (project / folder / "logs/run.db").unlink()
        (project / folder / "logs/run.db").symlink_to(elsewhere / folder / "logs/run.db")
    else:
        named = way.format(folder=folder, tmp=tmp_path)
        execute(project / "project.sqlite", f"UPDATE Objects SET value = '{named}' WHERE name = '135.workingDir'")
    execute(project / "project.sqlite", "UPDATE Objects SET value = 'running' WHERE name = '135.status'")
    watched = watching(project)
    watched.look()
    [run] = [run for run in watched.store.reader().runs(watched.watch.session) if run["run"] == "135"]
    assert (run["status"], run["error"] or "") == ("running", "")
    assert "lies outside the project and is not read" in [trouble["text"] for trouble in watched.troubles()]


def test_a_run_that_the_project_calls_ended_is_ended(project: Path, watching: Watching) -> None:
    execute(project / "project.sqlite", "UPDATE Objects SET value = 'aborted' WHERE name = '135.status'")
    watched = watching(project)
    watched.look()
    [run] = [r for r in watched.store.reader().runs(watched.watch.session) if r["run"] == "135"]
    assert run["status"] == "aborted"


def test_two_estimates_of_the_same_micrographs_stay_side_by_side(project: Path, watching: Watching) -> None:
    second = "Runs/000300_ProtCTFGctf/ctfs.sqlite"
    (project / second).parent.mkdir()
    shutil.copyfile(project / CTFS, project / second)
    change(project / second, 1, defocusU=9_999.0)
    execute(
        project / "project.sqlite",
        "INSERT INTO Objects SELECT id + 1000, CASE WHEN parent_id IS NULL THEN NULL ELSE parent_id + 1000 END,"
        " replace(name, '135.', '1135.'), classname, replace(value, '000135_CistemProtCTFFind', '000300_ProtCTFGctf'),"
        " label, comment, creation FROM Objects WHERE id = 135 OR name LIKE '135.%'",
    )
    watched = watching(project)
    watched.look()
    found = watched.store.reader().table(
        "SELECT run, defocus_u FROM micrograph JOIN output ON output.id = output_id"
        " WHERE item = 1 AND defocus_u IS NOT NULL ORDER BY run"
    )[1]
    first = scipion_values()[CTFS][0]["defocus_u"]
    assert sorted(found) == [("1135", 9_999.0), ("135", first)]


def test_columns_are_found_by_name_wherever_they_are(project: Path, watching: Watching) -> None:
    execute(
        project / CTFS,
        "UPDATE Classes SET column_name = 'swap' WHERE label_property = '_defocusU'",
        "UPDATE Classes SET column_name = 'c01' WHERE label_property = '_resolution'",
        "UPDATE Classes SET column_name = 'c24' WHERE label_property = '_defocusU'",
    )
    watched = watching(project)
    watched.look()
    expected = scipion_values()[CTFS][0]
    assert watched.items()[1]["resolution"] == expected["defocus_u"]


def test_motion_columns_are_read_where_they_are(project: Path, watching: Watching) -> None:
    execute(
        project / MICROGRAPHS,
        "ALTER TABLE Objects ADD COLUMN c90 REAL",
        "INSERT INTO Classes (label_property, column_name, class_name) VALUES ('_rlnAccumMotionTotal', 'c90', 'Float')",
        "UPDATE Objects SET c90 = id * 1.5",
    )
    watched = watching(project)
    watched.look()
    assert watched.items("outputMicrographs")[4]["motion_total"] == 6.0
    assert watched.items("outputMicrographsDoseWeighted")[4]["motion_total"] is None


@pytest.mark.parametrize(
    "cursor", ["", "rubbish", "{}", '{"version": 99}', '{"version": 1, "sets": [[1]]}', "[]", "null"]
)
def test_a_cursor_that_cannot_be_understood_means_from_the_beginning(project: Path, cursor: str) -> None:
    reading = ScipionSource(project).read(cursor)
    assert sum(len(s.items) for s in reading.spans) == 32


def test_reading_from_the_same_cursor_twice_gives_the_same(project: Path) -> None:
    source = ScipionSource(project)
    first, second = source.read(""), source.read("")
    assert first == second


def test_a_restart_goes_on_where_the_store_is(project: Path, watching: Watching) -> None:
    watched = watching(project)
    watched.look()
    watched.restart()
    append(project / CTFS, 9)
    watched.watch.step()
    assert sorted(watched.items()) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


COUNT = "UPDATE Properties SET value = (SELECT count(*) FROM Objects) WHERE key = '_size'"


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whatever_the_writer_does_the_store_ends_up_with_the_same(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("project")
    project = genuine(folder)
    watched = Watched(project, folder / "data")
    try:
        for _ in range(data.draw(st.integers(1, 8))):
            with closing(sqlite3.connect(project / CTFS)) as found:
                present = [row[0] for row in found.execute("SELECT id FROM Objects")]
            match data.draw(st.sampled_from(("append", "insert", "disable", "delete", "look", "restart", "value"))):
                case "append":
                    append(project / CTFS, max(present, default=0) + data.draw(st.integers(1, 3)))
                case "insert" if free := sorted(set(range(1, 20)) - set(present)):
                    append(project / CTFS, data.draw(st.sampled_from(free)))
                case "disable" if present:
                    change(project / CTFS, data.draw(st.sampled_from(present)), enabled=0)
                case "value" if present:
                    change(
                        project / CTFS,
                        data.draw(st.sampled_from(present)),
                        defocusU=float(data.draw(st.integers(1, 9))),
                    )
                case "delete" if len(present) > 1:
                    gone = data.draw(st.sampled_from(present))
                    execute(project / CTFS, f"DELETE FROM Objects WHERE id = {gone}", COUNT)
                case "restart":
                    watched.restart()
                case _:
                    watched.look()
        watched.look()
        watched.look()
        with closing(sqlite3.connect(project / CTFS)) as found:
            truth = {row[0]: row[1:] for row in found.execute("SELECT id, enabled, c01 FROM Objects")}
        assert {item: (row["enabled"], row["defocus_u"]) for item, row in watched.items().items()} == truth
    finally:
        watched.close()


@pytest.mark.parametrize(
    ("decorated", "bare"),
    [
        ("a/b.mrc", "a/b.mrc"),
        ("3@stack.mrcs", "3@stack.mrcs"),
        ("1@stack.mrcs", "stack.mrcs"),
        ("0@stack.mrcs", "stack.mrcs"),
        ("2@3@x.mrc", "2@3@x.mrc"),
        ("a/psd.mrc:mrc", "a/psd.mrc"),
        ("000003@a/b.mrcs:mrcs", "3@a/b.mrcs"),
        ("000001@a/b.mrcs:mrcs", "a/b.mrcs"),
        ("a/1@b.mrc", "a/1@b.mrc"),
        (" 3 @b.mrc", "3@b.mrc"),
        ("x@b.mrc", "x@b.mrc"),
        ("\u0663@b.mrc", "\u0663@b.mrc"),
        ("3\x1f@b.mrc", "3@b.mrc"),
        ("9" * 3_900 + "@b.mrc", "9" * 3_900 + "@b.mrc"),
        ("a@b/c.mrc", "a@b/c.mrc"),
        ("C:/x y.mrc", "C:/x y.mrc"),
        (None, ""),
    ],
)
def test_scipions_decorations_of_paths_are_taken_off_but_for_the_number_in_a_stack(
    decorated: str | None, bare: str
) -> None:
    assert bare_path(decorated) == bare


def test_local_times_are_read_in_the_projects_zone() -> None:
    assert local_time("2026-07-01 12:00:00.250000", ZoneInfo("Europe/Madrid")) == 1_782_900_000_250_000_000
    assert local_time("None", None) is None


CHILD = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from cryowatch.errors import SourceDenied
    from cryowatch.sources.scipion import ScipionSource
    pid = os.fork()
    if pid == 0:
        os.setgid(65534); os.setuid(65534)
        try:
            ScipionSource(Path(sys.argv[1])).read("")
        except SourceDenied as error:
            os.write(1, str(error).encode())
            os._exit(0)
        os._exit(1)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_project_that_this_user_may_not_read_says_what_to_do(project: Path) -> None:
    (project / "project.sqlite").chmod(0o600)
    for folder in (project, *project.parents):
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o111)
    found = subprocess.run([sys.executable, "-c", CHILD, project], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout == (
        f"{project / 'project.sqlite'}: this user may not read it. Run cryowatch as a user in the project's group"
    )


@pytest.mark.parametrize(
    ("mapper_path", "place"),
    [
        ("Runs/000135_X/ctfs.sqlite, ", ("Runs/000135_X/ctfs.sqlite", "")),
        ("Runs/000135_X/ctfs.sqlite, Bad", ("Runs/000135_X/ctfs.sqlite", "Bad_")),
        ("Runs/000135_X/ctfs.sqlite,Bad_", ("Runs/000135_X/ctfs.sqlite", "Bad_")),
        ("Runs/a, b/ctfs.sqlite, Bad", ("Runs/a, b/ctfs.sqlite", "Bad_")),
        ("Runs/000135_X/ctfs.sqlite", ("Runs/000135_X/ctfs.sqlite", "")),
        (None, ("", "")),
    ],
)
def test_a_place_is_a_file_and_what_the_names_of_its_tables_begin_with(
    mapper_path: str | None, place: tuple[str, str]
) -> None:
    assert set_place(mapper_path) == place
