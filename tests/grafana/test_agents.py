"""Two machines whose agents write to one InfluxDB: what Grafana's dashboards find of each, and of its alerts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cryowatch.alerts.alarms import Alarms
from cryowatch.alerts.rules import STANDARD, Rule
from cryowatch.dashboards import STANDARD as DASHBOARDS
from cryowatch.dashboards import find
from cryowatch.grafana.dashboard import compile_grafana
from cryowatch.influx.client import Access, Influx
from cryowatch.influx.delivery import Delivery
from cryowatch.influx.layout_cryowatch import CryowatchLayout
from cryowatch.influx.layouts import Layout
from cryowatch.records import DeviceSample, HostSample
from cryowatch.store import Store
from tests.grafana.expansion import expand
from tests.support.influxd import ADMIN, INFLUXD, InfluxServer
from tests.support.records import micrograph, output, reading, run, session, span

pytestmark = pytest.mark.skipif(not INFLUXD.exists(), reason="no influxd on this machine")

MINUTE = 60 * 10**9
CPU = {"gpu1": 11.0, "gpu2": 77.0, "gpu3": 33.0}
PROJECTS = {"gpu1": "alpha", "gpu2": "beta", "gpu3": "gamma"}


class Agent:
    """What one machine's agent stores, judges and delivers, on a clock of its own."""

    def __init__(self, folder: Path, host: str, influx: InfluxServer, now: int) -> None:
        self.host = host
        self.now = now
        self.store = Store(folder / host)
        project = f"/projects/{PROJECTS[host]}"
        self.key = self.store.register(session(project, host=host)).session
        items = [
            micrograph(n, time=now - (30 - n) * MINUTE // 10, defocus_u=90_000.0, defocus_v=90_000.0)
            for n in range(1, 31)
        ]
        found = reading(span(items), session=session(project, host=host), outputs=(output(),), runs=(run(started=now),))
        self.store.commit(self.key, found, now=now)
        user, password = ADMIN
        access = Access(url=influx.url, database="facility", username=user, password=password)
        self._sink = Influx(access)
        self.delivery = Delivery(self.store, self._sink, CryowatchLayout())
        self.used = 50.0

    def watch(self, rules: Sequence[Rule], minutes: int) -> None:
        """Let minutes pass, sample and judge every ten seconds, and deliver."""
        alarms = Alarms(self.store, rules, host=self.host, read_at=lambda _: self.now, clock=lambda: self.now)
        for _ in range(6 * minutes):
            disk = DeviceSample(kind="filesystem", device="/data", used=self.used, free=1e12, total=1e13)
            sample = HostSample(host=self.host, time=self.now, cpu=CPU[self.host], memory=40.0, load=1.0)
            self.store.add_host_sample(replace(sample, devices=(disk,)))
            alarms.step()
            self.now += MINUTE // 6
        assert self.delivery.finish()

    def close(self) -> None:
        self._sink.close()
        self.store.close()


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """A server to which the first machine told that a disk was full for a while and defocus bad, the second nothing."""
    folder = tmp_path_factory.mktemp("facility")
    server = InfluxServer(folder / "influx")
    server.query("CREATE DATABASE facility")
    begin = time.time_ns() - 40 * MINUTE
    agents = [Agent(folder, host, server, begin) for host in CPU]
    bad, well, other = agents
    bad.used = 96.0
    rules = [rule for rule in STANDARD if rule.name in ("disk", "disk-full", "defocus")]
    bad.watch(rules, 3)
    bad.used = 40.0
    bad.watch(rules, 8)
    well.watch([], 11)
    other.watch([], 11)
    for agent in agents:
        agent.close()
    yield server
    server.stop()


def ask(influx: InfluxServer, query: str, **variables: str) -> list[dict[str, Any]]:
    now = round(time.time())
    return influx.rows(expand(query, variables, start=now - 7200, stop=now + 60), database="facility")


def chosen(influx: InfluxServer, dashboard: str, project: str, *, open_list: bool) -> list[str]:
    compiled = compile_grafana(find(dashboard), Layout.CRYOWATCH, open_list=open_list)
    query = next(v["query"] for v in compiled["templating"]["list"] if v["name"] == "host")
    return list(dict.fromkeys(row["host"] for row in ask(influx, query, project=project)))  # as Grafana lists values


@pytest.mark.parametrize("host", CPU)
def test_the_machine_of_a_project_is_chosen(influx: InfluxServer, host: str) -> None:
    project = PROJECTS[host]
    for dashboard in DASHBOARDS:
        assert chosen(influx, dashboard.name, project, open_list=False) == [host]
    assert chosen(influx, "summary", project, open_list=True) == [host]


def test_in_the_system_dashboard_of_staff_every_machine_can_be_chosen(influx: InfluxServer) -> None:
    first, *others = chosen(influx, "system", "beta", open_list=True)
    assert first == "gpu2"
    assert sorted(others) == ["gpu1", "gpu3"]


@pytest.mark.parametrize("host", CPU)
def test_each_panel_is_of_the_chosen_machine_alone(influx: InfluxServer, host: str) -> None:
    compiled = compile_grafana(find("system"), Layout.CRYOWATCH, open_list=True)
    queries = {panel["title"]: panel["targets"][0]["query"] for panel in compiled["panels"]}
    (newest,) = ask(influx, queries["Now"], host=host, project=PROJECTS[host])
    assert newest["CPU"] == CPU[host]
    lines = ask(influx, queries["CPU, memory and swap"], host=host, project=PROJECTS[host])
    assert {row["CPU"] for row in lines} == {CPU[host]}
    assert len(lines) >= 11


def marked(influx: InfluxServer, dashboard: str, host: str) -> dict[str, list[tuple[str, str, str]]]:
    compiled = compile_grafana(find(dashboard), Layout.CRYOWATCH)
    return {
        mark["name"]: sorted(
            (row[mark["target"]["titleColumn"]], row[mark["target"]["textColumn"]], row["host"])
            for row in ask(influx, mark["target"]["query"], host=host, project=PROJECTS[host])
        )
        for mark in compiled["annotations"]["list"]
    }


def test_what_was_raised_and_over_is_marked_on_the_dashboards_of_its_machine(influx: InfluxServer) -> None:
    defocus = "Defocus: none of the last 25 micrographs within 0.10–4.00 µm (median 9.00 µm)"
    disk = "Disk /data: used 96.0 %, should be below 95.0 %"
    found = marked(influx, "system", "gpu1")
    assert found == {
        "Alerts": [("defocus", defocus, "gpu1"), ("disk-full", disk, "gpu1")],
        "Alerts over": [("disk-full", disk, "gpu1")],
    }
    assert marked(influx, "ctf", "gpu1") == {"Alerts": [("defocus", defocus, "gpu1")], "Alerts over": []}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda d: d.name)
def test_on_another_machines_dashboards_there_is_nothing(influx: InfluxServer, dashboard: Any) -> None:
    assert marked(influx, dashboard.name, "gpu2") == {"Alerts": [], "Alerts over": []}
