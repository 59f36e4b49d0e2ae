"""A login ends where nobody does anything, however much an open page asks for by itself."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from cryowatch.access.role import Role
from cryowatch.settings.web import Web
from tests.support.browsing import Visit
from tests.support.people import Person, add_account, publish
from tests.support.serving import Served, demo_project, serving, until
from tests.web.test_access_shown import log_in

IDLE_SECONDS = 3.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("idle")
    add_account(folder / "data", "ada", Role.VIEWER)
    web = Web(idle_hours=IDLE_SECONDS / 3600)
    with serving([demo_project(folder / "demo", 3)], folder / "data", web=web, heartbeat=0.3) as found:
        yield found


def lasts(person: Person, *, idle: str) -> bool:
    return person.get("/api/fields", **{"Cryowatch-Idle": idle}).status_code == 200


def test_what_a_page_asks_for_by_itself_keeps_no_login_alive(served: Served) -> None:
    person, begun = Person(served, "ada"), time.monotonic()
    with person.client.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        while time.monotonic() < begun + 2 * IDLE_SECONDS and next(lines, None) is not None:
            person.get("/static/base.css")
            person.get("/images/1/micrograph")
            if not lasts(person, idle=str(int(time.monotonic() - begun) + 1)):
                break
        assert list(lines)[-1:] in ([], [""]), "the stream comes to its end, too"
    assert IDLE_SECONDS - 1 < time.monotonic() - begun < 2 * IDLE_SECONDS
    assert person.get("/api/fields").status_code == 401
    person.close()


def test_what_a_person_does_keeps_a_login_alive(served: Served) -> None:
    person, begun = Person(served, "ada"), time.monotonic()
    while time.monotonic() < begun + 1.5 * IDLE_SECONDS:
        assert lasts(person, idle="0")
        time.sleep(0.1)
    assert person.get("/s/demo/summary").status_code == 200
    for nonsense in ("", "-1", "x", "1e3", "9" * 40):
        assert lasts(person, idle=nonsense)
    until(lambda: not lasts(person, idle="nothing"), 2 * IDLE_SECONDS)
    person.close()


@pytest.mark.browser
def test_an_open_page_that_nobody_touches_asks_for_a_new_login(browser: Browser, served: Served) -> None:
    visit = Visit(browser, served.address)
    page = visit.go("/s/demo/system")
    log_in(page, "ada")
    expect(page).to_have_url(re.compile("/s/demo/system"))
    end = time.monotonic() + 2 * IDLE_SECONDS
    while time.monotonic() < end:
        page.mouse.move(100 + 10 * (end - time.monotonic()), 200)
        publish(served)
        page.wait_for_timeout(100)
    assert "/s/demo/system" in page.url, "somebody is there"
    asked = len(visit.requests)
    end = time.monotonic() + 4 * IDLE_SECONDS
    while "/login" not in page.url and time.monotonic() < end:
        publish(served)
        page.wait_for_timeout(100)
    assert "/login" in page.url, "nobody is there"
    assert sum("/api/" in address for address in visit.requests[asked:]) > 2, "though the page has asked all the time"
    visit.close(tolerant=True)
