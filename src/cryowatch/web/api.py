"""The JSON interface, as `docs/design/web.md` describes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from io import StringIO
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cryowatch import __version__
from cryowatch.dashboards import Dashboard, Panel, find
from cryowatch.dashboards.described import described
from cryowatch.errors import NotFoundError
from cryowatch.images import UNNAMED, ImageServer, Shifts, available, subject
from cryowatch.records import RECORDS, ImageKind, quantities
from cryowatch.store.export import csv_of_micrographs
from cryowatch.store.leading import Leading
from cryowatch.store.panels.compile import answer_panels
from cryowatch.store.panels.query import Scope
from cryowatch.store.reader import Reader, Row
from cryowatch.store.selection import Selection
from cryowatch.times import milliseconds
from cryowatch.web.alerts import Alerts
from cryowatch.web.answers import Answers
from cryowatch.web.events import Hub
from cryowatch.web.gate import who
from cryowatch.web.logs import Logs
from cryowatch.web.pool import unless_gone
from cryowatch.web.queries import selection, span, variables, whole
from cryowatch.web.replies import GONE, JSON, BadQuery
from cryowatch.web.sight import Sight, Sights
from cryowatch.web.summaries import Summaries

_BEYOND_SESSION = ("host", "device", "alert")
_HIDDEN = ("output_id", "seq", "session", "session_id", "session_path")
_LASTING = "private, max-age=31536000, immutable"
_FOR_NOW = "private, max-age=300"
"""Of what stands in for a file, which may still come."""

MOST_MICROGRAPHS = 500
MOST_CHANGES = 5_000
MOST_EXPORTED = 200_000
EXPORTED_AT_ONCE = 10_000
"""Rows that are in memory together."""

MOST_TEXT = 4_000_000
"""Characters of texts in an answer of changes; usual ones have 1,500,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class API:
    """What the endpoints work with.  Plain functions run in worker threads, one query after another.

    Those that may take long have a place in the pool, and return what is answered.
    """

    reader: Reader
    sights: Sights
    summaries: Summaries
    alerts: Alerts
    dashboards: Sequence[Dashboard]
    images: ImageServer
    hub: Hub
    answers: Answers
    host: str
    clock: Callable[[], int]
    deliveries: Callable[[], Sequence[Mapping[str, Any]]]
    logs: Logs | None

    def routes(self) -> list[Route]:
        """Return the routes of the interface."""
        asked = self.answers.endpoint
        return [
            Route("/api/sessions", asked(self.sessions, self._state)),
            Route("/api/sessions/{session}", asked(self.session, self._state)),
            Route("/api/sessions/{session}/runs/{run}/log", self.log),
            Route("/api/sessions/{session}/dashboards/{dashboard}", self.dashboard),
            Route("/api/sessions/{session}/panels/{panel}", asked(self.panel, self._state_of_panel, keep=True)),
            Route("/api/sessions/{session}/data/{dashboard}", asked(self.data, self._state_of_data, keep=True)),
            Route("/api/sessions/{session}/micrographs", asked(self.micrographs, self._state)),
            Route("/api/sessions/{session}/export", self.export),
            Route("/api/micrographs/{micrograph:int}", asked(self.micrograph, self._state)),
            Route("/api/fields", self.fields),
            Route("/api/events", self.events),
            Route("/images/{micrograph:int}/{kind}", self.image),
        ]

    def sessions(self, request: Request) -> dict[str, Any]:
        sight = self._sight(request)
        active = self.alerts.active()
        return {
            "sessions": [
                {**_summary(self.summaries.summary(row), sight), "alerts": active.of(row, sight, whole=False)}
                for row in sight.sessions()
            ],
            "host": "" if sight.confined else self.host,
            "version": __version__,
            "deliveries": [] if sight.confined else self.deliveries(),
        }

    def session(self, request: Request) -> dict[str, Any]:
        sight = self._sight(request)
        session = sight.session(request.path_params["session"])
        detail = self.summaries.detail(session, sight.dashboards(self.dashboards))
        outputs = [{**output, "id": sight.id(output["id"])} for output in detail["outputs"]]
        leading = [sight.id(number) for number in detail["leading"]]
        return {
            **_summary(detail, sight),
            "outputs": outputs,
            "leading": leading,
            "logs": self.logs is not None and not sight.confined,
            "alerts": self.alerts.of(session, sight),
            "deliveries": [] if sight.confined else self.deliveries(),
        }

    async def log(self, request: Request) -> Response:
        """Answer the end of a run's log; a log names other people's files, so links to one session do not open it."""
        from starlette.concurrency import run_in_threadpool  # noqa: PLC0415

        sight = self._sight(request)
        if self.logs is None or sight.confined:
            raise NotFoundError("there is no such page")
        session = await run_in_threadpool(sight.session, request.path_params["session"])
        wanted = request.path_params["run"]
        for run in await run_in_threadpool(self.reader.runs, session["id"]):
            if run["run"] == wanted:
                return JSON(await self.logs.of(session, run))
        raise NotFoundError(f"the session has no run {wanted[:40]}")

    def dashboard(self, request: Request) -> Response:
        sight = self._sight(request)
        sight.session(request.path_params["session"])
        dashboard = find(request.path_params["dashboard"], sight.dashboards(self.dashboards))
        chosen = variables(request.query_params, dashboard)
        return JSON(described(dashboard, chosen))

    def panel(self, request: Request) -> dict[str, Any]:
        sight = self._sight(request)
        dashboard, panel = self._panel_of(request)
        with self.reader.snapshot():
            session = sight.session(request.path_params["session"])
            scope = self._scope(request, session, dashboard)
            data = self._answered([panel], scope, sight)[panel.id]
        return {**_head(session, sight, scope.outputs), **data}

    def data(self, request: Request) -> dict[str, Any]:
        sight = self._sight(request)
        dashboard, panels = self._panels_of(request)
        with self.reader.snapshot():  # all panels are of one moment
            session = sight.session(request.path_params["session"])
            scope = self._scope(request, session, dashboard)
            data = self._answered(panels, scope, sight)
        return {**_head(session, sight, scope.outputs), "panels": data}

    def micrographs(self, request: Request) -> dict[str, Any]:
        sight = self._sight(request)
        session = sight.session(request.path_params["session"])
        outputs, leading = self._outputs(request, session)
        head = _head(session, sight, outputs)
        after = whole(request.query_params, "after")
        if after is not None:
            most = whole(request.query_params, "limit", most=MOST_CHANGES) or MOST_CHANGES
            found = self.reader.micrographs_after(outputs, sight.position(after), limit=most + 1)
            rows = _fitting(found[:most])
            more = len(found) > len(rows)
            if more:
                head["head"] = sight.head(rows[-1]["seq"])
            listed = self._shown(session["id"], rows, sight)
            return {**head, "total": len(rows), "more": more, "micrographs": listed}
        limit = whole(request.query_params, "limit", most=MOST_MICROGRAPHS)
        offset = whole(request.query_params, "offset") or 0
        chosen = self._selection(request, outputs, leading)
        total, rows = self.reader.micrographs(chosen, offset=offset, limit=60 if limit is None else limit)
        return {**head, "total": total, "micrographs": self._shown(session["id"], rows, sight)}

    async def export(self, request: Request) -> Response:
        """Answer the micrographs that a filter lets through as CSV, with units in its head, to be kept."""
        written = await self.answers.pool.answer(request, partial(self._exported, request), same=object())
        if written is None:
            return Response(status_code=GONE)
        name, text = written
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return Response(text, media_type="text/csv", headers=headers)

    def _exported(self, request: Request) -> tuple[str, str]:
        """Return a name of plain characters for the file, and what it holds."""
        sight = self._sight(request)
        out = StringIO()
        with self.reader.snapshot():
            session = sight.session(request.path_params["session"])
            outputs, leading = self._outputs(request, session)
            chosen = self._selection(request, outputs, leading)
            total, _ = self.reader.micrographs(chosen, offset=0, limit=0)
            if total > MOST_EXPORTED:
                raise BadQuery(
                    f"{total:,} micrographs are more than the {MOST_EXPORTED:,} of one file: choose a shorter time"
                )
            rows = (
                row
                for offset in range(0, total, EXPORTED_AT_ONCE)
                for row in self.reader.micrographs(chosen, offset=offset, limit=EXPORTED_AT_ONCE)[1]
            )
            csv_of_micrographs(rows, out, paths=not sight.confined)
        return f"{sight.key(session['key'])}-micrographs.csv", out.getvalue()

    def micrograph(self, request: Request) -> dict[str, Any]:
        sight = self._sight(request)
        row = sight.micrograph(request.path_params["micrograph"])
        outputs, leading = self._outputs(request, {"id": row["session_id"]}, beside=row["output_id"])
        chosen = self._selection(request, outputs, leading)
        previous, following = (None if n is None else sight.id(n) for n in self.reader.neighbours(row, chosen))
        (values,) = self._shown(row["session_id"], [row], sight)
        return {**values, "session": sight.key(row["session"]), "previous": previous, "next": following}

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
                        "per_shown": q.per_shown,
                        "decimals": q.decimals,
                    }
                    for name, q in quantities(kind).items()
                }
                for record, kind in RECORDS.items()
            }
        )

    async def events(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool  # noqa: PLC0415

        asking, session = who(request), request.query_params.get("session") or None
        sight = self.sights.of(asking)
        if sight.confined:
            session = (await run_in_threadpool(_only, sight, session))["key"]
        return self.hub.response(session, head=sight.head, key=sight.key, reader=asking.mark, lasts=asking.lasts)

    async def image(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool  # noqa: PLC0415

        try:
            kind = ImageKind(request.path_params["kind"])
        except ValueError:
            names = ", ".join(ImageKind)
            raise NotFoundError("there is no such kind of image", remedy=f"There are: {names}") from None
        row = await run_in_threadpool(self._sight(request).micrograph, request.path_params["micrograph"])
        size = whole(request.query_params, "size", most=4096) or 512
        made_of = await self.images.look(
            lambda: subject(row, kind, lambda: self._shifts(row)), row["name"], row["session_path"]
        )
        rendering = asyncio.ensure_future(self.images.image(made_of, size))
        try:
            rendered = await unless_gone(request, rendering)
        finally:
            rendering.cancel()
        if rendered is None:
            return Response(status_code=GONE)
        lasting = _LASTING if "v" in request.query_params else "private, no-cache"
        headers = {"Cache-Control": lasting}
        if rendered.computed:
            headers["X-Computed"] = quote(rendered.computed)
            if rendered.computed != UNNAMED and "v" in request.query_params:
                headers["Cache-Control"] = _FOR_NOW
        if rendered.width is not None and rendered.height is not None:
            headers |= {"X-Source-Width": str(rendered.width), "X-Source-Height": str(rendered.height)}
        return Response(rendered.data, media_type=rendered.media_type, headers=headers)

    def _shown(self, session: int, rows: Sequence[Row], sight: Sight) -> list[dict[str, Any]]:
        plotless = [row for row in rows if not row["shift_plot_path"]]
        shifted = self.reader.shifted(session, plotless) if plotless else set()
        return [shown(row, sight, shifted=row["id"] in shifted) for row in rows]

    def _shifts(self, row: Row) -> Shifts | None:
        return self.reader.shifts(row["session_id"], row)

    def _sight(self, request: Request) -> Sight:
        return self.sights.of(who(request))

    def _selection(self, request: Request, outputs: tuple[int, ...], leading: Leading) -> Selection:
        """Return which micrographs of some outputs are asked for."""
        estimates = leading.estimated(outputs)
        return selection(request.query_params, outputs, estimates=estimates, dashboards=self.dashboards)

    def _outputs(self, request: Request, session: Row, *, beside: int | None = None) -> tuple[tuple[int, ...], Leading]:
        """Return the outputs that are asked for, else those that are shown unless told otherwise, and all that lead.

        Instead of those that are shown it is the output of `beside`, with all that count together with it.
        """
        outputs = self.reader.outputs(session["id"])
        leading = Leading(outputs)
        wanted = whole(request.query_params, "output")
        if wanted is None and beside is not None:
            return next((s.ids for s in leading.stages.values() if beside in s.ids), (beside,)), leading
        if wanted is None:
            return leading.shown.ids, leading
        number = self._sight(request).number(wanted)
        if any(o["id"] == number for o in outputs):
            return (number,), leading
        raise NotFoundError(f"the session has no output {wanted}")

    def _scope(self, request: Request, session: Row, dashboard: Dashboard) -> Scope:
        query = request.query_params
        after = whole(query, "after")
        start, stop = span(query)
        outputs, leading = self._outputs(request, session)
        return Scope(
            session=session["id"],
            host="" if self._sight(request).confined else session["host"],
            now=self.clock(),
            outputs=outputs,
            estimates=leading.estimated(outputs),
            stages=leading.ids,
            start=start,
            stop=stop,
            after=None if after is None else self._sight(request).position(after),
            variables=variables(query, dashboard),
        )

    def _answered(self, panels: Sequence[Panel], scope: Scope, sight: Sight) -> dict[str, dict[str, Any]]:
        """Return the data of some panels by their ids, with the ids of rows as they are shown."""
        found = {}
        shown_as = cache(sight.id) if sight.confined else sight.id  # a panel's rows are mostly those of the others
        for name, answer in answer_panels(panels, scope, self.reader.table):
            self.reader.go_on()
            data = sight.told(answer) if "rows" in answer or "items" in answer else answer
            numbers = data.get("id")
            found[name] = data if numbers is None else {**data, "id": [shown_as(number) for number in numbers]}
        return {panel.id: found[panel.id] for panel in panels}

    def _panel_of(self, request: Request) -> tuple[Dashboard, Panel]:
        name = request.path_params["panel"]
        wanted = request.query_params.get("dashboard")
        for dashboard in self._sight(request).dashboards(self.dashboards):
            if wanted not in (None, dashboard.name):
                continue
            for panel in dashboard.panels:
                if panel.id == name:
                    return dashboard, panel
        raise NotFoundError(f"there is no panel {name[:80]}")

    def _panels_of(self, request: Request) -> tuple[Dashboard, Sequence[Panel]]:
        """Return the panels of a dashboard that are asked for, each once, whichever way it is said."""
        dashboard = find(request.path_params["dashboard"], self._sight(request).dashboards(self.dashboards))
        names = request.query_params.get("panels")
        if not names:
            return dashboard, dashboard.panels
        panels = {panel.id: panel for panel in dashboard.panels}
        chosen = dict.fromkeys(names.split(","))
        for name in chosen:
            if name not in panels:
                raise NotFoundError(f"the dashboard {dashboard.name} has no panel {name[:80]}")
        return dashboard, [panels[name] for name in chosen]

    def _state(self, request: Request) -> Hashable:
        del request
        return self.reader.head()

    def _state_of_panel(self, request: Request) -> Hashable:
        return self._state_of(request, [self._panel_of(request)[1]])

    def _state_of_data(self, request: Request) -> Hashable:
        return self._state_of(request, self._panels_of(request)[1])

    def _state_of(self, request: Request, panels: Sequence[Panel]) -> Hashable:
        """Return the position of the last change that some panels may show."""
        session = self._sight(request).session(request.path_params["session"])
        beyond = any(panel.record in _BEYOND_SESSION for panel in panels)
        return session["id"], self.reader.head() if beyond else session["seq"], tuple(panel.id for panel in panels)


def _only(sight: Sight, name: str | None) -> Row:
    """Return the one session that somebody sees, who may name it; raises `NotFoundError`."""
    if name is not None:
        return sight.session(name)
    for session in sight.sessions():
        return session
    raise NotFoundError("there is no such session")


def _head(session: Row, sight: Sight, outputs: Sequence[int]) -> dict[str, Any]:
    """Return how far an answer tells, and of which outputs; where they change, earlier answers are of no use."""
    numbers = [sight.id(number) for number in outputs]
    return {"head": sight.head(session["seq"]), "generation": session["generation"], "outputs": numbers}


def _summary(summary: dict[str, Any], sight: Sight) -> dict[str, Any]:
    """Return a session's summary with its numbers as they are shown."""
    newest = summary["newest"]
    if newest["micrograph"] is not None:
        shown_as = {"micrograph": sight.id(newest["micrograph"]), "version": sight.version(newest["version"])}
        newest = {**newest, **shown_as}
    seen = {"id": sight.key(summary["id"]), "newest": newest, "head": sight.head(summary["head"])}
    return {**summary, **seen, **({"runs": sight.told(summary["runs"])} if "runs" in summary else {})}


def _fitting(rows: Sequence[Row], *, most: int = MOST_TEXT) -> Sequence[Row]:
    """Return the first rows whose texts have so many characters together, at least one."""
    room = most
    for place, row in enumerate(rows):
        room -= sum(len(value) for value in row.values() if isinstance(value, str))
        if room < 0 and place:
            return rows[:place]
    return rows


def shown(row: Row, sight: Sight, *, shifted: bool = False) -> dict[str, Any]:
    """Return a micrograph as pages get it: values as stored, times in milliseconds, addresses of its images.

    `shifted` says that the shifts of its movie's frames are known.
    """
    values = sight.told({name: value for name, value in row.items() if name not in _HIDDEN})
    number, version = sight.id(row["id"]), sight.version(row["seq"])
    values["id"] = number
    values["time"] = milliseconds(row["time"])
    values["enabled"] = bool(row["enabled"])
    values["version"] = version
    values["images"] = {
        kind.value: f"/images/{number}/{kind}?v={version}" if available(row, kind, shifted=shifted) else None
        for kind in ImageKind
    }
    return values
