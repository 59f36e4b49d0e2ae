"""Answers in JSON, and what each error is answered with."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from cryowatch.errors import AccessError, CryowatchError, ImageAway, ImageIncomplete, NotFoundError, StoreError


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


class LoginNeeded(CryowatchError):
    """Nobody may see this without a login."""


def status_of(error: CryowatchError) -> int:
    """Return the HTTP status that stands for an error."""
    match error:
        case NotFoundError():
            return 404
        case BadQuery():
            return 400
        case LoginNeeded():
            return 401
        case Refused():
            return 403
        case ImageIncomplete() | ImageAway() | StoreError() | AccessError():
            return 503
        case _:
            return 404


async def explain(request: Request, error: Exception) -> Response:
    """Answer one of our errors as one line of JSON."""
    del request
    if not isinstance(error, CryowatchError):
        raise error
    return JSON({"error": str(error)}, status_of(error), headers_of(error))


def headers_of(error: CryowatchError) -> dict[str, str]:
    """Return the headers that an error's answer carries."""
    match error:
        case LoginNeeded():
            return {"WWW-Authenticate": 'Bearer realm="cryowatch"'}
        case ImageIncomplete() | ImageAway() | StoreError() | AccessError():
            return {"Retry-After": "5"}
        case _:
            return {}
