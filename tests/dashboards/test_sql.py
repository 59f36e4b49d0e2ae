"""Every panel answers from a real store what can be computed from the same records without it."""

from __future__ import annotations

import json
import math
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

import numpy as np
import pytest

from cryowatch.dashboards import STANDARD, Dashboard, Panel, PanelKind, find
from cryowatch.dashboards.definition import Bins
from cryowatch.reading import Reading
from cryowatch.records import DeviceSample, GainResidual, HostSample, Micrograph, OutputKind
from cryowatch.store import Store
from cryowatch.store.panels.compile import RECENT, compile_panel
from cryowatch.store.panels.query import Scope, Taken
from cryowatch.store.panels.stages import MOST_RUNS
from cryowatch.store.panels.thinning import MOST_POINTS, STRETCH
from tests.support.records import SECOND, START, micrograph, output, reading, run, session, span

HOUR = 3600 * SECOND
MILLISECOND = 10**6
COUNT = 400
NOW = START + COUNT * 12 * SECOND + 30 * SECOND
EMPTY = {"empty": True}
PANELS = [(dashboard, panel) for dashboard in STANDARD for panel in dashboard.panels]
EVERY_PANEL = pytest.mark.parametrize(
    ("dashboard", "panel"), PANELS, ids=lambda value: value.id if isinstance(value, Panel) else value.name
)


def exposures() -> list[Micrograph]:
    """Return the CTF estimates of a made-up session, some of them without a fit or without motion."""
    chance = random.Random(7)
    made = []
    for item in range(1, COUNT + 1):
        defocus = chance.uniform(3_000, 45_000)
        astigmatism = abs(chance.gauss(300, 500))
        made.append(
            micrograph(
                item,
                time=START + item * 12 * SECOND,
                defocus_u=defocus + astigmatism / 2,
                defocus_v=defocus - astigmatism / 2,
                defocus_angle=chance.uniform(0, 180),
                resolution=None if chance.random() < 0.1 else chance.lognormvariate(1.4, 0.4),
                fit_quality=chance.uniform(0.02, 0.3),
                phase_shift=chance.uniform(20, 120) if item % 9 == 0 else None,
                motion_total=None if item % 7 == 0 else chance.uniform(5, 60),
                motion_early=None if item % 7 == 0 else chance.uniform(2, 20),
                motion_late=None if item % 7 == 0 else chance.uniform(3, 40),
            )
        )
    made[10] = replace(made[10], defocus_u=None, defocus_v=None, resolution=None, phase_shift=None)
    return made


EXPOSURES = exposures()
GAINS = [
    GainResidual(run="171", item=i, movie=f"movie_{i}.tiff", time=START + i * 60 * SECOND, stddev=0.01 * i,
                 ratio1=1.0 + 0.01 * i, ratio2=None if i == 5 else 4.0 + 0.1 * i)
    for i in range(1, 8)
]  # fmt: skip


class Answers:
    """A store with one session, and what panels answer from it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.session = self.store.register(session()).session

    def commit(self, values: Reading, *, now: int = NOW) -> int:
        change = self.store.commit(self.session, values, now=now)
        assert change is not None
        return change.seq

    def output_id(self, name: str = "outputCTF") -> int | None:
        return next((o["id"] for o in self.store.reader().outputs(self.session) if o["name"] == name), None)

    def scope(self, **values: Any) -> Scope:
        leading = self.store.reader().leading(values.get("session", self.session))
        outputs = values.pop("outputs", leading.shown.ids)
        usual = {"session": self.session, "host": "gpu1", "now": NOW, "stages": leading.ids}
        return Scope(**{**usual, **values}, outputs=outputs, estimates=leading.estimated(outputs))

    def __call__(self, panel: Panel, **scope: Any) -> dict[str, Any]:
        return compile_panel(panel, self.scope(**scope)).answer(self.store.reader().table)

    def execute(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with closing(sqlite3.connect(self.store.path)) as connection, connection:
            connection.executemany(sql, rows)


def filled(folder: Path) -> Answers:
    answers = Answers(folder)
    movies = [micrograph(e.item, run="2", output="outputMovies", time=e.time - 9 * SECOND) for e in EXPOSURES]
    movies = [replace(m, defocus_u=None, defocus_v=None, resolution=None, defocus_angle=None) for m in movies]
    answers.commit(
        reading(
            span(EXPOSURES),
            span(movies, run="2", output="outputMovies"),
            session=session(voltage=300.0, pixel_size=0.83, created=START, software="3.7.1"),
            runs=(
                run("2", label="import", status="finished", ended=NOW - 60 * SECOND),
                run(),
                run("171", label="", class_name="ProtMonitorSummary", status="failed", error="no movies"),
            ),
            outputs=(
                output("2", "outputMovies", kind=OutputKind.MOVIES, class_name="SetOfMovies", stream_open=False),
                output(),
            ),
            gains=tuple(GAINS),
        )
    )
    for i in range(5):
        devices = (
            DeviceSample(kind="network", device="eth0", sent=2e6 * i, received=None),
            DeviceSample(kind="disk", device="sda", read=1e6, written=3e6),
            DeviceSample(kind="filesystem", device="/data", used=40.0 + i, free=1e12, total=2e12, full_in=12_000.0),
            DeviceSample(kind="filesystem", device="/scratch", note="has not answered for 3 min"),
            DeviceSample(
                kind="gpu", device="0", use=90.0, memory=None if i == 2 else 50.0, temperature=70.0, power=250.0
            ),
        )
        answers.store.add_host_sample(
            HostSample(host="gpu1", time=START + i * 10 * SECOND, cpu=12.5 * i, memory=50.0, swap=0.0, load=3.25,
                       cores=16, pressure_cpu=1.5, pressure_io=0.0, devices=devices)
        )  # fmt: skip
    answers.store.add_host_sample(HostSample(host="other", time=START + 90 * SECOND, cpu=99.0, devices=devices))
    answers.execute(
        "INSERT INTO alert (rule, session_id, host, severity, since, until, text, seq)"
        " VALUES (?, ?, 'gpu1', ?, ?, ?, ?, 0)",
        [
            ("resolution", answers.session, "warning", START, START + SECOND, "over"),
            ("disk", None, "critical", START - SECOND, None, "the disk is full"),
            ("stalled", answers.session, "warning", START + 5 * SECOND, START + 6 * SECOND, "over, later"),
        ],
    )
    return answers


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """The filled store, which no test changes."""
    answers = filled(tmp_path_factory.mktemp("filled"))
    yield answers
    answers.store.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Answers]:
    """A store with a session about which nothing is known yet."""
    answers = Answers(tmp_path)
    yield answers
    answers.store.close()


def panel(dashboard: str, name: str) -> Panel:
    return find(dashboard).panel(name)


def values(field: str, *, scale: float, records: Sequence[Micrograph] = EXPOSURES) -> list[float]:
    """Return the values that there are of a field, in shown units."""
    return [getattr(r, field) * scale for r in records if getattr(r, field) is not None]


def points(data: dict[str, Any], place: int = 0) -> list[float | None]:
    return list(data["series"][place]["values"])


def items(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["label"]: item for item in data["items"]}


@EVERY_PANEL
def test_every_panel_is_empty_without_a_session(dashboard: Dashboard, panel: Panel, own: Answers) -> None:
    answered = own(panel, session=own.session + 1, start=0, stop=NOW)
    assert answered == EMPTY


@EVERY_PANEL
def test_every_panel_of_a_session_that_has_just_been_found_is_drawn(
    dashboard: Dashboard, panel: Panel, own: Answers
) -> None:
    data = own(panel)
    if panel.id == "properties":
        assert [row[0] for row in data["rows"]][:1] == ["Session"]
    else:
        assert data == EMPTY


@EVERY_PANEL
def test_every_panel_of_a_full_session_has_something_to_show(
    dashboard: Dashboard, panel: Panel, answer: Answers
) -> None:
    limits = {variable.name: variable.value for variable in dashboard.variables}
    data = answer(panel, variables=limits)
    assert data != EMPTY
    json.dumps(data, allow_nan=False)


@EVERY_PANEL
def test_values_never_become_part_of_the_sql(dashboard: Dashboard, panel: Panel, answer: Answers) -> None:
    odd = {variable.name: 2.718281828 for variable in dashboard.variables}
    hostile = "gpu1' OR '1'='1"
    scope = answer.scope(variables=odd, host=hostile, start=123_456_789, stop=NOW + 987_654_321)
    table = answer.store.reader().table
    asked: list[str] = []

    def noted(sql: str, parameters: Mapping[str, Any], /, taken: Taken) -> tuple[list[str], list[tuple[Any, ...]]]:
        asked.append(sql)
        return table(sql, parameters, taken)

    data = compile_panel(panel, scope).answer(noted)
    for said in ("2.718281828", hostile, "123456789", str(NOW + 987_654_321)):
        assert asked
        assert said not in "".join(asked)
    if panel.record in ("host", "device"):
        assert data == EMPTY


def test_hostile_names_are_shown_as_they_are(own: Answers) -> None:
    text = "'); DROP TABLE micrograph; -- <b>"
    own.commit(reading(span([micrograph(1)]), runs=(run(label=text, error=text),), session=session(name=text)))
    (row,) = own(panel("summary", "runs"))["rows"]
    assert (row[0], row[-1]) == (text, text)
    assert own(panel("summary", "properties"))["rows"][0][1]["value"] == text
    assert own(panel("ctf", "defocus-over-time"))["total"] == 1


# Points.


@pytest.mark.parametrize(
    ("name", "field", "scale", "unit"),
    [
        ("defocus-over-time", "defocus", 1e-4, "µm"),
        ("astigmatism-over-time", "astigmatism", 0.1, "nm"),
        ("resolution-over-time", "resolution", 1.0, "Å"),
        ("phase-shift-over-time", "phase_shift", 1.0, "°"),
        ("fit-quality-over-time", "fit_quality", 1.0, ""),
        ("ratio-over-time", "ratio", 1.0, ""),
    ],
)
def test_points_are_the_values_of_the_records_in_shown_units(
    answer: Answers, name: str, field: str, scale: float, unit: str
) -> None:
    data = answer(panel("ctf", name))
    known = [r for r in EXPOSURES if getattr(r, field) is not None]
    assert data["series"][0]["unit"] == unit
    assert points(data) == pytest.approx(values(field, scale=scale), rel=1e-12)
    assert list(data["time"]) == [r.time // MILLISECOND for r in known]
    assert data["shown"] == data["total"] == len(known) < COUNT + (field == "fit_quality")


def test_a_micrograph_without_motion_is_no_point_of_no_motion(answer: Answers) -> None:
    data = answer(panel("ctf", "motion-over-time"))
    assert len(data["id"]) == sum(r.motion_total is not None for r in EXPOSURES)
    for place, field in enumerate(("motion_total", "motion_early", "motion_late")):
        assert points(data, place) == values(field, scale=1.0)


def test_one_missing_value_of_several_stays_missing(own: Answers) -> None:
    records = [micrograph(1, motion_total=12.0), micrograph(2, motion_total=0.0, motion_early=3.0)]
    own.commit(reading(span(records)))
    data = own(panel("ctf", "motion-over-time"))
    assert [points(data, i) for i in range(3)] == [[12.0, 0.0], [None, 3.0], [None, None]]


def test_scatter_counts_only_what_has_both_values(own: Answers) -> None:
    records = [micrograph(1), micrograph(2, defocus_v=None), micrograph(3, defocus_angle=None), micrograph(4)]
    own.commit(reading(span(records)))
    data = own(panel("ctf", "astigmatism-by-angle"))
    assert (data["shown"], data["total"]) == (2, 2)
    assert list(data["x"]["values"]) == [45.0, 45.0]
    assert list(data["y"]["values"]) == pytest.approx([20.0, 20.0])
    assert (data["x"]["unit"], data["y"]["unit"]) == ("°", "nm")


def test_a_window_keeps_its_first_and_last_moment(answer: Answers) -> None:
    start, stop = EXPOSURES[20].time, EXPOSURES[49].time
    data = answer(panel("ctf", "defocus-over-time"), start=start, stop=stop)
    assert (data["time"][0], data["time"][-1]) == (start // MILLISECOND, stop // MILLISECOND)
    assert points(data) == pytest.approx(values("defocus", scale=1e-4, records=EXPOSURES[20:50]))
    later = answer(panel("ctf", "defocus-over-time"), start=stop + 1)
    assert later["total"] == COUNT - 50
    assert answer(panel("ctf", "defocus-over-time"), stop=START) == EMPTY


def test_a_window_holds_for_statistics_too(answer: Answers) -> None:
    start, stop = EXPOSURES[100].time, EXPOSURES[199].time
    inside = values("defocus", scale=1e-4, records=EXPOSURES[100:200])
    item = items(answer(panel("summary", "quality"), start=start, stop=stop))["Median defocus"]
    assert (item["n"], item["value"]) == (100, pytest.approx(median(inside)))
    good = items(answer(panel("summary", "good"), start=start, stop=stop))
    assert good["Good"]["detail"].startswith(f"{sum(map(is_good, EXPOSURES[100:200]))} of 100")
    assert answer(panel("ctf", "defocus-histogram"), start=start, stop=stop)["n"] == 100
    assert sum(cell[2] for cell in answer(panel("ctf", "defocus-map"), start=start, stop=stop)["cells"]) == 100
    table = answer(panel("gain", "gain-table"), start=GAINS[1].time, stop=GAINS[2].time)
    assert [row[1] for row in table["rows"]] == ["movie_3.tiff", "movie_2.tiff"]


@pytest.mark.parametrize("name", ["defocus-over-time", "astigmatism-by-angle"])
def test_a_page_that_has_seen_all_gets_only_what_changed(own: Answers, name: str) -> None:
    seen = own.commit(reading(span([micrograph(i) for i in range(1, 6)])))
    asked = panel("ctf", name)
    ids = list(own(asked)["id"])
    ((last,),) = own.store.reader().table("SELECT max(seq) FROM micrograph")[1]
    for position in (seen, last):
        nothing = own(asked, after=position)
        assert (nothing["partial"], list(nothing["id"])) == (True, [])
    changed = [micrograph(2, defocus_u=30_000.0, defocus_v=30_000.0), micrograph(6)]
    own.commit(reading(span(changed[:1], after=1, upto=2), span(changed[1:], after=5), cursor="2"))
    news = own(asked, after=seen)
    assert news["partial"]
    assert news["id"][0] == ids[1]
    assert len(news["id"]) == 2
    assert news["id"][1] not in ids
    assert list(news["time"]) == [r.time // MILLISECOND for r in changed]
    shown = news["y"]["values"] if name == "astigmatism-by-angle" else news["series"][0]["values"]
    assert list(shown) == pytest.approx([0.0, 20.0] if name == "astigmatism-by-angle" else [3.0, 1.4906])


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """A session of 60,000 micrographs."""
    answers = Answers(tmp_path_factory.mktemp("large"))
    answers.commit(reading())
    found = answers.output_id()
    random_values = np.random.default_rng(11).normal(15_000, 3_000, 60_000)
    answers.execute(
        "INSERT INTO micrograph (output_id, item, name, time, enabled, defocus_u, defocus_v, defocus_angle,"
        " micrograph_path, power_spectrum_path, shift_plot_path, seq) VALUES (?, ?, '', ?, 1, ?, ?, ?, '', '', '', ?)",
        [
            (found, item, START + item * SECOND, float(u), float(u) - 200, item % 179, item)
            for item, u in enumerate(random_values, 1)
        ],
    )
    yield answers
    answers.store.close()


def test_a_long_session_is_thinned_and_keeps_every_extreme(large: Answers) -> None:
    data = large(panel("ctf", "defocus-over-time"))
    every = (np.random.default_rng(11).normal(15_000, 3_000, 60_000) - 100) * 1e-4
    assert data["total"] == len(every)
    assert 10_000 < data["shown"] == len(data["id"]) <= MOST_POINTS
    assert list(data["time"]) == sorted(data["time"])
    assert len(set(data["id"])) == len(data["id"])
    shown = np.round(np.array(points(data), float), 9)
    stretches = np.round(every.reshape(-1, STRETCH), 9)
    assert np.isin(stretches.min(axis=1), shown).all()
    assert np.isin(stretches.max(axis=1), shown).all()


def test_the_cloud_of_a_long_session_is_thinned_too(large: Answers) -> None:
    data = large(panel("ctf", "astigmatism-by-angle"))
    assert data["total"] == 60_000
    assert data["shown"] <= MOST_POINTS
    assert {*data["x"]["values"]} == {float(angle) for angle in range(179)}


def test_a_session_that_can_be_drawn_whole_is(large: Answers) -> None:
    data = large(panel("ctf", "defocus-over-time"), start=START + 10_001 * SECOND)
    assert data["shown"] == data["total"] == MOST_POINTS


# Statistics.


def is_good(record: Micrograph) -> bool:
    """Return whether a record keeps the limits that pages have at first."""
    return (
        record.defocus is not None
        and 1_000 <= record.defocus <= 40_000
        and record.astigmatism is not None
        and record.astigmatism <= 1_000
        and record.resolution is not None
        and record.resolution <= 6
    )


def test_good_are_those_that_keep_every_limit(answer: Answers) -> None:
    good = sum(map(is_good, EXPOSURES))
    found = items(answer(panel("summary", "good")))
    assert found["Good"]["value"] == pytest.approx(100 * good / COUNT)
    assert found["Good"]["detail"] == f"{good} of {COUNT}\nall limits kept"
    assert found["Outside a limit"]["value"] == COUNT - good
    assert found["Without a fit"]["value"] == 1
    assert found["Good per hour"]["detail"].startswith("of 300 estimated")
    assert "Disabled" not in found


def test_a_session_of_which_two_thirds_failed_is_not_good(own: Answers) -> None:
    failed = {"defocus_u": None, "defocus_v": None, "defocus_angle": None, "resolution": None}
    own.commit(reading(span([micrograph(i, **({} if i % 3 == 0 else failed)) for i in range(1, 61)])))
    good = items(own(panel("summary", "good")))
    assert (round(good["Good"]["value"]), good["Good"]["status"]) == (33, "bad")
    assert (good["Without a fit"]["value"], good["Outside a limit"]["value"]) == (40, 40)
    for name in ("defocus-share", "resolution-share", "astigmatism-share"):
        (item,) = own(panel("ctf", name))["items"]
        assert item["detail"].startswith("20 of 60 ")
        assert item["detail"].endswith("40 without a fit")
    rows = {row[0]: row for row in own(panel("ctf", "compare"))["rows"]}
    assert rows["Astigmatism"][-1] == "33 %"


def test_disabled_micrographs_count_in_no_figure_and_are_told(own: Answers) -> None:
    bad = {"defocus_u": 90_000.0, "defocus_v": 90_000.0, "enabled": False}
    own.commit(reading(span([micrograph(i, **({} if i < 9 else bad)) for i in range(1, 11)])))
    good = items(own(panel("summary", "good")))
    assert good["Good"]["detail"].startswith("8 of 8")
    assert good["Disabled"]["value"] == 2
    assert items(own(panel("summary", "quality")))["Median defocus"]["n"] == 8
    assert own(panel("ctf", "defocus-histogram"))["n"] == 8
    assert len(own(panel("ctf", "defocus-over-time"))["time"]) == 8
    assert items(own(panel("summary", "progress")))["CTF estimates"]["value"] == 10, "all were estimated"


def test_good_ones_of_two_grids_are_counted_together(own: Answers) -> None:
    other = [micrograph(i, run="136", name=f"b{i}", resolution=9.0) for i in range(1, 6)]
    own.commit(
        reading(
            span([micrograph(i) for i in range(1, 11)]),
            span(other, run="136"),
            runs=(run(inputs="67.outputMicrographs"), run("136", inputs="68.outputMicrographs")),
            outputs=(output(), output("136")),
        )
    )
    assert items(own(panel("summary", "good")))["Good"]["detail"].startswith("10 of 15")
    assert items(own(panel("summary", "progress")))["CTF estimates"]["value"] == 15
    assert own(panel("ctf", "resolution-histogram"))["n"] == 15


ON_EDGES = pytest.mark.parametrize("edge", [0.1, 0.2, 0.3, 0.6, 0.7, 1.1, 2.3, 4.0, 4.1, 4.7, 5.9])


@ON_EDGES
@pytest.mark.parametrize("kind", ["histogram", "map"])
def test_a_value_on_an_edge_is_in_the_bin_that_begins_there(own: Answers, edge: float, kind: str) -> None:
    length = round(edge * 10_000)
    own.commit(reading(span([micrograph(1, defocus_u=float(length), defocus_v=float(length))])))
    asked = panel("ctf", f"defocus-{kind}")
    assert asked.bins is not None
    edges = asked.bins.edges
    expected = max(i for i, one in enumerate(edges) if one <= edge)
    data = own(asked)
    found = data["counts"].index(1) if kind == "histogram" else data["cells"][0][1]
    assert found == expected == np.histogram([edge], np.array(edges))[0].tolist().index(1)


def test_edges_are_the_numbers_that_people_read() -> None:
    assert Bins(start=0, stop=6, step=0.1).edges == tuple(float(f"{i / 10:.1f}") for i in range(61))
    assert Bins(start=2, stop=20, step=0.25).edges == tuple(2 + i / 4 for i in range(73))
    assert Bins(start=0.05, stop=0.35, step=0.1).edges == (0.05, 0.15, 0.25, 0.35)


FAR = 5_800_000_000 * SECOND


def test_one_item_of_a_far_future_costs_nothing_and_is_drawn_at_the_edge(own: Answers) -> None:
    own.commit(reading(span([*(micrograph(i) for i in range(1, 11)), micrograph(11, time=FAR)])))
    throughput = own(panel("summary", "throughput"))
    assert len(throughput["time"]) <= 160
    assert max(throughput["time"]) <= NOW // MILLISECOND
    assert max(own(panel("ctf", "defocus-over-time"))["time"]) == NOW // MILLISECOND
    assert len(own(panel("ctf", "defocus-map"))["time"]) <= 45
    (progress,) = own(panel("summary", "progress"))["items"]
    assert progress["newest"] == NOW // MILLISECOND


@pytest.mark.parametrize("days", [1, 2, 3, 30, 365, 3650])
def test_steps_of_long_sessions_are_bounded(own: Answers, days: int) -> None:
    times = [START - days * 24 * HOUR, START]
    own.commit(reading(span([micrograph(i, time=time) for i, time in enumerate(times, 1)])))
    assert len(own(panel("summary", "throughput"))["time"]) <= 160
    assert len(own(panel("ctf", "defocus-map"))["time"]) <= 49


def test_shares_count_what_is_within_the_limits(answer: Answers) -> None:
    defocus = values("defocus", scale=1e-4)
    (item,) = answer(panel("ctf", "defocus-share"))["items"]
    within = sum(0.1 <= v <= 4.0 for v in defocus)
    assert 0 < within < len(defocus) < COUNT
    assert item["value"] == pytest.approx(100 * within / COUNT)
    assert item["detail"] == f"{within} of {COUNT} within 0.10–4.00 µm\n{COUNT - len(defocus)} without a fit"


@pytest.mark.parametrize("limit", [1.5, 3.0, 20.0])
def test_a_reader_can_move_a_limit(answer: Answers, limit: float) -> None:
    defocus = values("defocus", scale=1e-4)
    (item,) = answer(panel("ctf", "defocus-share"), variables={"defocus_max": limit})["items"]
    assert item["detail"].startswith(f"{sum(0.1 <= v <= limit for v in defocus)} of {COUNT} within 0.10–{limit:.2f} µm")


@pytest.mark.parametrize("limit", [1.1, 2.3, 4.1, 8.2])
def test_a_value_on_a_limit_is_within_it(own: Answers, limit: float) -> None:
    on = round(limit * 10_000)
    items = [micrograph(item, defocus_u=float(d), defocus_v=float(d)) for item, d in enumerate((on, on + 1), 1)]
    own.commit(reading(span(items)))
    found = own(panel("ctf", "defocus-share"), variables={"defocus_max": limit})["items"]
    assert found[0]["detail"].startswith("1 of 2 ")


def test_a_micrograph_without_any_fit_counts_as_outside(answer: Answers) -> None:
    fitted = values("resolution", scale=1.0)
    assert len(fitted) < COUNT
    (item,) = answer(panel("ctf", "resolution-share"))["items"]
    assert item["detail"] == f"{sum(v <= 6.0 for v in fitted)} of {COUNT} below 6.00 Å\n1 without a fit"


def test_a_session_without_any_fit_has_nothing_within_limits(own: Answers) -> None:
    own.commit(reading(span([micrograph(i, resolution=None) for i in range(1, 5)])))
    (item,) = own(panel("ctf", "resolution-share"))["items"]
    assert (item["value"], item["status"], item["detail"]) == (0.0, "bad", "0 of 4 below 6.00 Å")
    assert "Median resolution" not in items(own(panel("summary", "quality")))


def test_resolutions_without_a_defocus_are_counted(own: Answers) -> None:
    own.commit(reading(span([micrograph(i, defocus_u=None, defocus_v=None, resolution=4.0 * i) for i in (1, 2)])))
    (item,) = own(panel("ctf", "resolution-share"))["items"]
    assert item["detail"] == "1 of 2 below 6.00 Å\n2 without a fit"
    detail = items(own(panel("summary", "quality")))["Median resolution"]["detail"]
    assert "50\N{NO-BREAK SPACE}% of 2 in limits\n2 without a fit" in detail


def test_micrographs_before_their_ctf_have_no_shares(answer: Answers) -> None:
    movies = answer.output_id("outputMovies")
    for name in ("good", "defocus-share", "resolution-share", "astigmatism-share"):
        assert answer(panel("ctf", name), outputs=(movies,)) == EMPTY


@pytest.mark.parametrize(
    ("label", "field", "scale"),
    [
        ("Median defocus", "defocus", 1e-4),
        ("Median resolution", "resolution", 1.0),
        ("Median astigmatism", "astigmatism", 0.1),
        ("Median motion", "motion_total", 1.0),
    ],
)
def test_medians_are_those_of_the_values_there_are(answer: Answers, label: str, field: str, scale: float) -> None:
    found = values(field, scale=scale)
    item = items(answer(panel("summary", "quality")))[label]
    assert (item["value"], item["n"]) == (pytest.approx(median(found)), len(found))
    low, _, high = quantiles(found, n=4, method="inclusive")
    decimals = item["decimals"]
    assert item["detail"].startswith(f"middle half {low:.{decimals}f}–{high:.{decimals}f} {item['unit']}")


def test_the_last_fifty_stand_beside_all(answer: Answers) -> None:
    data = answer(panel("ctf", "compare"))
    rows = {row[0]: row[1:] for row in data["rows"]}
    assert list(rows) == ["Defocus", "Resolution", "Astigmatism", "Phase shift", "Fit quality", "Motion"]
    expected: list[str] = []
    for records in (EXPOSURES[-RECENT:], EXPOSURES):
        found = values("resolution", scale=1.0, records=records)
        low, middle, high = quantiles(found, n=4, method="inclusive")
        share = 100 * sum(v <= 6.0 for v in found) // len(records)
        expected += [f"{middle:.2f} Å", f"{low:.2f}–{high:.2f} Å", f"{share} %"]
    assert rows["Resolution"] == expected
    assert rows["Motion"][2] == rows["Motion"][5] == "–", "it has no limits"


def test_the_last_fifty_are_the_newest_not_the_last_written(own: Answers) -> None:
    late = [micrograph(i, time=START + i * SECOND, resolution=3.0) for i in range(1, 101)]
    early = [micrograph(i, time=START - i * SECOND, resolution=9.0) for i in range(101, 201)]
    own.commit(reading(span([*late, *early])))
    row = next(row for row in own(panel("ctf", "compare"))["rows"] if row[0] == "Resolution")
    assert (row[1], row[4]) == ("3.00 Å", "6.00 Å")


# Histograms and heat maps.


@pytest.mark.parametrize(("field", "scale"), [("defocus", 1e-4), ("resolution", 1.0), ("astigmatism", 0.1)], ids=str)
def test_histograms_count_what_falls_into_each_bin(answer: Answers, field: str, scale: float) -> None:
    asked = panel("ctf", f"{field}-histogram")
    assert asked.bins is not None
    edges = np.array(asked.bins.edges)
    data = answer(asked)
    found = values(field, scale=scale)
    counts = np.histogram(found, edges)[0].tolist()
    assert data["counts"] == counts
    assert data["recent"] == np.histogram(values(field, scale=scale, records=newest(field)), edges)[0].tolist()
    assert (data["n"], data["beyond"]) == (len(found), len(found) - sum(counts))
    assert [data["lower"], data["median"], data["upper"]] == pytest.approx(quantiles(found, n=4, method="inclusive"))


def newest(field: str) -> list[Micrograph]:
    """Return the last records that have a value."""
    return [r for r in EXPOSURES if getattr(r, field) is not None][-RECENT:]


def test_values_beyond_the_bins_are_told_and_not_put_into_the_last(own: Answers) -> None:
    resolutions = [1.0, 2.0, 19.99, 20.0, 45.0, None]
    own.commit(reading(span([micrograph(i, resolution=r) for i, r in enumerate(resolutions, 1)])))
    data = own(panel("ctf", "resolution-histogram"))
    assert (data["n"], data["beyond"]) == (5, 2), "20.0 lies on the last edge, and the last bin holds that"
    assert (data["counts"][0], data["counts"][-1], sum(data["counts"])) == (1, 2, 3)


def test_few_micrographs_are_not_set_off_from_themselves(own: Answers) -> None:
    own.commit(reading(span([micrograph(i, resolution=3.0 + i) for i in range(1, 31)])))
    data = own(panel("ctf", "resolution-histogram"))
    assert data["beyond"] > 0
    assert data["recent"] is None


def test_heat_map_cells_hold_every_micrograph_once(answer: Answers) -> None:
    asked = panel("ctf", "defocus-map")
    assert asked.bins is not None
    data = answer(asked)
    step = data["step_ms"]
    expected: dict[tuple[int, int], int] = {}
    for record in EXPOSURES:
        if record.defocus is not None and record.defocus * 1e-4 < asked.bins.stop:
            cell = (record.time // MILLISECOND // step * step, math.floor(record.defocus * 1e-4 / asked.bins.step))
            expected[cell] = expected.get(cell, 0) + 1
    assert {(data["time"][x], y): n for x, y, n in data["cells"]} == expected
    assert set(np.diff(data["time"])) == {step}


@pytest.mark.parametrize("hours", [0.2, 2, 6, 30, 100])
def test_heat_maps_have_a_sensible_number_of_columns(own: Answers, hours: float) -> None:
    places = range(1, 201)
    own.commit(reading(span([micrograph(i, time=START + int(i / 200 * hours * HOUR)) for i in places])))
    data = own(panel("ctf", "defocus-map"))
    assert 8 <= len(data["time"]) <= 50
    assert sum(cell[2] for cell in data["cells"]) == len(places)


# Stages and runs.


def test_progress_counts_each_stage(answer: Answers) -> None:
    found = items(answer(panel("summary", "progress")))
    assert {label: item["value"] for label, item in found.items()} == {"Movies": COUNT, "CTF estimates": COUNT}
    recent = sum(r.time > NOW - HOUR for r in EXPOSURES)
    assert f"newest 30 s ago\n{recent} in the last hour" in found["CTF estimates"]["detail"]
    assert found["CTF estimates"]["newest"] == EXPOSURES[-1].time // MILLISECOND


@pytest.mark.parametrize("rest", [0, 1_799, 1_801])
def test_a_steady_rate_is_what_is_usual_wherever_the_session_ends(own: Answers, rest: int) -> None:
    times = [START + i * 12 * SECOND for i in range(3 * 300 + rest // 12 + 1)]
    own.commit(reading(span([micrograph(i, time=time) for i, time in enumerate(times, 1)])))
    (item,) = own(panel("summary", "progress"), now=times[-1] + 5 * HOUR)["items"]
    assert item["detail"].endswith("usually 300 per hour")
    good = items(own(panel("summary", "good"), now=times[-1] + 5 * HOUR))
    assert good["Good per hour"]["value"] == pytest.approx(300)


def test_hours_without_anything_count_in_what_is_usual(own: Answers) -> None:
    counts = [100, 0, 0, 90, 7]
    times = [START + hour * HOUR + i * SECOND for hour, n in enumerate(counts) for i in range(n)]
    own.commit(reading(span([micrograph(i, time=time) for i, time in enumerate(times, 1)])))
    (item,) = own(panel("summary", "progress"), now=times[-1] + 20 * SECOND)["items"]
    assert item["detail"].endswith("usually 45 per hour"), "the median of 100, 0, 0 and 90"


def test_before_the_first_hour_is_over_nothing_is_usual(own: Answers) -> None:
    own.commit(reading(span([micrograph(i) for i in range(1, 11)])))
    (item,) = own(panel("summary", "progress"))["items"]
    assert "usually" not in item["detail"]


def test_of_two_outputs_of_a_stage_the_growing_one_stands_for_it(own: Answers) -> None:
    other = [micrograph(i, run="200", time=START + 5 * HOUR) for i in range(1, 10)]
    own.commit(
        reading(
            span([micrograph(1), micrograph(2)]),
            span(other, run="200"),
            runs=(run(), run("200")),
            outputs=(output(), output("200", stream_open=False)),
        )
    )
    (item,) = own(panel("summary", "progress"))["items"]
    assert item["value"] == 2


def throughput(answers: Answers, times: Sequence[int], **scope: Any) -> tuple[list[int], list[float | None]]:
    answers.commit(reading(span([micrograph(i, time=time) for i, time in enumerate(times, 1)])))
    data = answers(panel("summary", "throughput"), **scope)
    return list(data["time"]), points(data)


TWO_MINUTES = 120 * SECOND
FULL_STEP = (START // TWO_MINUTES + 1) * TWO_MINUTES


def every(seconds: int, *, count: int) -> list[int]:
    return [FULL_STEP + i * seconds * SECOND for i in range(count)]


def test_throughput_is_items_per_hour(own: Answers) -> None:
    times, rates = throughput(own, every(10, count=36), now=FULL_STEP + HOUR)
    assert times == [(FULL_STEP + i * TWO_MINUTES) // MILLISECOND for i in range(3)]
    assert rates == [360.0, 360.0, 360.0]


def test_throughput_of_the_present_step_does_not_seem_to_fall(own: Answers) -> None:
    _, rates = throughput(own, every(10, count=18), now=FULL_STEP + 180 * SECOND)
    assert rates == [360.0, 360.0]


def test_throughput_leaves_out_a_step_that_has_hardly_begun(own: Answers) -> None:
    _, rates = throughput(own, every(10, count=13), now=FULL_STEP + 121 * SECOND)
    assert rates == [360.0]


def test_throughput_does_not_seem_to_fall_at_the_end_of_a_window(own: Answers) -> None:
    stop = FULL_STEP + 179 * SECOND
    _, rates = throughput(own, every(10, count=36), now=FULL_STEP + HOUR, stop=stop)
    assert rates == pytest.approx([360.0, 360.0], rel=0.05)


def test_throughput_of_a_break_is_zero(own: Answers) -> None:
    _, rates = throughput(own, [FULL_STEP, FULL_STEP + 3 * TWO_MINUTES], now=FULL_STEP + HOUR)
    assert rates == [30.0, 0.0, 0.0, 30.0]


def test_runs_show_what_they_produced(answer: Answers) -> None:
    data = answer(panel("summary", "runs"))
    place = {column["label"]: i for i, column in enumerate(data["columns"])}
    rows = data["rows"]
    assert [row[place["Run"]] for row in rows] == ["import", "ctffind 4", "ProtMonitorSummary"]
    assert [row[place["Output"]] for row in rows] == ["outputMovies", "outputCTF", None]
    assert [row[place["Items"]] for row in rows] == [COUNT, COUNT, None]
    assert [row[place["Last hour"]] for row in rows][1] == sum(r.time > NOW - HOUR for r in EXPOSURES)
    assert rows[1][place["Newest"]] == EXPOSURES[-1].time // MILLISECOND
    assert rows[0][place["Took"]] == (NOW - 60 * SECOND - START) // MILLISECOND
    assert [row[place["Error"]] for row in rows] == [None, None, "no movies"]


def test_runs_come_in_the_order_of_their_numbers(own: Answers) -> None:
    own.commit(Reading(cursor="1", runs=tuple(run(n, label=n) for n in ("1000", "67", "2")), outputs=()))
    assert [row[0] for row in own(panel("summary", "runs"))["rows"]] == ["2", "67", "1000"]


def test_of_very_many_runs_the_last_ones_are_listed(own: Answers) -> None:
    failed = tuple(run(str(n), label=str(n), status="failed", error="e") for n in range(1, MOST_RUNS + 31))
    own.commit(Reading(cursor="1", runs=failed, outputs=()))
    data = own(panel("summary", "runs"))
    assert [row[0] for row in data["rows"]] == [str(n) for n in range(31, MOST_RUNS + 31)]
    assert data["total"] == MOST_RUNS + 30


# Gain, hosts, alerts, the rest.


def test_the_newest_residual_is_the_last_movies(answer: Answers) -> None:
    found = items(answer(panel("gain", "gain-latest")))
    last = GAINS[-1]
    assert [item["value"] for item in found.values()] == [last.stddev, last.ratio1, last.ratio2]
    assert [item["status"] for item in found.values()] == ["bad", "good", "bad"]


def test_residuals_are_listed_newest_first_with_gaps(answer: Answers) -> None:
    rows = answer(panel("gain", "gain-table"))["rows"]
    assert [row[1] for row in rows] == [f"movie_{i}.tiff" for i in range(7, 0, -1)]
    assert [row[4] for row in rows].count(None) == 1
    assert len(points(answer(panel("gain", "gain-ratio2")))) == 6


def test_the_newest_sample_is_that_of_the_host(answer: Answers) -> None:
    found = items(answer(panel("system", "host-latest")))
    assert {label: item["value"] for label, item in found.items()} == {
        "CPU": 50.0, "Memory": 50.0, "Swap": 0.0, "Load": 3.25,
    }  # fmt: skip
    assert (found["Load"]["unit"], found["Load"]["detail"]) == ("of 16 cores", "Mean run queue of the last minute.")
    assert {label: item["status"] for label, item in found.items()} == {
        "CPU": None, "Memory": "good", "Swap": "good", "Load": None,
    }  # fmt: skip


def test_devices_are_lines_in_shown_units(answer: Answers) -> None:
    data = answer(panel("system", "network-rates"))
    (sent,) = data["series"]
    assert (sent["label"], sent["unit"]) == ("eth0 sent", "MB/s")
    assert sent["values"] == pytest.approx([0.0, 2.0, 4.0, 6.0, 8.0])
    gpu = {s["label"]: s["values"] for n in ("use", "memory") for s in answer(panel("system", f"gpu-{n}"))["series"]}
    assert gpu == {"GPU 0 use": [90.0] * 5, "GPU 0 memory": [50.0, 50.0, None, 50.0, 50.0]}


def test_file_systems_are_lines_of_a_table_with_what_they_are_judged_by(answer: Answers) -> None:
    data = answer(panel("system", "file-systems"))
    assert [(c["label"], c["format"]) for c in data["columns"]] == [
        ("File system", "text"), ("Used", "number"), ("Full in", "duration"), ("Free", "bytes"), ("Size", "bytes"),
        ("Note", "text"),
    ]  # fmt: skip
    assert data["columns"][1]["high"] == 90
    assert data["columns"][1]["critical"] == 95
    assert (data["columns"][2]["low"], data["columns"][2]["high"]) == (4 * 3_600_000, None), "as its cells, in ms"
    assert data["rows"] == [
        ["/data", 44.0, 12_000_000.0, 1e12, 2e12, None],
        ["/scratch", None, None, None, None, "has not answered for 3 min"],
    ]


def test_gpus_are_lines_of_a_table_without_what_none_of_them_tells(answer: Answers) -> None:
    data = answer(panel("system", "gpus"))
    assert [c["label"] for c in data["columns"]] == ["GPU", "Use", "Memory", "Temperature", "Power"]
    assert data["rows"] == [["0", 90.0, 50.0, 70.0, 250.0]]


def test_where_there_are_no_gpus_one_line_says_why(own: Answers) -> None:
    gpus = panel("system", "gpus")
    assert own(gpus) == {"empty": True}
    absent = DeviceSample(kind="gpu", device="", note="there is no NVIDIA driver")
    own.store.add_host_sample(HostSample(host="gpu1", time=START, devices=(absent,)))
    assert own(gpus) == {"quiet": "No GPUs: there is no NVIDIA driver."}
    assert own(panel("system", "gpu-use")) == {"empty": True}


def test_gain_tables_carry_the_limits_they_are_judged_by(answer: Answers) -> None:
    judged = {c["label"]: c.get("high") for c in answer(panel("gain", "gain-table"))["columns"]}
    assert judged["Standard deviation"] == 0.04
    assert judged["p97.5 / p2.5"] == 1.15
    assert judged["max / p97.5"] == 4.5
    assert judged["Movie"] is None


def test_many_samples_are_averaged(own: Answers) -> None:
    cpu = [float(i % 100) for i in range(3000)]
    own.execute(
        "INSERT INTO host_sample (host, time, cpu, swap, seq) VALUES ('gpu1', ?, ?, NULL, 0)",
        [(START + i * 10 * SECOND, value) for i, value in enumerate(cpu)],
    )
    data = own(panel("system", "host-load"))
    assert [s["label"] for s in data["series"]] == ["CPU"]
    assert 500 <= data["shown"] <= 602
    assert mean(v for v in points(data) if v is not None) == pytest.approx(mean(cpu), rel=0.02)
    assert data["time"][-1] == (START + 2999 * 10 * SECOND) // MILLISECOND
    short = own(panel("system", "host-load"), start=START, stop=START + 90 * SECOND)
    assert points(short) == cpu[:10]


def test_alerts_that_last_come_first_and_the_host_s_are_everybody_s(answer: Answers) -> None:
    rows = answer(panel("summary", "alerts"))["rows"]
    assert [row[1] for row in rows] == ["the disk is full", "over, later", "over"]
    assert rows[0][3] is None
    assert [row[1] for row in answer(panel("summary", "alerts"), session=99)["rows"]] == ["the disk is full"]


def test_acquisition_shows_only_what_is_known(answer: Answers) -> None:
    rows = {row[0]: row[1]["value"] for row in answer(panel("summary", "acquisition"))["rows"]}
    assert rows == {"Voltage": 300.0, "Pixel size": 0.83}


def test_galleries_say_how_many_they_show(answer: Answers) -> None:
    assert answer(panel("summary", "newest")) == {"limit": 1}
    assert answer(panel("gallery", "gallery")) == {"limit": None}


def panels_of(check: Callable[[Panel], bool]) -> list[Panel]:
    return [p for _, p in PANELS if check(p)]


def test_panels_of_one_session_show_nothing_of_another(answer: Answers) -> None:
    other = answer.store.register(session("/projects/beta"))
    for asked in panels_of(lambda p: p.record in ("gain", "run", "output") and p.kind is not PanelKind.TEXT):
        assert answer(asked, session=other.session) == EMPTY, asked.id
