"""Answers in JSON, and the headers that every answer carries."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cryowatch.errors import CryowatchError, ImageAway, ImageIncomplete, NotFoundError, StoreError

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class JSON(Response):
    """An answer in JSON: NaN and infinity become null, and nothing keeps it."""

    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__(content, status_code, {"Cache-Control": "no-store", **(headers or {})})

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


class BadQuery(CryowatchError):
    """What the query of an address says cannot be understood."""


class Refused(CryowatchError):
    """Who asks may not do this, or nobody may here."""


def status_of(error: CryowatchError) -> int:
    """Return the HTTP status that stands for an error."""
    match error:
        case NotFoundError():
            return 404
        case BadQuery():
            return 400
        case Refused():
            return 403
        case ImageIncomplete() | ImageAway() | StoreError():
            return 503
        case _:
            return 404


async def explain(request: Request, error: Exception) -> Response:
    """Answer one of our errors as one line of JSON."""
    del request
    if not isinstance(error, CryowatchError):
        raise error
    status = status_of(error)
    headers = {"Retry-After": "5"} if status == 503 else {}
    return JSON({"error": str(error)}, status, headers)


class SecurityHeaders:
    """ASGI middleware that adds the security headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def decorated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, decorated if scope["type"] == "http" else send)
