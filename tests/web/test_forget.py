"""Who may have a session forgotten through the interface, and what everybody is told of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cryowatch.settings.web import Web
from tests.support.people import Person, add_everybody, shared
from tests.support.projects import genuine
from tests.support.serving import Served, serving, until

BODY = {"influxdb": False, "images": False}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("forget")
    add_everybody(folder / "data")
    projects = [genuine(folder, name) for name in ("demo", "other", "third")]
    with serving(projects, folder / "data", web=Web()) as found:
        yield found


def test_an_operator_is_told_what_goes(served: Served, operator: Person) -> None:
    shared(served, operator).close()
    found = operator.json("/api/sessions/demo/forget")
    assert (found["items"]["ctf"], found["links"], found["influxdb"], found["published"]) == (8, 1, [], [])
    assert found["bytes"] > 1_000


def test_nobody_else_sees_or_does_that(served: Served, viewer: Person, nobody: Person, operator: Person) -> None:
    guest = shared(served, operator)
    for person, seen, done in ((viewer, 403, 403), (nobody, 401, 401), (guest, 404, 404)):
        assert person.get("/api/sessions/demo/forget").status_code == seen
        assert person.post("/api/sessions/demo/forget", BODY).status_code == done
    assert operator.post("/api/sessions/demo/forget", BODY, origin="https://evil.example.org").status_code == 403
    for wrong in ({}, {"influxdb": True}, {**BODY, "images": 1}, {**BODY, "more": True}):
        assert operator.post("/api/sessions/demo/forget", wrong).status_code == 400
    for person in (viewer, operator):
        page = person.get("/s/demo/summary").text
        assert ('id="forget"' in page) == (person is operator)
    assert 'id="forget"' not in guest.get("/s/demo/summary").text
    assert viewer.get("/api/sessions/demo").status_code == 200
    guest.close()


def test_without_accounts_it_is_the_commands_matter(served: Served, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("open")
    with serving([genuine(folder, "demo")], folder / "data", web=Web()) as alone:
        person = Person(alone)
        assert person.get("/api/sessions/demo/forget").status_code == 403
        assert person.post("/api/sessions/demo/forget", BODY).status_code == 403
        assert 'id="forget"' not in person.get("/s/demo/summary").text
        person.close()


def test_it_is_gone_for_everybody_at_once(served: Served, operator: Person, viewer: Person) -> None:
    guest = shared(served, operator, "other")
    micrograph = viewer.json("/api/sessions/other/micrographs")["micrographs"][0]["id"]
    with viewer.client.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: hello"
        answer = operator.post("/api/sessions/other/forget", BODY)
        assert answer.json() == {"id": "other", "name": "other", "undo": "cryowatch forget --undo other"}
        told = next(line for line in lines if '"other"' in line)
        assert '"forgotten":true' in told
    assert sorted(one["id"] for one in viewer.json("/api/sessions")["sessions"]) == ["demo", "third"]
    gone = viewer.get("/api/sessions/other")
    assert gone.status_code == 404
    assert "was forgotten on" in gone.json()["error"]
    assert "(grace)" in gone.json()["error"]
    assert viewer.get(f"/api/micrographs/{micrograph}").status_code == 404
    assert guest.get("/api/sessions/other").status_code == 401, "the link opens nothing any more"
    assert operator.post("/api/sessions/other/forget", BODY).status_code == 404
    until(lambda: not served.store.forgotten().uncleared())
    guest.close()
