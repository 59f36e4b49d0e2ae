"""What a session has beside its items: shifts of frames, gain residuals, and samples of its host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cryowatch.reading import Reading, Shifts
from cryowatch.records import DeviceSample, GainResidual, HostSample, OutputKind
from cryowatch.store import Change, Store
from tests.support.records import START, micrograph, output, reading, run, session, span

FIRST: Shifts = ((0.0, 1.25, -2.5), (0.0, 0.001, 12.0))
SECOND: Shifts = ((0.0, 4.0), (0.0, -4.0))


class Stored:
    """A store with one session that tests commit to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.session = store.register(session()).session

    def commit(self, found: Reading) -> Change | None:
        return self.store.commit(self.session, found, now=START)

    def shifts(self, item: int) -> Shifts | None:
        asked = {"name": micrograph(item).name, "micrograph_path": ""}
        return self.store.reader().shifts(self.session, asked)

    def gains(self) -> list[dict[str, Any]]:
        return self.store.reader().rows("SELECT item, movie, time, stddev, seq FROM gain ORDER BY run, item")


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    store = Store(tmp_path / "data")
    yield Stored(store)
    store.close()


def movies(shifts: Mapping[int, Shifts], *items: int, after: int = 0) -> Reading:
    """Return a reading of one set of movies."""
    found = tuple(micrograph(i, run="67", output="outputMovies") for i in items)
    named = {micrograph(i).name: path for i, path in shifts.items()}
    return reading(
        span(found, run="67", output="outputMovies", after=after, shifts=named),
        runs=(run("67"),),
        outputs=(output("67", "outputMovies", class_name="SetOfMovies", kind=OutputKind.MOVIES),),
    )


def test_shifts_are_kept_with_the_movies_of_a_span(stored: Stored) -> None:
    stored.commit(movies({1: FIRST}, 1, 2))
    assert stored.shifts(1) == FIRST
    assert stored.shifts(2) is None
    asked = [{"id": i, "name": micrograph(i).name, "micrograph_path": ""} for i in (1, 2)]
    assert stored.store.reader().shifted(stored.session, asked) == {1}


def test_the_shift_plot_is_that_of_the_alignment_that_made_the_micrograph(stored: Stored) -> None:
    names = {micrograph(1).name: FIRST}
    other = {micrograph(1).name: SECOND}
    folders = {"67": "Runs/000067_ProtMotionCorr", "90": "Runs/000090_ProtMotionCorr"}
    stored.commit(
        reading(
            span([micrograph(1, run="67", output="outputMovies")], run="67", output="outputMovies", shifts=names),
            span([micrograph(1, run="90", output="outputMovies")], run="90", output="outputMovies", shifts=other),
            runs=tuple(run(number, working_dir=folder) for number, folder in folders.items()),
            outputs=tuple(
                output(number, "outputMovies", class_name="SetOfMovies", kind=OutputKind.MOVIES) for number in folders
            ),
        )
    )
    reader = stored.store.reader()
    for folder, shifts in ((folders["67"], FIRST), (folders["90"], SECOND)):
        for beginning in ("", "/projects/alpha/"):
            path = f"{beginning}{folder}/extra/1.mrc"
            asked = {"id": 1, "name": micrograph(1).name, "micrograph_path": path}
            assert reader.shifts(stored.session, asked) == shifts
    elsewhere = {"id": 1, "name": micrograph(1).name, "micrograph_path": "Runs/000067_ProtMotionCorrOther/1.mrc"}
    assert reader.shifts(stored.session, elsewhere) is None, "of two, nobody can tell which"
    assert reader.shifted(stored.session, [elsewhere]) == set()


def test_shifts_that_came_later_or_changed_are_a_change_and_the_same_ones_are_none(stored: Stored) -> None:
    stored.commit(movies({}, 1, 2))
    assert stored.commit(movies({2: FIRST}, 1, 2)) is not None
    assert stored.commit(movies({2: FIRST}, 1, 2)) is None
    assert stored.commit(movies({2: SECOND}, 1, 2)) is not None
    assert stored.shifts(2) == SECOND
    assert stored.commit(movies({}, 1, 2)) is not None
    assert stored.shifts(2) is None


def test_shifts_go_with_their_movie_and_with_their_output(stored: Stored) -> None:
    stored.commit(movies({1: FIRST, 2: SECOND, 3: FIRST}, 1, 2, 3))
    stored.commit(movies({3: FIRST}, 3, after=1))
    assert [stored.shifts(i) for i in (1, 2, 3)] == [FIRST, None, FIRST]
    stored.commit(reading(runs=(run("67"),), outputs=()))
    assert stored.store.reader().value("SELECT count(*) FROM shifts") == 0


def residual(item: int, **values: Any) -> GainResidual:
    defaults: dict[str, Any] = {"movie": f"movie_{item:06d}", "time": START + item, "stddev": 0.01 * item}
    return GainResidual(**{"run": "135", "item": item, **defaults, **values})


def test_gain_residuals_read_twice_are_kept_once_with_their_first_time(stored: Stored) -> None:
    stored.commit(reading(gains=(residual(1), residual(2))))
    before = stored.gains()
    again = (residual(1, time=START + 99), residual(2, time=START + 99))
    assert stored.commit(reading(gains=again)) is None
    assert stored.gains() == before


def test_of_a_file_that_was_rewritten_only_what_it_says_now_stays(stored: Stored) -> None:
    stored.commit(reading(gains=tuple(residual(i) for i in range(1, 6))))
    first = stored.gains()[0]
    change = stored.commit(
        reading(gains=(residual(1, time=0), residual(2, stddev=0.5, time=7)), gains_anew=frozenset({"135"}))
    )
    assert change is not None
    assert change.generation == 1, "rows were taken away"
    kept = stored.gains()
    assert kept[0] == first
    assert [(g["item"], g["stddev"], g["time"]) for g in kept[1:]] == [(2, 0.5, 7)]


def test_a_host_sample_keeps_every_field(stored: Stored) -> None:
    numbers = dict.fromkeys(("cpu", "memory", "swap", "load", "pressure_cpu", "pressure_memory", "pressure_io"), 1.5)
    disk = DeviceSample(kind="filesystem", device="/", used=40.0, free=1e12, total=2e12, full_in=7200.0)
    gpu = DeviceSample(kind="gpu", device="", note="there is no NVIDIA driver")
    sample = HostSample(
        host="gpu1", time=START, devices=(disk, gpu, replace(gpu, device="1", processes=3)), cores=16, **numbers
    )
    stored.store.add_host_sample(sample)
    reader = stored.store.reader()
    (row,) = reader.rows("SELECT * FROM host_sample")
    assert {name: row[name] for name in numbers} == numbers
    assert row["cores"] == 16
    rows = reader.rows("SELECT kind, device, total, full_in, processes, note FROM device_sample ORDER BY kind, device")
    assert [tuple(d.values()) for d in rows] == [
        ("filesystem", "/", 2e12, 7200.0, None, ""),
        ("gpu", "", None, None, None, "there is no NVIDIA driver"),
        ("gpu", "1", None, None, 3, "there is no NVIDIA driver"),
    ]
