"""Every query of every panel and variable, on a real InfluxDB, for names that some quoting trips over."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cryowatch.dashboards import STANDARD, find
from cryowatch.grafana.dashboard import compile_grafana
from cryowatch.grafana.influxql import compile_influxql
from cryowatch.influx.layouts import Layout
from tests.grafana.expansion import RULES, Rule, expand, values_of
from tests.grafana.points import (
    BEGIN,
    COUNT,
    LONG_AGO,
    PROJECTS,
    SECOND,
    START,
    STOP,
    cryowatch_lines,
    gains,
    host,
    micrographs,
    motion,
    samples,
    scipion_lines,
)
from tests.support.influxd import ADMIN, INFLUXD, InfluxServer

pytestmark = pytest.mark.skipif(not INFLUXD.exists(), reason="no influxd on this machine")

READER = ("scipion_reader", "only for tests")
LIMITS = {"defocus_max": "2.0", "resolution_max": "5.5", "astigmatism_max": "30"}
EITHER = pytest.mark.parametrize("layout", Layout)
EACH = pytest.mark.parametrize("project", PROJECTS, ids=["plain", "hostile", "pattern"])
NEWEST = RULES["12.2.1-13.1"]
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    server = InfluxServer(tmp_path_factory.mktemp("influx"))
    server.query(f"CREATE USER {READER[0]} WITH PASSWORD '{READER[1]}'")
    for layout, lines in ((Layout.CRYOWATCH, cryowatch_lines()), (Layout.SCIPION, scipion_lines())):
        server.query(f"CREATE DATABASE {layout}")
        server.query(f"GRANT READ ON {layout} TO {READER[0]}")
        answer = httpx2.post(f"{server.url}/write?db={layout}", content="\n".join(lines).encode(), auth=ADMIN)
        assert answer.status_code == 204, answer.text
    yield server
    server.stop()


class Asking:
    """Asks as a dashboard of one project does."""

    def __init__(
        self, influx: InfluxServer, layout: Layout, project: str, *, database: str = "", rule: Rule = NEWEST
    ) -> None:
        self.influx = influx
        self.layout = layout
        self.database = database or layout
        self.rule = rule
        machine = host(project) if project in PROJECTS else ""
        self.variables = {"project": project, "host": machine, "run": "12", **LIMITS}

    def run(self, query: str, *, interval: int = 60) -> Rows:
        text = expand(query, self.variables, start=START, stop=STOP, interval=interval, rule=self.rule)
        return self.influx.rows(text, database=self.database, auth=READER)

    def panel(self, dashboard: str, panel: str, *, interval: int = 60) -> list[Rows]:
        queries = compile_influxql(find(dashboard).panel(panel), self.layout)
        return [self.run(query.text, interval=interval) for query in queries]

    def column(self, dashboard: str, panel: str, name: str, place: int = 0) -> list[Any]:
        return [row[name] for row in self.panel(dashboard, panel)[place]]


@pytest.fixture
def asking(influx: InfluxServer, layout: Layout, project: str) -> Asking:
    return Asking(influx, layout, project)


def edges(influx: InfluxServer, layout: Layout, defoci: list[int]) -> Asking:
    """Return a project whose micrographs have these defoci, Å, in this order."""
    series = "edges,section=ctf" if layout is Layout.SCIPION else "micrograph,project=edges,host=gpu,run=12"
    lines = [
        f"{series} ctfID={i}i,enabled=true,defocus={float(value)} {(BEGIN + i) * SECOND}"
        for i, value in enumerate(defoci, start=1)
    ]
    name = f"edges_{layout}"
    influx.query(f"CREATE DATABASE {name}")
    influx.query(f"GRANT READ ON {name} TO {READER[0]}")
    influx.client.post("/write", params={"db": name}, content="\n".join(lines).encode(), auth=ADMIN).raise_for_status()
    asking = Asking(influx, layout, "edges", database=name)
    asking.variables["host"] = "gpu"
    return asking


def known(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]


@EITHER
@EACH
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("dashboard", STANDARD, ids=lambda d: d.name)
def test_every_query_of_every_panel_has_rows_in_every_grafana(asking: Asking, rule: Rule, dashboard: Any) -> None:
    asking.rule = rule
    compiled = compile_grafana(dashboard, asking.layout, open_list=True)
    for panel in compiled["panels"]:
        for target in panel["targets"]:
            assert asking.run(target["query"]), (panel["title"], target["query"])
    for mark in compiled["annotations"]["list"]:
        assert asking.run(mark["target"]["query"]), mark["name"]
    for variable in compiled["templating"]["list"]:
        if variable["type"] == "query":
            assert asking.run(variable["query"]), variable["name"]


@EITHER
@pytest.mark.parametrize(
    "project",
    ["", "20S", "20S-proteasomes", "20S.proteasome", ".+", "Project list hidden", "x'; DROP DATABASE scipion"],
)
@pytest.mark.parametrize("dashboard", STANDARD, ids=lambda d: d.name)
def test_a_name_that_is_no_project_shows_nothing(
    influx: InfluxServer, layout: Layout, project: str, dashboard: Any
) -> None:
    asking = Asking(influx, layout, project)
    compiled = compile_grafana(dashboard, layout)
    targets = [target for panel in compiled["panels"] for target in panel["targets"]]
    for target in [*targets, *(mark["target"] for mark in compiled["annotations"]["list"])]:
        assert not asking.run(target["query"]), target["query"]


@EITHER
def test_only_an_open_list_knows_names(influx: InfluxServer, layout: Layout) -> None:
    for dashboard in STANDARD:
        closed = compile_grafana(dashboard, layout)["templating"]["list"]
        assert not [v for v in closed if v["type"] == "query" and "${project:regex}" not in v["query"]]
    variables = compile_grafana(STANDARD[0], layout, open_list=True)["templating"]["list"]
    query = next(v["query"] for v in variables if v["name"] == "project")
    found = influx.rows(query, database=layout, auth=READER)
    assert set(values_of(found)) == set(PROJECTS)


@EACH
@pytest.mark.parametrize("open_list", [False, True])
def test_the_lists_hold_machines_and_runs_and_no_numbers(
    influx: InfluxServer, project: str, *, open_list: bool
) -> None:
    asking = Asking(influx, Layout.CRYOWATCH, project)
    for dashboard in STANDARD:
        variables = compile_grafana(dashboard, Layout.CRYOWATCH, open_list=open_list)["templating"]["list"]
        lists = {v["name"]: values_of(asking.run(v["query"])) for v in variables if v["type"] == "query"}
        machines = {host(name) for name in PROJECTS} if open_list and dashboard.name == "system" else {host(project)}
        assert lists["host"][0] == host(project)
        assert set(lists["host"]) == machines
        assert lists.get("run", ["12", "7"]) == ["12", "7"]


def test_the_machine_and_the_run_at_work_come_first_then_those_with_most_estimates(influx: InfluxServer) -> None:
    def points(machine: str, run: str, number: int, time: int, field: str = "ctfID") -> list[str]:
        value = {"ctfID": "{}i", "name": '"m{}"'}[field]
        tags = f"micrograph,project=shared,host={machine},run={run}"
        return [f"{tags} {field}={value.format(i)} {time * SECOND + i}" for i in range(1, number + 1)]

    lines = [
        *(f'session,project=shared,host={name} status="running" {LONG_AGO * SECOND}' for name in ("a", "b", "c", "d")),
        *points("b", "20", 30, LONG_AGO), *points("b", "21", 90, LONG_AGO, "name"),
        *points("d", "9", 40, LONG_AGO),
        *points("c", "40", 3, STOP - 60), *points("c", "41", 7, LONG_AGO), *points("c", "42", 50, LONG_AGO, "name"),
    ]  # fmt: skip
    influx.query("CREATE DATABASE shared")
    influx.query(f"GRANT READ ON shared TO {READER[0]}")
    influx.client.post("/write", params={"db": "shared"}, content="\n".join(lines).encode(), auth=ADMIN)
    found = {v["name"]: v for v in compile_grafana(find("ctf"), Layout.CRYOWATCH)["templating"]["list"]}
    variables = {"project": "shared", "host": "c"}

    def names(variable: str) -> list[str]:
        text = expand(found[variable]["query"], variables, start=START, stop=STOP)
        rows = influx.rows(text, database="shared", auth=READER)
        return values_of(rows)

    assert names("host") == ["c", "d", "b", "a"]
    assert names("run") == ["40", "41", "42"]
    assert {found[name]["sort"] for name in ("host", "run")} == {0}


@pytest.mark.parametrize("limit", ["", "abc", "4,0", "4 OR 1=1", "4) OR (1=1", "time", "1e3", "4;x", "'4'", "${x}"])
@EITHER
def test_a_limit_that_is_no_number_shows_nothing(influx: InfluxServer, layout: Layout, limit: str) -> None:
    asking = Asking(influx, layout, PROJECTS[0])
    asking.variables |= {"defocus_max": limit}
    for query in (
        compile_influxql(find("ctf").panel("defocus-share"), layout)[0],
        compile_influxql(find("ctf").panel("defocus-over-time"), layout)[1],
    ):
        with pytest.raises(AssertionError):
            asking.run(query.text)


@EITHER
def test_the_line_of_a_limit_stands_where_a_reader_puts_it(influx: InfluxServer, layout: Layout) -> None:
    asking = Asking(influx, layout, PROJECTS[0])
    asking.variables |= {"defocus_max": " 3.5 "}
    rows = asking.panel("ctf", "defocus-over-time", interval=600)[1]
    assert len(rows) > 15
    assert {row["Limit"] for row in rows} == {3.5}, "also where there is no micrograph"


@EITHER
@EACH
@pytest.mark.parametrize(
    ("panel", "label", "values"),
    [
        ("defocus-over-time", "Defocus", lambda m: m.defocus * 1e-4),
        ("resolution-over-time", "Resolution", lambda m: m.resolution),
        ("astigmatism-over-time", "Astigmatism", lambda m: m.astigmatism * 0.1),
        ("phase-shift-over-time", "Phase shift", lambda m: m.phase),
        ("fit-quality-over-time", "Fit quality", lambda m: 0.1 + m.item / 1000),
        ("ratio-over-time", "U / V", lambda m: m.u / m.v),
        ("defocus-map", "Defocus", lambda m: m.defocus * 1e-4),
        ("resolution-map", "Resolution", lambda m: m.resolution),
        ("defocus-histogram", "All", lambda m: m.defocus * 1e-4),
        ("resolution-histogram", "All", lambda m: m.resolution),
        ("astigmatism-histogram", "All", lambda m: m.astigmatism * 0.1),
    ],
)
def test_points_are_those_of_the_project_in_shown_units(
    asking: Asking, project: str, panel: str, label: str, values: Any
) -> None:
    expected = [(m.time, values(m)) for m in micrographs(project) if values(m) is not None]
    found = [(row["time"], row[label]) for row in asking.panel("ctf", panel)[0]]
    assert [time for time, _ in found] == [time for time, _ in expected]
    assert [value for _, value in found] == pytest.approx([value for _, value in expected])


@EITHER
@EACH
def test_a_histogram_sets_the_last_fifty_off(asking: Asking, project: str) -> None:
    last = [m.defocus * 1e-4 for m in micrographs(project)][-50:]
    assert asking.column("ctf", "defocus-histogram", "Last 50", 1) == pytest.approx(last[::-1])


@EITHER
def test_values_on_an_edge_are_in_the_bin_above_and_those_outside_in_none(influx: InfluxServer, layout: Layout) -> None:
    shown = [*(i / 10 for i in range(1, 61)), 6.1, 25.0]
    asking = edges(influx, layout, [round(value * 1e4) for value in shown])
    expected = dict.fromkeys(range(1, 61), 1)
    for name, place in (("All", 0), ("Last 50", 1)):
        values = asking.column("ctf", "defocus-histogram", name, place)
        found = Counter(math.floor(value / 0.1) for value in values)
        assert found == {place: n for place, n in expected.items() if name == "All" or place >= 13}
    values = asking.column("ctf", "defocus-map", "Defocus")
    assert Counter(math.floor(value / 0.2) for value in values) == {0: 1, **dict.fromkeys(range(1, 30), 2), 30: 1}


@EITHER
@EACH
def test_shares_follow_the_variables(asking: Asking, project: str) -> None:
    every = micrographs(project)

    def share(good: list[bool]) -> Any:
        return [pytest.approx(sum(good) / len(good))]

    within = share([0.1 <= m.defocus * 1e-4 <= 2.0 for m in every])
    assert asking.column("ctf", "defocus-share", "Defocus") == within
    fits = share([m.resolution is not None and m.resolution <= 5.5 for m in every])
    assert asking.column("ctf", "resolution-share", "Resolution") == fits
    assert asking.column("ctf", "astigmatism-share", "Astigmatism") == share([m.astigmatism * 0.1 <= 30 for m in every])


@EITHER
@EACH
def test_a_share_of_none_is_zero_and_of_all_is_one(asking: Asking, project: str) -> None:
    asking.variables |= {"defocus_max": "0.2", "resolution_max": "0.5"}
    assert asking.column("ctf", "defocus-share", "Defocus") == [0]
    assert asking.column("ctf", "resolution-share", "Resolution") == [0]
    asking.variables["defocus_max"] = "20"
    assert asking.column("ctf", "defocus-share", "Defocus") == [1]


@EITHER
@EACH
def test_medians_are_of_values_alone(asking: Asking, project: str) -> None:
    every = micrographs(project)
    found = [
        next(v for k, v in rows[0].items() if k not in ("time", "measurement"))
        for rows in asking.panel("summary", "quality")
    ]
    expected = [
        statistics.median(m.defocus for m in every) * 1e-4,
        statistics.median(known([m.resolution for m in every])),
        statistics.median(m.astigmatism for m in every) * 0.1,
    ]
    if asking.layout is Layout.CRYOWATCH:
        expected.append(statistics.median(total for _, total in motion(project)))
    assert found == pytest.approx(expected)


@EITHER
@EACH
def test_the_last_fifty_stand_beside_all(asking: Asking, project: str) -> None:
    every = micrographs(project)
    for rows, part in zip(asking.panel("ctf", "compare"), (every, every[-50:]), strict=True):
        assert rows[0]["Number"] == len(part)
        assert rows[0]["Defocus"] == pytest.approx(statistics.median(m.defocus for m in part) * 1e-4)
        assert 0 < rows[0]["± Defocus"] < 2
    resolutions = known([m.resolution for m in every])
    found = [rows[0]["Resolution"] for rows in asking.panel("ctf", "compare")]
    assert found == pytest.approx([statistics.median(resolutions), statistics.median(resolutions[-50:])])


@EACH
def test_astigmatism_lies_over_its_angle(influx: InfluxServer, project: str) -> None:
    rows = Asking(influx, Layout.CRYOWATCH, project).panel("ctf", "astigmatism-by-angle")[0]
    expected = [(m.item * 2.5, pytest.approx(m.astigmatism * 0.1)) for m in micrographs(project)]
    assert [(row["Defocus angle"], row["Astigmatism"]) for row in rows] == expected


@EACH
def test_motion_is_shown_before_there_is_a_ctf(influx: InfluxServer, project: str) -> None:
    asking = Asking(influx, Layout.CRYOWATCH, project)
    asking.variables["run"] = "7"
    assert asking.column("ctf", "motion-over-time", "Motion") == [total for _, total in motion(project)]
    assert asking.column("ctf", "motion-over-time", "Late motion", 2) == [total - 1 for _, total in motion(project)]


@EITHER
@EACH
def test_gain_residuals(asking: Asking, project: str) -> None:
    newest = gains(project)[-1]
    (row,) = asking.panel("gain", "gain-latest")[0]
    assert (row["Standard deviation"], row["p97.5 / p2.5"], row["max / p97.5"]) == pytest.approx(newest[1:])
    assert asking.column("gain", "gain-stddev", "Standard deviation") == pytest.approx([g[1] for g in gains(project)])
    assert asking.column("gain", "gain-table", "max / p97.5") == pytest.approx([g[3] for g in gains(project)][::-1])


@EITHER
@EACH
def test_load_of_the_host(asking: Asking, project: str) -> None:
    cpu = [value for _, value in samples(PROJECTS.index(project))]
    (newest,) = asking.panel("system", "host-latest")[0]
    assert (newest["CPU"], newest["Memory"]) == (cpu[-1], cpu[-1] + 20)
    assert newest.get("Cores", 16) == 16
    (lines,) = asking.panel("system", "host-load", interval=10)
    assert [row["CPU"] for row in lines] == cpu
    sent, received = asking.panel("system", "network-rates", interval=10)
    assert [row["mean_eth0_send"] for row in sent] == [value + 2 for value in cpu]
    assert [row["mean_eth0_recv"] for row in received] == [value + 3 for value in cpu]
    read, written = asking.panel("system", "disk-rates", interval=10)
    assert [row["mean_disk_read"] for row in read] == [value + 4 for value in cpu]
    assert [row["mean_disk_write"] for row in written] == [value + 5 for value in cpu]
    (use,), (memory,) = (asking.panel("system", f"gpu-{field}", interval=10) for field in ("use", "memory"))
    assert [(row["mean_gpuUse_0"], row["mean_gpuUse_1"]) for row in use] == [(value + 30, 7) for value in cpu]
    assert {row["mean_gpuMem_0"] for row in memory} == {5}
    if asking.layout is Layout.CRYOWATCH:
        (used,) = asking.panel("system", "disk-space", interval=10)
        assert [row["mean_used:/data"] for row in used] == [value + 1 for value in cpu]
        ((disks,),) = asking.panel("system", "file-systems")
        assert {name: value for name, value in disks.items() if value is not None and ":" in name} == {
            "used:/data": cpu[-1] + 1, "free:/data": 100, "total:/data": 200, "fullIn:/data": 7,
        }, "what only an older row has is not of now"  # fmt: skip
        ((gpus,),) = asking.panel("system", "gpus")
        assert gpus["gpuPow_0"] == cpu[-1] + 200
        assert gpus["gpuTem_0"] == 60


@EITHER
@EACH
def test_items_per_hour(asking: Asking, project: str) -> None:
    estimates, *others = asking.panel("summary", "throughput", interval=600)
    assert sum(row["CTF estimates"] for row in estimates) / 6 == pytest.approx(COUNT)
    assert any(row["CTF estimates"] == 0 for row in estimates)
    if asking.layout is Layout.CRYOWATCH:
        assert {row["run"] for row in others[0]} == {"7"}
        assert sum(row["Micrographs"] for row in others[0]) / 6 == pytest.approx(COUNT)
        daily = asking.panel("summary", "throughput", interval=86_400)[1]
        assert sum(row["Micrographs"] for row in daily) * 24 == pytest.approx(COUNT)


@EACH
def test_states_from_before_the_window_and_none_from_after(influx: InfluxServer, project: str) -> None:
    k = PROJECTS.index(project)
    asking = Asking(influx, Layout.CRYOWATCH, project)
    (session,) = asking.panel("summary", "properties")[0]
    assert (session["Session"], session["Status"], session["Host"], session["Software"]) == (
        project, "finished", host(project), f"3.{k}",
    )  # fmt: skip
    (acquisition,) = asking.panel("summary", "acquisition")[0]
    assert (acquisition["Voltage (kV)"], acquisition["Pixel size (Å/px)"]) == (300, 1 + k / 10)
    assert {(row["Id"], row["Status"]) for rows in asking.panel("summary", "runs") for row in rows} == {
        ("12", "finished"), ("2", "running"), ("30", "failed"),
    }  # fmt: skip
    items = {row["output"]: row["Items"] for row in asking.panel("summary", "progress")[0]}
    assert items == {"outputCTF": COUNT + k, "outputMovies": 100 * (COUNT + k)}
    texts = [f"began {k}", f"disk of {k}", f"disk of {k}", f"began {k}", f"of {k}"]
    assert asking.column("summary", "alerts", "Text") == texts
    assert asking.column("summary", "alerts", "Severity") == ["warning", "critical", "critical", "warning", "warning"]
    assert asking.column("summary", "alerts", "State") == [False, False, True, True, True]
    assert [row.get("About") for row in asking.panel("summary", "alerts")[0]][1:4] == ["/data", "/data", None]


@EACH
def test_a_run_with_outputs_does_not_stay_as_it_was_without_any(influx: InfluxServer, project: str) -> None:
    k = PROJECTS.index(project)
    outputs, newest = Asking(influx, Layout.CRYOWATCH, project).panel("summary", "runs")
    shown = {tuple(row.items()) for row in (*outputs, *newest)}
    columns = ("Id", "Run", "Status", "Output", "Items", "time")
    assert sorted((tuple(dict(row)[c] for c in columns) for row in shown), key=lambda row: int(row[0])) == [
        ("2", "import", "running", "outputMovies", 100 * (COUNT + k), (BEGIN + 900) * SECOND),
        ("12", f"ctf {k}", "finished", "outputCTF", COUNT + k, (BEGIN + 900) * SECOND),
        ("30", "picking", "failed", None, None, LONG_AGO * SECOND),
    ]


@EACH
@pytest.mark.parametrize("dashboard", STANDARD, ids=lambda d: d.name)
def test_alerts_are_marked_where_they_began_and_were_over(influx: InfluxServer, project: str, dashboard: Any) -> None:
    k = PROJECTS.index(project)
    asking = Asking(influx, Layout.CRYOWATCH, project)
    marks = {
        mark["name"]: [
            (row["time"] // SECOND - BEGIN, row["title"], row["text"], row["severity"], row["host"])
            for row in asking.run(mark["target"]["query"])
        ]
        for mark in compile_grafana(dashboard, Layout.CRYOWATCH)["annotations"]["list"]
    }
    machine = dashboard.name in ("summary", "system")
    assert marks == {
        "Alerts": [(60, "disk", f"disk of {k}", "critical", host(project))] * machine
        + [(30, "motion", f"began {k}", "warning", host(project))],
        "Alerts over": [(90, "motion", f"began {k}", "warning", host(project))]
        + [(61, "disk", f"disk of {k}", "critical", host(project))] * machine,
    }


@EACH
def test_tables_of_the_layout_scipion(influx: InfluxServer, project: str) -> None:
    k = PROJECTS.index(project)
    asking = Asking(influx, Layout.SCIPION, project)
    properties = {row["Property"]: row["Value"] for row in asking.panel("summary", "properties")[0]}
    assert properties == {"<b>Duration</b>": f"1 h {k}", "<b>Status</b>": f"RUNNING {k}"}
    assert asking.column("summary", "acquisition", "Value") == [300 + k]
    assert asking.column("summary", "runs", "Run") == [f"<b>ctf {k} (12)</b>", ""]
    assert asking.column("summary", "runs", "Items") == ["", str(COUNT + k)]
    assert asking.column("summary", "progress", "CTF estimates") == [COUNT]


@EITHER
@EACH
def test_a_gallery_shows_images_newest_first(asking: Asking, project: str) -> None:
    every = micrographs(project)[::-1]
    rows = asking.panel("gallery", "gallery")[0]
    assert len(rows) == COUNT
    assert [row["Defocus"] for row in rows] == pytest.approx([m.defocus * 1e-4 for m in every])
    assert all(m.name in row["Power spectrum"] for m, row in zip(every, rows, strict=True))
    assert [row["Resolution"] for row in rows] == [m.resolution for m in every]
    (newest,) = asking.panel("summary", "newest")[0]
    assert every[0].name in newest["Micrograph"]


def _asks_for(name: str, layout: Layout) -> bool:
    """Return whether every query of the summary, and of its lists, asks for the project of this name and no other."""
    compiled = compile_grafana(find("summary"), layout)
    variables = {"project": name, "host": "gpu", "run": "12", **LIMITS}
    exact = "/^" + re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", name) + "$/"
    targets = [(target["query"], 1) for panel in compiled["panels"] for target in panel["targets"]]
    lists = [(v["query"], 2) for v in compiled["templating"]["list"] if v["type"] == "query"]
    return all(
        exact in expand(query, variables, start=START, stop=STOP, times=times) for query, times in [*targets, *lists]
    )


@pytest.mark.parametrize("name", ["$5", "a$b", "100$", "$$", "${project}", "[[project]]", "$Project", "US$ 5"])
@EITHER
def test_a_dollar_in_a_name_does_no_harm(layout: Layout, name: str) -> None:
    assert _asks_for(name, layout)


@pytest.mark.parametrize(("name", "told"), [
    ("$timeFilter", "$timeFilter"), ("a$__interval", "$__interval"), ("$__interval_ms", "$__interval"),
    ("$interval 3", "$interval"), ("$project", "$project"), ("of $host", "$host"), ("$run", "$run"),
    ("$__to", "$__to"),
])  # fmt: skip
def test_a_name_that_grafana_takes_for_its_own_is_told_in_the_documents(name: str, told: str) -> None:
    assert not _asks_for(name, Layout.CRYOWATCH)
    assert f"`{told}`" in (Path(__file__).parents[2] / "docs/grafana.md").read_text(encoding="utf-8")
