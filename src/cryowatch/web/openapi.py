"""The description of the HTTP interface (OpenAPI 3.1), at `/api/openapi.json`.

It is made of the application's own routes: each takes its words from `OPERATIONS`, and one that has none there is an
error when the application is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cryowatch import __version__
from cryowatch.access.shares import MOST_DAYS, MOST_LABEL
from cryowatch.dashboards import Dashboard
from cryowatch.records import RECORDS, ImageKind
from cryowatch.store.selection import SORTABLE
from cryowatch.web.alerts import MOST_MINUTES
from cryowatch.web.replies import JSON
from cryowatch.web.shapes import (
    COMPONENTS,
    COUNT,
    ID,
    REAL,
    TEXT,
    TIME,
    WHOLE,
    YES_OR_NO,
    Schema,
    by_name,
    holding,
    listed,
    named,
)
from cryowatch.web.shapes import text as one_of

PATH = "/api/openapi.json"
_MINE = ("/api/", "/images/", "/healthz", "/metrics")
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")

_ERRORS = {
    400: "What was asked cannot be understood.",
    401: "Without a login, or its token, this cannot be seen.",
    403: "Who asks may not do this, or the request does not come from our own pages.",
    404: "There is no such thing, or not for who asks.",
    405: "This cannot be asked so.",
    413: "What was sent is too large.",
    414: "The address is too long.",
    421: "This server does not go by the name that was asked for.",
    503: "It cannot be read now; try again soon.",
}
_EVERYWHERE = (400, 405, 413, 414, 421, 503)

Parameters = Mapping[str, Schema]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one route does: `answers` is a schema, or the media types of something else; `sends` what a body holds."""

    summary: str
    answers: Schema | tuple[str, ...]
    query: Parameters = field(default_factory=dict)
    sends: Schema | None = None
    variables: bool = False
    public: bool = False
    errors: Sequence[int] = (401, 404)


_HEAD = {"head": WHOLE, "generation": WHOLE, "outputs": listed(ID)}
_WINDOW = {"from": {**TIME, "minimum": 0, "maximum": 9 * 10**12}, "to": {**TIME, "minimum": 0, "maximum": 9 * 10**12}}
_OF_PANELS = {"output": ID, **_WINDOW, "after": {**ID, "description": "A position: what changed since."}}
_RANGES = {
    f"{bound}_{name}": {**REAL, "description": "In shown units."}
    for name in SORTABLE
    if name not in ("name", "time", "item")
    for bound in ("min", "max")
}
_SELECTION = {
    "output": ID,
    **_WINDOW,
    "sort": one_of(*SORTABLE),
    "order": one_of("asc", "desc"),
    "search": TEXT,
    "enabled": one_of("0", "1"),
    "fit": {**one_of("0", "1"), "description": "Estimates without a fit, or with one."},
    "good": {**one_of("0", "1"), "description": "Estimates that do not count as good, or that do."},
    "outside": {**one_of("0", "1"), "description": "Estimates that keep the gallery's limits, or that do not."},
    **_RANGES,
}
_NOTHING = holding()
_FIELDS = holding(**dict.fromkeys(RECORDS, by_name(named("Field"))))

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/api/sessions"): Operation(
        summary="All sessions, the one that changed last first.",
        answers=holding(
            sessions=listed(named("Session")), host=TEXT, version=TEXT, deliveries=listed(named("Delivery"))
        ),
        errors=(401,),
    ),
    ("GET", "/api/sessions/{session}"): Operation(
        summary="One session with acquisition, runs, outputs and dashboards.", answers=named("SessionDetail")
    ),
    ("GET", "/api/sessions/{session}/runs/{run}/log"): Operation(
        summary="The end of a run's log, for who may see every session.", answers=named("RunLog")
    ),
    ("GET", "/api/sessions/{session}/dashboards/{dashboard}"): Operation(
        summary="The definition of a dashboard.", answers=named("Dashboard"), variables=True
    ),
    ("GET", "/api/sessions/{session}/panels/{panel}"): Operation(
        summary="What one panel draws.",
        answers=named("DataAlone"),
        query={**_OF_PANELS, "dashboard": TEXT},
        variables=True,
    ),
    ("GET", "/api/sessions/{session}/data/{dashboard}"): Operation(
        summary="What the panels of a dashboard draw.",
        answers=holding(**_HEAD, panels=by_name(named("Data"))),
        query={**_OF_PANELS, "panels": {**TEXT, "description": "Names with commas between; all without."}},
        variables=True,
    ),
    ("GET", "/api/sessions/{session}/micrographs"): Operation(
        summary="Micrographs, sorted and filtered; or with `after` those that changed since.",
        answers=holding("more", **_HEAD, total=COUNT, more=YES_OR_NO, micrographs=listed(named("Micrograph"))),
        query={**_SELECTION, "after": _OF_PANELS["after"], "offset": ID, "limit": {**COUNT, "maximum": 500}},
        variables=True,
    ),
    ("GET", "/api/sessions/{session}/export"): Operation(
        summary="Micrographs, sorted and filtered, as CSV with units in its head; 200,000 at most.",
        answers=("text/csv",),
        query=_SELECTION,
        variables=True,
    ),
    ("GET", "/api/micrographs/{micrograph}"): Operation(
        summary="One micrograph, and the ones before and after it: in time, or among those that a filter lets through.",
        answers=named("MicrographAlone"),
        query=_SELECTION,
        variables=True,
    ),
    ("GET", "/api/fields"): Operation(summary="Labels and units of all fields.", answers=_FIELDS, errors=(401,)),
    ("GET", "/api/events"): Operation(
        summary="A stream of server-sent events: which session changed.",
        answers=("text/event-stream",),
        query={"session": TEXT},
    ),
    ("GET", PATH): Operation(summary="This description.", answers={"type": "object"}),
    ("GET", "/images/{micrograph}/{kind}"): Operation(
        summary="An image of a micrograph, at the least size that is not below the one asked for.",
        answers=("image/jpeg", "image/png"),
        query={"size": {**COUNT, "maximum": 4096}, "v": {**TEXT, "description": "Its version: it may be kept."}},
    ),
    ("GET", "/api/sessions/{session}/alerts"): Operation(
        summary="Alerts that last, then those over, the newest first.",
        answers=holding(head=WHOLE, alerts=listed(named("Alert"))),
        query=_WINDOW,
    ),
    ("POST", "/api/alerts/{alert}/acknowledge"): Operation(
        summary="Say that somebody sees to an alert.",
        answers=named("Alert"),
        sends=_NOTHING,
        errors=(401, 403, 404),
    ),
    ("POST", "/api/alerts/{alert}/mute"): Operation(
        summary="Hear nothing of an alert for some minutes; 0 ends the silence.",
        answers=named("Alert"),
        sends=holding(minutes={**COUNT, "maximum": MOST_MINUTES}),
        errors=(401, 403, 404),
    ),
    ("GET", "/api/sessions/{session}/shares"): Operation(
        summary="The links that open a session.",
        answers=holding(shares=listed(named("Share"))),
        errors=(401, 403, 404),
    ),
    ("POST", "/api/sessions/{session}/shares"): Operation(
        summary="Make a link that opens a session; a label says for whom.",
        answers=named("ShareMade"),
        sends=holding(
            "label",
            days={"type": "integer", "minimum": 1, "maximum": MOST_DAYS},
            label={**TEXT, "maxLength": MOST_LABEL},
        ),
        errors=(401, 403, 404),
    ),
    ("POST", "/api/shares/{share}/revoke"): Operation(
        summary="End a link.", answers=named("Share"), sends=_NOTHING, errors=(401, 403, 404)
    ),
    ("GET", "/api/sessions/{session}/forget"): Operation(
        summary="What goes where a session is forgotten, for operators who are logged in.",
        answers=named("Belongings"),
        errors=(401, 403, 404),
    ),
    ("POST", "/api/sessions/{session}/forget"): Operation(
        summary="Delete what is stored of a session, and pass its project over from then on.",
        answers=holding(id=TEXT, name=TEXT, undo=TEXT),
        sends=holding(influxdb=YES_OR_NO, images=YES_OR_NO),
        errors=(401, 403, 404),
    ),
    ("GET", "/healthz"): Operation(
        summary="Whether all can be read and delivered; to who may not see all, that cryowatch is there.",
        answers=holding(
            "sessions",
            "deliveries",
            "version",
            status=one_of("ok", "degraded"),
            sessions=listed(TEXT),
            deliveries=listed(TEXT),
            version=TEXT,
        ),
        public=True,
        errors=(),
    ),
    ("GET", "/metrics"): Operation(
        summary="The agent's state for Prometheus.",
        answers=("text/plain", "application/openmetrics-text"),
        errors=(401,),
    ),
}
"""What each route of the interface does, by method and path."""


class Description:
    """The route that answers the description of some routes and of itself."""

    def __init__(self, routes: Sequence[BaseRoute], dashboards: Sequence[Dashboard]) -> None:
        self._route = Route(PATH, self.described)
        self._document = document([*routes, self._route], dashboards)

    def routes(self) -> list[Route]:
        """Return the route."""
        return [self._route]

    def described(self, request: Request) -> Response:
        del request
        return JSON(self._document)


def operations(routes: Sequence[BaseRoute]) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Yield method, path and names in the path of each of the interface's routes."""
    for route in routes:
        if isinstance(route, Route) and route.path.startswith(_MINE):
            names = [found[1] for found in _PARAMETER.finditer(route.path)]
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield method, _PARAMETER.sub(r"{\1}", route.path), names


def document(routes: Sequence[BaseRoute], dashboards: Sequence[Dashboard]) -> dict[str, Any]:
    """Return the description of the interface among some routes; raises KeyError for one without words."""
    variables = {variable.name: REAL for dashboard in dashboards for variable in dashboard.variables}
    paths: dict[str, dict[str, Any]] = {}
    for method, path, names in operations(routes):
        paths.setdefault(path, {})[method.lower()] = _operation(OPERATIONS[method, path], names, variables)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cryowatch",
            "version": __version__,
            "description": "What the pages are made of.  Times are UTC milliseconds; numbers come with units.",
        },
        "paths": paths,
        "components": {
            "schemas": COMPONENTS,
            "securitySchemes": {
                "login": {"type": "apiKey", "in": "cookie", "name": "cryowatch-PORT-login",
                          "description": "Set by POST /login; over https its name begins with __Host-."},
                "token": {"type": "http", "scheme": "bearer", "description": "Of web.metrics_token_file."},
            },
        },
    }  # fmt: skip


_IN_PATHS: Mapping[str, Schema] = {"micrograph": ID, "alert": ID, "kind": one_of(*ImageKind)}


def _operation(operation: Operation, names: Sequence[str], variables: Parameters) -> dict[str, Any]:
    query = {**operation.query, **(variables if operation.variables else {})}
    parameters: list[dict[str, Any]] = [
        *({"name": n, "in": "path", "required": True, "schema": _IN_PATHS.get(n, TEXT)} for n in names),
        *({"name": name, "in": "query", "schema": schema} for name, schema in query.items()),
    ]
    found: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "What was asked for.", "content": _content(operation.answers)},
            **{str(status): _error(status) for status in sorted({*_EVERYWHERE, *operation.errors})},
        },
    }
    if operation.sends is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": operation.sends}}}
        origin = "This server's own address, as in https://cryo.example.org: other sites change nothing."
        parameters.append({"name": "Origin", "in": "header", "required": True, "schema": TEXT, "description": origin})
    if not operation.public:
        found["security"] = [{"login": []}]
    return found


def _content(answers: Schema | tuple[str, ...]) -> dict[str, Any]:
    if isinstance(answers, tuple):
        return {media: {} for media in answers}
    return {"application/json": {"schema": answers}}


def _error(status: int) -> dict[str, Any]:
    said = {"description": _ERRORS[status], "content": {"application/json": {"schema": named("Error")}}}
    headers = {405: "Allow", 401: "WWW-Authenticate", 503: "Retry-After"}
    return {**said, "headers": {headers[status]: {"schema": TEXT}}} if status in headers else said
