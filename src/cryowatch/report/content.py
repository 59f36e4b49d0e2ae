"""What a report says: everything but the images, as of one moment of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from cryowatch.dashboards import Dashboard, Panel, PanelKind
from cryowatch.dashboards.described import described
from cryowatch.images import available
from cryowatch.judgement import OF_A_FIT, SHARE_RULE
from cryowatch.records import RECORDS, ImageKind, OutputKind, quantities
from cryowatch.report.columns import packed
from cryowatch.store import Reader
from cryowatch.store.leading import Leading
from cryowatch.store.panels.compile import compile_panel
from cryowatch.store.panels.future import future
from cryowatch.store.panels.query import Scope
from cryowatch.store.reader import Row
from cryowatch.store.states import status_of
from cryowatch.times import milliseconds

_OF_HOST = ("host", "device")
_TABLES = (OutputKind.CTF, OutputKind.MICROGRAPHS)
_VALUES = (
    "defocus_u", "defocus_v", "defocus_angle", "phase_shift", "resolution", "fit_quality", "motion_total",
    "motion_early", "motion_late", "pixel_size", "micrograph_path",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What the page gets as JSON, and the rows that images are made of, by output and oldest first.

    `leading` are the outputs that are shown together unless a reader chooses another.
    """

    session: Row
    data: Mapping[str, Any]
    rows: Mapping[int, Sequence[Row]]
    leading: tuple[int, ...]

    @property
    def leading_rows(self) -> Sequence[Row]:
        """The rows of all leading outputs, oldest first."""
        rows = [row for output in self.leading for row in self.rows.get(output, ())]
        return sorted(rows, key=itemgetter("time", "item", "id"))


def content(reader: Reader, name: str, dashboards: Sequence[Dashboard], *, now: int) -> Content:
    """Return what is known of a session (by key, name or path) at one moment; raises `NotFoundError`."""
    with reader.snapshot():
        session = reader.session(name)
        outputs = reader.outputs(session["id"])
        leading = Leading(outputs)
        lead = leading.shown.ids
        shown = [o for o in outputs if o["count"] and (o["kind"] in _TABLES or o["id"] in lead)]
        rows = {o["id"]: _rows(reader, session, o["id"]) for o in shown}
        newest = max((stage.newest for stage in leading.stages.values() if stage.newest is not None), default=None)
        ahead = future(reader.table, leading.all_ids, now)
        panels, made_of = _panels(reader, session, leading, dashboards, now)
    data = {
        "session": {
            "id": session["key"],
            "name": session["name"],
            "status": status_of(session),
            "state": session["state"],
            "last_read": milliseconds(session["last_read"]),
            "newest": {"time": milliseconds(None if newest is None else min(newest, now))},
            "future": ahead and {"count": ahead.count, "latest": milliseconds(ahead.latest)},
            "leading": lead,
            "outputs": [{key: o[key] for key in ("id", "run", "run_label", "name", "kind", "count")} for o in shown],
        },
        "dashboards": [_definition(d) for d in dashboards],
        "fields": _fields(),
        "panels": panels,
        "made_of": made_of,
        "tables": {output: _table(found) for output, found in rows.items()},
        "share_rule": SHARE_RULE,
        "of_a_fit": sorted(OF_A_FIT),
        "counts": {"micrographs": sum(len(rows.get(output, ())) for output in lead)},
    }
    return Content(session=session, data=data, rows=rows, leading=lead)


def _definition(dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard as pages get it; what is now on those was last while the session ran."""
    found = described(dashboard, {v.name: v.value for v in dashboard.variables})
    for panel in found["panels"]:
        if panel["record"] in _OF_HOST and panel["title"] == "Now":
            panel["title"] = "Last sample"
    return found


def _fields() -> dict[str, Any]:
    return {
        name: {
            "label": q.label,
            "text": q.text,
            "shown_unit": q.shown_unit,
            "per_shown": q.per_shown,
            "decimals": q.decimals,
        }
        for name, q in quantities(RECORDS["micrograph"]).items()
    }


def _rows(reader: Reader, session: Row, output: int) -> list[Row]:
    """Return an output's micrographs, each with `images`: which kinds of image can be made, as bits in their order."""
    rows = reader.items_of(output, _VALUES)
    plotless = [row for row in rows if not row["shift_plot_path"]]
    shifted = reader.shifted(session["id"], plotless) if plotless else set()
    for row in rows:
        there = (available(row, kind, shifted=row["id"] in shifted) for kind in ImageKind)
        row["images"] = sum(1 << bit for bit, is_there in enumerate(there) if is_there)
        row["session_path"] = session["path"]
    return rows


def _table(rows: Sequence[Row]) -> dict[str, Any]:
    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in ("id", "item", "name", *_VALUES)}
    columns["time"] = [milliseconds(row["time"]) for row in rows]
    columns["enabled"] = [bool(row["enabled"]) for row in rows]
    columns["images"] = [row["images"] for row in rows]
    return {"count": len(rows), "columns": {name: packed(values) for name, values in columns.items()}}


def _panels(
    reader: Reader, session: Row, leading: Leading, dashboards: Sequence[Dashboard], now: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return by dashboard and panel the data of those that are not of micrographs, and how to make those that are."""
    first, last = reader.span_of(session["id"])
    panels: dict[str, Any] = {}
    made_of: dict[str, Any] = {}
    for dashboard in dashboards:
        panels[dashboard.name], made_of[dashboard.name] = {}, {}
        for panel in dashboard.panels:
            if panel.record == "micrograph" and panel.kind is not PanelKind.TEXT:
                made_of[dashboard.name][panel.id] = _recipe(panel)
                continue
            of_host = panel.record in _OF_HOST
            scope = Scope(
                session=session["id"],
                host=session["host"],
                now=now,
                outputs=leading.shown.ids,
                estimates=leading.shown.kind is OutputKind.CTF,
                stages=leading.ids,
                start=(now if first is None else first) if of_host else None,
                stop=(now if session["status"] == "running" or last is None else last) if of_host else None,
                variables={v.name: v.value for v in dashboard.variables},
                confined=True,
            )
            panels[dashboard.name][panel.id] = compile_panel(panel, scope).answer(reader.table)
    return panels, made_of


def _recipe(panel: Panel) -> dict[str, Any]:
    bins = panel.bins
    return {
        "aggregate": panel.aggregate,
        "rows": panel.rows,
        "bins": bins and {"edges": bins.edges, "step": bins.step, "count": bins.count},
    }
