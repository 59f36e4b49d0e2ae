"""What a server answers over HTTP, read no further than it may be: it may be anybody's, and send anything.

No encoding is asked for, so none is decoded: some hundred kilobytes of gzip become a gigabyte.
"""

from __future__ import annotations

import time
from typing import Any

import httpx2

MOST_BYTES = 32 * 2**20
"""Of the answer to a question."""

MOST_OF_AN_ERROR = 64 * 2**10
"""Bytes of an answer that is an error, which is JSON at times: only whole can it be understood."""

SECONDS = 120.0
"""For an answer as a whole: the limits of the client hold for each of its pieces."""

_PLAIN = {"Accept-Encoding": "identity"}


class AnswerTooLong(httpx2.ReadError):
    """An answer that goes on beyond what is read."""


def asked(
    client: httpx2.Client,
    method: str,
    url: str,
    *,
    most: int = MOST_BYTES,
    seconds: float = SECONDS,
    cut: bool = False,
    **request: Any,
) -> httpx2.Response:
    """Send a request and return its answer with at most `most` bytes, of an error its beginning.

    Raises an `httpx2.TransportError`: `AnswerTooLong` for more, for an answer that takes longer than so many seconds,
    or one in an encoding that nobody asked for; where the words do not matter, `cut` leaves out what is too much.
    """
    end = time.monotonic() + seconds
    headers = {**_PLAIN, **request.pop("headers", {})}
    with client.stream(method, url, headers=headers, **request) as answer:
        limit = most if answer.is_success else min(most, MOST_OF_AN_ERROR)
        body = bytearray()
        complaint = _encoded(answer)
        for chunk in () if complaint else answer.iter_bytes():
            body += chunk
            if len(body) > limit:
                complaint = f"answers with more than {limit / 2**20:,.0f} MB" if answer.is_success else ""
                break
            if time.monotonic() > end:
                complaint = f"answers for more than {seconds:g} s"
                break
        if complaint and not cut:
            raise AnswerTooLong(complaint, request=answer.request)
        kept = [(name, value) for name, value in answer.headers.multi_items() if name != "content-length"]
        return httpx2.Response(
            answer.status_code,
            headers=[(name, value) for name, value in kept if name not in ("transfer-encoding", "content-encoding")],
            content=bytes(body[:limit]),
            request=answer.request,
            extensions={"reason_phrase": answer.reason_phrase.encode("ascii", "replace")},
        )


def parsed(answer: httpx2.Response) -> Any:
    """Return what an answer says in JSON; raises `ValueError` where it is none, or nested deeper than anybody means."""
    try:
        return answer.json()
    except RecursionError:
        raise ValueError("is nested too deep") from None


def _encoded(answer: httpx2.Response) -> str:
    """Return what is wrong with how an answer is encoded; empty where it is plain."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    return "" if encoding in ("", "identity") else "answers in an encoding that was not asked for"
