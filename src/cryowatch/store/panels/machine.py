"""A host as it is now, by the newest sample; and its devices, a line each: file systems, GPUs, networks or disks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryowatch.dashboards.definition import Panel, quantity
from cryowatch.records import HostSample, Quantity, quantities
from cryowatch.store.panels import payload, tiles
from cryowatch.store.panels.query import Query, Rows, Scope, window

_NAMES = {"filesystem": "File system", "gpu": "GPU", "network": "Interface", "disk": "Disk"}
_FORMATS = {"B": "bytes", "s": "duration"}
_KEPT = ("device", "full_in")
"""Columns that say something also where they are empty."""

_MILLISECONDS = 1_000


def latest(known: Sequence[Quantity], bounds: Sequence[tuple[float | None, float | None]], rows: Rows) -> payload.Data:
    """One row: the newest value of each field; a load is told with the number of cores, where both are known."""
    data = tiles.latest(known, bounds, rows)
    labels = quantities(HostSample)
    items = {item["label"]: item for item in data.get("items", ())}
    load, cores = items.get(labels["load"].label), items.get(labels["cores"].label)
    if load is None or cores is None:
        return data
    told = {**load, "unit": f"of {cores['value']:.0f} {'core' if cores['value'] == 1 else 'cores'}"}
    return {"items": [told if item is load else item for item in items.values() if item is not cores]}


def devices(panel: Panel, scope: Scope) -> Query:
    """Return the query of a table of the devices of one kind, as the newest sample has them."""
    during, parameters = window(scope) if scope.confined else ("", {})
    columns = ", ".join(f"device_sample.{field}" for field in panel.fields)
    return Query(
        sql=f"SELECT device_sample.device, device_sample.note, {columns} FROM device_sample"
        f" WHERE kind = :device AND sample_id = (SELECT id FROM host_sample WHERE host = :host{during}"
        " ORDER BY time DESC LIMIT 1) ORDER BY CAST(device_sample.device AS INTEGER), device_sample.device",
        parameters={**parameters, "host": scope.host, "device": panel.device},
        shape=lambda found: table(panel, scope, found),
    )


def table(panel: Panel, scope: Scope, rows: Rows) -> payload.Data:
    """Rows of (device, note, values…) in stored units; most columns without any value are left out.

    A note without a device stands for all that there might be, and is said in one quiet line.
    """
    named = [row for row in rows if row[0]]
    if not named:
        kind = _NAMES.get(panel.device, panel.device)
        return {"quiet": f"No {kind}s: {rows[0][1]}."} if rows else payload.EMPTY
    columns: list[payload.Data] = []
    places: list[int] = []
    for place, field in enumerate(panel.fields, start=2):
        known = quantity(panel, field)
        if field not in _KEPT and all(row[place] is None for row in named):
            continue
        places.append(place)
        columns.append(
            {
                "label": _label(panel, field, known),
                "unit": known.shown_unit,
                "decimals": known.decimals,
                "format": _FORMATS.get(known.unit, "text" if known.decimals is None else "number"),
                **_judging(panel, scope, field, known),
            }
        )
    cells = [[_cell(quantity(panel, panel.fields[place - 2]), row[place]) for place in places] for row in named]
    if any(row[1] for row in named):
        columns.append({"label": "Note", "unit": "", "decimals": None, "format": "text"})
        cells = [[*cell, row[1] or None] for cell, row in zip(cells, named, strict=True)]
    return {"columns": columns, "rows": cells, "total": len(cells)}


def _label(panel: Panel, field: str, known: Quantity) -> str:
    """Return what a column is called: "Use" where every line is a GPU, though elsewhere that is "GPU use"."""
    kind = _NAMES.get(panel.device, known.label)
    return kind if field == "device" else known.label.removeprefix(f"{kind} ").capitalize()


def _judging(panel: Panel, scope: Scope, field: str, known: Quantity) -> payload.Data:
    """Return by what a column is judged, in the units of its cells."""
    bounds = payload.judging(panel, scope, field)
    if known.unit != "s":
        return bounds
    return {name: None if value is None else value / known.scale * _MILLISECONDS for name, value in bounds.items()}


def _cell(known: Quantity, value: Any) -> Any:
    """Return a value as its column has it: durations in milliseconds, sizes in bytes, others in shown units."""
    if value is None or known.decimals is None or known.unit == "B":
        return value
    return value * (_MILLISECONDS if known.unit == "s" else known.scale)
