"""Share links as an operator's page makes, lists and ends them."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cryowatch.access.shares import MOST_DAYS, MOST_LABEL, Share
from cryowatch.errors import ConfigError, NotFoundError
from cryowatch.store.reader import Reader
from cryowatch.web.actions import content_of
from cryowatch.web.gate import Access, who
from cryowatch.web.replies import JSON, BadQuery, Refused


class Sharing:
    """The routes; `url` is where others reach the pages, empty where the address that is asked for is right."""

    def __init__(self, reader: Reader, access: Access, *, url: str) -> None:
        self._reader = reader
        self._access = access
        self._url = url.rstrip("/")

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/sessions/{session}/shares", self.listed),
            Route("/api/sessions/{session}/shares", self.create, methods=["POST"]),
            Route("/api/shares/{share}/revoke", self.revoke, methods=["POST"]),
        ]

    def listed(self, request: Request) -> Response:
        if not who(request).may_act:
            raise Refused("only operators see the links")
        session = self._reader.session(request.path_params["session"])
        found = [share for share in self._access.shares.listed() if share.opens(session)]
        return JSON({"shares": [_shown(share) for share in found]})

    async def create(self, request: Request) -> Response:
        said = await content_of(request)
        days, label = said.get("days"), said.get("label", "")
        if not {"days"} <= set(said) <= {"days", "label"} or type(days) is not int or not 1 <= days <= MOST_DAYS:
            raise BadQuery(f"days must be a whole number from 1 to {MOST_DAYS}")
        if not isinstance(label, str) or len(label) > MOST_LABEL or not label.isprintable():
            raise BadQuery(f"label must be one line of at most {MOST_LABEL} characters")
        share, token = await run_in_threadpool(self._made, request, days, label)
        base = self._url or f"{request.url.scheme}://{request.headers['host']}"
        return JSON({**_shown(share), "url": f"{base}/share/{token}"})

    async def revoke(self, request: Request) -> Response:
        if await content_of(request):
            raise BadQuery("to end a link nothing more is to be said")
        try:
            share = await run_in_threadpool(self._access.shares.revoke, request.path_params["share"])
        except ConfigError:
            raise NotFoundError("there is no such link any more") from None
        return JSON(_shown(share))

    def _made(self, request: Request, days: int, label: str) -> tuple[Share, str]:
        session = self._reader.session(request.path_params["session"])
        if not self._access.accounts.any():
            raise Refused("there are no accounts: whoever reaches the pages sees every session, and needs no link")
        try:
            return self._access.shares.create(
                session=session["key"],
                path=session["path"],
                origin=session["origin"],
                days=days,
                by=who(request).name,
                label=label,
            )
        except ConfigError as error:
            raise Refused(str(error)) from None


def _shown(share: Share) -> dict[str, Any]:
    return {"id": share.id, "until": share.until, "created": share.created, "by": share.by, "label": share.label}
