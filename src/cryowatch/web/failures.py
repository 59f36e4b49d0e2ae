"""What is answered where something is wrong: a page to who asked for one, else a line of JSON."""

from __future__ import annotations

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cryowatch.errors import CryowatchError
from cryowatch.web.border import HEADERS, NOT_KEPT
from cryowatch.web.gate import who
from cryowatch.web.pages import Pages
from cryowatch.web.replies import GONE, JSON, Gone, Noted, explain, headers_of, status_of, text_of
from cryowatch.web.sight import Sights

_NO_PAGES = ("/api/", "/images/", "/metrics", "/healthz")


class Failures:
    """Makes answers of errors; `clock` is UTC ns."""

    def __init__(self, pages: Pages, sights: Sights, clock: Callable[[], int]) -> None:
        self._pages = pages
        self._sights = sights
        self._noted = Noted(clock)

    async def ours(self, request: Request, error: Exception) -> Response:
        """Answer one of our errors; raises any other."""
        self._noted.note(error)
        if isinstance(error, Gone):
            return Response(status_code=GONE)
        if not isinstance(error, CryowatchError):
            raise error
        text = self._sights.told(who(request), text_of(error))
        if not _wants_page(request):
            return explain(error, text)
        answer = self._pages.error(request, status_of(error), text)
        answer.headers.update(headers_of(error))
        return answer

    async def theirs(self, request: Request, error: Exception) -> Response:
        """Answer one of Starlette's errors; raises any other."""
        if not isinstance(error, HTTPException):
            raise error
        text = "there is no such page" if error.status_code == 404 else error.detail
        if _wants_page(request):
            return self._pages.error(request, error.status_code, text)
        return JSON({"error": text}, error.status_code, dict(error.headers or {}))


async def unexpected(request: Request, error: Exception) -> Response:
    """Answer what nobody foresaw, beyond all middleware; the server logs it with its trace."""
    del request, error
    return JSON({"error": "something went wrong here; the log says what"}, 500, dict((*HEADERS.items(), NOT_KEPT)))


def _wants_page(request: Request) -> bool:
    return not request.scope["path"].startswith(_NO_PAGES)
