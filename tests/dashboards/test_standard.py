"""The five dashboards keep their addresses, and what their panels name is there."""

from __future__ import annotations

import pytest

from cryowatch.dashboards import STANDARD, Dashboard, Panel, PanelKind, find
from cryowatch.dashboards.definition import DRAWN, Bins, Limit
from cryowatch.errors import NotFoundError
from cryowatch.records import RECORDS, quantities
from cryowatch.store.panels.compile import COMPILERS, compile_panel
from cryowatch.store.panels.query import Scope

EVERY = pytest.mark.parametrize("dashboard", STANDARD, ids=lambda d: d.name)


def test_links_to_the_dashboards_in_use_today_stay_good() -> None:
    assert [(d.name, d.uid) for d in STANDARD] == [
        ("summary", "oYW5BSeWz"),
        ("ctf", "Dcl-hZeWk"),
        ("gain", "QIlzBA6Zz"),
        ("system", "Vv8YVFeZz"),
        ("gallery", "50ya60eZz"),
    ]


@EVERY
def test_a_dashboard_is_found_by_name_and_by_uid(dashboard: Dashboard) -> None:
    assert find(dashboard.name) is dashboard
    assert find(dashboard.uid) is dashboard


@pytest.mark.parametrize("name", ["nothing", "", "SUMMARY", "oYW5BSeW", "../ctf"])
def test_an_unknown_dashboard_is_answered_with_those_there_are(name: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        find(name)
    assert "There are: summary, ctf, gain, system, gallery" in str(caught.value)


@EVERY
def test_each_panel_of_a_dashboard_is_found_by_its_own_id(dashboard: Dashboard) -> None:
    ids = [panel.id for panel in dashboard.panels]
    assert len(ids) == len(set(ids))
    assert [dashboard.panel(name) for name in ids] == list(dashboard.panels)


def test_an_unknown_panel_is_answered_with_its_dashboard() -> None:
    with pytest.raises(NotFoundError, match="dashboard ctf has no panel gain-table"):
        find("ctf").panel("gain-table")


@EVERY
def test_every_panel_says_what_it_shows(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        assert panel.title, panel.id
        assert panel.text.endswith("."), panel.id
        assert 1 <= panel.width <= 12, panel.id
        assert panel.height >= 1, panel.id


@EVERY
def test_no_two_panels_of_a_dashboard_have_the_same_title(dashboard: Dashboard) -> None:
    titles = [panel.title for panel in dashboard.panels]
    assert sorted(titles) == sorted(set(titles))


@EVERY
def test_panels_name_fields_that_their_records_have(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        if panel.record == "run":  # its table has columns of its own, put together from runs and outputs
            continue
        assert set(panel.fields) <= set(quantities(RECORDS[panel.record])), panel.id


@EVERY
def test_a_limit_that_can_be_moved_starts_at_its_usual_value(dashboard: Dashboard) -> None:
    variables = {variable.name: variable for variable in dashboard.variables}
    for variable in variables.values():
        assert variable.low <= variable.value <= variable.high
    for panel in dashboard.panels:
        for limit in panel.limits:
            if limit.variable:
                assert variables[limit.variable].value == limit.high, panel.id
                assert variables[limit.variable].field == limit.field, panel.id


@EVERY
def test_bins_cover_their_range_in_whole_steps(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        if panel.bins is not None:
            assert panel.bins.start + panel.bins.count * panel.bins.step == pytest.approx(panel.bins.stop), panel.id


def test_the_limits_are_those_in_use_at_facilities() -> None:
    limits = {(limit.field, limit.low, limit.high) for d in STANDARD for panel in d.panels for limit in panel.limits}
    assert {("defocus", 0.1, 4.0), ("resolution", None, 6.0), ("astigmatism", None, 100.0)} <= limits
    assert {("stddev", None, 0.04), ("ratio1", None, 1.15), ("ratio2", None, 4.5)} <= limits


def test_a_moved_limit_moves_only_its_upper_end() -> None:
    limit = Limit(field="defocus", low=0.1, high=4.0, variable="defocus_max")
    assert limit.bounds({}) == (0.1, 4.0)
    assert limit.bounds({"defocus_max": 2.5, "other": 1.0}) == (0.1, 2.5)
    assert Limit(field="defocus", high=4.0).bounds({"": 1.0}) == (None, 4.0)


def test_what_may_be_configured_is_what_can_be_drawn() -> None:
    assert COMPILERS.keys() == DRAWN


def test_a_panel_that_cannot_be_drawn_says_which_and_why() -> None:
    scope = Scope(session=1, host="gpu1", outputs=(1,), now=0)
    wrong = Panel(id="odd", title="Odd", kind=PanelKind.HEAT_MAP, record="alert", bins=Bins(start=0, stop=1, step=1))
    with pytest.raises(ValueError, match="odd asks for a heatmap of alert"):
        compile_panel(wrong, scope)
    without = Panel(id="bare", title="Bare", kind=PanelKind.HISTOGRAM, record="micrograph", fields=("defocus",))
    with pytest.raises(ValueError, match="bare needs bins"):
        compile_panel(without, scope)
