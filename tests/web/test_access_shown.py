"""Logging in, sharing and being a guest, as somebody with a browser does it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from cryowatch.access.accounts import Accounts
from cryowatch.access.role import Role
from cryowatch.settings.web import Web
from tests.support.browsing import Visit
from tests.support.people import PASSWORD, add_account
from tests.support.serving import Served, demo_project, serving

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shown") / "data"


@pytest.fixture(scope="module")
def served(data: Path) -> Iterator[Served]:
    add_account(data, "ada", Role.VIEWER)
    add_account(data, "grace", Role.OPERATOR)
    with serving([demo_project(data.parent / name, 6) for name in ("demo", "other")], data, web=Web()) as found:
        yield found


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Visit]:
    opened = Visit(browser, served.address)
    yield opened
    opened.close(tolerant=True)  # a browser tells of each answer of 401


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_logging_in_leads_to_the_page_that_was_asked_for_and_out_again(visit: Visit) -> None:
    page = visit.go("/s/demo/ctf?window=6h")
    expect(page).to_have_url(re.compile("/login"))
    log_in(page, "ada", "not the password")
    expect(page.get_by_role("alert")).to_contain_text("No account has this name")
    expect(page.get_by_label("Name")).to_have_value("ada")
    log_in(page, "ada")
    expect(page).to_have_url(re.compile(r"/s/demo/ctf\?window=6h$"))
    expect(page.locator(".account")).to_contain_text("ada")
    expect(page.get_by_role("button", name="Share…")).to_have_count(0)
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile("/login$"))


def test_an_operator_shares_a_session_and_a_guest_sees_it_alone(visit: Visit, browser: Browser, served: Served) -> None:
    page = visit.go("/s/demo/summary")
    log_in(page, "grace")
    page.get_by_role("button", name="Share…").click()
    page.get_by_label("It opens the session for").select_option("7")
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("The link").input_value()
    expect(page.locator(".shares li")).to_have_count(1)
    guest = Visit(browser, served.address)
    guest.page.goto(link)
    expect(guest.page).to_have_url(re.compile("/s/demo/summary$"))
    expect(guest.page.locator(".panel .newest-card img").first).to_be_visible()
    expect(guest.page.locator(".tabs")).not_to_contain_text("System")
    guest.page.locator(".brand").click()
    expect(guest.page).to_have_url(re.compile("/s/demo/summary$"))
    guest.page.get_by_role("link", name="Gallery").click()
    guest.page.locator(".card").first.click()
    expect(guest.page.locator(".lens .picture.loaded")).to_be_visible()
    guest.page.keyboard.press("ArrowRight")
    expect(guest.page.locator(".enlarge .name")).to_be_visible()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("There are no links to this session.")).to_be_visible()
    guest.page.goto(served.address + "/s/demo/summary")
    expect(guest.page).to_have_url(re.compile("/login"))
    guest.close(tolerant=True)


def test_a_link_made_with_a_label_is_listed_by_its_label(visit: Visit) -> None:
    page = visit.go("/s/demo/summary")
    log_in(page, "grace")
    page.get_by_role("button", name="Share…").click()
    page.get_by_label("Label").fill('Prof. "A" <b>& co</b>')
    page.get_by_role("button", name="Make a link").click()
    expect(page.locator(".shares li")).to_contain_text('Prof. "A" <b>& co</b> · until')
    expect(page.get_by_label("Label")).to_have_value("")
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("There are no links to this session.")).to_be_visible()


def test_a_link_shows_a_guest_the_dashboard_limits_and_time_of_who_made_it(
    visit: Visit, browser: Browser, served: Served
) -> None:
    page = visit.go("/s/demo/ctf?defocus_max=2&window=6h")
    log_in(page, "grace")
    page.get_by_role("button", name="Share…").click()
    page.get_by_role("button", name="Make a link").click()
    guest = Visit(browser, served.address)
    guest.page.goto(page.get_by_label("The link").input_value())
    expect(guest.page).to_have_url(re.compile(r"/s/demo/ctf\?window=6h&defocus_max=2$"))
    expect(guest.page.locator("#toolbar input[name=defocus_max]")).to_have_value("2")
    guest.close(tolerant=True)  # before it goes to the login by itself
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("There are no links to this session.")).to_be_visible()


def test_a_page_whose_login_ends_asks_for_a_new_one_and_comes_back(visit: Visit, data: Path) -> None:
    add_account(data, "leaving", Role.VIEWER)
    page = visit.go("/s/demo/ctf")
    log_in(page, "leaving")
    expect(page.locator("body")).to_have_attribute("data-ready", "yes")
    Accounts(data).set_role("leaving", Role.OPERATOR, now=1)
    with contextlib.suppress(Error):  # the page may hear of it first, and go by itself
        page.evaluate("document.querySelector('.tabs a[href*=gallery]').click()")
    expect(page).to_have_url(re.compile(r"/login\?next=%2Fs%2Fdemo%2F"))
    log_in(page, "leaving")
    expect(page).to_have_url(re.compile("/s/demo/(ctf|gallery)$"))


def test_a_session_is_shared_on_a_phone_too(browser: Browser, served: Served) -> None:
    phone = Visit(browser, served.address, viewport={"width": 375, "height": 740}, has_touch=True)
    page = phone.go("/s/demo/summary")
    log_in(page, "grace")
    button = page.get_by_role("button", name="Share…")
    expect(button).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    button.tap()
    page.get_by_role("button", name="Make a link").tap()
    expect(page.get_by_label("The link")).to_be_in_viewport(ratio=1)
    box = page.locator("dialog.shares").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 375
    phone.close(tolerant=True)
