"""Among hundreds of sessions people find theirs, and the page of all of them stays quick."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browsing import Visit
from tests.support.projects import genuine
from tests.support.records import SECOND, session
from tests.support.serving import Served, serving

pytestmark = pytest.mark.browser

COUNT = 300
FIRST = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


def made(day: int) -> int:
    return round((FIRST + datetime.timedelta(days=day)).timestamp()) * SECOND


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("many")
    with serving([genuine(folder)], folder / "data") as found:
        for day in range(COUNT):
            group = ("ribosome", "spliceosome")[day % 2]
            found.store.register(session(f"/data/{group}/visit-{day:03}", status="finished", created=made(day)))
        yield found


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Visit]:
    opened = Visit(browser, served.address, timezone_id="UTC")
    yield opened
    opened.close(tolerant=True)


def test_all_sessions_are_listed_the_newest_first(visit: Visit) -> None:
    page = visit.go("/")
    expect(page.locator("a.session")).to_have_count(COUNT + 1)
    expect(page.locator("#find output")).to_have_text(f"{COUNT + 1}")
    names = page.locator("a.session h2").all_text_contents()
    assert [name for name in names if name != "small"] == [f"visit-{day:03}" for day in reversed(range(COUNT))]


def test_a_session_of_a_month_is_found_by_words(visit: Visit) -> None:
    page = visit.go("/")
    page.get_by_label("Find a session").fill("RIBOSOME 2026-03")
    expect(page.locator("a.session")).to_have_count(15)
    expect(page.locator("#find output")).to_have_text(f"15 of {COUNT + 1}")
    expect(page).to_have_url(re.compile(r"\?find=RIBOSOME\+2026-03$"))
    page.reload()
    expect(page.locator("a.session")).to_have_count(15)
    page.locator("a.session").first.click()
    expect(page).to_have_url(re.compile("/s/visit-0"))
    page.go_back()
    expect(page.locator("a.session")).to_have_count(15)


def test_where_nothing_matches_all_are_a_click_away(visit: Visit) -> None:
    page = visit.go("/?find=nothing")
    expect(page.get_by_text("No session matches")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("a.session")).to_have_count(COUNT + 1)
    expect(page.get_by_text("No session matches")).to_be_hidden()
    expect(page.get_by_label("Find a session")).to_be_focused()


def test_a_few_sessions_need_no_search(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("few")
    with serving([genuine(folder)], folder / "data") as few:
        visit = Visit(browser, few.address)
        page = visit.go("/")
        expect(page.locator("a.session")).to_have_count(1)
        expect(page.locator("#find")).to_be_hidden()
        visit.close(tolerant=True)
