"""Who holds many connections takes places from nobody else: a real agent with 1,024 file descriptors."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from functools import partial

import pytest

from cryowatch.access.role import Role
from cryowatch.system import certificates
from tests.support.people import PASSWORD, add_account
from tests.support.projects import genuine
from tests.web.crowd import Agent, Crowd, Hail, served_in_time, watching

STRANGER, BYSTANDER, HALL = "127.0.0.2", "127.0.0.3", "127.0.0.4"
MANY = 512
PEOPLE = [f"person{number}" for number in range(40)]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    folder = tmp_path_factory.mktemp("crowd")
    for name in ("ada", "eve", *PEOPLE):
        add_account(folder / "data", name, Role.VIEWER)
    with watching(folder, [genuine(folder)], settings='proxies = ["127.0.9.0/24"]') as found:
        yield found


@pytest.fixture(scope="module")
def over_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    folder = tmp_path_factory.mktemp("crowd-tls")
    add_account(folder / "data", "ada", Role.VIEWER)
    made = certificates.create(folder / "tls", ["127.0.0.1"])
    settings = f'certificate = "{made.certificate}"\nkey = "{made.key}"'
    with watching(folder, [genuine(folder)], settings=settings, authority=made.ca_certificate) as found:
        yield found


def saying(text: bytes, *, read: bool = False) -> Hail:
    """Return what sends some bytes, and reads the beginning of the answer."""

    def hail(line: socket.socket) -> None:
        line.sendall(text)
        if read:
            line.settimeout(5)
            line.recv(100)

    return hail


HOST = b"Host: 127.0.0.1\r\n"
IDLE = saying(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", read=True)
HEADERS = saying(b"GET /login HTTP/1.1\r\n" + HOST + b"X-Long: ")
BODY = saying(
    b"POST /login HTTP/1.1\r\n" + HOST + b"Sec-Fetch-Site: same-origin\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 2000\r\n\r\nname="
)
UNREAD = saying(b"GET /static/vendor/echarts.esm.min.js HTTP/1.1\r\n" + HOST + b"\r\n")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("hail", "drip"),
    [(saying(b""), b""), (IDLE, b""), (HEADERS, b"a"), (BODY, b"a"), (UNREAD, b"")],
    ids=["silent", "kept alive and idle", "slow headers", "slow bodies", "answers that nobody takes"],
)
def test_connections_that_one_address_holds_keep_no_other_from_its_page(agent: Agent, hail: Hail, drip: bytes) -> None:
    cookie = agent.login("ada", PASSWORD, address=BYSTANDER)
    with Crowd(agent, MANY, hail, address=STRANGER, drip=drip):
        assert served_in_time(lambda: agent.ask("/login", address=BYSTANDER).status) == []
        assert served_in_time(lambda: agent.ask("/s/small/summary", address=BYSTANDER, cookie=cookie).status) == []
        assert served_in_time(lambda: agent.ask("/login", address=STRANGER).status) == [], "not even at that address"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01"], ids=["silent", "half a greeting"])
def test_handshakes_that_one_address_holds_keep_no_other_from_its_page(over_tls: Agent, begun: bytes) -> None:
    with Crowd(over_tls, MANY, saying(begun), address=STRANGER):
        assert served_in_time(lambda: over_tls.ask("/login", address=BYSTANDER).status) == []
    assert f"{STRANGER} holds 129 connections" in over_tls.errors.read_text()


@pytest.mark.timeout(60)
def test_idle_connections_over_tls_keep_no_other_from_its_page(over_tls: Agent) -> None:
    context = over_tls.context
    assert context is not None
    kept: list[ssl.SSLSocket] = []

    def hail(line: socket.socket) -> None:
        wrapped = context.wrap_socket(line.dup(), server_hostname="127.0.0.1")
        wrapped.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        kept.append(wrapped)

    with Crowd(over_tls, MANY, hail, address=STRANGER):
        assert served_in_time(lambda: over_tls.ask("/login", address=BYSTANDER).status) == []
    for wrapped in kept:
        wrapped.close()


@pytest.mark.timeout(60)
def test_event_streams_that_one_login_holds_keep_no_other_from_theirs(agent: Agent) -> None:
    eve = agent.login("eve", PASSWORD, address=STRANGER)
    ada = agent.login("ada", PASSWORD, address=STRANGER)
    stream = b"GET /api/events HTTP/1.1\r\n" + HOST + b"Cookie: %s\r\n\r\n"
    own = agent.line(STRANGER)
    saying(stream % ada.encode(), read=True)(own)
    with Crowd(agent, MANY, saying(stream % eve.encode(), read=True), address=STRANGER):
        assert served_in_time(lambda: agent.ask("/s/small/summary", address=STRANGER, cookie=ada).status) == []
        assert served_in_time(lambda: agent.ask("/s/small/summary", address=STRANGER, cookie=eve).status) == []
    own.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while said := own.recv(1000):
            assert said
        pytest.fail("the stream of another login at that address was ended")
    own.close()


@pytest.mark.timeout(60)
def test_people_behind_one_address_are_as_many_as_their_logins(agent: Agent) -> None:
    """Each of 40 has a stream and five connections that are idle at times: 240, where an address alone has 128."""
    cookies = [agent.login(name, PASSWORD, address=HALL) for name in PEOPLE]
    streams = []
    for cookie in cookies:
        streams.append(agent.line(HALL))
        streams[-1].sendall(b"GET /api/events HTTP/1.1\r\n" + HOST + f"Cookie: {cookie}\r\n\r\n".encode())
        assert streams[-1].recv(100).startswith(b"HTTP/1.1 200")
    lines = []
    for cookie in cookies * 5:
        line = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=5, source_address=(HALL, 0))
        line.request("GET", "/api/fields", headers={"Cookie": cookie})
        assert line.getresponse().read()
        lines.append((line, cookie))
    for line, cookie in lines[-100:]:
        assert line.sock is not None
        line.request("GET", "/api/fields", headers={"Cookie": cookie})
        assert line.getresponse().status == 200
    with Crowd(agent, MANY, HEADERS, address=HALL, drip=b"a"), concurrent.futures.ThreadPoolExecutor(8) as people:
        seen = [partial(agent.ask, "/s/small/summary", address=HALL, cookie=cookie) for cookie in cookies]
        wrong = people.map(lambda ask: served_in_time(lambda: ask().status, times=2), seen)
        assert [text for one in wrong for text in one] == []
    for stream in streams:
        stream.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while part := stream.recv(10_000):
                assert part
            pytest.fail("a stream of one in the hall was ended")
        stream.close()
    for line, _ in lines:
        line.close()


@pytest.mark.timeout(60)
def test_behind_a_proxy_it_is_counted_whom_the_proxy_names(agent: Agent) -> None:
    proxy = "127.0.9.1"

    def stream(cookie: str, address: str) -> bytes:
        said = f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: {address}\r\nCookie: {cookie}\r\n\r\n"
        return said.encode()

    idle = [agent.line(proxy) for _ in range(200)]
    cookie = agent.login("ada", PASSWORD, address=BYSTANDER)
    own = agent.line(proxy)
    saying(stream(cookie, "192.0.2.7"), read=True)(own)
    unread = saying(UNREAD_BY % b"2001:db8::1")
    with Crowd(agent, MANY, unread, address=proxy):
        asked = partial(agent.ask, "/login", address=proxy)
        assert served_in_time(lambda: asked(headers={"X-Forwarded-For": "192.0.2.8"}).status) == []
        assert served_in_time(lambda: asked(headers={"X-Forwarded-For": "2001:db8::2"}).status) == [], (
            "one network with them"
        )
    own.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while own.recv(1000):
            pass
        pytest.fail("the stream of somebody behind the proxy was ended")
    for line in (own, *idle):
        line.close()


UNREAD_BY = b"GET /static/vendor/echarts.esm.min.js HTTP/1.1\r\n" + HOST + b"X-Forwarded-For: %s\r\n\r\n"
