"""`/healthz` and `/metrics` (Prometheus' text format)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cryowatch import __version__
from cryowatch.reading import READABLE
from cryowatch.store.reader import Reader
from cryowatch.web.alerts import Active, Alerts, counts
from cryowatch.web.gate import Access, who
from cryowatch.web.metrics.host import host_metrics
from cryowatch.web.metrics.process import process_metrics
from cryowatch.web.metrics.text import MEDIA_TYPE, Kind, family
from cryowatch.web.pool import Pool
from cryowatch.web.replies import GONE, JSON
from cryowatch.web.summaries import Summaries


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
        text = await self._pool.answer(request, self._text, same=self.metrics)
        return Response(status_code=GONE) if text is None else PlainTextResponse(text, media_type=MEDIA_TYPE)

    def _text(self) -> str:
        sessions = self._summaries.all()
        now = self._clock()
        return "".join(
            (
                family("cryowatch_info", "gauge", "The version that runs here.", [({"version": __version__}, 1)]),
                *_sessions(sessions),
                *_stages(sessions, now / 10**9),
                _judged(sessions),
                _alarms(sessions, self._alerts.active()),
                *_delivered(self._deliveries()),
                *host_metrics(self._reader, self._host, now),
                *process_metrics(),
            )
        )


def _sessions(sessions: list[dict[str, Any]]) -> Iterator[str]:
    named = [({"session": s["id"], "name": s["name"], "host": s["host"]}, 1) for s in sessions]
    yield family("cryowatch_session_info", "gauge", "What a session is called, and which machine reads it.", named)
    for name, text, value in (
        ("newest_timestamp_seconds", "Time of the newest item.", _newest),
        ("last_read_timestamp_seconds", "Time of the last good read.", _last_read),
        ("readable", "1 where the source can be read.", _readable),
        ("running", "1 while a run is at work.", _running),
    ):
        found = [({"session": session["id"]}, value(session)) for session in sessions]
        yield family(f"cryowatch_{name}", "gauge", text, [(of, number) for of, number in found if number is not None])


def _stages(sessions: list[dict[str, Any]], now: float) -> Iterator[str]:
    """How many items each stage has, how old the newest is, and how many the stage has not processed yet."""
    items, ages, backlogs = [], [], []
    for session in sessions:
        for stage, count in session["counts"].items():
            items.append(({"session": session["id"], "stage": stage}, count))
        for stage, newest in session["stages"].items():
            if newest is not None:
                ages.append(({"session": session["id"], "stage": stage}, max(0.0, now - newest / 1000)))
        for before, stage in pairwise(session["stages"]):
            waiting = max(0, session["counts"][before] - session["counts"][stage])
            backlogs.append(({"session": session["id"], "stage": stage}, waiting))
    yield family("cryowatch_items", "gauge", "Items of each stage of a session.", items)
    yield family("cryowatch_newest_age_seconds", "gauge", "Seconds since the newest item of a stage.", ages)
    text = "Items of the stage before that a stage has not processed yet."
    yield family("cryowatch_backlog_items", "gauge", text, backlogs)


def _judged(sessions: list[dict[str, Any]]) -> str:
    """Return how many estimates of each session are good, outside of a limit, without a fit, and disabled."""
    found = []
    for session in sessions:
        if (good := session["good"]) is not None:
            counted = {"good": good["good"], "outside": good["of"] - good["good"], "unfit": good["unfit"]}
            for judgement, count in {**counted, "disabled": good["disabled"]}.items():
                found.append(({"session": session["id"], "judgement": judgement}, count))
    text = "CTF estimates that are good, or outside of a limit (unfit ones among them), and disabled ones beside."
    return family("cryowatch_estimates", "gauge", text, found)


def _alarms(sessions: list[dict[str, Any]], active: Active) -> str:
    """Return how many alerts each session has; those of the host alone are of no session."""
    found = [
        ({"session": key or "", "severity": severity}, count)
        for key in (*(session["id"] for session in sessions), None)
        for severity, count in counts(a for a in active.alerts if a["session"] == key).items()
    ]
    text = "Alerts that last; those of the host alone have no session."
    return family("cryowatch_alerts_active", "gauge", text, found)


def _delivered(deliveries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    kinds: tuple[tuple[str, Kind, str], ...] = (
        ("behind", "gauge", "Changes of the store that are not delivered yet."),
        ("failing", "gauge", "1 where something stands in the way of a delivery."),
        ("accepted_total", "counter", "Points that the server took."),
        ("rejected_total", "counter", "Points that the server will never take."),
        ("dropped_total", "counter", "Host samples that were forgotten before the server could take them."),
    )
    for name, kind, text in kinds:
        field = name.removesuffix("_total")
        found = [
            (
                {"where": delivery["where"], "what": delivery["what"]},
                int(bool(delivery["problem"])) if field == "failing" else delivery[field],
            )
            for delivery in deliveries
        ]
        yield family(f"cryowatch_delivery_{name}", kind, text, found)


def _newest(session: dict[str, Any]) -> float | None:
    time = session["newest"]["time"]
    return None if time is None else time / 1000


def _last_read(session: dict[str, Any]) -> float | None:
    time = session["state"]["last_read"]
    return None if time is None else time / 1000


def _readable(session: dict[str, Any]) -> int:
    return int(session["state"]["state"] in READABLE)


def _running(session: dict[str, Any]) -> int:
    return int(session["status"] == "running")
