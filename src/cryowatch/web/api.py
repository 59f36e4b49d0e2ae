"""The JSON interface, as `docs/design/web.md` describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cryowatch import __version__
from cryowatch.dashboards import Dashboard, Panel, Scope, compile_panel, find
from cryowatch.errors import ImageMissing, NotFoundError
from cryowatch.images import ImageServer, confined
from cryowatch.model import RECORDS, ImageKind, quantities
from cryowatch.store.reader import Reader, Row, leading
from cryowatch.web.events import Hub
from cryowatch.web.queries import nanoseconds, selection, variables, whole
from cryowatch.web.replies import JSON, BadQuery
from cryowatch.web.summaries import Summaries, milliseconds

_PATHS = {
    ImageKind.MICROGRAPH: "micrograph_path",
    ImageKind.POWER_SPECTRUM: "power_spectrum_path",
    ImageKind.SHIFT_PLOT: "shift_plot_path",
}
_HIDDEN = ("output_id", "seq", "session", "session_path")
MOST_MICROGRAPHS = 500
MOST_CHANGES = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class API:
    """What the endpoints work with.  Plain functions run in worker threads, one query after another."""

    reader: Reader
    summaries: Summaries
    dashboards: Sequence[Dashboard]
    images: ImageServer
    hub: Hub
    host: str
    clock: Callable[[], int]
    deliveries: Callable[[], Sequence[Mapping[str, Any]]]

    def routes(self) -> list[Route]:
        """Return the routes of the interface."""
        return [
            Route("/api/sessions", self.sessions),
            Route("/api/sessions/{session}", self.session),
            Route("/api/sessions/{session}/dashboards/{dashboard}", self.dashboard),
            Route("/api/sessions/{session}/panels/{panel}", self.panel),
            Route("/api/sessions/{session}/data/{dashboard}", self.data),
            Route("/api/sessions/{session}/micrographs", self.micrographs),
            Route("/api/micrographs/{micrograph:int}", self.micrograph),
            Route("/api/fields", self.fields),
            Route("/api/events", self.events),
            Route("/images/{micrograph:int}/{kind}", self.image),
        ]

    def sessions(self, request: Request) -> Response:
        del request
        return JSON(
            {
                "sessions": self.summaries.all(),
                "host": self.host,
                "version": __version__,
                "deliveries": self.deliveries(),
            }
        )

    def session(self, request: Request) -> Response:
        detail = self.summaries.detail(self._session(request), self.dashboards)
        return JSON({**detail, "deliveries": self.deliveries()})

    def dashboard(self, request: Request) -> Response:
        self._session(request)
        dashboard = find(request.path_params["dashboard"], self.dashboards)
        chosen = variables(request.query_params, dashboard)
        return JSON(definition(dashboard, chosen))

    def panel(self, request: Request) -> Response:
        session = self._session(request)
        name = request.path_params["panel"]
        wanted = request.query_params.get("dashboard")
        for dashboard in self.dashboards:
            if wanted not in (None, dashboard.name):
                continue
            for panel in dashboard.panels:
                if panel.id == name:
                    scope = self._scope(request, session, dashboard)
                    answer = self._answer(panel, scope)
                    return JSON({"head": session["seq"], "generation": session["generation"], **answer})
        raise NotFoundError(f"there is no panel {name[:80]}")

    def data(self, request: Request) -> Response:
        session = self._session(request)
        dashboard = find(request.path_params["dashboard"], self.dashboards)
        scope = self._scope(request, session, dashboard)
        names = request.query_params.get("panels")
        panels = dashboard.panels if not names else [dashboard.panel(n) for n in names.split(",")[:50]]
        answers = {panel.id: self._answer(panel, scope) for panel in panels}
        return JSON({"head": session["seq"], "generation": session["generation"], "panels": answers})

    def micrographs(self, request: Request) -> Response:
        session = self._session(request)
        output = self._output(request, session)
        head = {"head": session["seq"], "generation": session["generation"]}
        if output is None:
            return JSON({**head, "total": 0, "micrographs": []})
        after = whole(request.query_params, "after")
        if after is not None:
            most = whole(request.query_params, "limit", most=MOST_CHANGES) or MOST_CHANGES
            rows = self.reader.micrographs_after(output, after, limit=most + 1)
            more = len(rows) > most
            rows = rows[:most]
            if more:
                head["head"] = rows[-1]["seq"]
            return JSON({**head, "total": len(rows), "more": more, "micrographs": [shown(row) for row in rows]})
        limit = whole(request.query_params, "limit", most=MOST_MICROGRAPHS)
        offset = whole(request.query_params, "offset") or 0
        chosen = selection(request.query_params, output)
        total, rows = self.reader.micrographs(chosen, offset=offset, limit=60 if limit is None else limit)
        return JSON({**head, "total": total, "micrographs": [shown(row) for row in rows]})

    def micrograph(self, request: Request) -> Response:
        row = self.reader.micrograph(request.path_params["micrograph"])
        previous, following = self.reader.neighbours(row)
        return JSON({**shown(row), "session": row["session"], "previous": previous, "next": following})

    def fields(self, request: Request) -> Response:
        del request
        return JSON(
            {
                record: {
                    name: {
                        "label": q.label,
                        "text": q.text,
                        "unit": q.unit,
                        "shown_unit": q.shown_unit,
                        "scale": q.scale,
                        "decimals": q.decimals,
                    }
                    for name, q in quantities(kind).items()
                }
                for record, kind in RECORDS.items()
            }
        )

    async def events(self, request: Request) -> Response:
        return self.hub.response(request.query_params.get("session") or None)

    async def image(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool  # noqa: PLC0415

        try:
            kind = ImageKind(request.path_params["kind"])
        except ValueError:
            names = ", ".join(ImageKind)
            raise NotFoundError("there is no such kind of image", remedy=f"There are: {names}") from None
        row = await run_in_threadpool(self.reader.micrograph, request.path_params["micrograph"])
        relative = row[_PATHS[kind]]
        if not relative:
            raise ImageMissing(f"the project names no {kind.replace('-', ' ')} for {row['name']}")
        size = whole(request.query_params, "size", most=4096) or 512
        path = await run_in_threadpool(confined, Path(row["session_path"]), relative)
        rendered = await self.images.image(path, kind, size)
        lasting = "public, max-age=31536000, immutable" if "v" in request.query_params else "no-cache"
        return Response(rendered.data, media_type=rendered.media_type, headers={"Cache-Control": lasting})

    def _session(self, request: Request) -> Row:
        return self.reader.session(request.path_params["session"])

    def _output(self, request: Request, session: Row) -> int | None:
        outputs = self.reader.outputs(session["id"])
        wanted = whole(request.query_params, "output")
        if wanted is None:
            chosen = leading(outputs)
            return None if chosen is None else int(chosen["id"])
        if any(o["id"] == wanted for o in outputs):
            return wanted
        raise NotFoundError(f"the session has no output {wanted}")

    def _scope(self, request: Request, session: Row, dashboard: Dashboard) -> Scope:
        query = request.query_params
        start, stop = nanoseconds(query, "from"), nanoseconds(query, "to")
        if start is not None and stop is not None and start > stop:
            raise BadQuery("from must not be after to")
        return Scope(
            session=session["id"],
            host=session["host"],
            output=self._output(request, session),
            now=self.clock(),
            start=start,
            stop=stop,
            after=whole(query, "after"),
            variables=variables(query, dashboard),
        )

    def _answer(self, panel: Panel, scope: Scope) -> dict[str, Any]:
        query = compile_panel(panel, scope)
        _, rows = self.reader.table(query.sql, query.parameters)
        return query.shape(rows)


def definition(dashboard: Dashboard, chosen: Mapping[str, float]) -> dict[str, Any]:
    """Return a dashboard as pages get it."""
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


def shown(row: Row) -> dict[str, Any]:
    """Return a micrograph as pages get it: values as stored, times in milliseconds, addresses of its images."""
    values = {name: value for name, value in row.items() if name not in _HIDDEN}
    values["time"] = milliseconds(row["time"])
    values["enabled"] = bool(row["enabled"])
    values["version"] = row["seq"]
    values["images"] = {
        kind.value: f"/images/{row['id']}/{kind}?v={row['seq']}" if row[column] else None
        for kind, column in _PATHS.items()
    }
    return values
