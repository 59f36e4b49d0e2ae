# ruff: noqa: E501  configurations are read best on one line
"""A facility changes dashboards in its configuration; what cannot be is refused with file, key and the nearest right one."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cryowatch.dashboards import STANDARD, Dashboard, PanelKind
from cryowatch.dashboards.custom import customised
from cryowatch.errors import ConfigError
from cryowatch.grafana.dashboard import compile_grafana, dump
from cryowatch.influx.layouts import Layout
from cryowatch.store.panels.compile import compile_panel
from cryowatch.store.panels.query import Query, Scope

FILE = Path("/etc/cryowatch/cryowatch.toml")


def made(text: str) -> dict[str, Dashboard]:
    """Return the dashboards of a configuration by name."""
    values: dict[str, Any] = tomllib.loads(text)
    found = customised(values.get("dashboards", {}), values.get("limits", {}), file=FILE)
    return {dashboard.name: dashboard for dashboard in found}


def ids(dashboard: Dashboard) -> list[str]:
    return [panel.id for panel in dashboard.panels]


def test_nothing_said_means_the_standard_ones() -> None:
    assert tuple(made("").values()) == STANDARD


def test_limits_that_readers_can_move_begin_where_the_facility_says() -> None:
    found = made("[limits]\ndefocus_max = 3\n")
    for name in ("summary", "ctf", "gallery"):
        assert {v.name: v.value for v in found[name].variables} == {
            "defocus_max": 3.0, "resolution_max": 6.0, "astigmatism_max": 100.0,
        }  # fmt: skip


def test_colours_in_grafana_stand_at_the_facilitys_limits() -> None:
    quality = made("[limits]\ndefocus_max = 3\n")["summary"].panel("quality")
    highs = {limit.field: limit.high for limit in quality.limits}
    assert (highs["defocus"], highs["resolution"]) == (3, 6)


def test_panels_are_dropped_and_put_first() -> None:
    found = made('[dashboards.ctf]\ndrop = ["ratio-over-time"]\norder = ["compare", "defocus-map"]\n')
    standard = ids(next(d for d in STANDARD if d.name == "ctf"))
    assert ids(found["ctf"])[:2] == ["compare", "defocus-map"]
    assert set(standard) - set(ids(found["ctf"])) == {"ratio-over-time"}
    rest = [name for name in standard if name not in ("compare", "defocus-map", "ratio-over-time")]
    assert ids(found["ctf"])[2:] == rest


def test_columns_are_chosen_and_put_in_order() -> None:
    found = made('[dashboards.summary.fields]\nruns = ["status", "label", "size"]\n')
    panel = found["summary"].panel("runs")
    rows = [("135", "ctffind", "C", "running", 1, None, "", "outputCTF", "SetOfCTF", 5, 5, 1, 1)]
    query = compile_panel(panel, Scope(session=1, host="", now=0))
    assert isinstance(query, Query)
    data = query.shape(rows)
    assert [column["label"] for column in data["columns"]] == ["Status", "Run", "Items"]
    assert data["rows"] == [["running", "ctffind", 5]]


OWN = """
[dashboards.ice]
title = "Ice"
[[dashboards.ice.panels]]
id = "motion"
title = "Motion"
kind = "histogram"
fields = ["motion_total"]
bins = [0, 50, 1]
limits = [{ field = "motion_total", high = 20 }]
[[dashboards.ice.panels]]
id = "note"
kind = "text"
text = "Ask the operator on duty."
width = 12
height = 1
"""


def test_a_facility_has_dashboards_of_its_own() -> None:
    found = made(OWN)
    assert list(found)[-1] == "ice"
    own = found["ice"]
    assert (own.title, own.uid, ids(own)) == ("Ice", "cryowatch-ice", ["motion", "note"])
    assert own.panels[0].limits[0].high == 20
    assert own.panels[1].kind is PanelKind.TEXT


@pytest.mark.parametrize("kind", ["stat", "table", "timeseries", "histogram", "heatmap", "scatter", "gallery", "text"])
def test_every_kind_of_panel_can_be_added(kind: str) -> None:
    fields = '["resolution", "defocus"]' if kind == "scatter" else '["resolution"]'
    bins = "bins = [2, 20, 0.5]" if kind in ("histogram", "heatmap") else ""
    found = made(
        f'[[dashboards.ctf.panels]]\nid = "mine"\nkind = "{kind}"\ntitle = "Mine"\nfields = {fields}\n{bins}\n'
    )
    assert ids(found["ctf"])[-1] == "mine"
    for layout in Layout:
        grafana = compile_grafana(found["ctf"], layout, dashboards=tuple(found.values()))
        assert "Mine" in [panel["title"] for panel in json.loads(dump(grafana))["panels"]]


@pytest.mark.parametrize(
    ("text", "where", "remedy"),
    [
        ("[limits]\ndefocus = 3", "limits.defocus", "Did you mean defocus_max?"),
        ("[limits]\ndefocus_max = 300", "limits.defocus_max", "must lie between 0.1 and 20"),
        ("[limits]\ndefocus_max = true", "limits.defocus_max", "must be a number"),
        ('[dashboards.ctf]\ndrop = ["ratio"]', "dashboards.ctf.drop", "Did you mean ratio-over-time?"),
        ('[dashboards.ctf]\ndropp = []', "dashboards.ctf.dropp", "Did you mean drop?"),
        ('[dashboards.ctf]\ndrop = "x"', "dashboards.ctf.drop", "must be a list"),
        ("[dashboards.cft]\ndrop = []", "dashboards.cft", "needs a title"),
        ('[[dashboards.ctf.panels]]\nid = "x"\nkind = "histogramm"', "panels[0].kind", "Did you mean histogram?"),
        ('[[dashboards.ctf.panels]]\nid = "x"\nkind = "stat"\nfields = ["resolutoin"]', "panels[0].fields", "Did you mean resolution?"),
        ('[[dashboards.ctf.panels]]\nid = "x"\nkind = "timeseries"\nfields = ["name"]', "panels[0].fields", "is no number"),
        ('[[dashboards.ctf.panels]]\nid = "x"\nkind = "histogram"\nfields = ["resolution"]', "panels[0].bins", "needs bins"),
        ('[[dashboards.ctf.panels]]\nid = "x"\nkind = "scatter"\nfields = ["resolution"]', "panels[0].fields", "needs 2 fields"),
        ('[[dashboards.ctf.panels]]\nid = "compare"\nkind = "text"', "panels[0].id", "already"),
        ('[[dashboards.ctf.panels]]\nid = "A b"\nkind = "text"', "panels[0].id", "needs an id"),
        ('[[dashboards.ctf.panels]]\nid = "x"\nkind = "text"\nwidth = 13', "panels[0].width", "between 1 and 12"),
        ('[[dashboards.ctf.panels]]\nid = "x"\nkind = "text"\ncolour = 1', "panels[0].colour", "is not a setting"),
        ('[dashboards.ctf.fields]\ncompare = ["defocsu"]', "dashboards.ctf.fields.compare", "Did you mean defocus?"),
        ('[dashboards.ctf.fields]\ncompar = ["defocus"]', "dashboards.ctf.fields.compar", "Did you mean compare?"),
        ('[dashboards.own]\ntitle = "x"', "dashboards.own", "needs panels"),
        ('[dashboards."a b"]\ntitle = "x"', "dashboards.a b", "is not a name"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_key_and_the_nearest_right_one(text: str, where: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made(text)
    said = str(caught.value)
    assert said.startswith(f"{FILE}: ")
    assert where in said
    assert remedy in said
    assert "\n" not in said


def test_a_limit_of_a_table_may_have_a_critical_one_above_it() -> None:
    found = made(
        '[[dashboards.system.panels]]\nid = "scratch"\nkind = "table"\nrecord = "device"\ndevice = "filesystem"\n'
        'fields = ["device", "used"]\nlimits = [{ field = "used", high = 70, critical = 80 }]\n'
    )
    (limit,) = found["system"].panel("scratch").limits
    assert (limit.high, limit.critical) == (70, 80)
