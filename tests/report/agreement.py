"""Whether a report computes what the agent answers, panel by panel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from playwright.sync_api import Page

from cryowatch.dashboards import PanelKind
from cryowatch.store.leading import Leading
from cryowatch.store.panels.compile import compile_panel
from cryowatch.store.panels.query import Scope
from tests.report.making import Sessions

_COMPUTED = """async ([dashboard, panel, query]) => {
    const { panelData } = await import("cryowatch/report/static/panels.js");
    const { content } = await import("cryowatch/report/static/content.js");
    const { panels } = content.dashboards.find((d) => d.name === dashboard);
    return panelData(dashboard, panels.find((p) => p.id === panel), query);
}"""


def differences(page: Page, sessions: Sessions, query: Mapping[str, float]) -> list[tuple[Any, ...]]:
    """Return every panel of micrographs on which the report of the only session and the agent do not agree.

    They are asked for what is shown at first, and for an output that is not.
    """
    reader = sessions.store.reader()
    [session] = reader.sessions()
    outputs = reader.outputs(session["id"])
    leading = Leading(outputs)
    different = []
    for output in (None, next(o["id"] for o in outputs if o["id"] not in leading.shown.ids)):
        chosen = leading.shown.ids if output is None else (output,)
        for dashboard in sessions.maker.dashboards:
            for panel in dashboard.panels:
                if panel.record != "micrograph" or panel.kind is PanelKind.TEXT:
                    continue
                scope = Scope(
                    session=session["id"],
                    host="gpu1",
                    outputs=chosen,
                    estimates=leading.estimated(chosen),
                    now=sessions.now,
                    variables={v.name: query.get(v.name, v.value) for v in dashboard.variables},
                    start=round(query["from"] * 10**6) if "from" in query else None,
                    stop=round(query["to"] * 10**6) if "to" in query else None,
                )
                expected = json.loads(json.dumps(compile_panel(panel, scope).answer(reader.table), default=list))
                answered = page.evaluate(_COMPUTED, [dashboard.name, panel.id, {**query, "output": output}])
                if not equal(answered, expected):
                    different.append((output, dashboard.name, panel.id, answered, expected))
    return different


def equal(one: Any, other: Any) -> bool:
    """Return whether two answers are the same; sums in another order may differ in the last digits."""
    if isinstance(one, float) or isinstance(other, float):
        return one is not None and other is not None and one == pytest.approx(other, rel=1e-12, abs=1e-12)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)
