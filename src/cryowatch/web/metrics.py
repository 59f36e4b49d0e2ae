"""`/healthz` and `/metrics` (Prometheus' text format)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cryowatch import __version__
from cryowatch.store.reader import Reader
from cryowatch.web.alerts import Active, Alerts, counts
from cryowatch.web.gate import who
from cryowatch.web.host_metrics import host_metrics, label
from cryowatch.web.replies import JSON
from cryowatch.web.summaries import Summaries

_GOOD = ("ok", "busy")


class Metrics:
    """The agent's own state, for machines."""

    def __init__(
        self,
        summaries: Summaries,
        alerts: Alerts,
        deliveries: Callable[[], Sequence[Mapping[str, Any]]],
        *,
        reader: Reader,
        host: str,
        clock: Callable[[], int],
    ) -> None:
        self._reader = reader
        self._host = host
        self._summaries = summaries
        self._alerts = alerts
        self._clock = clock
        self._deliveries = deliveries

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/healthz", self.health), Route("/metrics", self.metrics)]

    def health(self, request: Request) -> Response:
        bad = [s["id"] for s in self._summaries.all() if s["state"]["state"] not in _GOOD]
        refused = [d["where"] for d in self._deliveries() if d["needs_person"]]
        status = "degraded" if bad or refused else "ok"
        if who(request).role is None:
            return JSON({"status": status})
        return JSON({"status": status, "sessions": bad, "deliveries": refused, "version": __version__})

    def metrics(self, request: Request) -> Response:
        del request
        sessions = self._summaries.all()
        now = self._clock()
        text = "".join(
            (
                *_families(sessions),
                *_stages(sessions, now / 10**9),
                *_alarms(sessions, self._alerts.active()),
                *_delivered(self._deliveries()),
                *host_metrics(self._reader, self._host, now),
            )
        )
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


def _families(sessions: list[dict[str, Any]]) -> Iterable[str]:
    yield f'# TYPE cryowatch_info gauge\ncryowatch_info{{version="{__version__}"}} 1\n'
    yield "# HELP cryowatch_items Items of each stage of a session.\n# TYPE cryowatch_items gauge\n"
    for session in sessions:
        for stage, count in session["counts"].items():
            yield f'cryowatch_items{{session="{label(session["id"])}",stage="{stage}"}} {count}\n'
    yield from _gauge(sessions, "newest_timestamp_seconds", "Time of the newest item.", _newest)
    yield from _gauge(sessions, "last_read_timestamp_seconds", "Time of the last good read.", _last_read)
    yield from _gauge(sessions, "readable", "1 where the source can be read.", _readable)


def _stages(sessions: list[dict[str, Any]], now: float) -> Iterable[str]:
    """How old the newest item of each stage is, and how many items each stage has not processed yet."""
    yield "# HELP cryowatch_newest_age_seconds Seconds since the newest item of a stage.\n"
    yield "# TYPE cryowatch_newest_age_seconds gauge\n"
    for session in sessions:
        for stage, newest in session["stages"].items():
            if newest is not None:
                age = max(0.0, now - newest / 1000)
                yield f"cryowatch_newest_age_seconds{{{_of(session, stage=stage)}}} {age:.3f}\n"
    yield "# HELP cryowatch_backlog_items Items of the stage before that a stage has not processed yet.\n"
    yield "# TYPE cryowatch_backlog_items gauge\n"
    for session in sessions:
        for before, stage in pairwise(session["stages"]):
            waiting = max(0, session["counts"][before] - session["counts"][stage])
            yield f"cryowatch_backlog_items{{{_of(session, stage=stage)}}} {waiting}\n"


def _alarms(sessions: list[dict[str, Any]], active: Active) -> Iterable[str]:
    """The alerts of each session; those of the host alone are of no session."""
    yield "# HELP cryowatch_alerts_active Alerts that last; those of the host alone have no session.\n"
    yield "# TYPE cryowatch_alerts_active gauge\n"
    for key in (*(session["id"] for session in sessions), None):
        for severity, count in counts(a for a in active.alerts if a["session"] == key).items():
            name = label(key or "")
            yield f'cryowatch_alerts_active{{session="{name}",severity="{severity}"}} {count}\n'


def _delivered(deliveries: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    for name, kind, text in (
        ("behind", "gauge", "Changes of the store that are not delivered yet."),
        ("accepted", "counter", "Points that the server took."),
        ("rejected", "counter", "Points that the server will never take."),
        ("dropped", "counter", "Host samples that were forgotten before the server could take them."),
    ):
        total = "_total" if kind == "counter" else ""
        full = f"cryowatch_delivery_{name}{total}"
        yield f"# HELP {full} {text}\n# TYPE {full} {kind}\n"
        for delivery in deliveries:
            yield f'{full}{{where="{label(delivery["where"])}"}} {delivery[name]}\n'


def _gauge(sessions: list[dict[str, Any]], name: str, text: str, value: Any) -> Iterable[str]:
    yield f"# HELP cryowatch_{name} {text}\n# TYPE cryowatch_{name} gauge\n"
    for session in sessions:
        found = value(session)
        if found is not None:
            yield f'cryowatch_{name}{{session="{label(session["id"])}"}} {found}\n'


def _newest(session: dict[str, Any]) -> float | None:
    time = session["newest"]["time"]
    return None if time is None else time / 1000


def _last_read(session: dict[str, Any]) -> float | None:
    time = session["state"]["last_read"]
    return None if time is None else time / 1000


def _readable(session: dict[str, Any]) -> int:
    return int(session["state"]["state"] in _GOOD)


def _of(session: dict[str, Any], *, stage: str) -> str:
    return f'session="{label(session["id"])}",stage="{stage}"'
