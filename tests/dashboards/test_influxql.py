"""Panels as InfluxQL: what a layout lacks is left out, names are quoted, limits are variables."""

from __future__ import annotations

import re

import pytest

from cryowatch.dashboards import STANDARD, Panel, PanelKind, find
from cryowatch.dashboards.definition import Aggregate, Bins
from cryowatch.grafana.influxql import compile_influxql, known_fields
from cryowatch.influx.layouts import Layout, host_names, project_names, quoted

EVERY = [(d.name, p) for d in STANDARD for p in d.panels]
EITHER = pytest.mark.parametrize("layout", Layout)
PANELS = pytest.mark.parametrize(("dashboard", "panel"), EVERY, ids=lambda x: x if isinstance(x, str) else x.id)


@EITHER
@PANELS
def test_every_query_is_of_one_project_and_a_time(dashboard: str, panel: Panel, layout: Layout) -> None:
    for query in compile_influxql(panel, layout):
        froms = re.findall(r'FROM (?:"\w+"|/\^\$\{project:regex\}\$/) WHERE ', query.text)
        times = re.findall(r"\$timeFilter|time <= \$\{__to\}ms", query.text)
        names = re.findall(r"=~ /\^\$\{(?:project|host):regex\}\$/|FROM /\^\$\{project:regex\}\$/", query.text)
        assert froms
        assert len(times) == len(froms)
        assert len(names) >= len(froms)


@PANELS
def test_each_panel_can_be_drawn_from_the_layout_of_its_own(dashboard: str, panel: Panel) -> None:
    assert compile_influxql(panel, Layout.CRYOWATCH)


def test_the_layout_scipion_lacks_what_its_writer_never_wrote() -> None:
    missing = {panel.id for _, panel in EVERY if not compile_influxql(panel, Layout.SCIPION)}
    of_host = {"host-queue", "host-pressure", "disk-space", "file-systems", "gpu-power"}
    assert missing == {"alerts", "astigmatism-by-angle", "motion-over-time"} | of_host
    assert "motion_total" not in known_fields(find("summary").panel("quality"), Layout.SCIPION)


@EITHER
def test_no_table_groups_by_several_tags(layout: Layout) -> None:
    for _, panel in EVERY:
        for query in compile_influxql(panel, layout):
            if query.format == "table":
                assert "GROUP BY" not in query.text or query.text.startswith('SELECT "run" AS "Id"')
                assert not re.search(r"GROUP BY [^)]*$", query.text)


@EITHER
def test_limits_that_people_move_are_variables_that_hold_numbers_alone(layout: Layout) -> None:
    (query,) = compile_influxql(find("ctf").panel("astigmatism-share"), layout)
    assert '"astigmatism" / 10 <= ${astigmatism_max:lucene}' in query.text


def test_the_names_of_projects_are_asked_for_without_a_project() -> None:
    assert project_names(Layout.CRYOWATCH) == 'SHOW TAG VALUES FROM "session" WITH KEY = "project"'
    assert project_names(Layout.SCIPION) == "SHOW MEASUREMENTS"
    assert host_names().count('"project" =~ /^${project:regex}$/') == host_names().count(" WHERE ")


def test_identifiers_are_quoted() -> None:
    assert quoted('a "b" \\c') == '"a \\"b\\" \\\\c"'


@EITHER
def test_a_panel_that_cannot_be_drawn_says_which_and_why(layout: Layout) -> None:
    wrong = Panel(id="odd", title="Odd", kind=PanelKind.HEAT_MAP, record="alert", bins=Bins(start=0, stop=1, step=1))
    with pytest.raises(ValueError, match="odd asks for a heatmap of alert"):
        compile_influxql(wrong, layout)
    bare = Panel(id="bare", title="Bare", kind=PanelKind.HISTOGRAM, record="micrograph", fields=("defocus",))
    with pytest.raises(ValueError, match="bare needs bins"):
        compile_influxql(bare, layout)
    mixed = Panel(id="mixed", title="M", kind=PanelKind.TABLE, record="gain", aggregate=Aggregate.COMPARE)
    with pytest.raises(ValueError, match="mixed asks for a table of gain"):
        compile_influxql(mixed, layout)
