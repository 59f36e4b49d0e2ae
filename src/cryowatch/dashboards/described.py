"""A dashboard as pages and reports get it: titles, limits, and the units of what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryowatch.dashboards.definition import Dashboard, Panel
from cryowatch.records import RECORDS, quantities


def described(dashboard: Dashboard, chosen: Mapping[str, float]) -> dict[str, Any]:
    """Return a dashboard for pages; `chosen` are the values of its variables, by name."""
    variable_units = quantities(RECORDS["micrograph"])
    return {
        "name": dashboard.name,
        "uid": dashboard.uid,
        "title": dashboard.title,
        "refresh_seconds": dashboard.refresh_seconds,
        "window_seconds": dashboard.window_seconds,
        "variables": [
            {
                "name": v.name,
                "label": v.label,
                "unit": variable_units[v.field].shown_unit,
                "value": chosen.get(v.name, v.value),
                "default": v.value,
                "min": v.low,
                "max": v.high,
                "step": v.step,
            }
            for v in dashboard.variables
        ],
        "panels": [_panel(panel, chosen) for panel in dashboard.panels],
    }


def _panel(panel: Panel, chosen: Mapping[str, float]) -> dict[str, Any]:
    known = quantities(RECORDS[panel.record]) if panel.record else {}
    limits = []
    for limit in panel.limits:
        low, high = limit.bounds(chosen)
        limits.append({"field": limit.field, "low": low, "high": high, "variable": limit.variable or None})
    return {
        "id": panel.id,
        "title": panel.title,
        "kind": panel.kind,
        "text": panel.text,
        "width": panel.width,
        "height": panel.height,
        "record": panel.record,
        "style": panel.style,
        "clickable": panel.record == "micrograph",
        "fields": [
            {
                "name": field,
                "label": known[field].label,
                "unit": known[field].shown_unit,
                "decimals": known[field].decimals,
            }
            for field in panel.fields
            if field in known
        ],
        "limits": limits,
    }
