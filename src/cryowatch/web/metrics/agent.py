"""`/healthz`, and `/metrics` in Prometheus' text format or as OpenMetrics."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cryowatch import __version__
from cryowatch.reading import READABLE
from cryowatch.store.reader import Reader
from cryowatch.web.alerts import Alerts
from cryowatch.web.gate import Access, who
from cryowatch.web.pool import Pool
from cryowatch.web.replies import GONE, JSON
from cryowatch.web.summaries import Summaries

_OPENMETRICS = re.compile(r"application/openmetrics-text\s*;\s*version=1\.0\.0\b")
"""What Prometheus accepts where it would rather have OpenMetrics."""


class Metrics:
    """The agent's own state, for machines."""

    def __init__(
        self,
        summaries: Summaries,
        alerts: Alerts,
        deliveries: Callable[[], Sequence[Mapping[str, Any]]],
        *,
        reader: Reader,
        pool: Pool,
        host: str,
        clock: Callable[[], int],
        access: Access | None = None,
    ) -> None:
        self._access = access
        self._reader = reader
        self._pool = pool
        self._host = host
        self._summaries = summaries
        self._alerts = alerts
        self._clock = clock
        self._deliveries = deliveries

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/healthz", self.health), Route("/metrics", self.metrics)]

    def health(self, request: Request) -> Response:
        """Answer that cryowatch is there; how all is, only who may see all, as others would learn of each other."""
        told = request.headers.get("authorization", "")
        if who(request).role is None and not (self._access and self._access.opens_metrics(told)):
            self._reader.head()
            return JSON({"status": "ok"})
        sessions = [row for row in self._reader.sessions() if not row["replaced"]]
        bad = [row["key"] for row in sessions if row["state"] not in READABLE]
        refused = [d["where"] for d in self._deliveries() if d["needs_person"]]
        status = "degraded" if bad or refused else "ok"
        return JSON({"status": status, "sessions": bad, "deliveries": refused, "version": __version__})

    async def metrics(self, request: Request) -> Response:
        as_openmetrics = _OPENMETRICS.search(request.headers.get("accept", "")) is not None
        work = partial(self._written, as_openmetrics=as_openmetrics)
        answer = await self._pool.answer(request, work, same=(self.metrics, as_openmetrics))
        if answer is None:
            return Response(status_code=GONE)
        body, media_type = answer
        return Response(body, media_type=media_type, headers={"Vary": "Accept"})

    def _written(self, *, as_openmetrics: bool) -> tuple[bytes, str]:
        from cryowatch.web.metrics.everything import everything  # noqa: PLC0415  Prometheus' library waits until then
        from cryowatch.web.metrics.families import written  # noqa: PLC0415

        families = everything(
            self._summaries,
            self._alerts,
            self._deliveries(),
            reader=self._reader,
            host=self._host,
            now=self._clock(),
        )
        return written(families, as_openmetrics=as_openmetrics)
