"""The JSON interface says what the project holds, to everybody who asks in the right way."""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
import threading
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from cryowatch.dashboards.custom import customised
from tests.support.projects import CTFS, MICROGRAPHS, append, change, genuine
from tests.support.serving import Served, demo_project, serving, until

COUNT = 24


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("finished")
    demo_project(folder / "projects" / "demo-session", COUNT)
    with serving([folder / "projects"], folder / "data") as served:
        yield served


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return genuine(tmp_path)


@pytest.fixture
def live(project: Path, tmp_path: Path) -> Iterator[Served]:
    with serving([project], tmp_path / "data") as served:
        yield served


def micrographs(served: Served, session: str = "demo-session", **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.get(f"/api/sessions/{session}/micrographs", **query)["micrographs"]
    return found


def test_the_list_of_sessions_has_counts_and_medians(finished: Served) -> None:
    [session] = finished.get("/api/sessions")["sessions"]
    rows = micrographs(finished, limit=500)
    assert session["counts"] == {"movies": COUNT, "micrographs": COUNT, "ctf": COUNT}
    assert session["status"] == "finished"
    defoci = [row["defocus"] for row in rows if row["defocus"] is not None]
    assert session["medians"]["defocus"] == pytest.approx(statistics.median(defoci) / 1e4)
    resolutions = [row["resolution"] for row in rows if row["resolution"] is not None]
    assert session["medians"]["resolution"] == pytest.approx(statistics.median(resolutions))
    newest = max(row["time"] for row in rows)
    assert session["newest"]["time"] <= newest, "the demo's clock may be ahead"
    assert session["state"]["state"] == "ok"


def test_a_session_has_acquisition_outputs_and_dashboards(finished: Served) -> None:
    session = finished.get("/api/sessions/demo-session")
    values = {entry["label"]: (entry["value"], entry["unit"]) for entry in session["acquisition"]}
    assert values["Voltage"] == (300.0, "kV")
    assert values["Pixel size"] == (0.83, "Å/px")
    assert [(o["name"], o["kind"], o["count"]) for o in session["outputs"]] == [
        ("outputMovies", "movies", COUNT),
        ("outputMicrographs", "micrographs", COUNT),
        ("outputCTF", "ctf", COUNT),
    ]
    assert [d["uid"] for d in session["dashboards"]] == [
        "oYW5BSeWz",
        "Dcl-hZeWk",
        "QIlzBA6Zz",
        "Vv8YVFeZz",
        "50ya60eZz",
    ]


def test_micrographs_are_sorted_filtered_and_paged(finished: Served) -> None:
    newest = micrographs(finished)
    assert [row["item"] for row in newest] == list(range(COUNT, 0, -1))
    by_defocus = [row["defocus"] for row in micrographs(finished, sort="defocus", order="asc")]
    known = [d for d in by_defocus if d is not None]
    assert known == sorted(known)
    assert by_defocus[len(known) :] == [None] * (COUNT - len(known))
    some = finished.get("/api/sessions/demo-session/micrographs", min_defocus=1.2, max_defocus=1.7)
    assert some["total"] == sum(12_000 <= d <= 17_000 for d in known)
    assert all(12_000 <= row["defocus"] <= 17_000 for row in some["micrographs"])
    assert [row["item"] for row in micrographs(finished, offset=10, limit=3)] == [14, 13, 12]
    [one] = micrographs(finished, search="_000007")
    assert one["item"] == 7
    assert micrographs(finished, search="100% _") == []


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "seq; DROP TABLE micrograph"},
        {"order": "sideways"},
        {"offset": "-1"},
        {"limit": "many"},
        {"min_defocus": "nan"},
        {"max_name": "1"},
        {"after": "1e3"},
        {"enabled": "maybe"},
        {"fit": "maybe"},
        {"good": "maybe"},
        {"outside": "2"},
        {"from": "2", "to": "1"},
        {"output": "x"},
        {"limit": "٣"},
    ],
)
def test_a_query_that_makes_no_sense_is_one_line(finished: Served, query: dict[str, str]) -> None:
    answer = finished.client.get("/api/sessions/demo-session/micrographs", params=query)
    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/sessions/nobody",
        "/api/sessions/demo-session/dashboards/nothing",
        "/api/sessions/demo-session/panels/nothing",
        "/api/sessions/demo-session/data/nothing",
        "/api/sessions/demo-session/data/ctf?panels=nothing",
        "/api/sessions/demo-session/micrographs?output=99999",
        "/api/micrographs/99999",
        "/images/99999/micrograph",
        "/images/1/portrait",
        "/api/nothing",
    ],
)
def test_what_is_not_there_is_404_with_the_reason(finished: Served, path: str) -> None:
    answer = finished.client.get(path)
    assert answer.status_code == 404
    assert len(answer.json()["error"]) > 10


@pytest.mark.parametrize("dashboard", ["summary", "ctf", "gain", "system", "gallery"])
def test_every_dashboard_answers_all_its_panels(finished: Served, dashboard: str) -> None:
    definition = finished.get(f"/api/sessions/demo-session/dashboards/{dashboard}")
    names = [panel["id"] for panel in definition["panels"]]

    def agreed() -> Any:
        """Return the panels; nothing where a sample of the machine came between two answers."""
        panels = finished.get(f"/api/sessions/demo-session/data/{dashboard}")["panels"]
        single = {n: finished.get(f"/api/sessions/demo-session/panels/{n}", dashboard=dashboard) for n in names}
        return all(("empty" in single[name]) == ("empty" in panels[name]) for name in names) and {"panels": panels}

    answer = until(agreed)
    assert list(answer["panels"]) == names
    shown = {name for name, data in answer["panels"].items() if "empty" not in data}
    assert shown


def test_a_panels_values_are_those_of_the_micrographs_in_shown_units(finished: Served) -> None:
    data = finished.get("/api/sessions/demo-session/panels/defocus-over-time", dashboard="ctf")
    rows = {row["id"]: row for row in micrographs(finished, limit=500) if row["defocus"] is not None}
    assert data["series"][0]["unit"] == "µm"
    assert dict(zip(data["id"], data["series"][0]["values"], strict=True)) == pytest.approx(
        {key: row["defocus"] / 1e4 for key, row in rows.items()}
    )


def test_limits_that_a_reader_moves_change_the_share(finished: Served) -> None:
    rows = [row["defocus"] for row in micrographs(finished, limit=500) if row["defocus"] is not None]
    data = finished.get("/api/sessions/demo-session/panels/defocus-share", dashboard="ctf", defocus_max=1.5)
    inside = sum(1_000 <= d <= 15_000 for d in rows)
    assert data["items"][0]["value"] == pytest.approx(100 * inside / len(rows))
    assert data["items"][0]["detail"] == f"{inside} of {len(rows)} within 0.10–1.50 µm"


def test_a_micrograph_knows_its_neighbours_in_time(finished: Served) -> None:
    third = next(row for row in micrographs(finished) if row["item"] == 3)
    one = finished.get(f"/api/micrographs/{third['id']}")
    assert finished.get(f"/api/micrographs/{one['previous']}")["item"] == 2
    assert finished.get(f"/api/micrographs/{one['next']}")["item"] == 4
    assert one["session"] == "demo-session"
    first = next(row for row in micrographs(finished) if row["item"] == 1)
    assert finished.get(f"/api/micrographs/{first['id']}")["previous"] is None


def test_micrographs_can_be_asked_for_by_time_and_by_how_they_are_judged(finished: Served) -> None:
    every = micrographs(finished, limit=500, order="asc")
    since, until_ = every[4]["time"], every[10]["time"]
    assert [row["item"] for row in micrographs(finished, **{"from": since, "to": until_}, order="asc")] == [
        row["item"] for row in every if since <= row["time"] <= until_
    ]
    good = finished.get("/api/sessions/demo-session/panels/good", dashboard="ctf", defocus_max=1.5)["items"][0]
    path = "/api/sessions/demo-session/micrographs"
    assert good["detail"].startswith(f"{finished.get(path, good=1, defocus_max=1.5)['total']} of ")
    worse, usual = (finished.get(path, good=0, **limits)["total"] for limits in ({"defocus_max": 1.5}, {}))
    assert finished.get(path, outside=1, defocus_max=1.5)["total"] == worse > usual


def test_a_micrograph_knows_its_neighbours_among_those_that_a_filter_lets_through(finished: Served) -> None:
    some = micrographs(finished, outside=1, defocus_max=1.5, sort="defocus")
    one = finished.get(f"/api/micrographs/{some[2]['id']}", outside=1, defocus_max=1.5, sort="defocus")
    assert (one["previous"], one["next"]) == (some[1]["id"], some[3]["id"])


def test_images_come_as_encoded_pictures_no_larger_than_asked(finished: Served) -> None:
    row = micrographs(finished, limit=1)[0]
    for kind, address in row["images"].items():
        answer = finished.client.get(f"{address}&size=256")
        assert answer.status_code == 200
        assert answer.headers["content-type"] in ("image/jpeg", "image/png")
        assert "immutable" in answer.headers["cache-control"]
        with Image.open(BytesIO(answer.content)) as image:
            assert max(image.size) <= 256, kind
            assert min(image.size) > 100, kind


def test_a_spectrum_that_cryowatch_computed_says_so_and_why(project: Path, tmp_path: Path) -> None:
    picture = project / "mic.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (128, 128), np.uint8)).save(picture)
    (project / "own.png").write_bytes(picture.read_bytes())
    for item, psd in enumerate(("own.png", "", "/data/elsewhere/ü.psd"), start=1):
        change(project / CTFS, item, **{"micObj._filename": "mic.png", "psdFile": psd})
    with serving([project], tmp_path / "data") as served:
        found = {row["item"]: row["images"]["power-spectrum"] for row in micrographs(served, "small")}
        own, unnamed, elsewhere = (served.client.get(found[item]) for item in (1, 2, 3))
    assert "x-computed" not in own.headers
    assert unquote(unnamed.headers["x-computed"]) == "the project names no power spectrum"
    assert (
        unquote(elsewhere.headers["x-computed"]) == "/data/elsewhere/ü.psd: lies outside the project and is not shown"
    )
    assert "immutable" in own.headers["cache-control"]
    assert elsewhere.headers["cache-control"] == "private, max-age=300"
    assert own.content != unnamed.content == elsewhere.content


def test_a_project_without_its_images_says_what_is_missing(live: Served) -> None:
    row = micrographs(live, "small", limit=1)[0]
    answer = live.client.get(row["images"]["micrograph"])
    assert answer.status_code == 404
    assert "aligned_mic.mrc" in answer.json()["error"]


def test_only_images_of_the_project_are_ever_shown(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    Image.new("L", (8, 8)).save(outside)
    (tmp_path / "secret.txt").write_bytes(outside.read_bytes())
    (project / "to-a-text.png").symlink_to(tmp_path / "secret.txt")
    (project / "to-an-image.png").symlink_to(outside)
    for item, path in enumerate(("../outside.png", str(outside), "to-a-text.png", "to-an-image.png"), start=1):
        change(project / CTFS, item, **{"micObj._filename": path})
    with serving([project], tmp_path / "data") as served:
        found = {row["item"]: row["images"]["micrograph"] for row in micrographs(served, "small")}
        assert [served.client.get(found[item]).status_code for item in (1, 2, 3, 4)] == [404, 404, 404, 200]


def test_a_new_row_is_told_to_listeners_and_only_it_is_fetched(live: Served, project: Path) -> None:
    before = live.get("/api/sessions/small/micrographs")
    events: list[tuple[str, dict[str, Any]]] = []
    ready = threading.Event()

    def listen() -> None:
        with live.client.stream("GET", "/api/events", params={"session": "small"}) as stream:
            name = ""
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    events.append((name, json.loads(line[6:])))
                    ready.set()
                    if name == "change":
                        return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert ready.wait(60)
    append(project / CTFS, 9, values={"_defocusU": 17_000.0})
    listener.join(5)
    assert not listener.is_alive()
    assert [name for name, _ in events] == ["hello", "change"]
    assert events[1][1]["session"] == "small"
    new = live.get("/api/sessions/small/micrographs", after=before["head"])
    assert [row["item"] for row in new["micrographs"]] == [9]
    partial = live.get("/api/sessions/small/panels/defocus-over-time", dashboard="ctf", after=before["head"])
    assert (partial["partial"], len(partial["id"])) == (True, 1)
    assert live.get("/api/sessions/small/panels/defocus-over-time", dashboard="ctf", after=new["head"])["id"] == []


def test_rows_that_are_taken_away_change_the_generation(live: Served, project: Path) -> None:
    before = live.get("/api/sessions/small/micrographs")
    fresh = project / "new.sqlite"
    shutil.copyfile(project / CTFS, fresh)
    with closing(sqlite3.connect(fresh)) as database, database:
        database.execute("DELETE FROM Objects WHERE id > 2")
        database.execute("UPDATE Properties SET value = 2 WHERE key = '_size'")
    fresh.replace(project / CTFS)
    after = until(lambda: (a := live.get("/api/sessions/small/micrographs"))["total"] == 2 and a)
    assert after["generation"] != before["generation"]


def test_a_source_in_trouble_shows_in_the_session_and_in_health(live: Served, project: Path) -> None:
    assert live.get("/healthz")["status"] == "ok"
    (project / MICROGRAPHS).write_text("not a database")
    state = until(lambda: (s := live.get("/api/sessions/small")["state"])["state"] == "malformed" and s)
    assert state["text"].startswith(f"{MICROGRAPHS}: is not a database")
    assert state["last_read"] is not None
    health = live.get("/healthz")
    assert (health["status"], health["sessions"], health["deliveries"]) == ("degraded", ["small"], [])
    assert 'cryowatch_readable{session="small"} 0' in live.client.get("/metrics").text


@pytest.mark.parametrize(
    "path", ["/", "/s/demo-session/ctf", "/api/sessions", "/static/base.css", "/nothing", "/s/nobody"]
)
def test_every_answer_has_the_security_headers(finished: Served, path: str) -> None:
    answer = finished.client.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers


def test_a_page_is_found_by_name_and_by_the_published_uid(finished: Served) -> None:
    answer = finished.client.get("/s/demo-session/Dcl-hZeWk?defocus_max=3")
    assert (answer.status_code, answer.headers["location"]) == (307, "/s/demo-session/ctf?defocus_max=3")
    assert finished.client.get("/s/demo-session").headers["location"] == "/s/demo-session/summary"
    assert finished.client.get("/s/nobody/ctf").status_code == 404
    assert "text/html" in finished.client.get("/s/nobody/ctf").headers["content-type"]


def test_hostile_names_are_text_in_pages_and_json(tmp_path: Path) -> None:
    name = "<script>alert(1)<b> \"'& 😀"
    project = genuine(tmp_path / "projects", name)
    change(project / CTFS, 8, **{"micObj._micName": name})
    with serving([project], tmp_path / "data") as served:
        [session] = served.get("/api/sessions")["sessions"]
        assert session["name"] == name
        page = served.client.get(f"/s/{session['id']}/summary").text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;b&gt;" in page
        [row] = micrographs(served, session["id"], search="alert(1)")
        assert row["name"] == name


def test_units_and_labels_of_every_field_are_told(finished: Served) -> None:
    fields = finished.get("/api/fields")
    assert fields["micrograph"]["defocus"] == {
        "label": "Defocus", "text": "Mean of U and V: (U + V) / 2.", "unit": "Å", "shown_unit": "µm", "scale": 1e-4,
        "per_shown": 10_000.0, "decimals": 2,
    }  # fmt: skip
    assert set(fields) == {"session", "run", "output", "micrograph", "gain", "host", "device", "alert"}


def test_the_hosts_load_is_on_the_system_page(finished: Served) -> None:
    def load() -> Any:
        data = finished.get("/api/sessions/demo-session/data/system")["panels"]
        return "empty" not in data["host-load"] and len(data["host-load"]["time"]) > 2 and data

    panels = until(load)
    labels = [line["label"] for line in panels["host-load"]["series"]]
    assert labels[:2] == ["CPU", "Memory"]
    assert all(0 <= v <= 100 for line in panels["host-load"]["series"] for v in line["values"] if v is not None)


def test_a_facilitys_own_dashboard_is_a_page_like_the_others(project: Path, tmp_path: Path) -> None:
    panels = [
        {"id": "note", "kind": "text", "title": "Note", "text": "Ask the operator on duty."},
        {"id": "resolution", "kind": "histogram", "fields": ["resolution"], "bins": [2, 12, 0.5]},
    ]
    told = {"ice": {"title": "Ice", "panels": panels}, "ctf": {"drop": ["compare"]}}
    dashboards = customised(told, {"defocus_max": 3}, file=tmp_path / "cryowatch.toml")
    with serving([project], tmp_path / "data", dashboards=dashboards) as served:
        assert "Ice" in served.client.get("/s/small/ice").text
        assert [p["id"] for p in served.get("/api/sessions/small/dashboards/ice")["panels"]] == ["note", "resolution"]
        data = served.get("/api/sessions/small/data/ice")["panels"]
        assert data["note"] == {"text": "Ask the operator on duty."}
        assert sum(data["resolution"]["counts"]) == 8
        ctf = served.get("/api/sessions/small/dashboards/ctf")
        assert "compare" not in [p["id"] for p in ctf["panels"]]
        assert ctf["variables"][0]["value"] == 3
