"""The description of the HTTP interface holds: for every route, whoever asks, and whatever is asked (schemathesis)."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from cryowatch.access.role import Role
from cryowatch.dashboards import STANDARD
from cryowatch.settings.web import Web
from cryowatch.web.openapi import OPERATIONS, PATH, document, operations
from tests.support.people import Person, add_account, raised
from tests.support.projects import genuine
from tests.support.serving import Served, demo_project, serving

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
TRIES = 12
"""For each operation, each who asks, and each of what is right and what is wrong to ask."""

MORE_TRIES = 200
"""Where none of those met what is there: it depends on the numbers that micrographs were given."""

PATIENT = settings(
    max_examples=TRIES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
ENDLESS = "/api/events"
UNREACHED = "POST /api/shares/{share}/revoke"
"""No number of a share is named to it: what it would revoke is asked for by others."""

WHO = ("nobody", "viewer", "operator", "guest")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("openapi")
    add_account(folder / "data", "viewer", Role.VIEWER)
    add_account(folder / "data", "operator", Role.OPERATOR)
    projects = [*(genuine(folder, name) for name in ("small", "other", "spare")), demo_project(folder / "pictured", 2)]
    with serving(projects, folder / "data", web=Web()) as found:
        raised(found, "look at this", session="small", rule="one")
        raised(found, "and at that", session=None, rule="two")
        yield found


@pytest.fixture(scope="module")
def person(served: Served) -> Iterator[Callable[[str], Person]]:
    people: dict[str, Person] = {name: Person(served, name) for name in ("viewer", "operator")}
    people["nobody"] = Person(served)
    people["guest"] = Person(served)
    link = people["operator"].post("/api/sessions/small/shares", {"days": 3}).json()["url"]
    assert people["guest"].get(link.removeprefix(served.address)).status_code == 303
    yield people.__getitem__
    for one in people.values():
        one.close()


@pytest.fixture(scope="module")
def described(person: Callable[[str], Person]) -> dict[str, Any]:
    found: dict[str, Any] = person("operator").json(PATH)
    return found


def test_every_route_of_the_interface_is_described_and_nothing_else(served: Served, described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1.")
    said = {(method.upper(), path) for path, one in described["paths"].items() for method in one}
    routes = served.app.routes
    assert said == {(method, path) for method, path, _ in operations(routes)} == set(OPERATIONS)
    others = [route.path for route in routes if isinstance(route, Route) and not list(operations([route]))]
    assert sorted(set(others)) == ["/", "/login", "/logo", "/logout", "/s/{session}", "/s/{session}/{dashboard}",
                                   "/share/{token}", "/static/{path:path}", "/wall"]  # fmt: skip


def test_a_route_that_nobody_described_is_an_error() -> None:
    with pytest.raises(KeyError, match="/api/new"):
        document([Route("/api/new", lambda request: None)], STANDARD)


def test_nobody_and_guests_are_not_shown_the_description(person: Callable[[str], Person]) -> None:
    assert person("nobody").get(PATH).status_code == 401
    assert person("guest").get(PATH).status_code == 404
    assert person("viewer").get(PATH).status_code == 200


def test_the_stream_of_events_is_what_it_is_said_to_be(person: Callable[[str], Person]) -> None:
    with person("viewer").client.stream("GET", ENDLESS) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")


def known(described: dict[str, Any], guest: Person, viewer: Person) -> dict[str, Any]:
    """Return the description with values in it that are there, so that more than errors are met."""
    found = copy.deepcopy(described)
    own = guest.json("/api/sessions/small")
    micrographs = [one["id"] for one in guest.json("/api/sessions/small/micrographs")["micrographs"]]
    pictured = [one["id"] for one in viewer.json("/api/sessions/pictured/micrographs")["micrographs"]]
    there = {
        "session": ["small", "other", "pictured", "nobody"],
        "dashboard": [dashboard.name for dashboard in STANDARD],
        "panel": [panel.id for dashboard in STANDARD for panel in dashboard.panels],
        "micrograph": [1, 2, 8, *micrographs, *pictured],
        "output": [4, *(output["id"] for output in own["outputs"])],
        "after": [0, 3, own["head"]],
        "alert": [1, 2],
        "run": ["135", "2", "999"],
    }
    for operation in (one for path in found["paths"].values() for one in path.values()):
        for parameter in operation["parameters"]:
            if parameter["name"] in there:
                parameter["schema"] = {"enum": there[parameter["name"]]}
    forget = found["paths"]["/api/sessions/{session}/forget"]["post"]["parameters"]
    next(one for one in forget if one["name"] == "session")["schema"] = {"enum": ["spare", "nobody"]}
    return found


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("name", WHO)
def test_whatever_is_asked_is_answered_as_described(
    served: Served, described: dict[str, Any], person: Callable[[str], Person], name: str, mode: GenerationMode
) -> None:
    right = mode is GenerationMode.POSITIVE
    asked = known(described, person("guest"), person("viewer")) if right else described
    schema = schemathesis.openapi.from_dict(asked).exclude(path=ENDLESS)
    schema.config.base_url = served.address
    session = requests.Session()
    session.cookies.update(dict(person(name).client.cookies))
    statuses: dict[str, set[int]] = {}

    def ask(case: Any) -> None:
        headers = {"Origin": served.address} if case.method == "POST" else {}
        response = case.call(session=session, headers=headers, timeout=60)
        statuses.setdefault(case.operation.label, set()).add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]
        attempts = given(case=operation.as_strategy(generation_mode=mode))(ask)
        with contextlib.suppress(Unsatisfiable):  # there is nothing that would be wrong to ask
            PATIENT(attempts)()
            if right and name == "operator" and operation.label != UNREACHED and 200 not in statuses[operation.label]:
                settings(PATIENT, max_examples=MORE_TRIES)(attempts)()
    assert len(statuses) == len(OPERATIONS) - (1 if right else 2), "all but the stream, and where nothing can be wrong"
    if right and name == "operator":
        reached = {label for label, found in statuses.items() if 200 in found}
        assert set(statuses) - reached == {UNREACHED}


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("name", WHO)
def test_whoever_listens_for_whatever_gets_a_stream_or_is_told_why_not(
    served: Served, described: dict[str, Any], person: Callable[[str], Person], name: str, mode: GenerationMode
) -> None:
    asked = known(described, person("guest"), person("viewer")) if mode is GenerationMode.POSITIVE else described
    schema = schemathesis.openapi.from_dict(asked).include(path=ENDLESS)
    schema.config.base_url = served.address
    session = requests.Session()
    session.cookies.update(dict(person(name).client.cookies))
    found: set[int] = set()

    def ask(case: Any) -> None:
        with session.request(**case.as_transport_kwargs(), stream=True, timeout=60) as response:
            found.add(response.status_code)
            if response.status_code == 200:
                assert response.headers["Content-Type"].startswith("text/event-stream")
                assert next(response.iter_lines(chunk_size=1)) == b"event: hello"
            else:
                assert set(response.json()) == {"error"}

    [result] = schema.get_all_operations()
    operation = result.ok()  # type: ignore[union-attr]
    with contextlib.suppress(Unsatisfiable):  # there is nothing that would be wrong to ask
        PATIENT(given(case=operation.as_strategy(generation_mode=mode))(ask))()
    session.close()
    if name == "nobody":
        assert found <= {401}
    elif mode is GenerationMode.POSITIVE:
        assert {200} <= found <= {200, 404}
    else:
        assert found <= {200, 400, 401, 404}, "what is wrong may be the cookie"
