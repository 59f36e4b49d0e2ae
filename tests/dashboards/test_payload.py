"""Rows become what the pages draw: nothing is invented, missing values stay missing, numbers read like people's."""

from __future__ import annotations

from typing import Any

import pytest

from cryowatch.dashboards import find
from cryowatch.dashboards.definition import Bins
from cryowatch.judgement import Bound
from cryowatch.records import Alert, DeviceSample, GainResidual, HostSample, Micrograph, Quantity, Session, quantities
from cryowatch.store.panels import payload, tiles
from cryowatch.store.panels.pace import Pace

HOUR = 3_600 * 10**9
MINUTE_MS = 60_000
STEP = 2 * MINUTE_MS


RUN_FIELDS = find("summary").panel("runs").fields


def known(record: type, *fields: str) -> list[Quantity]:
    return [quantities(record)[field] for field in fields]


def judged(*fields: str) -> list[tuple[Quantity, Bound]]:
    return [(q, Bound(field=f, high=4.0)) for f, q in zip(fields, known(Micrograph, *fields), strict=True)]


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (None, 2, "–"),
        (0.0, 2, "0.00"),
        (1234567.891, 1, "1,234,567.9"),
        (-12.5, 1, "\N{MINUS SIGN}12.5"),
        (7, None, "7"),
    ],
)
def test_numbers_read_as_people_write_them(value: float | None, decimals: int | None, text: str) -> None:
    assert payload.number(value, decimals) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-30, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (3600 + 59, "1 h"),
        (2 * 3600 + 300, "2 h 5 min"),
        (86400 * 3 + 3600 * 4, "3 d 4 h"),
    ],
)
def test_ages_show_their_two_largest_units(seconds: float, text: str) -> None:
    assert payload.age(int(seconds * 10**9)) == text


def test_points_keep_missing_values_as_none() -> None:
    rows = [(2, 1, 1000, 1.5, None), (2, 2, 2000, None, 0.0)]
    data = payload.time_series(known(Micrograph, "motion_total", "motion_early"), rows)
    assert [list(series["values"]) for series in data["series"]] == [[1.5, None], [None, 0.0]]
    assert [series["label"] for series in data["series"]] == ["Motion", "Early motion"]
    assert (data["shown"], data["total"], data["partial"]) == (2, 2, False)


def test_points_say_their_unit_and_decimals() -> None:
    data = payload.time_series(known(Micrograph, "defocus"), [(1, 7, 1000, 1.25)])
    (series,) = data["series"]
    assert (series["label"], series["unit"], series["decimals"]) == ("Defocus", "µm", 2)


def test_points_left_out_are_told() -> None:
    data = payload.time_series(known(Micrograph, "defocus"), [(60_000, 1, 1000, 1.0), (60_000, 4, 2000, 2.0)])
    assert (data["shown"], data["total"]) == (2, 60_000)


def test_no_change_is_not_the_same_as_no_data() -> None:
    quantity = known(Micrograph, "defocus_angle", "astigmatism")
    for shape in (payload.time_series, payload.scatter):
        assert shape(quantity, []) == {"empty": True}
        data = shape(quantity, [], partial=True)
        assert data["partial"]
        assert list(data["id"]) == list(data["time"]) == []


def test_histogram_tells_what_lies_beyond_its_bins() -> None:
    bins = Bins(start=0, stop=2, step=0.5)
    rows = [(0, 0, 60, None, None, None), (0, 3, 30, None, None, None), (1, 3, 45, None, None, None),
            (2, None, 100, 0.2, 0.4, 1.8)]  # fmt: skip
    data = payload.histogram(known(Micrograph, "defocus")[0], bins, 50, rows)
    assert data["counts"] == [60, 0, 0, 30]
    assert data["recent"] == [0, 0, 0, 45]
    assert (data["n"], data["beyond"]) == (100, 10)
    assert (data["lower"], data["median"], data["upper"]) == (0.2, 0.4, 1.8)


def test_histogram_sets_nothing_off_while_all_are_recent() -> None:
    rows = [(0, 0, 20, None, None, None), (1, 0, 20, None, None, None), (2, None, 21, 0.2, 0.4, 5.0)]
    data = payload.histogram(known(Micrograph, "defocus")[0], Bins(start=0, stop=2, step=0.5), 50, rows)
    assert data["recent"] is None
    assert data["beyond"] == 1


def test_histogram_of_nothing_is_empty() -> None:
    rows = [(2, None, 0, None, None, None)]
    assert payload.histogram(Quantity("x"), Bins(start=0, stop=1, step=1), 50, rows) == {"empty": True}


def test_heat_map_has_a_column_for_every_step_of_time() -> None:
    rows = [(STEP, 0, 3, 5), (STEP, 3 * STEP, 0, 1), (STEP, 3 * STEP, 9, 2)]
    data = payload.heat_map(known(Micrograph, "resolution")[0], Bins(start=2, stop=4, step=0.2), rows)
    assert data["time"] == [0, STEP, 2 * STEP, 3 * STEP]
    assert data["cells"] == [[0, 3, 5], [3, 0, 1], [3, 9, 2]]
    assert (data["bins"], data["start"], data["step"], data["step_ms"]) == (10, 2, 0.2, STEP)


@pytest.mark.parametrize(
    ("within", "status"), [(100, "good"), (90, "good"), (89, "warn"), (75, "warn"), (74, "bad"), (0, "bad")]
)
def test_shares_are_judged(within: int, status: str) -> None:
    data = tiles.shares(judged("defocus"), [(0, 100, 1.0, 2.0, 3.0, within, 100)], 0)
    (item,) = data["items"]
    assert (item["value"], item["status"], item["rule"]) == (within, status, "✓ from 90 %, ▲ from 75 %, ✕ below")
    assert item["detail"] == f"{within} of 100 below 4.00 µm"


def test_a_share_of_nothing_is_not_zero() -> None:
    assert tiles.shares(judged("defocus"), [(0, 0, None, None, None, 0, 0)], 0) == {"empty": True}


def test_a_share_says_how_many_have_no_fit_where_that_matters() -> None:
    rows = [(0, 20, 1.0, 2.0, 3.0, 20, 60), (1, 60, 5.0, 6.0, 7.0, 60, 60)]
    defocus, motion = tiles.shares(judged("defocus", "motion_total"), rows, 40)["items"]
    assert (round(defocus["value"]), defocus["status"]) == (33, "bad")
    assert defocus["detail"].endswith("\n40 without a fit")
    assert "fit" not in motion["detail"]


def test_medians_show_their_spread_and_leave_out_fields_without_values() -> None:
    rows = [(0, 200, 1.004, 1.5, 2.0, 199, 200), (1, 0, None, None, None, 0, 0), (2, 8, 0.5, 1.0, 2.0, None, 8)]
    asked = [*judged("defocus", "resolution"), (known(Micrograph, "motion_total")[0], Bound(field="motion_total"))]
    defocus, motion = tiles.medians(asked, rows, 0)["items"]
    assert (defocus["label"], defocus["value"], defocus["unit"]) == ("Median defocus", 1.5, "µm")
    assert defocus["detail"] == "middle half 1.00–2.00 µm\n99\N{NO-BREAK SPACE}% of 200 in limits"
    assert (motion["label"], motion["status"], motion["detail"]) == ("Median motion", None, "middle half 0.5–2.0 Å")


@pytest.mark.parametrize(("median", "status"), [(3.9, "good"), (4.0, "good"), (4.1, "bad")])
def test_the_mark_beside_a_median_judges_the_median_and_says_by_what(median: float, status: str) -> None:
    (item,) = tiles.medians(judged("defocus"), [(0, 100, 1.0, median, 5.0, 40, 100)], 0)["items"]
    assert (item["status"], item["rule"]) == (status, "below 4.00 µm")


def test_comparison_leaves_out_fields_without_values_and_dashes_what_is_missing() -> None:
    rows = [
        (0, 0, None, None, None, 0, 0), (1, 0, None, None, None, None, 0),
        (0, 60, 1.0, 1.5, 2.0, 45, 60), (1, 0, None, None, None, None, 0),
    ]  # fmt: skip
    data = payload.comparison(known(Micrograph, "defocus", "phase_shift"), 50, rows)
    assert data["rows"] == [["Defocus", "–", "–", "–", "1.50 µm", "1.00–2.00 µm", "75 %"]]
    assert [c["label"] for c in data["columns"][1::3]] == ["Median, last 50", "Median, all"]
    assert payload.comparison(known(Micrograph, "phase_shift"), 50, [rows[1], rows[3]]) == {"empty": True}


def test_newest_values_are_judged_by_their_limits_and_nothing_else() -> None:
    fields = known(GainResidual, "stddev", "ratio1", "ratio2")
    data = tiles.latest(fields, [(None, 0.04), (None, 1.15), (None, None)], [(0.04, 1.2, 3.0)])
    assert [item["status"] for item in data["items"]] == ["good", "bad", None]
    assert data["items"][0]["detail"] == "below 0.040"
    assert tiles.latest(fields, [(None, None)] * 3, [(None, None, None)]) == {"empty": True}
    (below,) = tiles.latest(fields[:1], [(1.0, None)], [(0.5,)])["items"]
    assert below["status"] == "bad"


def test_a_newest_value_of_zero_is_a_value() -> None:
    data = tiles.latest(known(HostSample, "cpu", "swap"), [(None, 95), (None, 50)], [(None, 0.0)])
    assert [(item["label"], item["value"]) for item in data["items"]] == [("Swap", 0.0)]


def pace(count: int, newest: int | None, last_hour: int, usual: float | None) -> Pace:
    return Pace(count=count, newest=newest, per_hour=None, last_hour=last_hour, recent=0, usual=usual)


def test_progress_tells_age_and_rate() -> None:
    now = 100 * HOUR
    rows = [("movies", 1, pace(1200, now - 90 * 10**9, 310, 305.6)), ("ctf", None, pace(0, None, 0, None))]
    movies, ctf = tiles.progress(rows, now)["items"]
    assert (movies["label"], movies["value"]) == ("Movies", 1200)
    assert movies["detail"] == "newest 1 min 30 s ago\n310 in the last hour\nusually 306 per hour"
    assert movies["newest"] == (now - 90 * 10**9) // 10**6
    assert (ctf["label"], ctf["value"], ctf["detail"], ctf["newest"]) == ("CTF estimates", 0, "", None)


def test_a_finished_stage_does_not_speak_of_the_last_hour() -> None:
    (item,) = tiles.progress([("movies", 0, pace(10, 0, 0, None))], 50 * HOUR)["items"]
    assert item["detail"] == "newest 2 d 2 h ago"


def series_of(data: dict[str, Any]) -> dict[str, list[float]]:
    return {series["label"]: list(series["values"]) for series in data["series"]}


def test_rates_are_per_hour_and_gaps_are_zero() -> None:
    rows = [(STEP, 0, "movies", 10, 0), (STEP, 0, "ctf", 5, 0), (STEP, 2 * STEP, "movies", 20, 2 * STEP)]
    data = payload.rates(rows, 10 * STEP * 10**6)
    assert data["time"] == [0, STEP, 2 * STEP]
    assert series_of(data) == {"Movies": [300.0, 0.0, 600.0], "CTF estimates": [150.0, 0.0, 0.0]}


def test_an_unfinished_step_counts_for_what_has_passed_of_it() -> None:
    rows = [(STEP, 0, "movies", 10, 0), (STEP, STEP, "movies", 5, STEP)]
    half = payload.rates(rows, (STEP + STEP // 2) * 10**6)
    assert series_of(half)["Movies"] == [300.0, 300.0]


def test_a_step_that_has_hardly_begun_is_left_out() -> None:
    rows = [(STEP, 0, "movies", 10, 0), (STEP, STEP, "movies", 1, STEP)]
    data = payload.rates(rows, (STEP + 1000) * 10**6)
    assert data["time"] == [0]
    assert series_of(data)["Movies"] == [300.0]


def test_the_first_step_counts_from_the_first_item() -> None:
    rows = [(STEP, 0, "movies", 5, STEP // 2), (STEP, STEP, "movies", 10, STEP)]
    assert series_of(payload.rates(rows, 9 * STEP * 10**6))["Movies"] == [300.0, 300.0]


@pytest.mark.parametrize("passed", [-5000, 0, 1, 900, 20_000])
def test_the_first_items_of_a_session_make_no_absurd_rate(passed: int) -> None:
    data = payload.rates([(STEP, 0, "movies", 2, STEP // 2)], (STEP // 2 + passed) * 10**6)
    (rate,) = series_of(data)["Movies"]
    assert rate == 2 * 3600 / 30


def test_two_short_steps_make_no_absurd_rate() -> None:
    rows = [(STEP, 0, "movies", 3, STEP - 10_000), (STEP, STEP, "movies", 1, STEP + 10)]
    data = payload.rates(rows, (STEP + 100) * 10**6)
    assert series_of(data)["Movies"] == [3600 / 30]


def test_every_device_has_a_line_and_missing_samples_stay_missing() -> None:
    rows = [("eth0", 1000, 1.5, 2.0), ("eth1", 2000, 0.0, None), ("eth0", 2000, None, 3.0)]
    data = payload.lines(known(DeviceSample, "sent", "received"), rows)
    assert data["time"] == [1000, 2000]
    assert series_of(data) == {"eth0 sent": [1.5, None], "eth0 received": [2.0, 3.0], "eth1 sent": [None, 0.0]}
    assert {series["unit"] for series in data["series"]} == {"MB/s"}


def test_devices_without_values_make_no_lines() -> None:
    assert payload.lines(known(DeviceSample, "use"), [("0", 1000, None)]) == {"empty": True}


def test_properties_leave_out_what_is_not_known() -> None:
    fields = ("name", "status", "created", "voltage", "software")
    data = payload.properties(fields, known(Session, *fields), [("alpha", "running", 5 * 10**15, 300.0, "")])
    assert [(row[1]["value"], row[1]["format"]) for row in data["rows"]] == [
        ("alpha", "text"), ("running", "status"), (5 * 10**9, "time"), (300.0, "number"),
    ]  # fmt: skip
    assert data["rows"][-1] == ["Voltage", {"value": 300.0, "unit": "kV", "decimals": 0, "format": "number"}]
    assert payload.properties(("voltage",), known(Session, "voltage"), [(None,)]) == {"empty": True}


def test_tables_give_times_in_milliseconds_and_missing_ones_as_none() -> None:
    fields = ("severity", "text", "since", "until")
    data = payload.table(fields, known(Alert, *fields), [("warning", "no new movies", 5 * 10**15, None)])
    assert data["rows"] == [["warning", "no new movies", 5 * 10**9, None]]
    assert [c["format"] for c in data["columns"]] == ["status", "text", "time", "time"]


def test_runs_have_a_column_of_errors_only_where_there_is_one() -> None:
    times = (0, 9 * 10**9)
    fine = ("2", "import", "ProtImportMovies", "finished", *times, "", "outputMovies", "SetOfMovies", 5, 0, 10**6, 2)
    failed = ("67", "", "ProtMotionCorr", "failed", None, None, "no GPU", None, None, None, None, None, 2)
    data = payload.runs(RUN_FIELDS, [fine])
    assert data["columns"][-1]["label"] == "Took"
    assert data["rows"] == [["import", "ProtImportMovies", "finished", "outputMovies", 5, 0, 1, 0, 9000]]
    data = payload.runs(RUN_FIELDS, [fine, failed])
    assert data["columns"][-1]["label"] == "Error"
    assert data["rows"][0][-1] is None
    assert data["rows"][1] == [
        "ProtMotionCorr", "ProtMotionCorr", "failed", None, None, None, None, None, None, "no GPU",
    ]  # fmt: skip
