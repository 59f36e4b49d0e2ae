"""The web application: pages, JSON interface, events, images and metrics over one store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cryowatch.dashboards import STANDARD, Dashboard
from cryowatch.errors import CryowatchError
from cryowatch.forgetting.forgetter import Forgetter
from cryowatch.images import ImageServer
from cryowatch.store.alerts import Ledger
from cryowatch.store.panels.good import bounds_of_good
from cryowatch.store.reader import Reader
from cryowatch.web.alerts import Alerts
from cryowatch.web.answers import Answers
from cryowatch.web.api import API
from cryowatch.web.assets import Assets
from cryowatch.web.border import HEADERS, NOT_KEPT, Border, Names
from cryowatch.web.entry import Entry
from cryowatch.web.events import Hub
from cryowatch.web.forget import Forget
from cryowatch.web.gate import Access, Gate, who
from cryowatch.web.logs import Logs, Read
from cryowatch.web.metrics.agent import Metrics
from cryowatch.web.openapi import Description
from cryowatch.web.pages import Pages
from cryowatch.web.pool import Pool
from cryowatch.web.replies import GONE, JSON, Gone, Noted, explain, headers_of, status_of, text_of
from cryowatch.web.sharing import Sharing
from cryowatch.web.sight import Sights
from cryowatch.web.summaries import Summaries

WORKER_THREADS = 6
"""For what is quick; queries that may take long have places of their own (`pool`).  Each keeps a connection."""


def create_app(
    *,
    reader: Reader,
    hub: Hub,
    images: ImageServer,
    clock: Callable[[], int],
    host: str,
    last_read: Callable[[int], int | None],
    dashboards: Sequence[Dashboard] = STANDARD,
    deliveries: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
    facility: str = "",
    logo: Path | None = None,
    ledger: Ledger | None = None,
    forgetter: Forgetter | None = None,
    access: Access | None = None,
    names: Names | None = None,
    url: str = "",
    logs: Read | None = None,
) -> Starlette:
    """Return the application.

    `last_read` says when a session (by its row id) could be read last, `deliveries` how each delivery to a sink goes.
    Without a `ledger` nobody can see to alerts or mute them here, without a `forgetter` have a session forgotten;
    without `access` everybody sees everything.
    `names` are those that this server goes by, `url` is where others reach it.  `logs` reads the ends of a run's logs.
    """
    sights = Sights(reader, access.key if access is not None else None)
    summaries = Summaries(reader, clock, last_read, bounds_of_good(dashboards))
    pool = Pool(reader)
    answers = Answers(pool)
    alerts = Alerts(reader=reader, sights=sights, answers=answers, ledger=ledger, hub=hub, clock=clock)
    api = API(
        reader=reader,
        sights=sights,
        summaries=summaries,
        alerts=alerts,
        dashboards=dashboards,
        images=images,
        hub=hub,
        answers=answers,
        host=host,
        clock=clock,
        deliveries=deliveries,
        logs=None if logs is None else Logs(logs),
    )
    assets = Assets()
    pages = Pages(sights, dashboards, assets=assets, access=access, facility=facility, logo=logo)
    entries: list[Route] = []
    if access is not None:
        entries += Entry(pages, access, sights, clock=clock).routes()
        entries += Sharing(reader, access, url=url).routes()
        if forgetter is not None:
            entries += Forget(reader, answers, forgetter).routes()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        anyio.to_thread.current_default_thread_limiter().total_tokens = WORKER_THREADS
        hub.open()
        yield
        pool.close()

    def _wants_page(request: Request) -> bool:
        return not request.scope["path"].startswith(("/api/", "/images/", "/metrics", "/healthz"))

    noted = Noted(clock)

    async def ours(request: Request, error: Exception) -> Response:
        noted.note(error)
        if isinstance(error, Gone):
            return Response(status_code=GONE)
        if not isinstance(error, CryowatchError):
            raise error
        text = sights.told(who(request), text_of(error))
        if _wants_page(request):
            answer = pages.error(request, status_of(error), text)
            answer.headers.update(headers_of(error))
            return answer
        return explain(error, text)

    async def theirs(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        text = "there is no such page" if error.status_code == 404 else error.detail
        if _wants_page(request):
            return pages.error(request, error.status_code, text)
        return JSON({"error": text}, error.status_code, dict(error.headers or {}))

    async def unexpected(request: Request, error: Exception) -> Response:
        """Answer what nobody foresaw, beyond all middleware; the server logs it with its trace."""
        del request, error
        return JSON({"error": "something went wrong here; the log says what"}, 500, dict((*HEADERS.items(), NOT_KEPT)))

    routes: list[BaseRoute] = [
        *pages.routes(),
        *entries,
        *api.routes(),
        *alerts.routes(),
        *Metrics(
            summaries, alerts, deliveries, reader=reader, pool=pool, host=host, clock=clock, access=access
        ).routes(),
        *assets.routes(),
    ]
    return Starlette(
        routes=[*routes, *Description(routes, dashboards).routes()],
        middleware=[
            Middleware(Border, names=names or Names()),
            Middleware(Gate, access=access, explain=ours),
            Middleware(GZipMiddleware, minimum_size=2048, compresslevel=1),
        ],
        exception_handlers={CryowatchError: ours, HTTPException: theirs, Exception: unexpected},
        lifespan=lifespan,
    )
