"""What somebody who means ill tries on a real server, and gets nothing by."""

from __future__ import annotations

import contextlib
import re
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from argon2 import PasswordHasher
from starlette.routing import Route

from cryowatch.access.accounts import Accounts
from cryowatch.access.role import Role
from cryowatch.settings.web import Web
from cryowatch.store import Change
from cryowatch.web.border import HEADERS
from cryowatch.web.connection import Connection
from tests.support.people import PASSWORD, Person, add_everybody, publish, shared
from tests.support.projects import genuine
from tests.support.serving import Served, demo_project, serving, until


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("attacks")
    add_everybody(folder / "data")
    (folder / "second").mkdir()
    paths = [demo_project(folder / "demo", 3), genuine(folder / "second", "demo")]
    with serving(paths, folder / "data", web=Web(proxies=["127.0.0.1"])) as found:
        yield found


def port_of(served: Served) -> int:
    return int(served.address.rpartition(":")[2])


def said_to(served: Served, *parts: bytes) -> bytes:
    """Send bytes and return everything until the server closes or a second has gone."""
    with socket.create_connection(("127.0.0.1", port_of(served)), 2) as line:
        line.settimeout(1)
        answer = b""
        with contextlib.suppress(OSError):
            for part in parts:
                line.sendall(part)
            while part := line.recv(65536):
                answer += part
    return answer


def test_a_token_from_before_the_login_opens_nothing_after_it(served: Served, nobody: Person) -> None:
    name = f"cryowatch-{port_of(served)}-login"
    nobody.client.cookies.set(name, "chosen-by-somebody-else", domain="127.0.0.1", path="/")
    assert nobody.login("ada", PASSWORD).status_code == 303
    assert "chosen-by-somebody-else" not in [cookie.value for cookie in nobody.client.cookies.jar][-1:]
    stranger = Person(served)
    stranger.client.cookies.set(name, "chosen-by-somebody-else")
    assert stranger.get("/api/sessions").status_code == 401
    stranger.close()


def test_logging_in_again_ends_the_login_that_the_browser_had(served: Served) -> None:
    person = Person(served, "ada")
    first = dict(person.client.cookies)
    assert person.login("ada", PASSWORD).status_code == 303
    before = Person(served)
    before.client.cookies.update(first)
    assert before.get("/api/sessions").status_code == 401
    before.close()
    person.close()


def pictured(operator: Person) -> str:
    """Return the address of an image: those of one of the two projects are gone, and either may be read first."""
    for session in operator.json("/api/sessions")["sessions"]:
        for row in operator.json(f"/api/sessions/{session['id']}/micrographs")["micrographs"]:
            if operator.get(str(row["images"]["micrograph"])).is_success:
                return f"/images/{row['id']}/micrograph"
    return ""


def test_logging_out_also_forgets_the_images_that_the_browser_kept(operator: Person) -> None:
    image = operator.get(until(lambda: pictured(operator)) + "?size=128&v=1")
    assert image.headers["Cache-Control"].startswith("private")
    assert operator.post("/logout", form={}).headers["Clear-Site-Data"] == '"cache"'


def test_no_answer_but_files_of_ours_and_images_is_kept_by_anybody(operator: Person) -> None:
    for path in ("/", "/s/demo", "/s/demo/summary", "/login", "/nothing", "/api/sessions",
                 "/api/sessions/demo/data/ctf", "/api/fields", "/api/nothing", "/metrics", "/healthz",
                 "/share/x"):  # fmt: skip
        assert operator.get(path).headers["Cache-Control"] == "no-store", path
    assert operator.get(until(lambda: pictured(operator))).headers["Cache-Control"] == "private, no-cache"
    with operator.client.stream("GET", "/api/events") as stream:
        assert stream.headers["Cache-Control"] == "no-store"


def routes(served: Served) -> Iterator[tuple[str, str]]:
    """Yield every method and address that is answered, with something in the place of its parameters."""
    for route in served.app.routes:
        if isinstance(route, Route):
            for method in route.methods or ():
                yield method, re.sub(r"\{[^}]+\}", "1", route.path)


def test_whatever_changes_something_is_asked_from_our_own_pages_alone(served: Served, operator: Person) -> None:
    unsafe = {path for method, path in routes(served) if method not in ("GET", "HEAD")}
    assert len(unsafe) >= 6
    assert {method for method, _ in routes(served)} == {"GET", "HEAD", "POST"}
    for path in unsafe:
        for headers in (
            {}, {"Origin": "null"}, {"Origin": "https://evil.example.org"}, {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site", "Origin": served.address}, {"Sec-Fetch-Site": "none"},
            {"Referer": served.address}, {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example.org"},
        ):  # fmt: skip
            answer = operator.client.post(path, json={}, headers=headers)
            assert answer.status_code == 403, (path, headers)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"):
        for path in unsafe | {"/", "/api/sessions"}:
            assert operator.client.request(method, path, headers={"Origin": served.address}).status_code == 405
    assert operator.get("/api/sessions").status_code == 200


def test_every_route_but_those_for_everybody_needs_a_login(served: Served, nobody: Person) -> None:
    public = {"/login", "/logo", "/healthz", "/share/1", "/static/1"}
    for method, path in routes(served):
        if path in public or path == "/logout":
            continue
        answer = nobody.client.request(method, path, headers={"Origin": served.address})
        assert (answer.status_code, "login" in answer.headers.get("location", "")) in ((401, False), (303, True)), path
        assert "demo" not in answer.text


def test_every_answer_carries_the_headers_whatever_it_is(
    served: Served, operator: Person, nobody: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: set[int] = set()

    def check(answer: httpx2.Response) -> None:
        for name, value in HEADERS.items():
            assert answer.headers.get_list(name) == [value], (answer.request.url, answer.status_code, name)
        assert answer.headers.get_list("cache-control"), answer.request.url
        assert "server" not in answer.headers
        statuses.add(answer.status_code)

    further = (("GET", "/static/base.css"), ("GET", "/static/x"), ("PUT", "/"), ("GET", "/x"), ("POST", "/login"),
               ("GET", "/images/1/micrograph?size=x"), ("GET", "/" + "x" * 3000))  # fmt: skip
    for method, path in (*routes(served), *further):
        for person in (operator, nobody):
            if path in ("/api/events", "/logout"):
                continue
            check(person.client.request(method, path, headers={"Origin": served.address}))
    check(operator.client.get("/", headers={"Host": "evil.example.org"}))
    check(operator.post("/login", form={}, origin="https://evil.example.org"))
    large = said_to(served, b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n").decode().lower()
    assert large.startswith("http/1.1 413 ")
    assert [name for name, value in HEADERS.items() if f"{name}: {value}\r\n".lower() not in large] == []
    with operator.client.stream("GET", "/api/events") as stream:
        check(stream)

    def broken(self: object) -> None:
        raise RuntimeError("a scripted fault of /somewhere/secret")

    monkeypatch.setattr("cryowatch.store.reader.Reader.sessions", broken)
    for path in ("/api/sessions", "/"):
        answer = operator.get(path, Connection="close")  # which the server closes after it, also without being asked
        check(answer)
        assert "secret" not in answer.text
    assert statuses >= {200, 303, 400, 401, 403, 404, 405, 414, 421, 500}


def test_who_may_be_somebody_takes_as_long_as_who_is_not(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path, hasher=PasswordHasher(time_cost=4, memory_cost=16_384, parallelism=1))
    accounts.add("ada", Role.VIEWER, PASSWORD, now=1)

    def seconds(name: str) -> float:
        began = time.thread_time()  # what others do on this machine does not count
        assert accounts.verified(name, "wrong password") is None
        return time.thread_time() - began

    first = seconds("ada")
    there, not_there = zip(*((seconds("ada"), seconds("eve")) for _ in range(9)), strict=True)
    assert 0.6 < statistics.median(there) / statistics.median(not_there) < 1.6
    assert first > 1.2 * min(there), "what is made once is made before anybody's first try, whoever it is"


def test_headers_that_anybody_can_write_give_no_further_tries(served: Served) -> None:
    stranger = Person(served)

    def attempt(number: int) -> int:
        headers = {"Origin": served.address, "X-Forwarded-For": f"10.0.0.{number}, 192.0.2.7"}
        return stranger.client.post("/login", data={"name": f"n{number}", "password": "x"}, headers=headers).status_code

    assert attempt(0) == 401
    assert 429 in (attempt(number) for number in range(1, 80)), "the proxy's own word, the last one, says who asks"
    stranger.close()


def test_addresses_of_one_ipv6_network_share_their_tries(served: Served) -> None:
    stranger = Person(served)

    def attempt(number: int) -> int:
        headers = {"Origin": served.address, "X-Forwarded-For": f"2001:db8:1:2::{number + 1:x}"}
        return stranger.client.post("/login", data={"name": f"v{number}", "password": "x"}, headers=headers).status_code

    assert 429 in (attempt(number) for number in range(80))
    stranger.close()


def test_a_stream_of_events_ends_with_the_link(served: Served, operator: Person) -> None:
    guest = shared(served, operator)
    [share, *_] = operator.json("/api/sessions/demo/shares")["shares"]
    with guest.client.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: hello"
        assert operator.post(f"/api/shares/{share['id']}/revoke").status_code == 200
        publish(served)
        assert [line for line in lines if line.startswith("event: change")] == [], "and the stream is at its end"
    guest.close()


def test_a_second_session_of_a_name_does_not_tell_its_guests_of_the_first(served: Served, operator: Person) -> None:
    marked = next(key for one in operator.json("/api/sessions")["sessions"] if (key := one["id"]) != "demo")
    of_marked = f"/api/sessions/{marked}/micrographs"
    made = operator.post(f"/api/sessions/{marked}/shares", {"days": 1}).json()
    guest = Person(served)
    assert guest.get(made["url"].removeprefix(served.address)).headers["Location"] == "/s/demo"
    assert guest.json("/api/sessions")["sessions"][0]["id"] == "demo"
    own = guest.json("/api/sessions/demo/micrographs")["micrographs"]
    assert len(own) == len(operator.json(of_marked)["micrographs"]), "and it is the own one: theirs are three and eight"
    assert guest.json(f"/api/micrographs/{own[0]['id']}")["session"] == "demo"
    for path in ("/s/demo/summary", "/api/sessions/demo", "/api/sessions/demo/alerts", "/api/sessions"):
        assert marked not in guest.get(path).text, path
    row = served.store.reader().session(marked)
    with guest.client.stream("GET", "/api/events?session=demo") as stream:
        lines = stream.iter_lines()
        next(lines)
        change = Change(session=row["id"], key=row["key"], seq=row["seq"], generation=row["generation"])
        served.hub.publish(change)
        assert '"session":"demo"' in next(line for line in lines if line.startswith("data: ") and "session" in line)
    guest.close()


@pytest.mark.parametrize(
    "path",
    ["/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd", "/static/%2fetc/passwd", "/static/%00",
     "/static/\\..\\app.py", "/images/1/..%2f..%2fapp.py", "/images/../app.py", "/images/1/micrograph%00",
     "/images/%2e%2e%2f1/micrograph", "/s/..%2f..%2fetc", "/share/..%2fx", "/logo/../../etc/passwd",
     "/images/99999999999999999999999999/micrograph", "/api/micrographs/99999999999999999999999",
     "/api/sessions/%ff%fe", "/api/sessions/demo/data/%00", "/%", "/api/sessions/demo?from=%00",
     "/api/sessions/demo/micrographs?search=%00%ed%a0%80", "/api/sessions/demo/micrographs?offset=9007199254740992"],
)  # fmt: skip
def test_no_path_leads_out_or_breaks_anything(served: Served, operator: Person, path: str) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in operator.client.cookies.items())
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    answer = said_to(served, request.encode())
    status = int(answer.split(b" ", 2)[1])
    assert status < 500, answer[:200]
    assert b"import annotations" not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "target",
    ["/login%3f/../api/sessions", "/static/%3F/../../api/sessions", "/healthz%23/api/sessions", "/api/sessions%3Flogin",
     "//login/api/sessions", "/login/../api/sessions", "/static/../api/sessions", "http://localhost/login", "login",
     "/API/sessions", "/api//sessions", "/api/sessions/", "/%61pi/sessions", "/s/demo/%2e%2e/login"],
)  # fmt: skip
def test_no_spelling_of_a_path_goes_around_the_login(served: Served, target: str) -> None:
    answer = said_to(served, f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert int(answer.split(b" ", 2)[1]) in (303, 307, 400, 401, 404), answer[:200]
    assert b'"sessions"' not in answer


@pytest.mark.parametrize(
    "origin", ["HTTP://{}", "http://{}.", "http://{}/", "http://user@{}", "https://{}", "http://{}:80"]
)
def test_only_the_very_origin_of_our_pages_may_change_something(served: Served, operator: Person, origin: str) -> None:
    host = served.address.removeprefix("http://")
    answer = operator.post("/api/sessions/demo/shares", {"days": 1}, origin=origin.format(host))
    assert answer.status_code == 403
    assert operator.post("/api/sessions/demo/shares", {"days": 1}, origin=served.address).status_code == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\x00\r\n\r\n",
    ],
)  # fmt: skip
def test_a_request_with_two_meanings_is_refused_and_its_rest_is_no_request(served: Served, request_: bytes) -> None:
    answer = said_to(served, request_)
    assert answer.split(b" ", 2)[1] in (b"400", b"501"), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1


def test_clients_that_say_nothing_are_not_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "request_seconds", 0.5)
    begun = (b"", b"GET / HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
             b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\nabc",
             b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz")  # fmt: skip
    lines = [socket.create_connection(("127.0.0.1", port_of(served)), 5) for _ in range(150)]
    for number, line in enumerate(lines):
        line.sendall(begun[number % len(begun)])
    began = time.monotonic()
    person = Person(served, "ada")
    assert person.get("/s/demo/summary").status_code == 200
    assert time.monotonic() - began < 20, "nobody else waits for them"
    until(lambda: len(served.server.server_state.connections) <= 2)
    for line in lines:
        line.close()
    person.close()


def test_a_stream_is_no_idle_client(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "request_seconds", 0.2)
    person = Person(served, "ada")
    with person.client.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: hello"
        end = time.monotonic() + 0.6
        until(lambda: time.monotonic() > end)
        publish(served)
        assert any(line.startswith("event: change") for line in lines)
    person.close()


def test_who_takes_nothing_of_an_answer_is_not_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "stalled_seconds", 0.5)
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", port_of(served)))
    line.sendall(b"GET /static/vendor/echarts.esm.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
    until(lambda: [one for one in list(served.server.server_state.connections) if one._taking], 20)  # type: ignore[union-attr]
    until(lambda: not [one for one in list(served.server.server_state.connections) if one._taking], 20)  # type: ignore[union-attr]
    line.settimeout(20)
    taken = 0
    while part := line.recv(1_000_000):
        taken += len(part)
    line.close()
    assert taken < 10_000_000, "what lay in the system's buffers, and not twenty times a megabyte"
    slow = Person(served)
    with slow.client.stream("GET", "/static/vendor/echarts.esm.min.js") as answer:
        assert sum(len(part) for part in answer.iter_bytes()) > 500_000, "and who takes it gets it whole"
    slow.close()
