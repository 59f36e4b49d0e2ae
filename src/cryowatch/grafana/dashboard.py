"""Compile a dashboard to Grafana's JSON, for Grafana 10 to 13, over either layout of the data in InfluxDB.

The same titles, texts, uids and limits as the built-in pages; a panel that the layout holds nothing for is left out.
The data source is a variable: it begins with the one that cryowatch provisions and falls back to the first InfluxDB
that Grafana has, so that one file serves importing by hand, provisioning and pushing.

`project` is a custom variable without names unless `open_list`: a visitor who knows a name puts it into the address
(`?var-project=NAME`), one who does not cannot list the others from the dashboard.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common

from cryowatch.dashboards.definition import Dashboard, Panel, PanelKind, Variable
from cryowatch.dashboards.standard import STANDARD
from cryowatch.grafana.charts import (
    draw_devices,
    draw_heat_map,
    draw_histogram,
    draw_scatter,
    draw_stat,
    draw_time_series,
)
from cryowatch.grafana.fields import BAD, GOOD, Drawing, model
from cryowatch.grafana.influxql import InfluxQuery, compile_influxql
from cryowatch.grafana.influxql_alerts import alert_events
from cryowatch.grafana.tables import draw_gallery, draw_table, draw_text
from cryowatch.influx.layouts import Layout, host_names, project_names, run_names

SCHEMA = 38
COLUMNS = 24
SCALE = 2
DATA_SOURCE = "InfluxDB-scipion"
DATA_SOURCE_UID = "influxdb-scipion"
NO_PROJECT = "Project list hidden"
TAGS = ("cryo-EM", "cryowatch")
WINDOW = 12 * 3600

_TEXTS = {
    "progress": "How many items each output of the project holds.",
    "quality": "Medians of the time shown, coloured by the usual limits.",
    "compare": "Whether the session is getting better or worse: medians, ± half the distance of the quartiles.",
    "newest": "The last one whose images are there.",
}
"""What a panel says of itself where Grafana shows less, or more, than the built-in pages."""


_DRAWERS: Mapping[PanelKind, Callable[[Panel, Layout], Drawing]] = {
    PanelKind.STAT: draw_stat,
    PanelKind.TIME_SERIES: draw_time_series,
    PanelKind.HISTOGRAM: draw_histogram,
    PanelKind.HEAT_MAP: draw_heat_map,
    PanelKind.SCATTER: draw_scatter,
    PanelKind.TABLE: draw_table,
    PanelKind.GALLERY: draw_gallery,
    PanelKind.TEXT: draw_text,
}


class InfluxTarget(variants.Dataquery):
    """A raw InfluxQL query of a panel; the SDK has no class for InfluxDB's."""

    def __init__(self, *, ref_id: str, query: InfluxQuery) -> None:
        self.ref_id = ref_id
        self.query = query

    def to_json(self) -> dict[str, object]:
        """Return what Grafana's InfluxDB data source reads."""
        return {
            "refId": self.ref_id,
            "datasource": _data_source().to_json(),
            "query": self.query.text,
            "rawQuery": True,
            "resultFormat": self.query.format,
            "alias": self.query.alias if self.query.format == "time_series" else "",
            "hide": False,
        }


class AlertEvents(variants.Dataquery):
    """When alerts began or were over, as marks on everything that has a time axis."""

    def __init__(self, query: str) -> None:
        self.query = query

    def to_json(self) -> dict[str, object]:
        """Return what the editor of annotations of Grafana's InfluxDB data source writes."""
        return {
            "refId": "Anno",
            "datasource": _data_source().to_json(),
            "query": self.query,
            "rawQuery": True,
            "fromAnnotations": True,
            "textEditor": True,
            "titleColumn": "title",
            "textColumn": "text",
            "tagsColumn": "severity,host",
            "timeEndColumn": "",
        }


def compile_grafana(
    dashboard: Dashboard,
    layout: Layout,
    *,
    open_list: bool = False,
    choose_source: bool = True,
    dashboards: Sequence[Dashboard] = STANDARD,
) -> dict[str, Any]:
    """Return a dashboard as Grafana's JSON; `dashboards` are those it links to.

    `choose_source` shows the variable of the data source, for Grafanas with several InfluxDBs.
    """
    panels, text = _panels(dashboard, layout), ""
    for panel in panels:
        text += " ".join(str(target.to_json()["query"]) for target in panel.targets or [])  # type: ignore[attr-defined]
    refresh = f"{dashboard.refresh_seconds}s" if dashboard.refresh_seconds else ""
    compiled = model.Dashboard(
        uid=dashboard.uid,
        title=dashboard.title,
        description=f"{dashboard.title} of a cryo-EM session, written by cryowatch (layout {layout}).",
        tags=list(TAGS),
        timezone="browser",
        editable=True,
        graph_tooltip=model.DashboardCursorSync.CROSSHAIR,
        time=model.DashboardDashboardTime(from_val=f"now-{_span(dashboard.window_seconds or WINDOW)}", to="now"),
        timepicker=model.TimePickerConfig(refresh_intervals=["5s", "10s", "30s", "1m", "5m", "15m", "1h"]),
        refresh=refresh,
        schema_version=SCHEMA,
        panels=list(panels),
        templating=model.DashboardDashboardTemplating(
            list_val=_variables(dashboard, layout, text, open_list=open_list, choose_source=choose_source)
        ),
        annotations=model.AnnotationContainer(list_val=_annotations(layout, machine=_tells_of_machine(dashboard))),
        links=[_link(other) for other in dashboards if other.uid != dashboard.uid],
    )
    plain: dict[str, Any] = json.loads(json.dumps(compiled, cls=JSONEncoder))
    for control in (*plain["links"], *plain["annotations"]["list"]):
        del control["placement"]  # the SDK's, with which Grafana 12.3 and newer hide it in a menu
    return plain


def dump(compiled: dict[str, Any]) -> str:
    """Return a dashboard's JSON as files hold it."""
    return json.dumps(compiled, indent=2, ensure_ascii=False) + "\n"


def _data_source() -> common.DataSourceRef:
    return common.DataSourceRef(type_val="influxdb", uid="${datasource}")


def _span(seconds: int) -> str:
    return f"{seconds // 86400}d" if seconds % 86400 == 0 else f"{seconds // 3600}h"


def _panels(dashboard: Dashboard, layout: Layout) -> list[model.Panel]:
    text = PanelKind.TEXT
    compiled = [(p, () if p.kind is text else compile_influxql(p, layout)) for p in dashboard.panels]
    drawn = [(panel, queries) for panel, queries in compiled if queries or panel.kind is text]
    places = arrange([(panel.width * SCALE, panel.height * SCALE) for panel, _ in drawn])
    return [
        _panel(number, panel, queries, layout, place)
        for number, ((panel, queries), place) in enumerate(zip(drawn, places, strict=True), start=1)
    ]


def _panel(
    number: int, panel: Panel, queries: Sequence[InfluxQuery], layout: Layout, place: tuple[int, int]
) -> model.Panel:
    drawer = draw_devices if (panel.record, panel.kind) == ("device", PanelKind.TABLE) else _DRAWERS[panel.kind]
    drawn = drawer(panel, layout)
    return model.Panel(
        type_val=drawn.plugin,
        id_val=number,
        plugin_version=drawn.version,
        title=panel.title,
        description=_TEXTS.get(panel.id, panel.text),
        datasource=_data_source(),
        targets=[InfluxTarget(ref_id=chr(ord("A") + i), query=query) for i, query in enumerate(queries)],
        grid_pos=model.GridPos(x=place[0], y=place[1], w=panel.width * SCALE, h=panel.height * SCALE),
        options=drawn.options,
        field_config=model.FieldConfigSource(defaults=drawn.defaults, overrides=list(drawn.overrides)),
        transformations=list(drawn.transformations) or None,
        interval=drawn.interval,
    )


def arrange(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the place of each rectangle (width, height): the highest free one, then the leftmost, none overlapping."""
    taken: set[tuple[int, int]] = set()
    places = []
    for width, height in sizes:
        y = 0
        while True:
            x = next((x for x in range(COLUMNS - width + 1) if not _cells(x, y, width, height) & taken), None)
            if x is not None:
                break
            y += 1
        taken |= _cells(x, y, width, height)
        places.append((x, y))
    return places


def _cells(x: int, y: int, width: int, height: int) -> set[tuple[int, int]]:
    return {(column, row) for column in range(x, x + width) for row in range(y, y + height)}


def _tells_of_machine(dashboard: Dashboard) -> bool:
    return any(panel.record in ("host", "device", "alert") for panel in dashboard.panels)


def _is_of_machine(dashboard: Dashboard) -> bool:
    return all(panel.record in ("host", "device") for panel in dashboard.panels)


def _annotations(layout: Layout, *, machine: bool) -> list[model.AnnotationQuery]:
    """Return the marks of alerts: those of the machine too where the dashboard is about it."""
    if layout is Layout.SCIPION:
        return []
    kinds = (("Alerts", BAD, True), ("Alerts over", GOOD, False))
    return [
        model.AnnotationQuery(
            name=name,
            datasource=_data_source(),
            enable=True,
            icon_color=colour,
            target=AlertEvents(alert_events(active=active, machine=machine)),
        )
        for name, colour, active in kinds
    ]


def _variables(
    dashboard: Dashboard, layout: Layout, queries: str, *, open_list: bool, choose_source: bool
) -> list[model.VariableModel]:
    source = model.VariableModel(
        type_val=model.VariableType.DATASOURCE,
        name="datasource",
        label="Data source",
        description="The InfluxDB that holds the sessions.",
        query="influxdb",
        current=model.VariableOption(selected=True, text=DATA_SOURCE, value=DATA_SOURCE_UID),
        hide=model.VariableHide.DONT_HIDE if choose_source else model.VariableHide.HIDE_VARIABLE,
        refresh=model.VariableRefresh.ON_DASHBOARD_LOAD,
    )
    variables = [source, _projects(layout) if open_list else _project()]
    if layout is Layout.CRYOWATCH:
        every = open_list and _is_of_machine(dashboard)
        text = "The machine that processes the session" + ("; then the others." if every else ".")
        variables.append(_chosen("host", "Host", text, host_names(every=every)))
    if "${run:" in queries:
        text = "Whose micrographs are shown; first the run at work, else the one with most CTF estimates."
        variables.append(_chosen("run", "Run", text, run_names()))
    variables += [_limit(v) for v in dashboard.variables if f"${{{v.name}:" in queries]
    return variables


def _project() -> model.VariableModel:
    """The project by its name in the address; no query, so nothing to list."""
    hidden = model.VariableOption(selected=True, text=NO_PROJECT, value=NO_PROJECT)
    return model.VariableModel(
        type_val=model.VariableType.CUSTOM,
        name="project",
        label="Project",
        description="Give the project's name in the address: ?var-project=NAME",
        query=NO_PROJECT,
        current=hidden,
        options=[hidden],
        hide=model.VariableHide.DONT_HIDE,
        allow_custom_value=True,
    )


def _projects(layout: Layout) -> model.VariableModel:
    return _query("project", "Project", "The projects that InfluxDB knows.", project_names(layout))


def _chosen(name: str, label: str, description: str, query: str) -> model.VariableModel:
    """Return a list of what a project has.

    The choice is not part of the address: beside another project's name there, Grafana would keep a machine or a run
    that this project does not have, and show nothing.
    """
    variable = _query(name, label, description, query)
    variable.skip_url_sync = True
    return variable


def _query(name: str, label: str, description: str, query: str) -> model.VariableModel:
    return model.VariableModel(
        type_val=model.VariableType.QUERY,
        name=name,
        label=label,
        description=description,
        datasource=_data_source(),
        query=query,
        definition=query,
        refresh=model.VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=model.VariableSort.DISABLED,
        hide=model.VariableHide.DONT_HIDE,
        allow_custom_value=True,
    )


def _limit(variable: Variable) -> model.VariableModel:
    value = f"{variable.value:g}"
    option = model.VariableOption(selected=True, text=value, value=value)
    return model.VariableModel(
        type_val=model.VariableType.TEXTBOX,
        name=variable.name,
        label=variable.label,
        description=f"A number from {variable.low:g} to {variable.high:g}.",
        query=value,
        current=option,
        options=[option],
        hide=model.VariableHide.DONT_HIDE,
    )


def _link(dashboard: Dashboard) -> model.DashboardLink:
    return model.DashboardLink(
        title=dashboard.title,
        type_val=model.DashboardLinkType.LINK,
        icon="dashboard",
        tooltip=f"{dashboard.title} of the same project and time",
        url=f"/d/{dashboard.uid}",
        tags=[],
        include_vars=True,
        keep_time=True,
    )
