"""Hostile requests to a real server, over a socket: each is answered soon, never with 500, and as is promised."""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Route

from tests.fuzz.effort import fuzzed, tried
from tests.support.serving import Served, demo_project, serving

HEADERS = ("content-security-policy", "x-content-type-options", "referrer-policy")
PATIENCE = 30.0
CONTINUE = re.compile(rb"\AHTTP/1\.1 100[^\r\n]*\r\n\r\n")
"""What precedes the answer where a request asks whether it may go on."""


@dataclass(frozen=True)
class Answer:
    """An answer: its status, its headers by lower-case name, and its body."""

    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("requests")
    with serving([demo_project(folder / "session", 6)], folder / "data") as found:
        yield found


def sent(served: Served, data: bytes, *, ends: bool = False) -> bytes:
    """Send bytes and return what comes back until the server closes; `ends`: they are all that will ever come."""
    place = urlsplit(served.address)
    with socket.create_connection((place.hostname, place.port or 0), timeout=PATIENCE) as line:
        line.sendall(data)
        if ends:
            line.shutdown(socket.SHUT_WR)
        found = b""
        while piece := line.recv(65_536):
            found += piece
            if b"text/event-stream" in CONTINUE.sub(b"", found).partition(b"\r\n\r\n")[0]:
                break  # it never ends
    return found


def parsed(raw: bytes) -> Answer | None:
    """Return the first answer in what came back; None where the connection was closed without one."""
    raw = CONTINUE.sub(b"", raw)
    if not raw:
        return None
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status = re.fullmatch(r"HTTP/1\.1 (\d{3}) ?.*", first)
    assert status, raw[:200]
    return Answer(int(status[1]), {n.lower(): v.strip() for n, _, v in (one.partition(":") for one in lines)}, body)


def never(constant: str) -> object:
    raise AssertionError(f"{constant} is no JSON")


def check(served: Served, answer: Answer | None, request: bytes) -> None:
    """Hold an answer against what is promised of every one."""
    assert answer is not None, request[:300]
    assert answer.status < 500, (answer, request[:300])
    for name in HEADERS:
        assert name in answer.headers, (answer, request[:300])
    if answer.headers.get("content-type", "").startswith("application/json") and "content-length" in answer.headers:
        body = answer.body[: int(answer.headers["content-length"])]
        body = gzip.decompress(body) if body and answer.headers.get("content-encoding") == "gzip" else body
        if body:
            json.loads(body, parse_constant=never)
    for secret in (b"Traceback", b'File "', b"site-packages"):
        assert secret not in answer.body, request[:300]


def request(served: Served, method: str, target: bytes, headers: bytes = b"", body: bytes = b"") -> bytes:
    """Return a request's bytes."""
    host = urlsplit(served.address).netloc
    start = b"%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n" % (method.encode(), target, host.encode())
    return start + headers + (b"Content-Length: %d\r\n" % len(body) if body else b"") + b"\r\n" + body


def percent(data: bytes) -> bytes:
    """Return bytes as a part of an address."""
    return b"".join(b"%%%02x" % one if one <= 32 or one >= 127 or one in b"#?" else bytes([one]) for one in data)


WORDS = st.one_of(
    st.sampled_from(
        [
            b"session",
            b"1",
            b"0",
            b"-1",
            b"99999999999999999999999",
            b"9" * 5_000,
            b"1e999",
            b"nan",
            b"inf",
            b"null",
            b"%00",
            b"%ff",
            b"%",
            b"%2e%2e",
            b"..",
            b"../../etc/passwd",
            b"..%2f..%2fetc%2fpasswd",
            b"'",
            b'"',
            b"<script>",
            b"1;DROP TABLE micrograph",
            b"ctf",
            b"summary",
            b"gallery",
            b"micrograph",
            b"power_spectrum",
            b"1_0",
            b"%d9%a3",
            b"%f0%9f%98%80",
            b"%ed%a0%80",
            b"{}",
            b"[]",
            b"*",
            b"%0d%0aX:%20y",
            b"a" * 3_000,
            b"",
            b"1.5",
            b"+1",
            b"0x10",
        ]
    ),
    st.binary(max_size=12).map(percent),
)
METHODS = st.one_of(
    st.just("GET"),
    st.just("GET"),
    st.sampled_from(["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "X", "get"]),
)
QUERIES = [
    b"after",
    b"limit",
    b"output",
    b"size",
    b"from",
    b"to",
    b"panels",
    b"dashboard",
    b"since",
    b"sort",
    b"order",
    b"before",
    b"kind",
    b"run",
    b"last",
    b"head",
    b"resolution",
    b"defocus",
    b"format",
    b"around",
    b"x" * 50,
]


def targets(paths: list[str], words: st.SearchStrategy[bytes] = WORDS) -> st.SearchStrategy[bytes]:
    """Return addresses of these routes, with any of these words for their parameters and as a query."""

    def filled(path: str, names: list[bytes], query: list[tuple[bytes, bytes]]) -> bytes:
        parts = iter(names)
        found = re.sub(rb"\{[^}]*\}", lambda _: next(parts), path.encode())
        return found + (b"?" + b"&".join(name + b"=" + value for name, value in query) if query else b"")

    return st.builds(
        filled,
        st.sampled_from(paths),
        st.lists(words, min_size=3, max_size=3),
        st.lists(st.tuples(st.sampled_from(QUERIES), words), max_size=4),
    )


HEADER_LINES = st.lists(
    st.sampled_from(
        [
            b"Origin: null\r\n",
            b"Origin: http://evil.example\r\n",
            b"Cookie: session=\xff\xfe; =;;\r\n",
            b"Range: bytes=0-\r\n",
            b"Cookie: " + b"a=b;" * 500 + b"\r\n",
            b'If-None-Match: "x", *\r\n',
            b"Accept-Encoding: gzip;q=nan\r\n",
            b"Content-Type: application/json\r\n",
            b"Expect: 100-continue\r\n",
            b"X-Forwarded-For: ::1, \xff\r\n",
            b"Forwarded: for=_x\r\n",
            b"Authorization: Basic !!!\r\n",
            b"Last-Event-ID: -1\r\n",
            b"Upgrade: websocket\r\n",
            b"Accept-Language: *;q=1e9\r\n",
            b"If-Modified-Since: x\r\n",
        ]
    ),
    max_size=3,
    unique=True,
)
BODIES = st.one_of(st.just(b""), st.binary(max_size=20), st.sampled_from([b"[" * 3_000, b'{"a":', b'{"days": 1e999}']))


def test_every_route_answers_whatever_is_asked_of_it(served: Served) -> None:
    paths = sorted({route.path for route in served.app.routes if isinstance(route, Route)})
    assert len(paths) > 15

    @given(METHODS, targets([*paths, "/static/{path}", "/{anything}", "//{anything}", "*"]), HEADER_LINES, BODIES)
    @fuzzed(examples=300)
    def attempt(method: str, target: bytes, headers: list[bytes], body: bytes) -> None:
        tried("requests to every route")
        data = request(served, method, target, b"".join(headers), body)
        check(served, parsed(sent(served, data)), data)

    attempt()
    assert served.get("/healthz")


@given(
    st.sampled_from(
        ["GET / HTTP/1.1\r\n", "GET /api/sessions HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", "", "GET / HTTP/9.9\r\n"]
    ),
    st.one_of(
        st.binary(max_size=80),
        st.sampled_from(
            [
                b"Host: a\r\nHost: b\r\n\r\n",
                b"Content-Length: -1\r\n\r\n",
                b"Content-Length: 99\r\n\r\nx",
                b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
                b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                b"x: " + b"y" * 20_000 + b"\r\n\r\n",
                b"x:y\r\n" * 2_000 + b"\r\n",
                b"\0\0\0",
                b"\x16\x03\x01\x02",
                b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                b" folded\r\n\r\n",
            ]
        ),
    ),
)
@fuzzed(examples=150)
def test_bytes_that_are_no_request_end_soon_and_harm_nothing(served: Served, start: str, rest: bytes) -> None:
    tried("bytes over a socket")
    data = start.encode() + rest
    try:
        answer = parsed(sent(served, data, ends=True))
    except (ConnectionResetError, BrokenPipeError):
        return
    if answer is not None:
        check(served, answer, data)


def test_it_still_serves(served: Served) -> None:
    assert served.get("/api/sessions")["sessions"]
