"""The pages and Grafana count alike: micrographs on limits and edges of bins, in the store and in InfluxDB."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from cryowatch.dashboards import find
from cryowatch.dashboards.definition import Panel, quantity
from cryowatch.grafana.influxql import compile_influxql
from cryowatch.influx.client import Access, Influx
from cryowatch.influx.delivery import Delivery
from cryowatch.influx.layout_cryowatch import CryowatchLayout
from cryowatch.influx.layouts import Layout
from cryowatch.store import Store
from cryowatch.store.panels.compile import compile_panel
from cryowatch.store.panels.query import Scope
from tests.grafana.expansion import expand
from tests.support.boundaries import LIMITS, estimates
from tests.support.influxd import ADMIN, INFLUXD, InfluxServer
from tests.support.records import SECOND, START, output, reading, run, session, span

pytestmark = pytest.mark.skipif(not INFLUXD.exists(), reason="no influxd on this machine")

PROJECT = "boundaries"
HISTOGRAMS = ("defocus-histogram", "resolution-histogram", "astigmatism-histogram")


class Both(NamedTuple):
    """One session in a store, and what was delivered of it."""

    store: Store
    key: int
    influx: InfluxServer

    def page(self, panel: Panel) -> dict[str, Any]:
        leading = self.store.reader().leading(self.key)
        scope = Scope(
            session=self.key, host="gpu1", now=START + 3600 * SECOND, stages=leading.ids, outputs=leading.shown.ids,
            estimates=leading.estimated(leading.shown.ids), variables=LIMITS,
        )  # fmt: skip
        return compile_panel(panel, scope).answer(self.store.reader().table)

    def grafana(self, panel: Panel, place: int = 0) -> list[dict[str, Any]]:
        query = compile_influxql(panel, Layout.CRYOWATCH)[place].text
        variables = {"project": PROJECT, "host": "gpu1", "run": "135", **{k: f"{v:g}" for k, v in LIMITS.items()}}
        text = expand(query, variables, start=START // SECOND - 60, stop=START // SECOND + 36_000)
        return self.influx.rows(text, database="facility")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("both")
    influx = InfluxServer(folder / "influx")
    influx.query("CREATE DATABASE facility")
    store = Store(folder / "store")
    known = session(f"/projects/{PROJECT}", host="gpu1")
    key = store.register(known).session
    found = reading(span(estimates()), session=known, outputs=(output(),), runs=(run(),))
    store.commit(key, found, now=START + 3600 * SECOND)
    user, password = ADMIN
    sink = Influx(Access(url=influx.url, database="facility", username=user, password=password))
    assert Delivery(store, sink, CryowatchLayout()).finish()
    yield Both(store, key, influx)
    sink.close()
    store.close()
    influx.stop()


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_bins_hold_the_same_micrographs(both: Both, name: str) -> None:
    panel = find("ctf").panel(name)
    assert panel.bins is not None
    page, last = both.page(panel), panel.bins.count - 1
    for place, counts in enumerate((page["counts"], page["recent"])):
        values = [
            next(v for k, v in row.items() if k not in ("time", "measurement")) for row in both.grafana(panel, place)
        ]
        drawn = Counter(min(math.floor((v - panel.bins.start) / panel.bins.step), last) for v in values)
        assert drawn == {bin_: n for bin_, n in enumerate(counts) if n}


@pytest.mark.parametrize("name", ["defocus-share", "resolution-share", "astigmatism-share"])
def test_the_same_micrographs_are_within_limits(both: Both, name: str) -> None:
    panel = find("ctf").panel(name)
    (item,) = both.page(panel)["items"]
    (row,) = both.grafana(panel)
    assert 100 * row[item["label"]] == pytest.approx(item["value"], abs=1e-9)


def test_the_same_micrographs_are_good(both: Both) -> None:
    panel = find("summary").panel("good")
    item, *_ = both.page(panel)["items"]
    (row,) = both.grafana(panel)
    assert 100 * row["Good"] == pytest.approx(item["value"], abs=1e-9)
    assert f"{row['Good micrographs']:,} of {row['Estimated']:,}\n" in item["detail"]
    assert row["Without a fit"] == 7


@pytest.mark.parametrize("field", range(3))
def test_medians_are_the_same(both: Both, field: int) -> None:
    panel = find("summary").panel("quality")
    item = both.page(panel)["items"][field]
    (row,) = both.grafana(panel, field)
    assert row[quantity(panel, panel.fields[field]).label] == pytest.approx(item["value"])
