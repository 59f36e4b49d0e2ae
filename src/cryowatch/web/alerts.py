"""Alerts as pages get them, and what people say to them: that they see to one, or want to hear nothing of it.

To a session belong its own alerts and those of its host that are of no session.  Whatever somebody says is stored and
then told to every open page of the sessions concerned.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cryowatch.errors import NotFoundError
from cryowatch.records import RECORDS, Severity, quantities
from cryowatch.store import Change, raised
from cryowatch.store.alerts import Ledger
from cryowatch.store.reader import Reader, Row
from cryowatch.times import MINUTE, milliseconds
from cryowatch.web.actions import content_of
from cryowatch.web.answers import Answers
from cryowatch.web.events import Hub
from cryowatch.web.gate import who
from cryowatch.web.queries import nanoseconds
from cryowatch.web.replies import JSON, BadQuery, Refused
from cryowatch.web.sight import Sight, Sights

MOST_MINUTES = 7 * 24 * 60
MOST_PAST = 1_000


@dataclass(frozen=True, slots=True)
class Active:
    """All alerts that last now, the worst first."""

    alerts: Sequence[dict[str, Any]]

    def of(self, session: Row, sight: Sight, *, whole: bool = True) -> dict[str, Any]:
        """Return those of a row of the session table with how many there are of each severity.

        Unless they are told `whole`, their details are left out.
        """
        host = _host(session, sight)
        found = [
            _seen(a if whole else {**a, "detail": ""}, sight)
            for a in self.alerts
            if a["session"] == session["key"] or (a["session"] is None and a["host"] == host)
        ]
        return {"counts": counts(found), "active": found}


class Alerts:
    """The alerts of a store; without a `ledger` they can be looked at only."""

    def __init__(
        self,
        *,
        reader: Reader,
        sights: Sights,
        answers: Answers,
        ledger: Ledger | None,
        hub: Hub,
        clock: Callable[[], int],
    ) -> None:
        self._reader = reader
        self._sights = sights
        self._answers = answers
        self._ledger = ledger
        self._hub = hub
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/sessions/{session}/alerts", self._answers.endpoint(self.listed, self._state)),
            Route("/api/alerts/{alert:int}/acknowledge", self.acknowledge, methods=["POST"]),
            Route("/api/alerts/{alert:int}/mute", self.mute, methods=["POST"]),
        ]

    def active(self) -> Active:
        """Return the alerts of all sessions and hosts that last now."""
        return Active([shown(row) for row in raised.active(self._reader, now=self._clock())])

    def of(self, session: Row, sight: Sight) -> dict[str, Any]:
        """Return the active alerts of a row of the session table, and the position of the last change of any."""
        return {**self.active().of(session, sight), "head": self._head(session, sight)}

    def _state(self, request: Request) -> Hashable:
        del request
        return self._reader.head()

    def listed(self, request: Request) -> dict[str, Any]:
        sight = self._sights.of(who(request))
        session = sight.session(request.path_params["session"])
        start, stop = nanoseconds(request.query_params, "from"), nanoseconds(request.query_params, "to")
        if start is not None and stop is not None and start > stop:
            raise BadQuery("from must not be after to")
        head = self._head(session, sight)
        host, now = _host(session, sight), self._clock()
        past = raised.past(self._reader, session["id"], host, start=start, stop=stop, most=MOST_PAST, now=now)
        active = self.active().of(session, sight)["active"]
        over = [_seen(shown(row), sight) for row in past]
        return {"head": head, "alerts": [*active, *over]}

    async def acknowledge(self, request: Request) -> Response:
        alert, ledger, said = await self._asked(request)
        if said:
            raise BadQuery("to see to an alert nothing more is to be said")
        if not await run_in_threadpool(ledger.acknowledge, alert, now=self._clock()):
            raise NotFoundError(f"there is no alert {alert} that lasts")
        return await run_in_threadpool(self._told, alert)

    async def mute(self, request: Request) -> Response:
        alert, ledger, said = await self._asked(request)
        minutes = said.get("minutes")
        if set(said) != {"minutes"} or type(minutes) is not int or not 0 <= minutes <= MOST_MINUTES:
            raise BadQuery(f"minutes must be a whole number up to {MOST_MINUTES}; 0 ends the silence")
        if minutes:
            there = await run_in_threadpool(ledger.mute, alert, until=self._clock() + minutes * MINUTE)
        else:
            there = await run_in_threadpool(ledger.unmute, alert)
        if not there:
            raise NotFoundError(f"there is no alert {alert}")
        return await run_in_threadpool(self._told, alert)

    async def _asked(self, request: Request) -> tuple[int, Ledger, dict[str, Any]]:
        if self._ledger is None:
            raise Refused("alerts can only be looked at here")
        alert = request.path_params["alert"]
        if alert > raised.LATEST:
            raise NotFoundError("there is no such alert")
        return alert, self._ledger, await content_of(request)

    def _told(self, alert: int) -> Response:
        """Tell every open page, and answer the alert as it is now."""
        for row in raised.concerned(self._reader, alert):
            change = Change(session=row["id"], key=row["key"], seq=row["seq"], generation=row["generation"])
            self._hub.publish(change)
        found = raised.one(self._reader, alert, now=self._clock())
        if found is None:
            raise NotFoundError(f"there is no alert {alert}")
        return JSON(shown(found))

    def _head(self, session: Row, sight: Sight) -> int:
        return sight.head(raised.head(self._reader, session["id"], _host(session, sight)))


def _host(session: Row, sight: Sight) -> str | None:
    """Return the host whose own alerts are seen with a session's."""
    return None if sight.confined else session["host"]


def counts(alerts: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Return how many alerts there are of each severity, the worst first."""
    severities = [alert["severity"] for alert in alerts]
    return {severity.value: severities.count(severity.value) for severity in reversed(Severity)}


def shown(row: Row) -> dict[str, Any]:
    """Return an alert as pages get it: times in milliseconds, and which record's field it is about."""
    record = _record(row)
    known = quantities(RECORDS[record]).get(row["field"]) if record else None
    times = ("since", "until", "acknowledged", "muted_until")
    return {
        **row,
        **{name: milliseconds(row[name]) for name in times},
        "record": record,
        "decimals": known.decimals if known else None,
    }


def _seen(alert: dict[str, Any], sight: Sight) -> dict[str, Any]:
    session = alert["session"]
    return {
        **sight.told(alert),
        "id": sight.id(alert["id"]),
        "session": None if session is None else sight.key(session),
    }


def _record(row: Row) -> str:
    """Return the kind of record that has an alert's field; empty for an alert about none."""
    if not row["field"]:
        return ""
    if row["session"] is None:
        return "device" if row["subject"] else "host"
    return "gain" if row["field"] in quantities(RECORDS["gain"]) else "micrograph"
