"""What `status` and `export` print is what the store holds: whole, unchanged, and with nothing where there is none."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryowatch.errors import NotFoundError, StoreFailed
from cryowatch.reading import Span
from cryowatch.records import DeviceSample, GainResidual, HostSample, OutputKind, Severity
from cryowatch.store import Store
from cryowatch.store.alerts import Key, State
from cryowatch.store.export import export
from cryowatch.store.panels.good import bounds_of_good
from cryowatch.store.status import status
from cryowatch.store.writer import FILE_NAME
from tests.support.records import SECOND, START, micrograph, output, reading, run, session, span

NAMES = [
    "plain.mrc", "a b.mrc", "'single' \"double\".mrc", "<b>&amp;</b>.mrc", "comma,semicolon;.mrc", "😀 é 日本.mrc",
    "x" * 200, " spaces ", "two\nlines", "carriage\rreturn", "both\r\n", "tab\there", "back\\slash",
    "%s {0} :bug: [red]",
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


def written(
    store: Store, name: str = "alpha", *, kind: str = "micrographs", as_json: bool = False, raw: bool = True
) -> str:
    out = io.StringIO()
    export(store.data_dir, name, kind=kind, as_json=as_json, raw=raw, out=out)
    return out.getvalue()


def table(store: Store, **options: Any) -> list[dict[str, str]]:
    """Return an export in CSV as a program reads it."""
    return list(csv.DictReader(io.StringIO(written(store, **options), newline=""), strict=True))


def said(store: Store) -> tuple[int, str]:
    out = io.StringIO()
    code = status(store.data_dir, bounds=bounds_of_good(()), as_json=False, out=out)
    return code, out.getvalue()


def state(store: Store) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    code = status(store.data_dir, bounds=bounds_of_good(()), as_json=True, out=out)
    return code, json.loads(out.getvalue())


def test_names_come_out_as_they_went_in(store: Store) -> None:
    known = store.register(session())
    items = [micrograph(number, name=name) for number, name in enumerate(NAMES, 1)]
    store.commit(known.session, reading(span(items)), now=START)
    assert [row["name"] for row in table(store)] == NAMES
    assert [row["name"] for row in json.loads(written(store, as_json=True))] == NAMES


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), max_size=5))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives(store: Store, names: list[str]) -> None:
    known = store.register(session())
    items = [micrograph(number, name=name) for number, name in enumerate(names, 1)]
    store.commit(known.session, reading(span(items)), now=START)
    assert [row["name"] for row in json.loads(written(store, as_json=True))] == names
    formulas = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
    assert [row["name"] for row in table(store)] == [f"'{n}" if n.startswith(formulas) else n for n in names]


def test_a_spreadsheet_runs_no_formula(store: Store) -> None:
    known = store.register(session())
    names = ["=cmd()", "+1", "-1+2", "@SUM(A1)", "fine=1"]
    items = [micrograph(number, name=name) for number, name in enumerate(names, 1)]
    store.commit(known.session, reading(span(items)), now=START)
    assert [row["name"] for row in table(store)] == ["'=cmd()", "'+1", "'-1+2", "'@SUM(A1)", "fine=1"]
    assert [row["name"] for row in json.loads(written(store, as_json=True))] == names


def test_numbers_are_exact_negative_ones_too_and_none_is_empty(store: Store) -> None:
    known = store.register(session())
    values = {"defocus_u": 23435.1540714769, "defocus_v": 23408.1521223958, "defocus_angle": -44.30000000000001}
    first = micrograph(1, **values, resolution=None)
    second = micrograph(2, defocus_u=None, defocus_v=None, defocus_angle=None, enabled=False)
    store.commit(known.session, reading(span([first, second])), now=START)
    one, two = table(store)
    assert {field: float(one[field]) for field in values} == values
    assert (float(one["defocus"]), float(one["astigmatism"])) == (first.defocus, first.astigmatism)
    assert float(one["ratio"]) == first.ratio
    assert (one["resolution"], one["phase_shift"], one["shift_plot_path"]) == ("", "", "")
    assert (one["enabled"], two["enabled"]) == ("true", "false")
    assert {two[f] for f in (*values, "defocus", "astigmatism", "ratio")} == {""}
    one, two = json.loads(written(store, as_json=True))
    assert {field: one[field] for field in values} == values
    assert one["resolution"] is None
    assert (one["enabled"], two["enabled"]) == (True, False)
    assert (one["time"], one["item"]) == (first.time, 1)
    assert {two[f] for f in (*values, "defocus", "astigmatism", "ratio")} == {None}


def test_columns_name_their_units_and_times_can_be_read(store: Store) -> None:
    known = store.register(session())
    first = micrograph(1, defocus_u=15_234.0, defocus_v=14_000.0, resolution=3.5)
    second = micrograph(2, defocus_u=None, defocus_v=None)
    store.commit(known.session, reading(span([first, second])), now=START)
    one, two = table(store, raw=False)
    moment = datetime.fromtimestamp(first.time // SECOND, UTC)
    assert datetime.fromisoformat(one["time (UTC)"]) == moment
    assert one["time (UTC)"].endswith("Z")
    assert (one["defocus_u (µm)"], one["defocus (µm)"], one["astigmatism (nm)"]) == ("1.5234", "1.4617", "123.4")
    assert (one["resolution (Å)"], one["defocus_angle (°)"]) == ("3.5", str(first.defocus_angle))
    assert (one["item"], one["enabled"], one["ratio"]) == ("1", "true", repr(first.ratio))
    assert (two["defocus_u (µm)"], two["phase_shift (°)"]) == ("", "")


def test_a_time_within_a_second_keeps_its_milliseconds(store: Store) -> None:
    known = store.register(session())
    store.commit(known.session, reading(runs=(run(started=START + 123_456_789),), outputs=()), now=START)
    [row] = table(store, kind="runs", raw=False)
    assert row["started (UTC)"].endswith(".123Z")


def test_a_micrograph_comes_once_from_its_latest_stage(store: Store) -> None:
    known = store.register(session())
    runs = (run("2", class_name="ProtImportMovies"), run())
    outputs = (output("2", "outputMovies", class_name="SetOfMovies", kind=OutputKind.MOVIES), output())
    movies = [micrograph(number, run="2", output="outputMovies", name=f"{number}") for number in (1, 2, 3)]
    spans = (span(movies, run="2", output="outputMovies"), span([micrograph(1, name="2")]))
    store.commit(known.session, reading(*spans, runs=runs, outputs=outputs), now=START)
    assert [(row["name"], row["output"]) for row in table(store)] == [
        ("2", "outputCTF"),
        ("1", "outputMovies"),
        ("3", "outputMovies"),
    ]


def test_every_kind_has_its_columns_even_where_it_holds_nothing(store: Store) -> None:
    store.register(session())
    for kind, first in {"micrographs": "run", "runs": "run", "gain": "run", "host": "host", "alerts": "rule"}.items():
        lines = written(store, kind=kind).splitlines()
        assert len(lines) == 1
        assert lines[0].split(",")[0] == first
        assert json.loads(written(store, kind=kind, as_json=True)) == []


def test_runs_come_with_their_outputs(store: Store) -> None:
    known = store.register(session())
    runs = (run("2", label="import", error="a\nb\r50%\r100%", status="failed"), run("135", ended=START + 5))
    outputs = (output("135", size=7), output("135", "other", kind=OutputKind.OTHER, stream_open=None))
    store.commit(known.session, reading(runs=runs, outputs=outputs), now=START)
    rows = table(store, kind="runs")
    assert [(r["run"], r["label"], r["output_name"]) for r in rows] == [
        ("2", "import", ""),
        ("135", "ctffind 4", "outputCTF"),
        ("135", "ctffind 4", "other"),
    ]
    assert rows[0]["error"] == "a\nb\r50%\r100%"
    assert [r["output_stream_open"] for r in rows] == ["", "true", ""]
    assert (rows[1]["output_size"], rows[1]["ended"], rows[0]["ended"]) == ("7", str(START + 5), "")
    assert [r["output_stream_open"] for r in json.loads(written(store, kind="runs", as_json=True))] == [
        None,
        True,
        None,
    ]


def test_gain_alerts_and_the_hosts_load_come_out(store: Store) -> None:
    known = store.register(session())
    gain = GainResidual(run="135", item=1, movie="m.tiff", time=START, stddev=0.5, ratio1=None, ratio2=1.25)
    store.commit(known.session, reading(gains=(gain,)), now=START)
    devices = (
        DeviceSample(kind="filesystem", device="/data", used=12.5, free=1e9),
        DeviceSample(kind="network", device="eth0", sent=1.0, received=2.0),
    )
    store.add_host_sample(HostSample(host="gpu1", time=START, cpu=None, memory=50.0, devices=devices))
    store.add_host_sample(HostSample(host="gpu1", time=START + SECOND, cpu=3.5, cores=16))
    store.add_host_sample(HostSample(host="elsewhere", time=START))
    key = Key(rule="defocus", session=known.session, host="gpu1")
    state = State(severity=Severity.WARNING, text="too far", value=5.0, limit=4.0, field="defocus", unit="µm")
    store.ledger().raise_(key, state, since=START, now=START)
    (row,) = table(store, kind="gain")
    assert row == {
        "run": "135", "item": "1", "movie": "m.tiff", "time": str(START), "stddev": "0.5", "ratio1": "",
        "ratio2": "1.25",
    }  # fmt: skip
    (row,) = json.loads(written(store, kind="alerts", as_json=True))
    assert row == {
        "rule": "defocus", "session": "alpha", "host": "gpu1", "subject": "", "severity": "warning", "since": START,
        "until": None, "value": 5.0, "limit": 4.0, "unit": "µm", "acknowledged": None, "text": "too far",
        "detail": "",
    }  # fmt: skip
    rows = table(store, kind="host")
    assert rows[-1]["cores"] == "16"
    assert [(r["host"], r["cpu"], r["memory"], r["device_kind"], r["device_used"], r["device_sent"]) for r in rows] == [
        ("gpu1", "", "50.0", "filesystem", "12.5", ""),
        ("gpu1", "", "50.0", "network", "", "1.0"),
        ("gpu1", "3.5", "", "", "", ""),
    ]


def test_a_session_is_found_by_key_path_and_name(store: Store) -> None:
    known = store.register(session("/projects/ä ö"))
    store.commit(known.session, reading(span([micrograph(1)])), now=START)
    expected = written(store, known.key)
    assert expected.count("\n") == 2
    assert written(store, "/projects/ä ö") == written(store, "ä ö") == expected


def test_an_unknown_session_names_those_there_are(store: Store) -> None:
    with pytest.raises(NotFoundError) as raised:
        written(store, "beta")
    assert str(raised.value) == "there is no session beta. No session is known yet"
    store.register(session())
    for name, shown in (("beta", "beta"), ("b\udcff", "b\\udcff"), ("b\nc", "b\\nc")):
        with pytest.raises(NotFoundError) as raised:
            written(store, name)
        assert str(raised.value) == f"there is no session {shown}. Known: alpha"


def test_a_name_of_two_sessions_asks_which(store: Store) -> None:
    first = store.register(session("/a/ä"))
    second = store.register(session("/b/ä"))
    with pytest.raises(NotFoundError) as raised:
        written(store, "ä")
    assert str(raised.value) == f"more than one session is called ä. Say which: {second.key}, {first.key}"


def test_a_folder_without_a_store_says_what_to_do(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nope", tmp_path / "file" / "below"):
        with pytest.raises(StoreFailed) as raised:
            status(folder, bounds=(), as_json=False, out=io.StringIO())
        assert str(raised.value) == (
            f"{folder}: nothing has been watched with this data directory yet."
            " Check --data-dir, or run cryowatch watch first"
        )
    assert list(tmp_path.iterdir()) == [], "and makes none"


def test_a_damaged_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database, and long enough not to be taken for an empty one" * 50)
    with pytest.raises(StoreFailed) as raised:
        status(tmp_path, bounds=(), as_json=True, out=io.StringIO())
    assert str(raised.value) == (
        f"{tmp_path / FILE_NAME}: is not a database. cryowatch moves it aside when it starts, and reads everything anew"
    )


def test_a_healthy_session_has_its_counts(store: Store) -> None:
    assert said(store) == (0, "No session is known yet.\n")
    known = store.register(session())
    values = reading(span([micrograph(1), micrograph(2)]), session=session())
    store.commit(known.session, values, now=START)
    store.note(known.session, state="ok", text="", troubles=(), last_read=START)
    code, found = state(store)
    assert (code, found["healthy"]) == (0, True)
    [status_] = found["sessions"]
    assert (status_["good"]["good"], status_["good"]["of"], status_["good"]["share"]) == (2, 2, 1.0)
    assert {**status_, "good": None} == {
        "session": "alpha", "name": "alpha", "path": "/projects/alpha", "status": "running", "state": "ok",
        "last_read": START, "newest": START + 8 * SECOND, "movies": 0, "micrographs": 0, "ctf": 2, "good": None,
        "future": None, "alerts": [], "needs": [],
    }  # fmt: skip
    code, text = said(store)
    assert code == 0
    assert text.splitlines()[1].split()[:5] == ["alpha", "running", "0", "0", "2"]


def test_items_dated_in_the_future_need_a_person(store: Store) -> None:
    known = store.register(session())
    ahead = time.time_ns() + 5 * 3600 * SECOND
    micrographs = [micrograph(1), replace(micrograph(2), time=ahead - SECOND), replace(micrograph(3), time=ahead)]
    store.commit(known.session, reading(span(micrographs), session=session()), now=START)
    store.note(known.session, state="ok", text="", troubles=(), last_read=START)
    code, found = state(store)
    assert code == 1
    [status_] = found["sessions"]
    assert status_["future"] == {"count": 2, "latest": ahead}
    [needs] = status_["needs"]
    assert needs.startswith("2 items are dated in the future, up to 2")
    assert needs.endswith(" UTC. Is a clock or the time zone wrong?")


def test_a_failed_run_needs_a_person(store: Store) -> None:
    known = store.register(session())
    runs = (run("2", label="import", status="failed", error="no such file"), run("135", status="failed"))
    store.commit(known.session, reading(runs=runs, outputs=()), now=START)
    code, found = state(store)
    assert (code, found["healthy"]) == (1, False)
    assert found["sessions"][0]["needs"] == ["run 2 (import) failed: no such file", "run 135 (ctffind 4) failed"]
    code, text = said(store)
    assert code == 1
    assert "run 2 (import) failed: no such file; run 135 (ctffind 4) failed" in text


def test_a_session_of_very_many_failed_runs_takes_little_of_the_status(store: Store) -> None:
    known = store.register(session())
    runs = tuple(run(str(n), label="l" * 300, status="failed", error="e" * 4_000) for n in range(1_000))
    store.commit(known.session, reading(runs=runs, outputs=()), now=START)
    code, found = state(store)
    assert code == 1
    assert len(found["sessions"][0]["needs"]) == 21
    assert found["sessions"][0]["needs"][-1] == "980 more runs failed"
    assert len(json.dumps(found)) < 30_000
    assert len(said(store)[1]) < 60_000


@pytest.mark.parametrize(("kind", "code"), [("gone", 1), ("denied", 1), ("malformed", 1), ("busy", 0), ("ok", 0)])
def test_a_project_that_cannot_be_read_needs_a_person(store: Store, kind: str, code: int) -> None:
    known = store.register(session())
    store.note(known.session, state=kind, text="project.sqlite: why", troubles=(), last_read=None)
    assert (said(store)[0], state(store)[0]) == (code, code)
    assert ("project.sqlite: why" in said(store)[1]) == bool(code)


def test_each_session_is_one_line_where_nobody_watches(store: Store) -> None:
    names = ["/p/" + "x" * 200, "/p/a [red]b :bug: <i>", "/p/two\nlines", "/p/😀"]
    for name in names:
        known = store.register(session(name))
        text = f"{name}: is damaged. " + "What was read before is kept. " * 5
        store.note(known.session, state="malformed", text=text, troubles=(), last_read=None)
    code, printed = said(store)
    lines = printed.splitlines()
    assert (code, len(lines)) == (1, 1 + len(names))
    shown = [line.split("  ")[0] for line in lines[1:]]
    assert sorted(shown) == sorted(["x" * 200, "a [red]b :bug: <i>", "two\\nlines", "😀"])
    assert all(line.rstrip().endswith("kept.") for line in lines[1:])


def test_trouble_comes_first_then_what_runs_and_old_sessions_are_summed_up(store: Store) -> None:
    for number in range(20):
        known = store.register(session(f"/p/old-{number}", status="finished"))
        store.note(known.session, state="ok", text="", troubles=(), last_read=START)
    for name, state_ in (("running", "ok"), ("broken", "malformed")):
        known = store.register(session(f"/p/{name}", status="running"))
        store.note(known.session, state=state_, text="", troubles=(), last_read=START)
    known = store.register(session("/p/newest", status="finished"))
    store.note(known.session, state="ok", text="", troubles=(), last_read=START)
    lines = said(store)[1].splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["broken", "running", "newest"]
    assert lines[-1] == "9 more are over and fine; `cryowatch status --all` shows all."
    out = io.StringIO()
    status(store.data_dir, bounds=(), as_json=False, out=out, whole=True)
    assert len(out.getvalue().splitlines()) == 24
    assert len(state(store)[1]["sessions"]) == 23


def test_status_counts_what_was_dropped_before_it_was_delivered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryowatch.store.status.time.time_ns", lambda: START)
    store.register(session("/projects/alpha"))
    for n in range(5):
        store.add_host_sample(HostSample(host="gpu1", time=START + n, cpu=5.0))
    store.advance("influx cryowatch http://db:8086", 0, now=START)
    assert "dropped" not in said(store)[1]
    store.forget_host_samples(before=START + 3, now=START, followers=["influx cryowatch http://db:8086"])
    assert "3 host samples were dropped before they could be delivered" in said(store)[1]
    assert state(store)[1]["deliveries"][0]["dropped"] == 3


def graded(store: Store) -> None:
    """Store two grids, the second without estimates yet; a consensus that discards some, and copies of micrographs."""
    known = store.register(session())
    movies, micrographs = OutputKind.MOVIES, OutputKind.MICROGRAPHS
    outputs = (
        output("2", "outputMovies", class_name="SetOfMovies", kind=movies),
        output("3", "outputMovies", class_name="SetOfMovies", kind=movies),
        output("67", "outputMicrographs", class_name="SetOfMicrographs", kind=micrographs),
        output("67", "outputMicrographsDoseWeighted", class_name="SetOfMicrographs", kind=micrographs),
        output(),
        output("200", "outputCTFDiscarded"),
        output("200", "outputCTF"),
    )
    runs = (
        run("2", inputs=""),
        run("3", inputs=""),
        run("67", inputs="2.outputMovies"),
        run(inputs="67.outputMicrographs"),
        run("200", class_name="XmippProtCTFConsensus", inputs="135.outputCTF"),
    )

    def items(run_: str, output_: str, *numbers: int, **values: Any) -> Span:
        made = [micrograph(n, run=run_, output=output_, name=f"mic_{n}", **values) for n in numbers]
        return span(made, run=run_, output=output_)

    none = {"defocus_u": None, "defocus_v": None, "resolution": None}
    spans = (
        items("2", "outputMovies", *range(1, 13), **none),
        items("3", "outputMovies", *range(1, 6), **none),
        items("67", "outputMicrographs", *range(1, 11), **none),
        items("67", "outputMicrographsDoseWeighted", *range(1, 11), **none),
        items("135", "outputCTF", *range(1, 9)),
        items("200", "outputCTFDiscarded", 1, 2, 3),
        items("200", "outputCTF", *range(4, 9)),
    )
    store.commit(known.session, reading(*spans, session=session(), runs=runs, outputs=outputs), now=START)


def test_every_micrograph_is_exported_once_whatever_the_grids_copies_and_filters(store: Store) -> None:
    graded(store)
    rows = [(row["run"], row["output"], row["name"]) for row in table(store)]
    first = [("135", "outputCTF", f"mic_{n}") for n in range(1, 9)]
    aligned = [("67", "outputMicrographs", f"mic_{n}") for n in (9, 10)]
    imported = [("2", "outputMovies", f"mic_{n}") for n in (11, 12)]
    assert rows == [*first, *aligned, *imported, *(("3", "outputMovies", f"mic_{n}") for n in range(1, 6))]


def test_every_estimate_can_be_exported_too(store: Store) -> None:
    graded(store)
    rows = [(row["run"], row["output"]) for row in table(store, kind="estimates")]
    assert [rows.count(place) for place in dict.fromkeys(rows)] == [8, 3, 5]


def test_the_totals_of_a_session_are_those_of_all_its_grids(store: Store) -> None:
    graded(store)
    _, found = state(store)
    [known] = found["sessions"]
    assert [known[kind] for kind in ("movies", "micrographs", "ctf")] == [17, 10, 8]
    assert (known["good"]["good"], known["good"]["of"], known["good"]["unfit"]) == (8, 8, 0)


def test_a_lasting_alert_needs_a_person_until_somebody_sees_to_it(store: Store) -> None:
    known = store.register(session())
    store.commit(known.session, reading(span([micrograph(1)]), session=session()), now=START)
    assert said(store)[0] == 0
    key, now = Key(rule="defocus", session=known.session, host="gpu1"), START
    alert = store.ledger().raise_(key, State(severity=Severity.CRITICAL, text="Defocus: none"), since=now, now=now)
    code, text = said(store)
    assert code == 1
    assert "critical: Defocus: none" in text
    code, found = state(store)
    assert (code, found["healthy"]) == (1, False)
    assert [a["text"] for a in found["sessions"][0]["alerts"]] == ["Defocus: none"]
    store.ledger().acknowledge(alert, now=now)
    assert said(store)[0] == 0
    assert state(store)[1]["sessions"][0]["alerts"][0]["acknowledged"] == now


def test_an_alert_of_the_machine_needs_a_person_too(store: Store) -> None:
    known = store.register(session())
    store.commit(known.session, reading(span([micrograph(1)]), session=session()), now=START)
    key = Key(rule="disk", host="gpu1", subject="/data")
    store.ledger().raise_(key, State(severity=Severity.WARNING, text="Disk /data: used 96 %"), since=START, now=START)
    code, text = said(store)
    assert code == 1
    assert "This machine: warning: Disk /data: used 96 %" in text
    assert [a["subject"] for a in state(store)[1]["alerts"]] == ["/data"]


def test_what_is_muted_is_shown_and_needs_nobody(store: Store) -> None:
    known = store.register(session())
    store.commit(known.session, reading(span([micrograph(1)]), session=session()), now=START)
    key = Key(rule="defocus", session=known.session, host="gpu1")
    alert = store.ledger().raise_(key, State(severity=Severity.WARNING, text="Defocus"), since=START, now=START)
    store.ledger().mute(alert, until=2**62)
    code, found = state(store)
    assert (code, found["sessions"][0]["alerts"][0]["muted"]) == (0, True)
