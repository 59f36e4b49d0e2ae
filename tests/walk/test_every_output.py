"""One session, walked through everything that can happen to it, says the same in every output.

Two grids with failed fits and disabled micrographs, on the night when clocks go back; a consensus that discards some;
an estimate that is restarted and brings other times; one that fails when it is made again; items and runs that are
deleted.  After each of these, counts, shares and medians on the pages, in `status`, in an alert, a report, exports,
both layouts of InfluxDB and every query of Grafana's dashboards are those that follow from the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser

from cryowatch.agent.session import Watch
from cryowatch.alerts.alarms import Alarms
from cryowatch.alerts.rules import STANDARD as RULES
from cryowatch.dashboards import STANDARD
from cryowatch.images import ImageServer
from cryowatch.influx.client import Access, Influx
from cryowatch.influx.delivery import Delivery
from cryowatch.influx.layout_cryowatch import CryowatchLayout
from cryowatch.influx.layout_scipion import ScipionLayout
from cryowatch.influx.layouts import Layout
from cryowatch.report import Maker
from cryowatch.sources.scipion import ScipionSource
from cryowatch.store import Store
from tests.report.test_browser import Opened
from tests.support import boundaries
from tests.support.influxd import ADMIN, INFLUXD, InfluxServer
from tests.walk.outputs import (
    Grafana,
    Pages,
    alert_text,
    check_exports,
    check_report,
    check_status,
    newest,
)
from tests.walk.project import AUTUMN, Item, Project, consensus, grid, truth

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not INFLUXD.exists(), reason="no influxd on this machine"),
]
SECOND = 10**9


def estimates(prefix: str, begin: int) -> list[Item]:
    """Return estimates on every boundary, with failed and disabled ones; those of the end are bad."""
    found = [
        Item(m.item, f"{prefix}{m.item:04}", begin + 12 * m.item, m.defocus_u, m.defocus_v, m.resolution, m.enabled)
        for m in boundaries.estimates()
    ]
    bad = [Item(300 + i, f"{prefix}{300 + i}", begin + 3600 + i, 15_000.0, 14_000.0, 7.0 + i / 10) for i in range(15)]
    failed = [Item(330 + i, f"{prefix}{330 + i}", begin + 3700 + i) for i in range(5)]
    return [*found, *bad, *failed]


class Walk:
    """A project, the store that it is read into, and everybody who says something of that."""

    def __init__(self, folder: Path, influx: InfluxServer) -> None:
        self.folder = folder
        self.late = 0
        self.raised = 0
        self.influx = influx
        self.project = Project(folder / "night")
        self.store = Store(folder / "data")
        self.images = ImageServer(folder / "data" / "images")
        self._source()
        self.sinks = []
        self.deliveries = []
        for layout in (CryowatchLayout(), ScipionLayout()):
            influx.query(f"DROP DATABASE {layout.name}; CREATE DATABASE {layout.name}")
            access = Access(url=influx.url, database=layout.name, username=ADMIN[0], password=ADMIN[1])
            self.sinks.append(Influx(access))
            self.deliveries.append(Delivery(self.store, self.sinks[-1], layout, chance=lambda: 1.0))

    def _source(self) -> None:
        source = ScipionSource(self.project.folder, time_zone=ZoneInfo("Europe/Madrid"), host="gpu1", clock=self.clock)
        self.watch = Watch(self.project.folder, source, self.store, host="gpu1", clock=self.clock)

    def clock(self) -> int:
        """Return a time soon after the session, at which nothing in its files is fresh."""
        return (AUTUMN + 3 * 3600) * SECOND + self.late

    def restart(self) -> None:
        """Begin anew, as after the agent was killed."""
        self._source()

    def read(self) -> None:
        """Read all there is, and deliver it."""
        self.late += 61 * SECOND
        while True:
            reading, _ = self.watch.step()
            if reading is None or reading.finished:
                break
        assert reading is not None
        assert reading.troubles == ()
        for delivery in self.deliveries:
            assert delivery.finish()

    def close(self) -> None:
        for sink in self.sinks:
            sink.close()
        self.images.close()
        self.store.close()


@pytest.fixture
def walk(tmp_path: Path, influx: InfluxServer) -> Iterator[Walk]:
    made = Walk(tmp_path, influx)
    yield made
    made.close()


def test_every_output_says_the_same_whatever_happens_to_a_session(walk: Walk, browser: Browser) -> None:
    project = walk.project
    first = grid(project, (2, 67, 135), estimates("a", AUTUMN), ["a-late", "a-later"])
    second = grid(project, (3, 68, 136), estimates("b", AUTUMN + 1800), ["b-late"])
    [ctf_a], [ctf_b] = first.outputs, second.outputs

    def check() -> None:
        walk.read()
        everywhere(walk, browser, [ctf_a.items, ctf_b.items])

    check()

    consensus(project, 200, first, [1, 2, 3, 40, 41, 42, 300, 301, 330])
    check()

    worse = [replace(item, u=None, v=None, resolution=None) for item in ctf_a.items[60:66]]
    better = [replace(item, u=15_000.0, v=15_000.0, resolution=3.0) for item in ctf_a.items if item.number == 331]
    disabled = [replace(item, enabled=not item.enabled) for item in ctf_a.items[66:70]]
    project.change(ctf_a, [*worse, *better, *disabled])
    walk.restart()
    check()

    ctf_b.items = [replace(item, time=item.time + 1234) for item in ctf_b.items[:70]]
    project.write(second, ctf_b)
    project.store()
    check()

    project.delete(ctf_a, range(50, 60))
    project.remove(200)
    walk.restart()
    check()
    assert walk.raised > 1


def everywhere(walk: Walk, browser: Browser, grids: list[list[Item]]) -> None:
    """Compare every output with the truth about the estimates of each grid."""
    items = [item for grid in grids for item in grid]
    expected = truth(items)
    key = walk.watch.key
    project = walk.project
    names = {kind: [i.name for run in runs for i in project.runs[run].outputs[0].items] for kind, runs in _RUNS.items()}
    counts = {kind: len(found) for kind, found in names.items()}
    estimated = set(names["ctf"])
    waiting = [name for name in names["movies"] if name not in estimated]
    Pages(walk.store, walk.images, walk.clock).check(key, expected, counts)
    check_status(walk.store, key, expected, counts)
    check_exports(walk.store, key, expected, [*names["ctf"], *waiting])
    maker = Maker(reader=walk.store.reader(), images=walk.images, dashboards=STANDARD, clock=walk.clock)
    report = walk.folder / "report.html"
    maker.make(key, report, size_mb=20, force=True)
    visit = Opened(browser, report)
    check_report(visit.page, report, expected)
    visit.close()
    check_alert(walk, items)
    for run, grid_items in zip(("135", "136"), grids, strict=True):
        Grafana(walk.influx, Layout.CRYOWATCH, "night", run).check(truth(grid_items))
    Grafana(walk.influx, Layout.SCIPION, "night", "").check(expected)


_RUNS = {"movies": (2, 3), "micrographs": (67, 68), "ctf": (135, 136)}


def check_alert(walk: Walk, items: list[Item]) -> None:
    """Compare what the alert about the resolution says with the newest estimates."""
    rules = [rule for rule in RULES if rule.name == "resolution"]
    alarms = Alarms(walk.store, rules, host="gpu1", read_at=lambda _: walk.clock(), clock=walk.clock)
    alarms.step()
    texts = [row["text"] for row in walk.store.reader().lasting_alerts(walk.clock())]
    window = truth(newest(items, 25))
    if window.inside["resolution"] < 25 / 4:
        assert texts == [alert_text(items)]
    walk.raised += len(texts)
