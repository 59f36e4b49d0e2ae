"""What is in a report and what is not, how large it is, and where it may be written."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryowatch.dashboards.custom import customised
from cryowatch.errors import NotFoundError, ReportError
from cryowatch.report import file
from cryowatch.report.columns import packed
from cryowatch.report.content import content
from cryowatch.report.page import inert
from cryowatch.report.pictures import NEWEST, order
from tests.report.making import HOSTILE, Sessions
from tests.support.records import SECOND, START, micrograph, reading, session, span


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    made = Sessions(tmp_path)
    yield made
    made.close()


def block(path: Path, name: str) -> Any:
    """Return what a block of JSON in a report holds."""
    found = re.search(f'<script type="application/json" id="{name}">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def pictured(path: Path) -> list[int]:
    return [int(number) for number, image in block(path, "pictures")["images"]["micrograph"].items() if image[0] != "="]


def test_a_report_holds_nothing_of_other_sessions_nor_of_the_facility(sessions: Sessions) -> None:
    key = sessions.add("alpha", [micrograph(i) for i in range(1, 4)])
    sessions.add("secret-project", [micrograph(i, name=f"classified-{i}") for i in range(1, 4)], folder="beta")
    sessions.store.advance("influx cryowatch https://influx.inside", 1, now=sessions.now, problem="password is wrong")
    for row, text in ((key, "too much ice"), (None, "disk of the server")):
        add_alert(sessions, row, text)
    made = sessions.make(key)
    text = made.path.read_text("utf-8")
    assert "too much ice" in text
    for word in ("secret-project", "classified", "influx.inside", "password is wrong", "disk of the server"):
        assert word not in text


def add_alert(sessions: Sessions, key: str | None, text: str) -> None:
    with sqlite3.connect(sessions.store.path) as database:
        row = None if key is None else database.execute("SELECT id FROM session WHERE key = ?", (key,)).fetchone()[0]
        database.execute(
            'INSERT INTO alert (rule, session_id, severity, since, text, "limit", seq) VALUES (?, ?, ?, ?, ?, ?, ?)',
            ("rule", row, "warning", START, text, 1.0, 1),
        )
    database.close()


def test_the_machine_is_shown_only_while_the_session_ran(sessions: Sessions) -> None:
    key = sessions.add("alpha", [micrograph(i) for i in range(1, 101)], status="finished")
    for minutes, cpu in ((-60, 11.0), (2, 22.0), (4, 33.0), (600, 44.0)):
        sessions.sample(START + minutes * 60 * SECOND, cpu)
    data = content(sessions.store.reader(), key, sessions.maker.dashboards, now=sessions.now).data
    system = data["panels"]["system"]
    titles = [panel["title"] for d in data["dashboards"] for panel in d["panels"] if panel["record"] == "host"]
    assert "Last sample" in titles
    assert "Now" not in titles
    assert system["host-load"]["series"][0]["values"] == [22.0, 33.0]
    assert system["host-latest"]["items"][0]["value"] == 33.0


def test_a_field_that_a_facility_leaves_out_is_not_in_the_file(sessions: Sessions) -> None:
    key = sessions.add("alpha", [micrograph(1)])
    changes = {"summary": {"fields": {"properties": ["name", "status"]}}}
    shown = customised(changes, {}, file=Path("cryowatch.toml"))
    told = json.dumps(content(sessions.store.reader(), key, shown, now=sessions.now).data)
    assert str(sessions.folder) not in told
    assert str(sessions.folder) in json.dumps(
        content(sessions.store.reader(), key, sessions.maker.dashboards, now=sessions.now).data
    )


def test_a_report_is_of_one_moment_while_the_session_grows(sessions: Sessions) -> None:
    key = sessions.add("alpha", [micrograph(1)])
    [row] = sessions.store.reader().sessions()
    stop = threading.Event()

    def grow() -> None:
        item = 1
        while not stop.is_set():
            item += 1
            sessions.store.commit(
                row["id"], reading(span([micrograph(item)], after=item - 1), cursor=str(item)), now=START
            )

    grower = threading.Thread(target=grow)
    grower.start()
    try:
        reader = sessions.store.reader()
        for _ in range(20):
            found = content(reader, key, sessions.maker.dashboards, now=sessions.now)
            [lead] = found.leading
            [ctf] = [o for o in found.data["session"]["outputs"] if o["kind"] == "ctf"]
            items = {i["label"]: i["value"] for i in found.data["panels"]["summary"]["progress"]["items"]}
            assert len(found.rows[lead]) == ctf["count"] == items["CTF estimates"]
    finally:
        stop.set()
        grower.join()


def test_no_name_ends_the_block_that_holds_it(sessions: Sessions) -> None:
    key = sessions.add(HOSTILE, [micrograph(1, name=HOSTILE)])
    path = sessions.make(key).path
    assert block(path, "content")["tables"]
    assert "window.harmed=1</script>" not in path.read_text("utf-8")


@given(st.recursive(st.text() | st.integers(-(2**53), 2**53) | st.none() | st.booleans(), st.lists))
def test_inert_json_is_the_same_and_holds_no_markup(value: Any) -> None:
    text = inert(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text.decode())


@given(st.lists(st.text()) | st.lists(st.integers(-(2**60), 2**60)) | st.lists(st.none() | st.floats(allow_nan=False)))
def test_packed_columns_hold_every_value(values: list[Any]) -> None:
    column = json.loads(json.dumps(packed(values)))
    if isinstance(column, dict) and "same" in column:
        column = [column["same"]] * len(values)
    elif isinstance(column, dict) and "middles" in column:
        column = [column["before"] + middle + column["after"] for middle in column["middles"]]
    elif isinstance(column, dict):
        steps, column = column["steps"], [column["first"]]
        for step in steps:
            column.append(column[-1] + step)
    assert [(value, str(value)) for value in column] == [(value, str(value)) for value in values]


@given(st.integers(0, 3000))
def test_images_are_chosen_newest_first_then_all_over_the_session(count: int) -> None:
    places = list(order(count))
    assert sorted(places) == list(range(count))
    assert places[: min(count, NEWEST)] == sorted(places[: min(count, NEWEST)], reverse=True)
    rest = count - NEWEST
    for shown in (8, 64, 256):
        if rest > 2 * shown:
            chosen = sorted(places[NEWEST : NEWEST + shown])
            gaps = [b - a for a, b in zip([-1, *chosen], [*chosen, rest], strict=True)]
            assert max(gaps) <= 4 * rest / shown + 1


@pytest.mark.parametrize("size_mb", [1.9, 3.0])
def test_a_report_keeps_to_its_size_and_says_what_it_leaves_out(sessions: Sessions, size_mb: float) -> None:
    key = sessions.add("alpha", sessions.pictures(100))
    made = sessions.make(key, size_mb=size_mb)
    size = made.path.stat().st_size
    assert size == made.bytes
    assert size_mb * 1e6 - 100_000 < size <= size_mb * 1e6
    assert made.micrographs == 100
    assert 0 < made.pictured < 100
    [said] = made.left_out
    assert said.startswith(f"Images of {made.pictured} of 100 micrographs are in this report, as it may have")
    assert said in made.path.read_text("utf-8")
    assert len(pictured(made.path)) == made.pictured
    assert block(made.path, "content")["tables"]


def test_images_are_large_where_all_fit(sessions: Sessions) -> None:
    key = sessions.add("alpha", sessions.pictures(4, side=500))
    small, large = sessions.make(key, size_mb=1.9), sessions.make(key, size_mb=20)
    assert small.pictured == large.pictured == 4
    assert large.bytes > 1.25 * small.bytes
    assert large.left_out == ()


def test_a_report_too_small_for_the_numbers_is_refused(sessions: Sessions) -> None:
    key = sessions.add("alpha", [micrograph(1)])
    with pytest.raises(ReportError, match=r"the numbers alone take 1\.\d MB, more than the 1 MB"):
        sessions.make(key, size_mb=1)
    assert list(sessions.folder.glob("report.html*")) == []


def test_a_project_that_is_gone_costs_no_look_at_each_image(sessions: Sessions) -> None:
    key = sessions.add("alpha", [micrograph(i) for i in range(1, 50)])
    made = sessions.make(key)
    assert made.left_out == ("No image is in this report, as the project's folder could not be reached.",)


def test_images_that_cannot_be_rendered_are_named_without_folders(sessions: Sessions) -> None:
    shots = sessions.pictures(3)
    (sessions.folder / "alpha" / "2.png").write_bytes(b"no image")
    shots[2] = replace(shots[2], micrograph_path="Runs/gone.png")
    made = sessions.make(sessions.add("alpha", shots))
    reasons = block(made.path, "pictures")["reasons"]
    assert made.pictured == 1
    assert any("is not there" in reason for reason in reasons)
    assert not any("gone.png" in reason or "alpha" in reason for reason in reasons)
    assert made.left_out[0].startswith("The images of 2 micrographs could not be rendered: the file ")


def test_spectra_that_cryowatch_computed_are_marked_in_a_report(sessions: Sessions) -> None:
    shots = sessions.pictures(3)
    shots[0] = replace(shots[0], power_spectrum_path="1.png")
    made = sessions.make(sessions.add("alpha", shots))
    shown = block(made.path, "pictures")
    spectra = {int(number): image for number, image in shown["images"]["power-spectrum"].items()}
    own = [number for number, image in spectra.items() if not str(image).startswith("=")]
    assert len(own) == 3
    assert len(set(own) - set(shown["computed"])) == 1


def test_only_a_report_is_replaced_unless_told_so(sessions: Sessions) -> None:
    key = sessions.add("alpha", [micrograph(1)])
    out = sessions.folder / "report.html"
    sessions.make(key)
    first = out.read_bytes()
    sessions.now += SECOND
    sessions.make(key)
    assert out.read_bytes() != first
    out.write_text("my thesis")
    with pytest.raises(ReportError, match="is there, and no report of cryowatch"):
        sessions.make(key)
    assert out.read_text() == "my thesis"
    sessions.make(key, force=True)
    assert file.is_report(out)


def test_a_folder_and_a_place_that_is_not_there_are_refused(sessions: Sessions) -> None:
    key = sessions.add("alpha", [micrograph(1)])
    (sessions.folder / "taken").mkdir()
    with pytest.raises(ReportError, match=r"a report is HTML, and not pdf. Name it .html; a browser prints it as PDF"):
        file.check(sessions.folder / "report.pdf")
    with pytest.raises(ReportError, match="is a folder"):
        sessions.make(key, name="taken", force=True)
    with pytest.raises(ReportError, match="there is no such folder"):
        sessions.make(key, name="nowhere/report.html")


def test_a_full_disk_leaves_the_old_report_and_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "report.html"
    file.write(out, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ReportError, match="cannot be written: No space left on device"):
        file.write(out, b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_an_unknown_session_names_the_nearest(sessions: Sessions) -> None:
    for i in range(12):
        sessions.store.register(session(f"/projects/{i}", name=f"2026-11-{i + 10}-lysozyme"))
    sessions.add("apoferritin-K3", [micrograph(1)])
    for i in range(12, 24):
        sessions.store.register(session(f"/projects/{i}", name=f"2026-11-{i + 10}-ribosome"))
    with pytest.raises(NotFoundError, match=r"there is no session apoferitin-k3\. Known: apoferritin-K3, "):
        sessions.make("apoferitin-k3")


def test_the_facility_and_its_logo_are_in_the_file(sessions: Sessions) -> None:
    logo = sessions.folder / "logo.svg"
    logo.write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>window.harmed=1</script></svg>")
    key = sessions.add("alpha", [micrograph(1)])
    maker = replace(sessions.maker, facility='Cryo & Co "<b>"', logo=logo)
    text = maker.make(key, sessions.folder / "report.html", size_mb=20).path.read_text("utf-8")
    assert "Cryo &amp; Co &#34;&lt;b&gt;&#34;" in text
    assert '<img src="data:image/svg+xml;base64,' in text
    assert "<script>window.harmed" not in text
