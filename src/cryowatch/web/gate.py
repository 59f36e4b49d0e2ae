"""Who asks, and whether they may: the one place through which every request goes.

Where there are accounts everything needs a login, apart from what `PUBLIC` names.  Viewers look, operators also
change something, and whoever has a share link sees what `_SHARED` names, of one session (`sight`).  What is not named
is refused.

A login is used by what a person does.  What an open page asks for by itself keeps no login alive: our scripts say with
each request for how long nobody has touched the page (`IDLE`).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cryowatch.access.accounts import Accounts
from cryowatch.access.key import Key, key_of
from cryowatch.access.logins import Logins
from cryowatch.access.role import Role
from cryowatch.access.shares import Share, Shares
from cryowatch.access.throttle import Throttle
from cryowatch.errors import AccessError, CryowatchError, NotFoundError
from cryowatch.numbers import whole
from cryowatch.settings.web import Exposure, Web, exposure_of
from cryowatch.web.actions import only_from_our_pages
from cryowatch.web.connection import connection_of
from cryowatch.web.replies import LoginNeeded, Refused

SAFE = ("GET", "HEAD")
PUBLIC = re.compile(r"/(login|healthz|logo|static/.*|share/[^/]+)")
"""What needs no login."""

_SHARED = re.compile(r"/|/s/.+|/api/(sessions|sessions/.+|micrographs/[^/]+|fields|events)|/images/.+")
_ANYBODY_MAY = ("/login", "/logout")
IDLE = "cryowatch-idle"
"""The header in which a page says for how many seconds nobody has touched it."""

_BY_ITSELF = re.compile(r"/api/events|/(images|static)/.*|/logo|/healthz|/metrics")
"""What is asked for without that header, and without a person."""

_LONGEST_IDLE = 10**9
_WHO = "cryowatch.who"
_MARK = 12
"""Characters of a reader's mark: it is told to them, and opens nothing."""

_TEXT = {"no accounts": "everybody who reaches it can see every session", "no TLS": "others may read what is sent"}


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who asks: an account, or everybody where there are none (`role`), or who has a link (`share`), or nobody.

    `lasts` says whether they may still see what they may see now: their login or their link can end.  `mark` stands
    for all that decides it: pages with one mark see the same.
    """

    name: str = ""
    role: Role | None = None
    share: Share | None = None
    lasts: Callable[[], bool] = field(default=_always, compare=False)
    mark: str = field(default="", compare=False)

    @property
    def login(self) -> str:
        """What is asked by, in words: an account, a link, or nothing."""
        if self.share is not None:
            return f"link {self.share.id}"
        return f"account {self.name}" if self.name else ""

    @property
    def may_act(self) -> bool:
        """Whether they may see to alerts, mute them, and share sessions."""
        return self.role is Role.OPERATOR


EVERYBODY = Who(role=Role.OPERATOR)
NOBODY = Who()


def who(request: HTTPConnection) -> Who:
    """Return who asks: nobody, where a request did not come through the gate."""
    found: Who = request.scope.get(_WHO, NOBODY)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What decides who may what at one agent; `port` keeps apart the cookies of several agents on one machine."""

    accounts: Accounts
    logins: Logins
    shares: Shares
    key: Key
    throttle: Throttle
    exposure: Exposure = field(default_factory=Exposure)
    metrics_token: str = ""
    port: int = 0

    def cookie(self, name: str, *, secure: bool) -> str:
        """Return the name that a cookie has in a browser; over plain HTTP not all of them take `__Host-`."""
        return f"{'__Host-' if secure else ''}cryowatch-{self.port}-{name}"

    def of(self, request: HTTPConnection) -> Who:
        """Return who asks; raises `AccessError` where that cannot be found out."""
        cookies = self._cookies(request)
        found = self._who(cookies)
        idle = _idle(request)
        if found.name and idle is not None:
            self.logins.use(cookies["login"], ago=idle)
        role = found.role.value if found.role else ""
        link = (found.share.session, found.share.path, found.share.origin) if found.share else ()
        mark = self.key.signature("reader", found.name, role, *link)[:_MARK]
        return replace(found, lasts=lambda: self._lasts(found, cookies), mark=mark)

    def _who(self, cookies: Mapping[str, str]) -> Who:
        if not self.accounts.any() and self.exposure.open_without_accounts:
            return EVERYBODY
        account = self.logins.find(cookies["login"]) if cookies.get("login") else None
        if account is not None:
            return Who(name=account.name, role=account.role)
        share = self.shares.find(cookies["share"]) if cookies.get("share") else None
        return NOBODY if share is None else Who(share=share)

    def _lasts(self, found: Who, cookies: Mapping[str, str]) -> bool:
        try:
            return self._who(cookies) == found
        except AccessError:
            return False

    def token(self, request: HTTPConnection, name: str) -> str:
        """Return what a cookie holds, empty where there is none."""
        return self._cookies(request).get(name, "")

    def opens_metrics(self, authorization: str) -> bool:
        """Return whether a header brings the token for /metrics; takes as long whichever it is."""
        scheme, _, given = authorization.partition(" ")
        hashes = [hashlib.sha256(text.encode()).digest() for text in (given.strip(), self.metrics_token)]
        return hmac.compare_digest(*hashes) and scheme.lower() == "bearer" and bool(self.metrics_token)

    def warnings(self, *, secure: bool = False) -> list[str]:
        """Return what every page has to warn of; `secure`: it was asked for by https, be it from a reverse proxy."""
        lacking = self.exposure.lacks(accounts=self.accounts.any())
        if secure:
            lacking = [one for one in lacking if one != "no TLS"]
        return [f"This address is open with {one}: {_TEXT[one]}." for one in lacking]

    def _cookies(self, request: HTTPConnection) -> dict[str, str]:
        secure = request.url.scheme == "https"
        prefix = self.cookie("", secure=secure)
        found: SimpleCookie = SimpleCookie()
        try:
            found.load("; ".join(request.headers.getlist("cookie")))
        except CookieError:
            return {}
        return {name.removeprefix(prefix): one.value for name, one in found.items() if name.startswith(prefix)}


def access_of(folder: Path, web: Web, *, port: int, clock: Callable[[], int] = time.time_ns) -> Access:
    """Return what decides at an agent with this data directory and settings, whose pages are at a port.

    Raises `ConfigError` and `AccessError`.
    """
    accounts = Accounts(folder)
    key = key_of(folder)
    return Access(
        accounts=accounts,
        logins=Logins(folder, accounts, clock=clock, days=web.login_days, idle_hours=web.idle_hours),
        shares=Shares(folder, key, clock=clock),
        key=key,
        throttle=Throttle(time.monotonic),
        exposure=exposure_of(web),
        metrics_token=web.metrics_token(),
        port=port,
    )


def _idle(request: HTTPConnection) -> int | None:
    """Return how many seconds ago the person who asks last did something; None where a request does not tell."""
    said = request.headers.get(IDLE)
    if said is not None:
        return whole(said, most=_LONGEST_IDLE)
    return None if _BY_ITSELF.fullmatch(request.scope["path"]) else 0


Explain = Callable[[Request, Exception], Awaitable[Response]]


class Gate:
    """ASGI middleware that lets nobody do what they may not; `explain` makes an answer of an error."""

    def __init__(self, app: ASGIApp, access: Access | None, explain: Explain) -> None:
        self._app = app
        self._access = access
        self._explain = explain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            scope[_WHO] = EVERYBODY if self._access is None else self._access.of(request)
            send = _noticed(request, send)
            answer = self._refused(request, who(request))
        except CryowatchError as error:
            if isinstance(error, AccessError) and PUBLIC.fullmatch(scope["path"]) and request.method in SAFE:
                await self._app(scope, receive, send)
                return
            answer = await self._explain(request, error)
        await (answer or self._app)(scope, receive, send)

    def _refused(self, request: Request, asking: Who) -> Response | None:
        """Return the answer to who has to log in; None where they may.  Raises `Refused` or `NotFoundError`."""
        path, safe = request.scope["path"], request.method in SAFE
        if not safe:
            only_from_our_pages(request)
        if PUBLIC.fullmatch(path) or path in _ANYBODY_MAY:
            return None
        if path == "/metrics" and self._access is not None:
            if asking.role or self._access.opens_metrics(Headers(scope=request.scope).get("authorization", "")):
                return None
            raise LoginNeeded("the token of web.metrics_token_file opens this, or a login")
        if asking.role is not None:
            if not safe and not asking.may_act:
                raise Refused("this account may look, and no more")
            return None
        if asking.share is not None:
            if not safe or not _SHARED.fullmatch(path):
                raise NotFoundError("there is no such page")
            return None
        if safe and not path.startswith(("/api/", "/images/")):
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/login?next={quote(path + query, safe='')}", 303, {"Cache-Control": "no-store"})
        raise LoginNeeded("log in first")


def _noticed(request: Request, send: Send) -> Send:
    """Tell a request's connection whose it is; returns what also tells it of an answer without an end."""
    connection = connection_of(request.scope)
    if connection is None:
        return send
    connection.asked_by(who(request).login, request.client.host if request.client else "")

    async def noticed(message: Message) -> None:
        if message["type"] == "http.response.start":
            kinds = [value for name, value in message["headers"] if name == b"content-type"]
            if kinds and kinds[0].startswith(b"text/event-stream"):
                connection.sends_events()
        await send(message)

    return noticed
