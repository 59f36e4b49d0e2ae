"""Requests that change something: they come from our own pages alone, and bring JSON.

There are no accounts, so what protects people is that no other site can make their browser ask.  A browser says where
a request comes from (`Sec-Fetch-Site` over HTTPS and on this machine, `Origin` everywhere), and lets no other site send
JSON without asking first, which is never granted.  Who sends neither header is refused too.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.requests import Request

from cryowatch.web.replies import BadQuery, Refused

_MOST_BYTES = 1024


def only_from_our_pages(request: Request) -> None:
    """Raise `Refused` unless the request comes from a page of this very address."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    elsewhere = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if (site is None and origin is None) or site not in (None, "same-origin") or elsewhere:
        raise Refused("this can only be asked for from cryowatch's own pages")


async def content_of(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request brings; raises `BadQuery`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadQuery("what is sent must be application/json")
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > _MOST_BYTES:
            raise BadQuery(f"what is sent must not be above {_MOST_BYTES} bytes")
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadQuery(f"what is sent is no JSON: {error.msg}") from None
    if not isinstance(found, dict):
        raise BadQuery('what is sent must be an object such as {"minutes": 60}')
    return found
