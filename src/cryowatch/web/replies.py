"""Answers in JSON, and what each error is answered with."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import orjson
from starlette.responses import Response

from cryowatch.errors import (
    AccessError,
    CryowatchError,
    ImageAway,
    ImageIncomplete,
    NotFoundError,
    SourceError,
    StoreError,
)
from cryowatch.times import MINUTE

log = logging.getLogger(__name__)

GONE = 499
"""The status of what nobody gets, as nginx says it."""


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


class Gone(CryowatchError):
    """Who asked has hung up, and gets no answer."""


class Busy(CryowatchError):
    """It took too long, or too much waits already; it may be asked for again after so many seconds."""

    def __init__(self, what: str, *, after: int) -> None:
        super().__init__(what)
        self.after = after


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
        case ImageIncomplete() | ImageAway() | SourceError() | StoreError() | AccessError() | Busy():
            return 503
        case _:
            return 404


class Noted:
    """Logs what is wrong with cryowatch's own files, which answers do not tell: once a minute; `clock` is UTC ns."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._next = 0

    def note(self, error: Exception) -> None:
        """Log an error of that kind."""
        if isinstance(error, AccessError | StoreError) and self._clock() >= self._next:
            self._next = self._clock() + MINUTE
            log.error("%s", error)


def text_of(error: CryowatchError) -> str:
    """Return what is told of an error: of cryowatch's own files not where they lie, as nobody may have logged in."""
    match error:
        case AccessError():
            return "who may come in cannot be looked up just now. Whoever runs cryowatch finds the reason in its log"
        case StoreError():
            return "what is stored cannot be read just now. Whoever runs cryowatch finds the reason in its log"
        case _:
            return str(error)


def explain(error: CryowatchError, text: str) -> Response:
    """Answer one of our errors as one line of JSON."""
    return JSON({"error": text}, status_of(error), headers_of(error))


def headers_of(error: CryowatchError) -> dict[str, str]:
    """Return the headers that an error's answer carries."""
    match error:
        case LoginNeeded():
            return {"WWW-Authenticate": 'Bearer realm="cryowatch"'}
        case Busy():
            return {"Retry-After": str(error.after)}
        case ImageIncomplete() | ImageAway() | SourceError() | StoreError() | AccessError():
            return {"Retry-After": "5"}
        case _:
            return {}
