"""How a page keeps up to date: what somebody sees while answers are slow, and more happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browsing import Visit
from tests.support.projects import CTFS, append, genuine
from tests.support.serving import serving

pytestmark = pytest.mark.browser

STATISTICS = "defocus-share"
LOWER = "compare"
"""Panels that are computed anew each time: one in sight, one further down."""


class Slow:
    """Answers that do not come before they are let go; `about` says of which addresses among those of a pattern."""

    def __init__(self, page: Page, about: Callable[[str], bool], *, pattern: str = "**/data/ctf?**") -> None:
        self.held: list[Route] = []
        self._page = page
        self._about = about
        page.route(pattern, self._hold)

    def _hold(self, route: Route) -> None:
        if self._about(route.request.url):
            self.held.append(route)
        else:
            route.continue_()

    def wait(self) -> None:
        """Wait until something is held."""
        for _ in range(200):
            if self.held:
                return
            self._page.wait_for_timeout(50)
        raise AssertionError("nothing was asked for")

    def let_go(self) -> None:
        """Let everything through that is held, and hold nothing any more."""
        self._about = lambda _: False
        for route in self.held:
            route.continue_()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return genuine(tmp_path)


@pytest.fixture
def visit(browser: Browser, project: Path, tmp_path: Path) -> Iterator[Visit]:
    with serving([project], tmp_path / "data") as served:
        opened = Visit(browser, served.address)
        opened.page.clock.install()
        yield opened
        opened.close()


def count(page: Page, number: int) -> None:
    """Wait until the defocus over time shows so many points."""
    expect(page.locator('[data-panel="defocus-over-time"] .note')).to_have_text(f"n = {number}")


def whole(visit: Visit) -> Page:
    """Open the CTF page and wait until its points and statistics are there."""
    page = visit.go("/s/small/ctf")
    count(page, 8)
    expect(page.locator(f'[data-panel="{STATISTICS}"]:not(.waiting)')).to_be_visible()
    return page


def hold_statistics(page: Page, project: Path) -> Slow:
    """Add a CTF estimate, the ninth; returns what holds up the statistics that are asked for after it."""
    statistics = Slow(page, lambda url: STATISTICS in url)
    append(project / CTFS, 9)
    statistics.wait()
    return statistics


def let_rest(page: Page, statistics: Slow, took: int) -> None:
    """Let the statistics come, after so many milliseconds of the page's clock; they rest for eight times as long."""
    page.clock.fast_forward(took)
    with page.expect_response(lambda r: STATISTICS in r.url) as answer:
        statistics.let_go()
    answer.value.finished()
    page.wait_for_timeout(500)


def test_points_do_not_wait_for_statistics(visit: Visit, project: Path) -> None:
    page = whole(visit)
    statistics = hold_statistics(page, project)
    count(page, 9)
    append(project / CTFS, 10)
    count(page, 10)
    with page.expect_response(lambda r: STATISTICS in r.url):
        statistics.let_go()


def test_points_do_not_wait_while_statistics_rest(visit: Visit, project: Path) -> None:
    page = whole(visit)
    statistics = hold_statistics(page, project)
    let_rest(page, statistics, 4_000)
    for number in (10, 11):  # the statistics are due for the first, later
        append(project / CTFS, number)
        count(page, number)


def test_what_comes_into_sight_while_statistics_rest_is_brought_up_to_date_after_that(
    visit: Visit, project: Path
) -> None:
    visit.page.set_viewport_size({"width": 1440, "height": 420})
    page = whole(visit)
    lower = page.locator(f'[data-panel="{LOWER}"]')
    lower.scroll_into_view_if_needed()
    expect(page.locator(f'[data-panel="{LOWER}"]:not(.waiting)')).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    statistics = hold_statistics(page, project)
    let_rest(page, statistics, 4_000)
    with page.expect_response(lambda r: LOWER in r.url):
        lower.scroll_into_view_if_needed()
        page.clock.fast_forward(33_000)


def test_the_heading_is_asked_for_once_at_a_time_and_once_more_where_something_came_meanwhile(
    visit: Visit, project: Path
) -> None:
    page = whole(visit)
    heading = Slow(page, lambda _: True, pattern="**/api/sessions/small")
    append(project / CTFS, 9)
    heading.wait()
    for number in (10, 11):
        append(project / CTFS, number)
        count(page, number)
    page.wait_for_timeout(500)
    assert len(heading.held) == 1
    asked = len([url for url in visit.requests if url.endswith("/api/sessions/small")])
    with page.expect_request("**/api/sessions/small"):
        heading.let_go()
    page.wait_for_timeout(1_000)
    assert len([url for url in visit.requests if url.endswith("/api/sessions/small")]) == asked + 1


def test_what_changes_while_an_answer_is_on_its_way_is_shown_all_the_same(visit: Visit, project: Path) -> None:
    page = whole(visit)
    points = Slow(page, lambda url: "after=" in url)
    append(project / CTFS, 9)
    points.wait()
    [route] = points.held
    old = route.fetch()
    points.held.clear()
    append(project / CTFS, 10)
    page.wait_for_timeout(1_500)
    points.let_go()
    route.fulfill(response=old)
    count(page, 10)


def test_an_answer_to_what_was_asked_before_another_window_was_chosen_is_not_shown(visit: Visit) -> None:
    points = Slow(visit.page, lambda url: "panels=defocus-over-time" in url)
    page = visit.go("/s/small/ctf")
    points.wait()
    page.get_by_role("button", name="1 h", exact=True).click()
    with page.expect_request(lambda r: "panels=defocus-over-time" in r.url and "from=" in r.url):
        points.let_go()
    expect(page.locator("#waiting")).to_contain_text("Nothing in this window")
