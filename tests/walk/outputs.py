"""Every way in which cryowatch says its numbers, asked for the same few: of one store, read from one project."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Page

from cryowatch.dashboards import STANDARD, find
from cryowatch.grafana.influxql import compile_influxql
from cryowatch.images import ImageServer
from cryowatch.influx.layouts import Layout
from cryowatch.store import Store
from cryowatch.store.export import export
from cryowatch.store.panels.good import bounds_of_good
from cryowatch.store.status import status
from cryowatch.web.app import AgentView, create_app
from cryowatch.web.events import Hub
from tests.grafana.expansion import expand
from tests.support.influxd import InfluxServer
from tests.walk.project import AUTUMN, LIMITS, Item, Truth, truth

PER = {"defocus": 10_000.0, "resolution": 1.0, "astigmatism": 10.0}
LABELS = {"defocus": "Defocus", "resolution": "Resolution", "astigmatism": "Astigmatism"}
START, STOP = AUTUMN - 86_400, AUTUMN + 86_400


def of_shares(items: Sequence[Mapping[str, Any]], name: str) -> tuple[int, int]:
    """Return how many are inside, of how many, from the tile of a share."""
    [tile] = [item for item in items if item["label"] == LABELS[name]]
    inside, of = tile["detail"].split(" within ")[0].split(" below ")[0].split(" of ")
    assert abs(tile["value"] - 100 * int(inside) / int(of)) < 1e-9
    return int(inside), int(of)


def of_good(items: Sequence[Mapping[str, Any]]) -> tuple[int, int, int, int]:
    """Return good ones, of how many, without a fit and disabled, from the tiles of good micrographs."""
    tiles = {item["label"]: item for item in items}
    good, of = tiles["Good"]["detail"].split("\n")[0].split(" of ")
    disabled = tiles["Disabled"]["value"] if "Disabled" in tiles else 0
    assert tiles["Outside a limit"]["value"] == int(of) - int(good)
    return int(good), int(of), tiles["Without a fit"]["value"], disabled


class Pages:
    """The pages' JSON interface."""

    def __init__(self, store: Store, images: ImageServer, clock: Callable[[], int]) -> None:
        view = AgentView(
            reader=store.reader(), hub=Hub({}), images=images, clock=clock, host="gpu1", last_read=lambda _: None
        )
        self._app = create_app(view)

    def get(self, path: str, **query: str) -> Any:
        async def ask() -> Any:
            transport = httpx2.ASGITransport(app=self._app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
                answer = await client.get(path, params=query)
            assert answer.status_code == 200, answer.text
            return answer.json()

        with ThreadPoolExecutor(1) as thread:  # the browser's own thread has an event loop already
            return thread.submit(lambda: asyncio.run(ask())).result()

    def check(self, key: str, expected: Truth, counts: Mapping[str, int]) -> None:
        """Compare the list of sessions and every panel of micrographs with the truth."""
        [listed] = [one for one in self.get("/api/sessions")["sessions"] if one["id"] == key]
        assert listed["counts"] == counts
        good = listed["good"]
        found = (good["good"], good["of"], good["unfit"], good["disabled"])
        assert found == (expected.good, expected.of, expected.unfit, expected.disabled)
        assert listed["medians"] == pytest.approx(dict(expected.medians))
        summary = self.get(f"/api/sessions/{key}/data/summary")["panels"]
        check_panels(summary, self.get(f"/api/sessions/{key}/data/ctf")["panels"], expected)
        progress = {item["label"]: item["value"] for item in summary["progress"]["items"]}
        named = {"movies": "Movies", "micrographs": "Micrographs", "ctf": "CTF estimates"}
        assert progress == {named[kind]: count for kind, count in counts.items()}
        gallery = self.get(f"/api/sessions/{key}/micrographs", enabled="1", fit="0")
        assert gallery["total"] == expected.unfit


def check_panels(summary: Mapping[str, Any], ctf: Mapping[str, Any], expected: Truth) -> None:
    """Compare what panels draw, on pages or in a report, with the truth."""
    wanted = (expected.good, expected.of, expected.unfit, expected.disabled)
    assert of_good(summary["good"]["items"]) == of_good(ctf["good"]["items"]) == wanted
    for name in LIMITS:
        assert of_shares(ctf[f"{name}-share"]["items"], name) == (expected.inside[name], expected.of)
        [tile] = [t for t in summary["quality"]["items"] if t["label"] == f"Median {name}"]
        assert (tile["n"], tile["value"]) == (expected.counted[name], pytest.approx(expected.medians[name]))
        histogram = ctf[f"{name}-histogram"]
        assert histogram["n"] == expected.counted[name] == sum(histogram["counts"]) + histogram["beyond"]
        assert len(ctf[f"{name}-over-time"]["time"]) == expected.counted[name]
        [row] = [row for row in ctf["compare"]["rows"] if row[0] == LABELS[name]]
        assert row[-1] == f"{100 * expected.inside[name] // expected.of} %"


_PANELS = """async () => {
    const { panelData } = await import("cryowatch/report/static/panels.js");
    const { content } = await import("cryowatch/report/static/content.js");
    const found = {};
    for (const dashboard of content.dashboards) {
        found[dashboard.name] = {};
        for (const panel of dashboard.panels) found[dashboard.name][panel.id] = panelData(dashboard.name, panel, {});
    }
    return found;
}"""


def check_report(page: Page, file: Path, expected: Truth) -> None:
    """Compare a report, opened offline in a browser, with the truth."""
    page.goto(file.as_uri())
    panels = page.evaluate(_PANELS)
    check_panels(panels["summary"], panels["ctf"], expected)


def check_status(store: Store, key: str, expected: Truth, counts: Mapping[str, int]) -> None:
    """Compare `cryowatch status`, as JSON and as text, with the truth."""
    out = io.StringIO()
    status(store.data_dir, bounds=bounds_of_good(STANDARD), as_json=True, out=out)
    [found] = [one for one in json.loads(out.getvalue())["sessions"] if one["session"] == key]
    good = found["good"]
    assert {kind: found[kind] for kind in counts} == counts
    assert (good["good"], good["of"], good["unfit"], good["disabled"]) == (
        expected.good, expected.of, expected.unfit, expected.disabled,
    )  # fmt: skip
    out = io.StringIO()
    status(store.data_dir, bounds=bounds_of_good(STANDARD), as_json=False, out=out)
    assert f"{expected.good:,} of {expected.of:,}" in out.getvalue()


def check_exports(store: Store, key: str, expected: Truth, names: Sequence[str]) -> None:
    """Compare what is exported, as CSV and JSON, with the truth: every micrograph once, and the same statistics."""
    for as_json in (False, True):
        out = io.StringIO(newline="")
        export(store.data_dir, key, kind="micrographs", as_json=as_json, raw=True, out=out)
        rows = json.loads(out.getvalue()) if as_json else list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
        assert sorted(row["name"] for row in rows) == sorted(names)
        estimated = [_item(row) for row in rows if row["output"] == "outputCTF"]
        found = truth(estimated)
        assert replace(found, medians={}, values={}) == replace(expected, medians={}, values={})
        assert {name: sorted(values) for name, values in found.values.items()} == {
            name: sorted(values) for name, values in expected.values.items()
        }
        assert found.medians == pytest.approx(dict(expected.medians))


def _item(row: Mapping[str, Any]) -> Item:
    u, v, resolution = (
        None if row[name] in (None, "") else float(row[name]) for name in ("defocus_u", "defocus_v", "resolution")
    )
    enabled = row["enabled"] in (True, "true")
    return Item(int(row["item"]), row["name"], int(row["time"]) // 10**9, u, v, resolution, enabled)


class Grafana:
    """Every query of the dashboards Summary and CTF, as Grafana sends it for one project, machine and run."""

    def __init__(self, influx: InfluxServer, layout: Layout, project: str, run: str) -> None:
        self._influx = influx
        self._layout = layout
        self._variables = {
            "project": project, "host": "gpu1", "run": run,
            "defocus_max": "4", "resolution_max": "6", "astigmatism_max": "100",
        }  # fmt: skip

    def panel(self, dashboard: str, panel: str) -> list[list[dict[str, Any]]]:
        queries = compile_influxql(find(dashboard).panel(panel), self._layout)
        texts = [expand(q.text, self._variables, start=START, stop=STOP, interval=3600) for q in queries]
        return [self._influx.rows(text, database=self._layout) for text in texts]

    def check(self, expected: Truth) -> None:
        """Compare counts, shares, medians and single values with the truth."""
        for dashboard in ("summary", "ctf"):
            [[row]] = self.panel(dashboard, "good")
            found = (row["Good micrographs"], row["Estimated"], row["Without a fit"])
            assert found == (expected.good, expected.of, expected.unfit)
            assert row["Good"] == expected.good / expected.of
        for name in LIMITS:
            [[share]] = self.panel("ctf", f"{name}-share")
            assert share[LABELS[name]] == expected.inside[name] / expected.of
            over_time = self.panel("ctf", f"{name}-over-time")[0]
            assert len([row for row in over_time if row[LABELS[name]] is not None]) == expected.counted[name]
        medians = [row for rows in self.panel("summary", "quality") for row in rows]
        found_medians = {label: row[label] for row in medians for label in LABELS.values() if label in row}
        assert found_medians == pytest.approx({LABELS[name]: expected.medians[name] for name in LIMITS})
        every, _ = (row for [row] in self.panel("ctf", "compare"))
        assert every["Number"] == expected.counted["defocus"]
        for name in LIMITS:
            assert every[LABELS[name]] == pytest.approx(expected.medians[name])
            bins = find("ctf").panel(f"{name}-histogram").bins
            assert bins is not None
            binned = np.histogram(expected.values[name], np.array(bins.edges))[0].sum()
            assert len(self.panel("ctf", f"{name}-histogram")[0]) == binned
        if self._layout is Layout.SCIPION:
            [[progress]] = self.panel("summary", "progress")
            assert progress["CTF estimates"] == expected.of


def newest(items: Sequence[Item], count: int) -> list[Item]:
    """Return the newest enabled items, as an alert's window has them."""
    enabled = [item for item in items if item.enabled]
    return sorted(enabled, key=lambda item: (item.time, item.number))[-count:]


def alert_text(items: Sequence[Item]) -> str:
    """Return what the alert about resolution says of the newest 25 estimates."""
    window = newest(items, 25)
    found = truth(window)
    values = [item.resolution for item in window if item.resolution is not None]
    lacking = len(window) - len(values)
    value = f"median {median(values):.2f} Å" + (f", {lacking} without a fit" if lacking else "")
    inside = found.inside["resolution"]
    counted = f"only {inside}" if inside else "none"
    return f"CTF resolution: {counted} of the last 25 micrographs below 6.00 Å ({value if values else 'no fit'})"
