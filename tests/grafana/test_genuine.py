"""The dashboards in Grafana's own code: its schemas' types, its transformations and its display of values.

Grafana itself is not here; its packages come from npm, into a cache of the user's, and these tests are left out where
there is no node, or npm cannot be reached.  The answers are those of a real InfluxDB.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cryowatch.dashboards import STANDARD
from cryowatch.grafana.dashboard import compile_grafana
from cryowatch.influx.layouts import Layout
from tests.grafana.expansion import expand
from tests.grafana.frames import frames
from tests.grafana.points import BEGIN, COUNT, PROJECTS, SECOND, START, STOP, cryowatch_lines, host, scipion_lines
from tests.support.influxd import ADMIN, INFLUXD, InfluxServer

HERE = Path(__file__).parent / "genuine"
INSTALL = [
    "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--legacy-peer-deps",
    "--fetch-retries=0",
]  # fmt: skip
WHOLE = "whole"
VERSIONS = ("10.4", "13.2")
SCHEMAS = ("10.4", "11.6", "12.4", "13.2")
PROJECT = PROJECTS[0]
EDGES = [place / 10 for place in range(1, 61)]
"""Shown defoci, each on the lower edge of a bin."""

NEWER = {
    "custom of xychart: fillOpacity", "options of heatmap: selectionMode", "options of stat: percentChangeColorMode",
    "options of table: enablePagination", "variable: allowCustomValue",
}  # fmt: skip
"""What Grafana 10.4 does not know yet, by part and property."""

OLDER = {
    "options of heatmap: show", "options of table: footer", "options of table: enablePagination",
    "options of xychart: dims", "options of xychart: seriesMapping",
}  # fmt: skip
"""What newer ones do not know any more, or not yet."""

UNUSED = {"variable: auto", "variable: auto_count", "variable: auto_min", "variable: definition"}
"""What the SDK writes for every variable, and what Grafana writes itself without having it in its schema."""

XY_CHART = {
    "options of xychart: Type '{ matcher: { id: string; options: number; }; }' is not assignable to type 'number'.",
    "options of xychart: Type '{ matcher: { id: string; options: string; }; }' is not assignable to type 'string'.",
}
"""Its axes by name; Grafana 10 takes the first two numbers, and looks at these in another mode alone."""

EITHER = pytest.mark.parametrize("layout", Layout)
Panels = dict[str, dict[str, Any]]
Everything = dict[tuple[str, Layout, str], Panels]
"""By project, layout and dashboard."""


pytestmark = [
    pytest.mark.skipif(not INFLUXD.exists(), reason="no influxd on this machine"),
    pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="there is no node, or no npm"),
    pytest.mark.timeout(240),
]


@pytest.fixture(scope="module")
def packages() -> Path:
    """Grafana's packages in a folder of the user's cache, installed there by the first who asks."""
    wanted = (HERE / "package.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cryowatch-tests"
    folder = cache / f"grafana-{hashlib.sha256(wanted).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / WHOLE).exists():
            (folder / "package.json").write_bytes(wanted)
            try:
                done = subprocess.run(INSTALL, cwd=folder, check=False, capture_output=True, text=True, timeout=200)
            except subprocess.TimeoutExpired:
                pytest.skip("npm does not answer")
            if done.returncode:
                pytest.skip(f"npm cannot install Grafana's packages: {' '.join(done.stderr.split())[:120]}")
            (folder / WHOLE).touch()
    return folder


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """A server with the usual projects, one of which little is known, and one whose values lie on edges of bins."""
    server = InfluxServer(tmp_path_factory.mktemp("influx"))
    for layout, lines in (
        (
            Layout.CRYOWATCH,
            [*cryowatch_lines(), *_sparse_cryowatch(), *_edges("micrograph,project=edges,host=gpu9,run=12")],
        ),
        (Layout.SCIPION, [*scipion_lines(), *_sparse_scipion(), *_edges("edges,section=ctf")]),
    ):
        server.query(f"CREATE DATABASE {layout}")
        answer = httpx2.post(f"{server.url}/write?db={layout}", content="\n".join(lines).encode(), auth=ADMIN)
        assert answer.status_code == 204, answer.text
    yield server
    server.stop()


def _sparse_cryowatch() -> Iterator[str]:
    """One micrograph without a fit, and no software."""
    at, tags = BEGIN * SECOND, "project=sparse,host=gpu9"
    yield f'session,{tags} status="running" {at}'
    yield f'run,{tags},run=12,output=outputCTF label="ctf",status="running",size=1.0 {at}'
    yield f'run,{tags},run=13 label="picking",status="running" {at}'
    yield f'micrograph,{tags},run=12 ctfID=1i,name="m",enabled=true {at}'
    yield f'image,{tags},run=12 ctfID=1i,name="m",enabled=true,micUrl="/m.jpg" {at}'
    yield f'gain,{tags},run=5 movie="m" {at}'
    yield f'alert,{tags},rule=stall,severity=warning text="stalled",active=true {at}'
    yield f"system,host=gpu9 mem=5.0 {at}"


def _sparse_scipion() -> Iterator[str]:
    at = BEGIN * SECOND
    yield f'sparse,section=properties metric="<b>Status</b>",valueStr="RUNNING" {at}'
    yield f'sparse,section=properties metric="<b>Scipion Version</b>" {at + 1}'
    yield f'sparse,section=acquisition metric="<b>Voltage</b>",valueNum=300.0 {at}'
    yield f'sparse,section=acquisition metric="<b>Magnification</b>" {at + 1}'
    yield f'sparse,section=summary protocolName="<b>ctf (12)</b>" {at}'
    yield f"sparse,section=ctf ctfID=1i,transferImage=true {at}"
    yield f"sparse,section=gain idx=1.0 {at}"
    yield f"sparse,section=system mem=5.0 {at}"


def _edges(series: str) -> Iterator[str]:
    for item, value in enumerate([*EDGES, 25.0], start=1):
        yield f"{series} ctfID={item}i,enabled=true,defocus={round(value * 1e4)}.0 {(BEGIN + item) * SECOND}"


@pytest.fixture(scope="module", params=VERSIONS)
def drawn(request: pytest.FixtureRequest, influx: InfluxServer, packages: Path) -> Everything:
    """What Grafana's code of a version makes of all dashboards; panels by title and kind."""
    places, panels = [], []
    for project, layout, dashboard in product((PROJECT, "sparse", "edges"), Layout, STANDARD):
        for panel in compile_grafana(dashboard, layout, open_list=True)["panels"]:
            places.append((project, layout, dashboard.name))
            panels.append(answered(influx, panel, layout, project))
    done = subprocess.run(
        ["node", HERE / "panels.cjs", request.param],
        check=False, cwd=packages, input=json.dumps(panels), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: Everything = {}
    for place, panel, made in zip(places, panels, json.loads(done.stdout), strict=True):
        found.setdefault(place, {})[f"{panel['title']} ({panel['type']})"] = made
    return found


def answered(influx: InfluxServer, panel: dict[str, Any], layout: Layout, project: str) -> dict[str, Any]:
    """Return a panel with the frames of its targets' answers."""
    variables = {"project": project, "host": host(project) if project in PROJECTS else "gpu9", "run": "12"}
    variables |= {"defocus_max": "2", "resolution_max": "5.5", "astigmatism_max": "30"}
    found: list[dict[str, Any]] = []
    for target in panel["targets"]:
        text = expand(target["query"], variables, start=START, stop=STOP, interval=600)
        result = influx.query(text, database=layout, epoch="ms")[0]
        found += frames(result.get("series", []), target)
    return {**panel, "frames": found}


def rows(panel: dict[str, Any]) -> list[dict[str, str]]:
    """Return the rows of a panel that is one table, as they are read."""
    (columns,) = panel["tables"]
    return [
        dict(zip((c["name"] for c in columns), texts, strict=True))
        for texts in zip(*(c["texts"] for c in columns), strict=True)
    ]


def test_every_transformation_and_override_takes_hold(drawn: Everything) -> None:
    for place, panels in drawn.items():
        for title, panel in panels.items():
            assert panel["unknown"] == [], (place, title)
            if PROJECT in place:
                assert panel["unmatched"] == [], (place, title)
                assert panel["tables"], (place, title)
                assert all(column["texts"] for table in panel["tables"] for column in table), (place, title)


def test_no_missing_value_is_shown_as_a_word(drawn: Everything) -> None:
    for place, panels in drawn.items():
        assert any(panel["tables"] for panel in panels.values()) or "edges" in place
        for title, panel in panels.items():
            texts = {text for table in panel["tables"] for column in table for text in column["texts"]}
            texts |= {text for _, text in panel["stats"]}
            assert not {t for t in texts if re.search(r"NaN|null|undefined|Invalid", t)}, (place, title)


def test_tables_read_as_they_should(drawn: Everything) -> None:
    panels = drawn[PROJECT, Layout.CRYOWATCH, "summary"]
    assert [(r["Id"], r["Status"], r["Output"], r["Items"]) for r in rows(panels["Runs (table)"])] == [
        ("12", "finished", "outputCTF", str(COUNT)), ("2", "running", "outputMovies", str(100 * COUNT)),
        ("30", "failed", "", ""),
    ]  # fmt: skip
    newest = rows(panels["Alerts (table)"])[1]
    assert (newest["State"], newest["Measured"], newest["Limit"], newest["About"]) == ("over", "5", "4", "/data")
    properties = {r["Field"]: r["Last *"] for r in rows(panels["Session (table)"])}
    assert properties == {"Session": PROJECT, "Status": "finished", "Host": "gpu0", "Software": "3.0"}


def test_tables_of_which_little_is_known_have_empty_cells(drawn: Everything) -> None:
    panels = drawn["sparse", Layout.CRYOWATCH, "summary"]
    properties = {r["Field"]: r["Last *"] for r in rows(panels["Session (table)"])}
    assert properties == {"Session": "sparse", "Status": "running", "Host": "gpu9", "Software": ""}
    assert [(r["Id"], r["Output"]) for r in rows(panels["Runs (table)"])] == [("12", "outputCTF"), ("13", "")]
    assert [(r["Text"], r["Measured"]) for r in rows(panels["Alerts (table)"])] == [("stalled", "")]


@EITHER
def test_numbers_read_as_they_should(drawn: Everything, layout: Layout) -> None:
    panels = drawn[PROJECT, layout, "ctf"]
    assert panels["Defocus in limits (stat)"]["stats"] == [["Defocus", "31.7%"]]
    assert panels["Good micrographs (stat)"]["stats"] == [
        ["Good", "26.7%"], ["Good micrographs", "16"], ["Estimated", "60"], ["Without a fit", "0"],
    ]  # fmt: skip
    assert drawn[PROJECT, layout, "summary"]["Quality (stat)"]["stats"][0] == ["Defocus", "2.54 µm"]
    newest, second, *_ = rows(drawn[PROJECT, layout, "gallery"]["Micrographs (table)"])
    assert newest["Micrograph"] == "/public/img/scipionbox/0/mic_0_060.jpg"
    assert (newest["Defocus"], second["Resolution"]) == ("4.03 µm", "")


@EITHER
def test_a_histogram_counts_values_on_an_edge_in_the_bin_above(drawn: Everything, layout: Layout) -> None:
    lower, _, every, last = drawn["edges", layout, "ctf"]["Defocus histogram (histogram)"]["bins"]
    assert [round(value, 9) for value in lower["values"]] == EDGES
    assert lower["texts"][:3] == ["0.1 µm", "0.2 µm", "0.3 µm"]
    assert every["texts"] == ["1"] * 60, "each in its own bin, the far one in none, and no decimals"
    assert last["texts"] == ["0"] * 11 + ["1"] * 49


@pytest.mark.parametrize("version", SCHEMAS)
def test_the_schema_of_each_grafana_knows_what_is_written(packages: Path, version: str) -> None:
    compiled = [
        compile_grafana(dashboard, layout, open_list=open_list)
        for dashboard, layout, open_list in product(STANDARD, Layout, (False, True))
    ]
    done = subprocess.run(
        ["node", HERE / "types.cjs", version],
        check=False, cwd=packages, input=json.dumps(compiled), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    unknown = re.compile(
        r"""Object literal may only specify known properties, and '"(\w+)"' does not exist in type .*"""
    )
    wrong = {unknown.sub(r"\1", message) for message in json.loads(done.stdout)}
    assert wrong - OLDER - NEWER - UNUSED - (XY_CHART if version == "10.4" else set()) == set()
