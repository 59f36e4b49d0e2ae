"""Hostile requests of people who may see something: nobody sees more by them, and a link tells of one session alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Route

from cryowatch.settings.web import Web
from tests.fuzz.effort import fuzzed, tried
from tests.fuzz.test_requests import BODIES, HEADER_LINES, METHODS, WORDS, check, parsed, request, sent, targets
from tests.support.people import Person, add_everybody, shared
from tests.support.serving import Served, demo_project, serving

OPEN, HIDDEN, ABSENT = b"opened", b"hidden-b7", b"absent-b7"
EITHER = b"~either~"
ANYBODYS = (b"/login", b"/healthz", b"/static/", b"/favicon", b"/share/", b"/robots")


@dataclass(frozen=True)
class Guarded:
    """A server with accounts and two sessions, and the cookies of those who ask."""

    served: Served
    cookies: Mapping[str, bytes]

    @property
    def paths(self) -> list[str]:
        return sorted({route.path for route in self.served.app.routes if isinstance(route, Route)})


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("persons")
    add_everybody(folder / "data")
    paths = [demo_project(folder / name.decode(), 3) for name in (OPEN, HIDDEN)]
    with serving(paths, folder / "data", web=Web()) as served:
        people = {"viewer": Person(served, "ada"), "operator": Person(served, "grace")}
        assert {session["id"] for session in people["viewer"].json("/api/sessions")["sessions"]} == {
            "opened",
            "hidden-b7",
        }
        people["guest"] = shared(served, people["operator"], OPEN.decode())
        cookies = {
            name: b"Cookie: " + "; ".join(f"{c.name}={c.value}" for c in person.client.cookies.jar).encode() + b"\r\n"
            for name, person in people.items()
        }
        yield Guarded(served, {"nobody": b"", **cookies})
        for person in people.values():
            person.close()


NAMES = st.one_of(WORDS, st.sampled_from([OPEN, OPEN, HIDDEN, b"1", b"2", b"3", b"4", b"5", b"6"]))


def test_nobody_and_no_guest_sees_what_is_not_theirs(guarded: Guarded) -> None:
    asked = targets([*guarded.paths, "/{anything}", "//{anything}"], NAMES)

    @given(st.sampled_from(sorted(guarded.cookies)), METHODS, asked, HEADER_LINES, BODIES)
    @fuzzed(examples=200)
    def attempt(who: str, method: str, target: bytes, headers: list[bytes], body: bytes) -> None:
        tried(f"requests of {who}")
        data = request(guarded.served, method, target, b"".join(headers) + guarded.cookies[who], body)
        answer = parsed(sent(guarded.served, data))
        check(guarded.served, answer, data)
        assert answer is not None
        if who == "nobody" and not target.startswith(ANYBODYS):
            assert answer.status >= 300, (answer, data)
        if who in ("nobody", "guest") and HIDDEN not in target:
            assert HIDDEN not in answer.body + repr(answer.headers).encode(), data

    attempt()


def test_a_guest_cannot_tell_a_hidden_session_from_one_that_is_not_there(guarded: Guarded) -> None:
    asked = targets([path for path in guarded.paths if "{session" in path], st.one_of(NAMES, st.just(EITHER)))

    @given(METHODS, asked.filter(lambda target: EITHER in target), HEADER_LINES, BODIES)
    @fuzzed(examples=100)
    def attempt(method: str, target: bytes, headers: list[bytes], body: bytes) -> None:
        tried("pairs of requests of a guest")
        answers = []
        for name in (HIDDEN, ABSENT):
            line = b"".join(headers) + guarded.cookies["guest"]
            data = request(guarded.served, method, target.replace(EITHER, name), line, body)
            answer = parsed(sent(guarded.served, data))
            assert answer is not None
            answers.append((answer.status, answer.body.replace(name, b"") if answer.status >= 300 else b""))
        assert answers[0] == answers[1], target

    attempt()
