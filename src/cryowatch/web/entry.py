"""Coming in and going out: the login's page, logging in and out, and opening a share link."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cryowatch.access.throttle import network_of
from cryowatch.errors import NotFoundError
from cryowatch.times import milliseconds
from cryowatch.web.actions import form_of
from cryowatch.web.gate import Access, who
from cryowatch.web.pages import Pages
from cryowatch.web.replies import Gone
from cryowatch.web.sight import Sights
from cryowatch.web.tries import Away, Crowded, Tries

_KNOWN = "known"
_KNOWN_SECONDS = 400 * 24 * 3600
"""As long as browsers keep a cookie at most."""


class Entry:
    """The routes; `clock` is UTC ns."""

    def __init__(self, pages: Pages, access: Access, sights: Sights, *, clock: Callable[[], int]) -> None:
        self._pages = pages
        self._access = access
        self._sights = sights
        self._clock = clock
        self._tries = Tries()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/login", self.asked),
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/share/{token}", self.share),
        ]

    def asked(self, request: Request) -> Response:
        following = _inside(request.query_params.get("next", ""))
        if who(request).role is not None:
            return RedirectResponse(following, 303)
        return self._form(request, following)

    async def login(self, request: Request) -> Response:
        said = await form_of(request)
        name, password = said.get("name", "").strip().lower(), said.get("password", "")
        following = _inside(said.get("next", ""))
        address = request.client.host if request.client else ""
        known = self._known(request, name)
        waiting = self._access.throttle.take(name[:64], address, known)
        if waiting:
            text = f"Too many tries; the next one is possible in {waiting} s."
            return self._form(request, following, name=name, problem=text, status=429, after=waiting)
        ended = self._access.token(request, "login")

        def attempt() -> str | None:
            account = self._access.accounts.verified(name, password)
            if account is None:
                return None
            self._access.logins.end(ended)
            return self._access.logins.begin(account)

        by = network_of(address) if known is None else name
        try:
            token = await self._tries.run(attempt, by=by, known=known is not None, gone=request.is_disconnected)
        except Crowded as error:
            self._access.throttle.returned(name[:64], address, known)
            text = f"Many are logging in just now. Please try again in {error.seconds} s."
            return self._form(request, following, name=name, problem=text, status=503, after=error.seconds)
        except Away as error:
            raise Gone(str(error)) from None
        if token is None:
            text = "No account has this name and this password."
            return self._form(request, following, name=name, problem=text, status=401)
        self._access.throttle.succeeded(name, address, known)
        answer = RedirectResponse(following, 303, {"Cache-Control": "no-store"})
        self._set(request, answer, "login", token, self._access.logins.seconds)
        mark = known or secrets.token_hex(8)
        signed = f"{mark}.{self._access.key.signature(_KNOWN, mark, name)}"
        self._set(request, answer, _KNOWN, signed, _KNOWN_SECONDS)
        return answer

    async def logout(self, request: Request) -> Response:
        await run_in_threadpool(self._access.logins.end, self._access.token(request, "login"))
        forgotten = {"Cache-Control": "no-store", "Clear-Site-Data": '"cache"'}
        answer = RedirectResponse("/login", 303, forgotten)
        for name in ("login", "share"):
            self._set(request, answer, name, "", 0)
        return answer

    def share(self, request: Request) -> Response:
        token = request.path_params["token"]
        found = self._access.shares.find(token)
        if found is None:
            raise NotFoundError("this link opens nothing any more", remedy="Ask whoever gave it to you for a new one")
        sight = self._sights.of_share(found)
        session = sight.sessions()
        if not session:
            raise NotFoundError("the session of this link is not here any more")
        query = f"?{request.url.query}" if request.url.query else ""
        answer = RedirectResponse(f"/s/{sight.key(session[0]['key'])}{query}", 303, {"Cache-Control": "no-store"})
        left = (found.until - milliseconds(self._clock())) // 1000
        self._set(request, answer, "share", token, max(1, left))
        return answer

    def _form(
        self, request: Request, following: str, *, name: str = "", problem: str = "", status: int = 200, after: int = 0
    ) -> Response:
        context = {"following": following, "name": name, "problem": problem, "accounts": self._access.accounts.any()}
        answer = self._pages.page(request, "login.html", context, status)
        if after:
            answer.headers["Retry-After"] = str(after)
        return answer

    def _known(self, request: Request, name: str) -> str | None:
        """Return the mark of a browser in which the account was logged in before; None for any other."""
        mark, _, signature = self._access.token(request, _KNOWN).partition(".")
        return mark if mark and self._access.key.signed(signature, _KNOWN, mark, name) else None

    def _set(self, request: Request, answer: Response, name: str, value: str, seconds: int) -> None:
        secure = request.url.scheme == "https"
        key = self._access.cookie(name, secure=secure)
        answer.set_cookie(key, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="lax")


def _inside(path: str) -> str:
    """Return a path of these pages: what was given where it is one, else the first page."""
    good = path.startswith("/") and not path.startswith("//") and path.isprintable() and "\\" not in path
    return path if good else "/"
