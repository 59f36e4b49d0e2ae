"""The web application: pages, JSON interface, events, images and metrics over one store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
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
from cryowatch.web.border import Border, Names
from cryowatch.web.entry import Entry
from cryowatch.web.events import Hub
from cryowatch.web.failures import Failures, unexpected
from cryowatch.web.forget import Forget
from cryowatch.web.gate import Access, Gate
from cryowatch.web.logs import Logs, Read
from cryowatch.web.metrics.agent import Metrics
from cryowatch.web.openapi import Description
from cryowatch.web.pages import Pages
from cryowatch.web.pool import Pool
from cryowatch.web.sharing import Sharing
from cryowatch.web.sight import Sights
from cryowatch.web.summaries import Summaries

WORKER_THREADS = 6
"""For what is quick; queries that may take long have places of their own (`pool`).  Each keeps a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """What of an agent the pages show.

    `last_read` says when a session (by its row id) could be read last, `deliveries` how each delivery to a sink goes,
    and `logs` reads the ends of a run's logs.  `clock` is UTC ns.
    """

    reader: Reader
    hub: Hub
    images: ImageServer
    clock: Callable[[], int]
    host: str
    last_read: Callable[[int], int | None]
    deliveries: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    logs: Read | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """What a facility's pages look like, `names` that their server goes by, and the `url` where others reach them."""

    dashboards: Sequence[Dashboard] = STANDARD
    facility: str = ""
    logo: Path | None = None
    names: Names | None = None
    url: str = ""


def create_app(
    agent: AgentView,
    appearance: Appearance | None = None,
    *,
    access: Access | None = None,
    ledger: Ledger | None = None,
    forgetter: Forgetter | None = None,
) -> Starlette:
    """Return the application.

    Without a `ledger` nobody can see to alerts or mute them here, without a `forgetter` have a session forgotten;
    without `access` everybody sees everything.
    """
    look = appearance or Appearance()
    sights = Sights(agent.reader, access.key if access is not None else None)
    summaries = Summaries(agent.reader, agent.clock, agent.last_read, bounds_of_good(look.dashboards))
    pool = Pool(agent.reader)
    answers = Answers(pool)
    alerts = Alerts(
        reader=agent.reader, sights=sights, answers=answers, ledger=ledger, hub=agent.hub, clock=agent.clock
    )
    assets = Assets()
    pages = Pages(sights, look.dashboards, assets=assets, access=access, facility=look.facility, logo=look.logo)
    failures = Failures(pages, sights, agent.clock)
    routes: list[BaseRoute] = [
        *pages.routes(),
        *_of_people(agent, look, pages, sights, answers, access, forgetter),
        *_api(agent, look, sights, summaries, alerts, answers).routes(),
        *alerts.routes(),
        *_metrics(agent, summaries, alerts, pool, access).routes(),
        *assets.routes(),
    ]
    return Starlette(
        routes=[*routes, *Description(routes, look.dashboards).routes()],
        middleware=[
            Middleware(Border, names=look.names or Names()),
            Middleware(Gate, access=access, explain=failures.ours),
            Middleware(GZipMiddleware, minimum_size=2048, compresslevel=1),
        ],
        exception_handlers={CryowatchError: failures.ours, HTTPException: failures.theirs, Exception: unexpected},
        lifespan=_lifespan(agent.hub, pool),
    )


def _of_people(
    agent: AgentView,
    look: Appearance,
    pages: Pages,
    sights: Sights,
    answers: Answers,
    access: Access | None,
    forgetter: Forgetter | None,
) -> list[Route]:
    """Return the routes that need accounts: logging in, sharing a session, and forgetting one."""
    if access is None:
        return []
    routes = Entry(pages, access, sights, clock=agent.clock).routes()
    routes += Sharing(agent.reader, access, url=look.url).routes()
    if forgetter is not None:
        routes += Forget(agent.reader, answers, forgetter).routes()
    return routes


def _api(
    agent: AgentView, look: Appearance, sights: Sights, summaries: Summaries, alerts: Alerts, answers: Answers
) -> API:
    return API(
        reader=agent.reader,
        sights=sights,
        summaries=summaries,
        alerts=alerts,
        dashboards=look.dashboards,
        images=agent.images,
        hub=agent.hub,
        answers=answers,
        host=agent.host,
        clock=agent.clock,
        deliveries=agent.deliveries,
        logs=None if agent.logs is None else Logs(agent.logs),
    )


def _metrics(agent: AgentView, summaries: Summaries, alerts: Alerts, pool: Pool, access: Access | None) -> Metrics:
    return Metrics(
        summaries,
        alerts,
        agent.deliveries,
        reader=agent.reader,
        pool=pool,
        host=agent.host,
        clock=agent.clock,
        access=access,
    )


def _lifespan(hub: Hub, pool: Pool) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = WORKER_THREADS
        hub.open()
        yield
        pool.close()

    return lifespan
