"""On the page System a mark stands where an enabled alert rule judges, and nowhere else."""

from __future__ import annotations

import tomllib
from pathlib import Path

from cryowatch.agent.build.appearance import bounds_of, dashboards_of
from cryowatch.alerts.rules import STANDARD as RULES
from cryowatch.dashboards import STANDARD, Dashboard, find
from cryowatch.dashboards.bounds import DeviceBound, bounded
from cryowatch.dashboards.definition import Limit
from cryowatch.settings.config import Settings

FILE = Path("/etc/cryowatch/cryowatch.toml")


def system(text: str = "") -> Dashboard:
    """Return the page System of a facility with these settings."""
    return find("system", dashboards_of(Settings(**tomllib.loads(text))))


def limits(dashboard: Dashboard, panel: str) -> dict[str, tuple[float | None, float | None, float | None]]:
    return {limit.field: (limit.low, limit.high, limit.critical) for limit in dashboard.panel(panel).limits}


def test_the_standard_page_has_the_limits_of_the_standard_rules() -> None:
    assert bounded(STANDARD, bounds_of(RULES)) == STANDARD


def test_full_processors_are_no_fault_unless_a_facility_wants_to_know_of_them() -> None:
    assert limits(system(), "host-latest") == {"memory": (None, 95, None), "swap": (None, 80, None)}
    wanted = system("[alerts.rules.cpu]\nenabled = true\nhigh = 98")
    assert limits(wanted, "host-latest")["cpu"] == (None, 98, None)


def test_a_rule_that_is_off_or_moved_is_so_on_the_page() -> None:
    page = system(
        "[alerts.rules.memory]\nenabled = false\n[alerts.rules.disk]\nhigh = 80\n"
        "[alerts.rules.disk-soon-full]\nenabled = false\n"
        "[alerts.rules.gpu-temperature]\nhigh = 75"
    )
    assert limits(page, "host-latest") == {"swap": (None, 80, None)}
    assert limits(page, "file-systems") == {"used": (None, 80, 95)}
    assert limits(page, "disk-space") == {"used": (None, 80, 95)}
    assert limits(page, "gpus") == limits(page, "gpu-temperature") == {"temperature": (None, 75, None)}


def test_a_rule_of_a_facilitys_own_is_seen_and_its_own_panels_stay_as_they_are() -> None:
    page = system(
        '[alerts.rules.crowded]\nabout = "gpu"\nfield = "processes"\nhigh = 2\n'
        '[[dashboards.system.panels]]\nid = "own"\ntitle = "CPU"\nkind = "timeseries"\nrecord = "host"\n'
        'fields = ["cpu"]\nlimits = [{ field = "cpu", high = 50 }]'
    )
    assert limits(page, "gpus")["processes"] == (None, 2, None)
    assert page.panel("own").limits == (Limit(field="cpu", high=50),)


def test_the_narrowest_of_several_rules_counts_and_the_critical_one_is_worse() -> None:
    bounds = [
        DeviceBound(field="memory", high=90),
        DeviceBound(field="memory", high=80),
        DeviceBound(field="memory", high=97, critical=True),
        DeviceBound(field="memory", low=1),
    ]
    page = find("system", bounded(STANDARD, bounds))
    assert limits(page, "host-latest") == {"memory": (1, 80, 97)}
