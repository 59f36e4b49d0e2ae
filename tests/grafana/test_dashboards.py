"""A lint of the dashboards' JSON, and what the SDK's own classes say to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins

from cryowatch.dashboards import STANDARD, Dashboard, PanelKind, find
from cryowatch.dashboards.definition import Aggregate, Panel, quantity
from cryowatch.grafana.charts import draw_stat
from cryowatch.grafana.dashboard import DATA_SOURCE_UID, NO_PROJECT, arrange, compile_grafana, dump
from cryowatch.grafana.fields import model
from cryowatch.grafana.influxql import compile_influxql
from cryowatch.grafana.tables import IMAGE_IN_LINK, IN_BOLD
from cryowatch.influx.layouts import IMAGES, Layout

EITHER = pytest.mark.parametrize("layout", Layout)
EACH = pytest.mark.parametrize("dashboard", STANDARD, ids=lambda d: d.name)
SOURCE = {"type": "influxdb", "uid": "${datasource}"}
PLUGINS = {
    PanelKind.STAT: "stat",
    PanelKind.TABLE: "table",
    PanelKind.TIME_SERIES: "timeseries",
    PanelKind.HISTOGRAM: "histogram",
    PanelKind.HEAT_MAP: "heatmap",
    PanelKind.SCATTER: "xychart",
    PanelKind.GALLERY: "table",
}
KNOWN_UNITS = {"none", "percent", "percentunit", "degree", "celsius", "MBs", "dateTimeFromNow"}


@pytest.fixture
def compiled(dashboard: Dashboard, layout: Layout) -> dict[str, Any]:
    return compile_grafana(dashboard, layout)


@pytest.fixture
def drawn(dashboard: Dashboard, layout: Layout) -> list[Panel]:
    return [panel for panel in dashboard.panels if compile_influxql(panel, layout)]


def properties(panel: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what applies to a column or series of this name."""
    found: dict[str, Any] = {}
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": "byName", "options": name}:
            found |= {p["id"]: p["value"] for p in override["properties"]}
    return found


@EITHER
@EACH
def test_addresses_titles_and_texts_are_those_of_the_built_in_pages(
    compiled: dict[str, Any], dashboard: Dashboard, drawn: list[Panel]
) -> None:
    assert (compiled["uid"], compiled["title"]) == (dashboard.uid, dashboard.title)
    assert 8 <= len(compiled["uid"]) <= 40
    assert [p["title"] for p in compiled["panels"]] == [p.title for p in drawn]
    plugins = ["stat" if (p.record, p.kind) == ("device", PanelKind.TABLE) else PLUGINS[p.kind] for p in drawn]
    assert [p["type"] for p in compiled["panels"]] == plugins
    assert all(p["description"].endswith(".") for p in compiled["panels"])
    assert compiled["schemaVersion"] == 38
    assert "id" not in compiled


@EITHER
@EACH
def test_panels_have_ids_of_their_own_and_a_data_source(compiled: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in compiled["panels"]]
    assert ids == list(range(1, len(ids) + 1))
    for panel in compiled["panels"]:
        assert panel["datasource"] == SOURCE
        assert panel["targets"]
        assert [t["refId"] for t in panel["targets"]] == [chr(ord("A") + i) for i in range(len(panel["targets"]))]
        for target in panel["targets"]:
            assert target["datasource"] == SOURCE
            assert target["rawQuery"] is True


@EITHER
@EACH
def test_panels_fill_grafanas_grid_without_overlap(compiled: dict[str, Any], drawn: list[Panel]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel, definition in zip(compiled["panels"], drawn, strict=True):
        place = panel["gridPos"]
        assert (place["w"], place["h"]) == (2 * definition.width, 2 * definition.height)
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not cells & taken
        taken |= cells


def test_a_tall_panel_stands_beside_low_ones() -> None:
    assert arrange([(10, 16), (14, 6), (14, 4), (24, 2), (14, 6)]) == [(0, 0), (10, 0), (10, 6), (0, 16), (10, 10)]


@EITHER
@EACH
def test_every_variable_that_a_query_names_is_there_and_no_other(compiled: dict[str, Any]) -> None:
    variables = {v["name"]: v for v in compiled["templating"]["list"]}
    text = json.dumps([compiled["panels"], compiled["annotations"]]) + "".join(
        str(v.get("query")) for v in variables.values()
    )
    named = set(re.findall(r"\$\{(\w+)(?::\w+)?\}", text)) - {"__to"}
    assert named - {"__value"} == set(variables)
    assert variables["datasource"]["current"]["value"] == DATA_SOURCE_UID
    assert "$project" not in re.sub(r"\$\{project:regex\}", "", text)


@EITHER
@EACH
def test_a_closed_list_of_projects_asks_and_tells_nothing(compiled: dict[str, Any]) -> None:
    project = next(v for v in compiled["templating"]["list"] if v["name"] == "project")
    assert project["type"] == "custom"
    assert project["query"] == NO_PROJECT
    assert [option["value"] for option in project["options"]] == [NO_PROJECT]
    assert "datasource" not in project
    assert project["includeAll"] is False
    assert project["multi"] is False


@EITHER
@EACH
def test_refresh_window_and_limits(compiled: dict[str, Any], dashboard: Dashboard) -> None:
    assert compiled["refresh"] == (f"{dashboard.refresh_seconds}s" if dashboard.refresh_seconds else "")
    hours = (dashboard.window_seconds or 12 * 3600) // 3600
    assert compiled["time"] == {"from": "now-1d" if hours == 24 else f"now-{hours}h", "to": "now"}
    limits = {v["name"]: v for v in compiled["templating"]["list"] if v["type"] == "textbox"}
    standard = {"defocus_max": 4.0, "resolution_max": 6.0, "astigmatism_max": 100.0}
    named = {"ctf": list(standard), "summary": list(standard)}.get(dashboard.name, [])
    found = {name: float(v["current"]["value"]) for name, v in limits.items()}
    assert found == {name: standard[name] for name in named}


@EITHER
@EACH
def test_links_lead_to_the_other_four_with_project_and_time(compiled: dict[str, Any], dashboard: Dashboard) -> None:
    others = [d.uid for d in STANDARD if d is not dashboard]
    assert [link["url"] for link in compiled["links"]] == [f"/d/{uid}" for uid in others]
    assert all(link["includeVars"] and link["keepTime"] for link in compiled["links"])


@EITHER
@EACH
def test_units_decimals_colours_and_legends(compiled: dict[str, Any], drawn: list[Panel]) -> None:
    text = json.dumps(compiled)
    units = set(re.findall(r'"unit": "([^"]*)"', text)) | set(re.findall(r'"id": "unit", "value": "([^"]*)"', text))
    assert all(unit in KNOWN_UNITS or unit.startswith("suffix:") for unit in units)
    colours = set(re.findall(r"#[0-9A-Fa-f]{6}", text))
    assert colours <= {"#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"}
    for panel, definition in zip(compiled["panels"], drawn, strict=True):
        legend = panel["options"].get("legend")
        if legend is not None and panel["type"] != "heatmap":
            assert legend["showLegend"] is True
        if definition.record in ("micrograph", "gain") and definition.kind is PanelKind.TIME_SERIES:
            known = quantity(definition, definition.fields[0])
            found = properties(panel, known.label)
            assert found["decimals"] == known.decimals
            assert found["unit"] == {"°": "degree", "": "none"}.get(known.shown_unit, f"suffix:{known.shown_unit}")


@EITHER
def test_limits_that_stand_are_thresholds_and_those_that_move_are_series(layout: Layout) -> None:
    panels = {p["title"]: p for p in compile_grafana(find("ctf"), layout)["panels"] if p["type"] == "timeseries"}
    steps = panels["Defocus"]["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["value"] for step in steps] == [None, 0.1]
    assert panels["Defocus"]["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"] == {"mode": "dashed"}
    assert "${astigmatism_max:" in panels["Astigmatism"]["targets"][1]["query"]
    assert properties(panels["Astigmatism"], "Limit")["custom.lineStyle"]["fill"] == "dash"
    gain = {p["title"]: p for p in compile_grafana(find("gain"), layout)["panels"]}["Standard deviation"]
    assert gain["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"] == 0.04
    assert len(gain["targets"]) == 1


@EACH
def test_alerts_are_annotations_with_title_text_and_tags(dashboard: Dashboard) -> None:
    began, over = compile_grafana(dashboard, Layout.CRYOWATCH)["annotations"]["list"]
    assert [(mark["name"], mark["enable"], mark["hide"]) for mark in (began, over)] == [
        ("Alerts", True, False), ("Alerts over", True, False),
    ]  # fmt: skip
    assert began["iconColor"] != over["iconColor"]
    for mark in (began, over):
        target = mark["target"]
        assert mark["datasource"] == target["datasource"] == SOURCE
        assert (target["rawQuery"], target["fromAnnotations"]) == (True, True)
        columns = [target["titleColumn"], target["textColumn"], *target["tagsColumn"].split(",")]
        assert columns == ["title", "text", "severity", "host"]
        selected = target["query"].partition(" FROM ")[0]
        assert all(f'"{column}"' in selected for column in columns)
        assert "$timeFilter" in target["query"]
    assert compile_grafana(dashboard, Layout.SCIPION)["annotations"]["list"] == []


@EITHER
def test_images_are_cells_of_a_table(layout: Layout) -> None:
    (panel,) = compile_grafana(find("gallery"), layout)["panels"]
    for name in IMAGES:
        found = properties(panel, name)
        assert found["custom.cellOptions"] == {"type": "image"}
        assert ("mappings" in found) is (layout is Layout.SCIPION)


def test_an_html_link_is_mapped_to_the_address_of_its_image() -> None:
    def javascript(pattern: str, text: str) -> str:
        return re.sub(pattern.strip("/").replace(r"\/", "/"), r"\1", text)

    url = "/public/img/scipionbox/A/mic_001.mrc_aligned.jpg"
    for link in (
        f'<a href="/x/{url}" target="_blank"> <img src="{url}" alt="mic" style="width:128px"></a>',
        f"<a href='{url}'>\n<img width=128 src='{url}'/></a>",
        f"<img src={url}>",
    ):
        assert javascript(IMAGE_IN_LINK, link) == url
    assert javascript(IN_BOLD, "<b>Status</b>") == "Status"
    assert javascript(IN_BOLD, "outputCTF") == "outputCTF"


@EITHER
@EACH
def test_the_sdk_reads_what_we_write_and_writes_the_same(compiled: dict[str, Any]) -> None:
    register_default_plugins()
    again = json.loads(json.dumps(model.Dashboard.from_json(json.loads(dump(compiled))), cls=JSONEncoder))
    for read, written in zip(again["panels"], compiled["panels"], strict=True):
        options, ours = read.pop("options"), written.pop("options")
        ours.get("tooltip", {}).pop("show", None)  # of Grafana 10.0 to 10.2
        assert {key: value for key, value in options.items() if key in ours} == {
            k: ours[k] for k in options if k in ours
        }
    for control in (*again["links"], *again["annotations"]["list"]):
        assert control.pop("placement") == "inControlsMenu", "which the SDK adds, and we take away"
    assert again == compiled


def keys(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of all keys of some JSON."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}.{key}"
            yield from keys(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner, path)


@EITHER
@EACH
def test_links_and_switches_of_alerts_stand_in_sight(dashboard: Dashboard, layout: Layout) -> None:
    for open_list in (False, True):
        compiled = compile_grafana(dashboard, layout, open_list=open_list)
        placed = {path for path in keys(compiled) if path.endswith(".placement")}
        assert placed <= {".panels.options.legend.placement"}
        assert '"inControlsMenu"' not in dump(compiled)


@EACH
def test_an_address_names_a_project_and_neither_machine_nor_run(dashboard: Dashboard) -> None:
    variables = compile_grafana(dashboard, Layout.CRYOWATCH)["templating"]["list"]
    assert {v["name"] for v in variables if v["skipUrlSync"]} == {v["name"] for v in variables} & {"host", "run"}
    assert not [v["name"] for v in variables if v["name"] == "project" and v["skipUrlSync"]]


@EITHER
def test_a_missing_value_is_an_empty_cell(layout: Layout) -> None:
    nothing = {"type": "special", "options": {"match": "null+nan", "result": {"text": "", "index": 99}}}
    tables = [p for d in STANDARD for p in compile_grafana(d, layout)["panels"] if p["type"] == "table"]
    assert len(tables) > 3
    for panel in tables:
        own = [p["value"] for o in panel["fieldConfig"]["overrides"] for p in o["properties"] if p["id"] == "mappings"]
        for mappings in (panel["fieldConfig"]["defaults"]["mappings"], *own):
            assert mappings[-1] == nothing


@EITHER
def test_images_have_the_highest_rows_that_a_table_has(layout: Layout) -> None:
    newest = next(p for p in compile_grafana(find("summary"), layout)["panels"] if p["title"] == "Newest micrograph")
    (gallery,) = compile_grafana(find("gallery"), layout)["panels"]
    assert (newest["options"]["cellHeight"], gallery["options"]["cellHeight"]) == ("lg", "lg")
    assert gallery["options"]["footer"]["enablePagination"] is True, "for Grafana up to 12.1"
    assert gallery["options"]["enablePagination"] is True, "for Grafana 12.2 and newer"
    assert newest["options"]["enablePagination"] is False


@EITHER
def test_counts_have_no_decimals_and_heat_maps_a_tooltip(layout: Layout) -> None:
    panels = compile_grafana(find("ctf"), layout)["panels"]
    histograms = [p["fieldConfig"]["defaults"] for p in panels if p["type"] == "histogram"]
    assert [("decimals" in defaults) for defaults in histograms] == [False] * 3
    tooltips = [p["options"]["tooltip"] for p in panels if p["type"] == "heatmap"]
    assert [(tooltip["show"], tooltip["mode"]) for tooltip in tooltips] == [(True, "single")] * 2


def test_any_share_of_micrographs_is_a_tile_of_percent() -> None:
    share = find("ctf").panel("resolution-share")
    for aggregate in Aggregate:
        if aggregate is not Aggregate.MEDIAN:
            tile = draw_stat(replace(share, aggregate=aggregate), Layout.CRYOWATCH)
            assert (tile.defaults.unit, tile.defaults.min_val, tile.defaults.max_val) == ("percentunit", 0, 1)


def test_a_dashboard_that_a_facility_defines_is_compiled_alike() -> None:
    own = Dashboard(name="own", uid="own-dashboard", title="Own", panels=find("gain").panels[:1])
    compiled = compile_grafana(own, Layout.CRYOWATCH, dashboards=[*STANDARD, own])
    assert len(compiled["panels"]) == 1
    assert len(compiled["links"]) == 5
