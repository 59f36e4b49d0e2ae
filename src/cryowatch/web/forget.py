"""Forgetting a session as an operator's page asks for it: what would go, and that it goes.

That cannot be taken back, so it needs a login.  Where there are no accounts, whoever reaches the pages may see to
alerts, and sessions are forgotten by the command alone.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cryowatch.errors import NotFoundError
from cryowatch.forgetting.forgetter import Forgetter
from cryowatch.store.forgotten import Note
from cryowatch.store.reader import Reader, Row
from cryowatch.web.actions import content_of
from cryowatch.web.answers import Answers
from cryowatch.web.gate import who
from cryowatch.web.replies import JSON, BadQuery, Refused


class Forget:
    """The routes."""

    def __init__(self, reader: Reader, answers: Answers, forgetter: Forgetter) -> None:
        self._reader = reader
        self._answers = answers
        self._forgetter = forgetter

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/sessions/{session}/forget", self._answers.endpoint(self.belongings, self._state)),
            Route("/api/sessions/{session}/forget", self.forget, methods=["POST"]),
        ]

    def belongings(self, request: Request) -> dict[str, Any]:
        return self._forgetter.figures(self._session(request)).shown()

    def _state(self, request: Request) -> Hashable:
        """Return what the figures are of, of a session that who asks may have forgotten."""
        return self._session(request)["id"], self._reader.head()

    async def forget(self, request: Request) -> Response:
        said = await content_of(request)
        influxdb, images = said.get("influxdb"), said.get("images")
        if set(said) != {"influxdb", "images"} or not isinstance(influxdb, bool) or not isinstance(images, bool):
            raise BadQuery("influxdb and images must be true or false: whether what lies there goes too")
        note = await run_in_threadpool(self._forgotten, request, influxdb=influxdb, images=images)
        return JSON({"id": note.key, "name": note.name, "undo": f"cryowatch forget --undo {note.key}"})

    def _forgotten(self, request: Request, *, influxdb: bool, images: bool) -> Note:
        session = self._session(request)
        return self._forgetter.forget(session, author=who(request).name, influxdb=influxdb, images=images)

    def _session(self, request: Request) -> Row:
        """Return the session that somebody may have forgotten; raises `NotFoundError` or `Refused`."""
        asking = who(request)
        if asking.share is not None:
            raise NotFoundError("there is no such page")
        if not (asking.name and asking.may_act):
            raise Refused("only operators who are logged in have sessions forgotten; the command does too")
        return self._reader.session(request.path_params["session"])
