"""Dashboards as a facility wants them: the standard ones with what its configuration changes, and its own.

::

    [limits]                          what the limits that readers can move are at first
    defocus_max = 3.5

    [dashboards.ctf]
    drop = ["ratio-over-time"]        panels that are not shown
    order = ["compare"]               panels that come first; the others follow as they are
    [dashboards.ctf.fields]           columns or fields of a panel, in order
    compare = ["defocus", "resolution"]
    [[dashboards.ctf.panels]]         panels of its own, at the end
    id = "motion-histogram"
    title = "Motion"
    kind = "histogram"
    fields = ["motion_total"]
    bins = [0, 50, 1]                 from, to, step
    limits = [{ field = "motion_total", high = 20 }]

    [dashboards.ice]                  a dashboard of its own: a title and panels
    title = "Ice"

Bins and limits are in shown units (µm, nm).  A key, field or kind that does not exist is a `ConfigError` that names
file, key and the nearest right one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from cryowatch.dashboards.definition import DRAWN, Aggregate, Bins, Dashboard, Limit, Panel, PanelKind
from cryowatch.dashboards.standard import STANDARD
from cryowatch.errors import ConfigError
from cryowatch.records import RECORDS, quantities
from cryowatch.settings.tables import TomlTable, nearest, one_of

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_RESERVED = {"api", "images"}
_CHARTS = (PanelKind.TIME_SERIES, PanelKind.HISTOGRAM, PanelKind.HEAT_MAP, PanelKind.SCATTER, PanelKind.STAT)
_EXACTLY = {PanelKind.HISTOGRAM: 1, PanelKind.HEAT_MAP: 1, PanelKind.SCATTER: 2}


def customised(
    dashboards: Mapping[str, Any], limits: Mapping[str, Any], *, file: Path, standard: Sequence[Dashboard] = STANDARD
) -> tuple[Dashboard, ...]:
    """Return the dashboards of a facility; raises `ConfigError`."""
    chosen = {d.name: _with_limits(d, limits) for d in standard}
    _check_limits(limits, standard, file)
    for name, values in dashboards.items():
        table = TomlTable(values, f"{file}: dashboards.{name}", about="dashboards")
        if name in chosen:
            chosen[name] = _changed(chosen[name], table)
        else:
            chosen[name] = _own(name, table, chosen)
    return tuple(chosen.values())


def _with_limits(dashboard: Dashboard, limits: Mapping[str, Any]) -> Dashboard:
    """Return a dashboard whose limits are the facility's at first, and where they cannot be moved."""
    chosen = {name: float(value) for name, value in limits.items() if isinstance(value, int | float)}
    variables = tuple(replace(v, value=chosen.get(v.name, v.value)) for v in dashboard.variables)
    panels = tuple(
        replace(p, limits=tuple(replace(x, high=chosen.get(x.variable, x.high)) for x in p.limits))
        for p in dashboard.panels
    )
    return replace(dashboard, variables=variables, panels=panels)


def _check_limits(limits: Mapping[str, Any], standard: Sequence[Dashboard], file: Path) -> None:
    known = {v.name: v for d in standard for v in d.variables}
    for name, value in limits.items():
        where = f"{file}: limits.{name}"
        one_of(name, known, "limit", where)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError("must be a number", where=where)
        if not known[name].low <= value <= known[name].high:
            raise ConfigError(f"must lie between {known[name].low:g} and {known[name].high:g}", where=where)


def _changed(dashboard: Dashboard, table: TomlTable) -> Dashboard:
    title = table.take("title", str, dashboard.title)
    panels = _columns(dashboard.panels, table)
    known = [panel.id for panel in panels]
    dropped = {one_of(name, known, "panel", f"{table.where}.drop") for name in table.texts("drop")}
    panels += _panels(table, known)
    known = [panel.id for panel in panels]
    first = [one_of(name, known, "panel", f"{table.where}.order") for name in table.texts("order")]
    table.end()
    panels.sort(key=lambda panel: first.index(panel.id) if panel.id in first else len(first))
    return replace(dashboard, title=title, panels=tuple(p for p in panels if p.id not in dropped))


def _columns(panels: Sequence[Panel], table: TomlTable) -> list[Panel]:
    wanted: Mapping[str, Any] = table.take("fields", dict, {})
    by_id = {panel.id: panel for panel in panels}
    for name, chosen in wanted.items():
        where = f"{table.where}.fields.{name}"
        one_of(name, by_id, "panel", where)
        panel = by_id[name]
        if not isinstance(chosen, list) or not chosen or not all(isinstance(c, str) for c in chosen):
            raise ConfigError("must be a list of fields", where=where)
        known = [*panel.fields, *(f for f in quantities(RECORDS[panel.record]) if f not in panel.fields)]
        for field in chosen:
            one_of(field, known, "field", where)
        by_id[name] = _checked(replace(panel, fields=tuple(chosen)), where)
    return [by_id[panel.id] for panel in panels]


def _own(name: str, table: TomlTable, others: Mapping[str, Dashboard]) -> Dashboard:
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ConfigError("is not a name for a dashboard", where=table.where, remedy="Use a-z, 0-9 and -")
    title = table.take("title", str)
    if not title:
        known = ", ".join(others)
        raise ConfigError(
            "a dashboard of its own needs a title", where=table.where, remedy=f"Or did you mean: {known}?"
        )
    uid = table.take("uid", str, f"cryowatch-{name}"[:40])
    taken = {d.uid for d in others.values()}
    if uid in taken or not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", uid):
        raise ConfigError("must be new, of at most 40 letters, digits, - and _", where=f"{table.where}.uid")
    panels = _panels(table, [])
    table.end()
    if not panels:
        raise ConfigError("a dashboard of its own needs panels", where=table.where)
    return Dashboard(
        name=name, uid=uid, title=title, panels=tuple(panels), variables=next(iter(others.values())).variables
    )


def _panels(table: TomlTable, known: Sequence[str]) -> list[Panel]:
    ids = list(known)
    panels = []
    for number, values in enumerate(table.take("panels", list, [])):
        panel = _panel(TomlTable(values, f"{table.where}.panels[{number}]", about="dashboards"))
        if panel.id in ids:
            raise ConfigError(f"there is a panel {panel.id} already", where=f"{table.where}.panels[{number}].id")
        ids.append(panel.id)
        panels.append(panel)
    return panels


def _panel(table: TomlTable) -> Panel:
    defaults = {f.name: f.default for f in fields(Panel)}
    kind = PanelKind(one_of(table.take("kind", str, ""), list(PanelKind), "kind of panel", f"{table.where}.kind"))
    default_record = "" if kind is PanelKind.TEXT else "micrograph"
    record = table.take("record", str, default_record)
    if kind is not PanelKind.TEXT:
        one_of(record, RECORDS, "record", f"{table.where}.record")
    name = table.take("id", str, "")
    if not _NAME.fullmatch(name):
        raise ConfigError("needs an id of a-z, 0-9 and -", where=f"{table.where}.id")
    chosen = table.texts("fields")
    bins: list[Any] | None = table.take("bins", list)
    aggregate = table.take("aggregate", str, _usual_aggregate(kind, record).value)
    panel = Panel(
        id=name,
        title=table.take("title", str, "") or name,
        kind=kind,
        record=record,
        fields=tuple(chosen),
        text=table.take("text", str, "") or table.where.rpartition(".")[2],
        aggregate=Aggregate(one_of(aggregate, list(Aggregate), "aggregate", f"{table.where}.aggregate")),
        limits=_limits(table, record),
        bins=None if bins is None else _bins(bins, f"{table.where}.bins"),
        device=table.take("device", str, ""),
        rows=table.take("rows", int),
        style=one_of(table.take("style", str, "points"), ("points", "lines", "bars"), "style", f"{table.where}.style"),
        width=_within(table, "width", 1, 12, defaults["width"]),
        height=_within(table, "height", 1, 12, defaults["height"]),
    )
    table.end()
    return _checked(panel, table.where)


def _usual_aggregate(kind: PanelKind, record: str) -> Aggregate:
    if kind is PanelKind.STAT:
        return Aggregate.MEDIAN if record == "micrograph" else Aggregate.LATEST
    if kind is PanelKind.TABLE and record == "micrograph":
        return Aggregate.COMPARE
    return Aggregate.NONE


def _within(table: TomlTable, key: str, low: int, high: int, default: Any) -> int:
    value: int = table.take(key, int, default)
    if not low <= value <= high:
        raise ConfigError(f"must lie between {low} and {high}", where=f"{table.where}.{key}")
    return value


def _limits(table: TomlTable, record: str) -> tuple[Limit, ...]:
    found = []
    for number, values in enumerate(table.take("limits", list, [])):
        limit = TomlTable(values, f"{table.where}.limits[{number}]", about="dashboards")
        field = one_of(limit.take("field", str, ""), quantities(RECORDS[record]), "field", f"{limit.where}.field")
        low, high = limit.take("low", (int, float)), limit.take("high", (int, float))
        critical = limit.take("critical", (int, float))
        variable = limit.take("variable", str, "")
        limit.end()
        found.append(Limit(field=field, low=low, high=high, variable=variable, critical=critical))
    return tuple(found)


def _bins(values: list[Any], where: str) -> Bins:
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) != 3 or len(values) != 3:
        raise ConfigError("must be three numbers: from, to, step", where=where)
    bins = Bins(start=float(numbers[0]), stop=float(numbers[1]), step=float(numbers[2]))
    if bins.step <= 0 or not 1 <= bins.count <= 1_000:
        raise ConfigError("must make between 1 and 1,000 bins", where=where)
    return bins


def _checked(panel: Panel, where: str) -> Panel:
    """Return the panel, if it can be drawn."""
    if panel.kind is PanelKind.TEXT:
        return panel
    known = quantities(RECORDS[panel.record])
    virtual = {"run": ("output", "size", "last_hour", "newest", "took")}.get(panel.record, ())
    for field in panel.fields:
        one_of(field, [*known, *virtual], "field", f"{where}.fields")
        if panel.kind in _CHARTS and known[field].decimals is None:
            numbers = [name for name, quantity in known.items() if quantity.decimals is not None]
            raise ConfigError(f"{field} is no number to draw", where=f"{where}.fields", remedy=nearest(field, numbers))
    wanted = _EXACTLY.get(panel.kind)
    if wanted is not None and len(panel.fields) != wanted:
        raise ConfigError(f"a {panel.kind} needs {wanted} field{'s' * (wanted > 1)}", where=f"{where}.fields")
    if panel.kind in (PanelKind.HISTOGRAM, PanelKind.HEAT_MAP) and panel.bins is None:
        raise ConfigError(f"a {panel.kind} needs bins: from, to, step", where=f"{where}.bins")
    if not panel.fields and panel.kind in (PanelKind.TIME_SERIES, PanelKind.STAT) and panel.record != "output":
        raise ConfigError(f"a {panel.kind} needs fields", where=f"{where}.fields")
    if (panel.record, panel.kind) not in DRAWN:
        text = f"the panel {panel.id} asks for a {panel.kind} of {panel.record}, which cannot be drawn"
        raise ConfigError(text, where=where)
    return panel
