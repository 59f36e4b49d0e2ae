"""What holds for every request and every answer, before anybody looks at what is asked: the outermost middleware.

Every answer carries the security headers, also errors, redirects, files and event streams.  A request has to name this
server by a name that it goes by (against DNS rebinding: a page of another site whose name suddenly means this machine),
and must not be larger than any that our pages make.  What an answer does not say may be kept, nobody keeps.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Iterable
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cryowatch.numbers import whole

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Frame-Options": "DENY",
}
NOT_KEPT = ("Cache-Control", "no-store")

LONGEST_PATH = 2_000
LONGEST_QUERY = 4_000
MOST_BYTES = 4_096
"""Of a request's body; ours are far smaller."""

_METHODS = ("GET", "HEAD", "POST")
_NAME = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")


class Names:
    """The names that this server goes by: its machine's, those given, and any IP address.

    An address cannot be rebound: a page that names one comes from there.
    """

    def __init__(self, further: Iterable[str] = (), *, url: str = "") -> None:
        host = socket.gethostname().lower()
        self._known = {"localhost", host, f"{host.partition('.')[0]}.local", *(name.lower() for name in further)}
        self._known.add((urlsplit(url).hostname or "localhost").lower())
        threading.Thread(target=self._look_up, args=(host,), daemon=True).start()  # a dead name server takes its time

    def goes_by(self, host: str) -> bool:
        """Return whether a Host header names this server."""
        parts = _NAME.fullmatch(host)
        if parts is None:
            return False
        name = (parts[1] or parts[2]).lower().removesuffix(".")
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._known
        return True

    def _look_up(self, host: str) -> None:
        self._known = {*self._known, socket.getfqdn(host).lower()}


class Border:
    """ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp, names: Names) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError("only HTTP is spoken here")

        async def decorated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (*HEADERS.items(), NOT_KEPT):
                    headers.setdefault(name, value)
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            status, text = refused
            headers = {"Connection": "close"} | ({"Allow": ", ".join(_METHODS)} if status == 405 else {})
            answer = Response(orjson.dumps({"error": text}), status, headers, "application/json")
            await answer(scope, receive, decorated)
            return
        await self._app(scope, receive, decorated)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and text for a request that nobody looks at."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if scope["method"] not in _METHODS:
            return 405, f"only {', '.join(_METHODS)} can be asked here"
        if len(hosts) != 1 or not self._names.goes_by(hosts[0]):
            return 421, "this server does not go by that name; where it should, name it in web.hosts or web.url"
        if len(scope["path"]) > LONGEST_PATH or len(scope["query_string"]) > LONGEST_QUERY:
            return 414, f"an address has {LONGEST_PATH} characters at most, and {LONGEST_QUERY} after its ?"
        if "content-length" in headers and "transfer-encoding" in headers:
            return 400, "what is sent has two lengths"  # which a proxy before us may read otherwise than we do
        if whole(headers.get("content-length", "0"), most=MOST_BYTES) is None:
            return 413, f"what is sent must not be above {MOST_BYTES} bytes"
        return None
