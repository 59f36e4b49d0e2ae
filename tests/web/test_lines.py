"""A page is told what changes, or says that it is not: dead lines, machines that sleep, many tabs, hidden pages."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from cryowatch.settings.web import Web
from cryowatch.web.events import HEARTBEAT_SECONDS
from tests.support.browsing import Visit
from tests.support.people import PASSWORD, Person, add_everybody
from tests.support.projects import MOVIES, append, genuine
from tests.support.serving import Served, demo_project, serving, until
from tests.support.sshd import Relay
from tests.web.test_alerts import Facility

pytestmark = pytest.mark.browser

HEARTBEAT = 0.4
LIMIT = 3 * HEARTBEAT
AWAY = "Object.defineProperty(document, 'hidden', { get: () => window.away === true })"
NO_SHARED_WORKER = "delete window.SharedWorker"
BANNER = re.compile(r"^Not connected to cryowatch, last heard \d\d:\d\d:\d\d\. What you see is from then;")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return genuine(tmp_path)


@pytest.fixture
def served(project: Path, tmp_path: Path) -> Iterator[Served]:
    with serving([project], tmp_path / "data", heartbeat=HEARTBEAT) as one:
        yield one


@pytest.fixture
def relay(served: Served) -> Iterator[Relay]:
    one = Relay(int(served.address.rpartition(":")[2]))
    yield one
    one.close()


@pytest.fixture
def visit(browser: Browser, relay: Relay) -> Iterator[Visit]:
    opened = Visit(browser, f"http://127.0.0.1:{relay.port}")
    yield opened
    opened.close(tolerant=True)


def lines(served: Served) -> int:
    """Return how many listen to the events."""
    return len(served.hub._listeners)


def movies(page: Page) -> str:
    return page.locator('[data-panel="progress"] .value').first.inner_text()


def look_away(page: Page, away: bool) -> None:  # noqa: FBT001
    page.evaluate("away => { window.away = away; document.dispatchEvent(new Event('visibilitychange')); }", away)


@pytest.mark.parametrize("script", ["", NO_SHARED_WORKER], ids=["shared", "own"])
def test_a_line_that_dies_without_a_word_is_told_and_another_one_opened(
    visit: Visit, relay: Relay, project: Path, script: str
) -> None:
    visit.page.add_init_script(script)
    page = visit.go("/s/small/summary")
    expect(page.locator('[data-panel="progress"] .value').first).to_have_text("8")
    page.evaluate("window.same = true")
    expect(page.locator("#offline")).to_be_hidden()
    relay.silent = True
    expect(page.locator("#offline")).to_have_text(BANNER)
    expect(page.locator("body.unheard #status")).to_have_text("running")
    append(project / MOVIES, 9)
    relay.silent = False
    expect(page.locator("#offline")).to_be_hidden()
    expect(page.locator('[data-panel="progress"] .value').first).to_have_text("9")
    assert page.evaluate("window.same") is True


def test_a_quiet_session_looks_alive_for_as_long_as_its_line_is(visit: Visit) -> None:
    page = visit.go("/s/small/summary")
    expect(page.locator('[data-panel="progress"] .value').first).to_have_text("8")
    end = time.monotonic() + 3 * LIMIT
    while time.monotonic() < end:
        assert page.locator("#offline").is_hidden()
        page.wait_for_timeout(50)


@pytest.mark.parametrize("script", ["", NO_SHARED_WORKER], ids=["shared", "own"])
def test_a_page_that_comes_back_to_a_dead_line_says_so_at_once(
    visit: Visit, relay: Relay, served: Served, script: str
) -> None:
    visit.page.add_init_script(f"{AWAY}; {script}")
    page = visit.go("/s/small/summary")
    expect(page.locator('[data-panel="progress"] .value').first).to_have_text("8")
    page.wait_for_timeout(500 * HEARTBEAT)
    look_away(page, True)
    until(lambda: lines(served) == 0)
    page.wait_for_timeout(1000 * LIMIT)
    expect(page.locator("#offline")).to_be_hidden()
    relay.silent = True
    look_away(page, False)
    expect(page.locator("#offline")).to_have_text(BANNER)


def test_what_changes_before_the_line_is_there_is_shown_all_the_same(
    visit: Visit, served: Served, project: Path
) -> None:
    visit.page.add_init_script(NO_SHARED_WORKER)
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    visit.page.route("**/api/events*", hold)
    page = visit.go("/s/small/summary")
    expect(page.locator('[data-panel="progress"] .value').first).to_have_text("8")
    page.locator("body[data-ready]").wait_for(state="attached")
    append(project / MOVIES, 9)
    until(lambda: served.get("/api/sessions/small")["counts"]["movies"] == 9)
    Facility(served).raise_("Import has stopped", rule="import-stalled")
    page.wait_for_timeout(1_000)
    assert (movies(page), lines(served), len(waiting)) == ("8", 0, 1)
    waiting.pop().continue_()
    expect(page.locator('[data-panel="progress"] .value').first).to_have_text("9")
    expect(page.locator(".alert .said")).to_have_text("Import has stopped")


def test_after_the_machine_slept_a_page_asks_again(browser: Browser, project: Path, tmp_path: Path) -> None:
    """The clock jumps as it does for a lid that was closed; the heartbeat is the real one, of which three may fail."""
    assert HEARTBEAT_SECONDS == 15
    with serving([project], tmp_path / "data") as served:
        relay = Relay(int(served.address.rpartition(":")[2]))
        visit = Visit(browser, f"http://127.0.0.1:{relay.port}")
        visit.page.add_init_script(NO_SHARED_WORKER)
        visit.page.clock.install()
        page = visit.go("/s/small/summary")
        expect(page.locator('[data-panel="progress"] .value').first).to_have_text("8")
        page.clock.fast_forward(40_000)
        expect(page.locator("#offline")).to_be_hidden()
        relay.silent = True
        page.clock.fast_forward(6_000)
        expect(page.locator("#offline")).to_have_text(BANNER)
        append(project / MOVIES, 9)
        until(lambda: served.get("/api/sessions/small")["counts"]["movies"] == 9)
        relay.silent = False
        page.clock.fast_forward(1_000)
        expect(page.locator("#offline")).to_be_hidden()
        page.clock.fast_forward(1_000)
        expect(page.locator('[data-panel="progress"] .value').first).to_have_text("9")
        visit.close(tolerant=True)
        relay.close()


def test_images_that_wait_on_dead_connections_are_asked_for_again(browser: Browser, tmp_path: Path) -> None:
    project = demo_project(tmp_path / "demo", 20)
    with serving([project], tmp_path / "data", heartbeat=HEARTBEAT) as served:
        relay = Relay(int(served.address.rpartition(":")[2]))
        visit = Visit(browser, f"http://127.0.0.1:{relay.port}")
        page = visit.go("/s/demo/gallery")
        expect(page.locator(".card .picture.loaded").first).to_be_visible()
        until(lambda: page.evaluate("[...document.images].every((i) => i.complete || i.loading === 'lazy')"))
        relay.silent = True
        page.locator(".card").last.scroll_into_view_if_needed()
        expect(page.locator("#offline")).to_have_text(BANNER)
        relay.silent = False
        expect(page.locator("#offline")).to_be_hidden()
        expect(page.locator(".card").last.locator(".picture.loaded")).to_have_count(3)
        visit.close(tolerant=True)
        relay.close()


def test_eight_tabs_of_a_browser_are_alive_at_once(visit: Visit, served: Served, project: Path) -> None:
    visit.go("/s/small/summary")
    pages = [visit.page]
    for number in range(7):
        page = visit.context.new_page()
        page.goto(f"{visit.address}/s/small/{('ctf', 'summary')[number % 2]}")
        expect(page.locator(".panel:not(.waiting):visible").first).to_be_visible()
        pages.append(page)
    until(lambda: lines(served) == 1)
    first, *others = pages
    expect(first.locator('[data-panel="progress"] .value').first).to_have_text("8")
    append(project / MOVIES, 9)
    for page in pages:
        if "summary" in page.url:
            expect(page.locator('[data-panel="progress"] .value').first).to_have_text("9")
    first.close()
    append(project / MOVIES, 10)
    for page in others:
        if "summary" in page.url:
            expect(page.locator('[data-panel="progress"] .value').first).to_have_text("10")
    until(lambda: lines(served) == 1)
    for page in others[1:]:
        page.close()
    others[0].close()
    until(lambda: lines(served) == 0)


def test_a_page_behind_others_has_no_line_and_gets_one_when_it_comes_back(
    visit: Visit, served: Served, project: Path
) -> None:
    visit.context.add_init_script(AWAY)
    front, back = visit.page, visit.context.new_page()
    for page in (front, back):
        page.goto(f"{visit.address}/s/small/summary")
        expect(page.locator('[data-panel="progress"] .value').first).to_have_text("8")
    look_away(back, True)
    until(lambda: lines(served) == 1)
    look_away(front, True)
    until(lambda: lines(served) == 0)
    append(project / MOVIES, 9)
    until(lambda: served.get("/api/sessions/small")["counts"]["movies"] == 9)
    look_away(back, False)
    expect(back.locator('[data-panel="progress"] .value').first).to_have_text("9")
    until(lambda: lines(served) == 1)
    assert movies(front) == "8"


def test_pages_go_on_without_the_shared_line_where_that_dies(
    browser: Browser, visit: Visit, served: Served, project: Path
) -> None:
    page = visit.go("/s/small/summary")
    expect(page.locator('[data-panel="progress"] .value').first).to_have_text("8")
    until(lambda: lines(served) == 1)
    session = browser.new_browser_cdp_session()
    targets = session.send("Target.getTargets")["targetInfos"]
    [worker] = [target["targetId"] for target in targets if target["type"] == "shared_worker"]
    session.send("Target.closeTarget", {"targetId": worker})
    session.detach()
    until(lambda: lines(served) == 0)
    append(project / MOVIES, 9)
    expect(page.locator('[data-panel="progress"] .value').first).to_have_text("9")
    expect(page.locator("#offline")).to_be_hidden()
    until(lambda: lines(served) == 1)


def test_readers_who_see_other_things_do_not_share_a_line(browser: Browser, project: Path, tmp_path: Path) -> None:
    """A guest of a link who logs in: what is told to the one is not for the other."""
    data = tmp_path / "data"
    add_everybody(data)
    with serving([project], data, web=Web(), heartbeat=HEARTBEAT) as served:
        operator = Person(served, "grace")
        url = operator.post("/api/sessions/small/shares", {"days": 3}).json()["url"]
        visit = Visit(browser, served.address)
        guest, own = visit.page, visit.context.new_page()
        guest.goto(url)
        expect(guest.locator('[data-panel="progress"] .value').first).to_have_text("8")
        until(lambda: lines(served) == 1)
        own.goto(f"{served.address}/login")
        own.get_by_label("Name").fill("ada")
        own.get_by_label("Password").fill(PASSWORD)
        own.get_by_role("button", name="Log in").click()
        own.goto(f"{served.address}/s/small/summary")
        expect(own.locator('[data-panel="progress"] .value').first).to_have_text("8")
        until(lambda: lines(served) == 2)
        assert guest.locator("body").get_attribute("data-reader") != own.locator("body").get_attribute("data-reader")
        append(project / MOVIES, 9)
        expect(own.locator('[data-panel="progress"] .value').first).to_have_text("9")
        own.get_by_role("button", name="Log out").click()
        until(lambda: lines(served) == 1)
        visit.close(tolerant=True)
        operator.close()
