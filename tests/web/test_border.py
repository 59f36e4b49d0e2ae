"""What holds for every request and answer: names of the server, sizes, security headers, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol

from cryowatch.access.role import Role
from cryowatch.errors import ConfigError
from cryowatch.settings.web import Web
from cryowatch.system import certificates
from cryowatch.web.border import HEADERS
from cryowatch.web.connection import Connection, Loop
from cryowatch.web.server import Identity
from tests.support.people import Person, add_account
from tests.support.projects import genuine
from tests.support.serving import Served, serving, until


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("border")
    web = Web(hosts=["Krios.example.org"], url="https://watch.example.org")
    with serving([genuine(folder)], folder / "data", web=web) as found:
        yield found


def raw(served: Served, request: bytes) -> bytes:
    """Send bytes, and return what comes back until the server closes or a second has gone."""
    port = int(served.address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 2) as line:
        line.settimeout(1)
        answer = b""
        with contextlib.suppress(OSError):  # it may close as soon as it has read enough
            line.sendall(request)
            while part := line.recv(65536):
                answer += part
    return answer


@pytest.mark.parametrize(
    "path",
    ["/", "/s/small/summary", "/api/sessions", "/api/nothing", "/nothing", "/static/base.css", "/static/../app.py",
     "/images/1/micrograph", "/healthz", "/metrics", "/login", "/s/small"],
)  # fmt: skip
def test_every_answer_carries_the_security_headers(served: Served, path: str) -> None:
    answer = served.client.get(path)
    for name, value in HEADERS.items():
        assert answer.headers.get_list(name) == [value]
    assert "server" not in answer.headers
    with served.client.stream("GET", "/api/events") as stream:
        assert stream.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8420", "127.0.0.1", "10.1.2.3:80", "[::1]:8420", "krios.example.org:1",
     "watch.example.org", socket.gethostname(), f"{socket.gethostname()}.:8420"],
)  # fmt: skip
def test_names_that_it_goes_by_are_answered(served: Served, host: str) -> None:
    assert served.client.get("/api/sessions", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.org",
        "localhost.evil.example.org",
        "127.0.0.1.evil.example.org",
        "",
        "a b",
        "localhost:x",
        "[::1",
        "@localhost",
    ],
)
def test_a_name_that_means_this_machine_suddenly_is_not_answered(served: Served, host: str) -> None:
    answer = served.client.get("/api/sessions", headers={"Host": host})
    assert answer.status_code in (400, 421)
    assert "small" not in answer.text


def test_two_names_at_once_are_not_answered(served: Served) -> None:
    said = raw(served, b"GET /api/sessions HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.org\r\n\r\n")
    assert said.split(b" ", 2)[1] in (b"400", b"421")


def test_what_is_too_large_is_refused(served: Served) -> None:
    assert served.client.get("/" + "a" * 2_000).status_code == 414
    assert served.client.get("/api/sessions?" + "a" * 4_001).status_code == 414
    headers = {"Origin": served.address, "Content-Type": "application/json"}
    path = "/api/alerts/1/acknowledge"
    assert served.client.post(path, content=b" " * 4_097, headers=headers).status_code == 413

    def drip() -> Iterator[bytes]:
        for _ in range(5):
            yield b" " * 1_000

    assert served.client.post(path, content=drip(), headers=headers).status_code in (400, 413)
    for length in (b"-1", b"1e3", b"99999999999999999999", b"x"):
        request = b"POST " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + length + b"\r\n\r\n"
        assert raw(served, request).split(b" ", 2)[1] in (b"400", b"413")


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"])
def test_what_is_no_http_is_answered_with_the_security_headers(served: Served, sent: bytes) -> None:
    answer = raw(served, sent).decode().lower()
    assert answer.startswith("http/1.1 400 ")
    for name in HEADERS:
        assert f"\r\n{name.lower()}: " in answer


def test_headers_without_an_end_are_cut_off(served: Served) -> None:
    endless = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: " + b"a" * 200_000
    said = raw(served, endless)
    assert not said or b"400" in said.split(b"\r\n", 1)[0]
    assert served.client.get("/healthz").status_code == 200


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Identity]:
    folder = tmp_path_factory.mktemp("tls")
    made = certificates.create(folder / "tls", ["localhost", "127.0.0.1"])
    return made.ca_certificate, Identity(made.certificate, made.key)


def test_over_tls_cookies_are_for_this_host_and_tls_alone(tmp_path: Path, identity: tuple[Path, Identity]) -> None:
    authority, own = identity
    add_account(tmp_path / "data", "ada", Role.VIEWER)
    web = Web(certificate=own.certificate, key=own.key)
    with serving([genuine(tmp_path)], tmp_path / "data", web=web) as served:
        assert served.address.startswith("https://")
        person = Person(served, verify=ssl.create_default_context(cafile=authority))
        answer = person.login("ada", "correct horse battery")
        cookies = [said for said in answer.headers.get_list("set-cookie") if "login" in said]
        assert cookies[0].startswith("__Host-")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(cookies[0].split("; "))
        assert person.json("/api/sessions")["sessions"][0]["id"] == "small"
        add_account(tmp_path / "data", "grace", Role.OPERATOR)
        person.login("grace", "correct horse battery")
        link = person.post("/api/sessions/small/shares", {"days": 1}).json()["url"]
        answers = [answer, person.get(link.removeprefix(served.address)), person.post("/logout", form={})]
        said = [one.split("; ") for one in (a for got in answers for a in got.headers.get_list("set-cookie"))]
        names = {parts[0].partition("=")[0].rpartition("-")[2] for parts in said}
        assert names == {"login", "known", "share"}
        for parts in said:
            assert parts[0].startswith("__Host-cryowatch-")
            assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(parts)
            assert not [part for part in parts if part.startswith("Domain")], "else other machines would get it"
        stranger = Person(served)
        with pytest.raises(httpx2.ConnectError):
            stranger.get("/")
        stranger.close()
        person.close()


def test_who_begins_tls_and_says_no_more_is_not_waited_for(
    tmp_path: Path, identity: tuple[Path, Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, own = identity
    monkeypatch.setattr(Loop, "handshake_seconds", 0.5)
    monkeypatch.setattr(Loop, "farewell_seconds", 0.2)
    monkeypatch.setattr(Connection, "request_seconds", 0.5)
    context = ssl.create_default_context(cafile=authority)
    hello = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost").do_handshake()
    begun = (b"", b"\x16", hello.read()[:-5], b"GET / HTTP/1.1\r\n")
    web = Web(certificate=own.certificate, key=own.key)
    with serving([genuine(tmp_path)], tmp_path / "data", web=web) as served:
        place = ("127.0.0.1", int(served.address.rpartition(":")[2]))
        lines = [socket.create_connection(place, 5) for _ in range(40)]
        for number, line in enumerate(lines):
            line.sendall(begun[number % len(begun)])
        silent = context.wrap_socket(socket.create_connection(place, 5), server_hostname="localhost")
        person = Person(served, verify=context)
        assert person.get("/healthz").status_code == 200
        for line in lines:
            line.settimeout(20)
            with contextlib.suppress(ConnectionResetError):
                while line.recv(1000):
                    pass
            line.close()
        person.close()
        until(lambda: not served.server.server_state.connections, 20)
        silent.close()


def test_handshakes_that_stand_still_are_few_and_keep_nobody_out(
    tmp_path: Path, identity: tuple[Path, Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loop, "handshake_seconds", 50)
    authority, own = identity
    web = Web(certificate=own.certificate, key=own.key)
    with serving([genuine(tmp_path)], tmp_path / "data", web=web, most_connections=40) as served:
        place = ("127.0.0.1", int(served.address.rpartition(":")[2]))
        lines = [socket.create_connection(place, 5) for _ in range(60)]
        person = Person(served, verify=ssl.create_default_context(cafile=authority))
        assert person.get("/healthz").status_code == 200
        for line in lines[:45]:
            line.settimeout(20)
            assert line.recv(1) == b""
        lines[-1].settimeout(0.2)
        with pytest.raises(TimeoutError):
            lines[-1].recv(1)
        for line in lines:
            line.close()
        person.close()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (asyncio.SelectorEventLoop, "_make_ssl_transport"),
        (asyncio.SelectorEventLoop, "_start_serving"),
        (H11Protocol, "on_response_complete"),
        (H11Protocol, "send_400_response"),
    ],
)
def test_what_the_end_to_patience_stands_on_is_still_there(owner: type, name: str) -> None:
    assert callable(getattr(owner, name, None)), f"{owner.__name__}.{name} is gone: see cryowatch.web.connection"


def test_a_renewed_certificate_is_taken_without_a_restart(tmp_path: Path) -> None:
    made = certificates.create(tmp_path / "tls", ["localhost", "127.0.0.1"])
    web = Web(certificate=made.certificate, key=made.key)

    def presented(served: Served) -> str:
        port = int(served.address.rpartition(":")[2])
        return ssl.get_server_certificate(("127.0.0.1", port))

    with serving([genuine(tmp_path)], tmp_path / "data", web=web) as served:
        before = presented(served)
        made.certificate.write_text("half a certifica")
        served.server.renew()
        assert presented(served) == before, "one that cannot be used changes nothing"
        other = certificates.create(tmp_path / "other", ["localhost", "127.0.0.1"])
        time.sleep(0.01)
        made.certificate.write_bytes(other.certificate.read_bytes())
        made.key.write_bytes(other.key.read_bytes())
        served.server.renew()
        assert until(lambda: presented(served)) != before


def test_certificates_that_cannot_be_used_are_one_line(tmp_path: Path, identity: tuple[Path, Identity]) -> None:
    _, own = identity
    other = certificates.create(tmp_path / "other", ["localhost"])
    (tmp_path / "text").write_text("hello")
    for certificate, key, words in (
        (own.certificate, other.key, "its key is another one"),
        (tmp_path / "text", own.key, "no certificate"),
        (tmp_path / "missing", own.key, "No such file"),
        (own.certificate, tmp_path / "missing", "No such file"),
    ):
        with pytest.raises(ConfigError, match=words):
            Identity(certificate, key).load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
