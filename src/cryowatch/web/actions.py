"""Requests that change something: they come from our own pages alone, and bring little.

No other site may make a reader's browser ask.  A browser says where a request comes from (`Sec-Fetch-Site` over HTTPS
and on this machine, `Origin` everywhere), and lets no other site send JSON without asking first, which is never
granted.  Who sends neither header is refused too.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
from starlette.requests import ClientDisconnect, Request

from cryowatch.web.replies import BadQuery, Gone, Refused

_MOST_BYTES = 4096
_SECONDS = 10.0
"""For which a body may take, however slowly it drips."""


def only_from_our_pages(request: Request) -> None:
    """Raise `Refused` unless the request comes from a page of this very address."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None:
        ours = origin is not None and origin == f"{request.url.scheme}://{request.headers.get('host')}"
    else:
        ours = site == "same-origin" and (
            origin in (None, "null") or urlsplit(origin).netloc == request.headers.get("host")
        )
    if not ours:
        raise Refused("this can only be asked for from cryowatch's own pages")


async def content_of(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request brings; raises `BadQuery`, or `Gone` where it does not come whole."""
    if _kind(request) != "application/json":
        raise BadQuery("what is sent must be application/json")
    try:
        found = orjson.loads(await _body(request))
    except orjson.JSONDecodeError as error:
        raise BadQuery(f"what is sent is no JSON: {error.msg}") from None
    if not isinstance(found, dict):
        raise BadQuery('what is sent must be an object such as {"minutes": 60}')
    return found


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of the form that a request brings; raises `BadQuery`, or `Gone` as `content_of` does."""
    if _kind(request) != "application/x-www-form-urlencoded":
        raise BadQuery("what is sent must be a form")
    try:
        text = (await _body(request)).decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=10))
    except ValueError:
        raise BadQuery("what is sent is no form") from None


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(request: Request) -> bytes:
    content = b""
    try:
        async with asyncio.timeout(_SECONDS):
            async for part in request.stream():
                content += part
                if len(content) > _MOST_BYTES:
                    raise BadQuery(f"what is sent must not be above {_MOST_BYTES} bytes")
    except TimeoutError:
        raise BadQuery(f"what is sent took longer than {_SECONDS:.0f} s") from None
    except ClientDisconnect:
        raise Gone("the connection ended before all was sent") from None
    return content
