"""Having a session forgotten, as an operator with a browser does it, and as others see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cryowatch.forgetting.forgetter import Figures
from cryowatch.settings.web import Web
from cryowatch.store.reader import Row
from tests.support.browsing import Visit
from tests.support.people import PASSWORD, add_everybody
from tests.support.serving import Served, demo_project, serving

pytestmark = pytest.mark.browser

POINTS = {"influx cryowatch https://influx.example.org:8086 (scipion)": 48_120}
FILES = {"sftp://scipionbox@grafana.example.org/home/scipionbox/public_html": 36_012}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    add_everybody(tmp_path / "data")
    with serving([demo_project(tmp_path / name, 4) for name in ("demo", "other")], tmp_path / "data", web=Web()) as one:
        yield one


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Visit]:
    opened = Visit(browser, served.address)
    yield opened
    opened.close(tolerant=True)  # a browser tells of each answer of 404


def log_in(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_an_operator_has_a_session_forgotten_and_other_tabs_tell_that_it_was(visit: Visit, served: Served) -> None:
    page = visit.go("/s/demo/summary")
    log_in(page, "grace")
    expect(page.locator(".panel").first).to_be_visible()
    sessions = visit.context.new_page()
    sessions.goto(f"{served.address}/")
    expect(sessions.locator("a.session")).to_have_count(2)
    other = visit.context.new_page()
    other.goto(f"{served.address}/s/demo/ctf")
    expect(other.locator(".panel").first).to_be_visible()
    page.get_by_role("button", name="Forget this session…").click()
    dialog = page.get_by_role("dialog", name="Forget demo")
    expect(dialog).to_contain_text("4 movies, 4 micrographs, 4 CTF estimates")
    expect(dialog.get_by_role("checkbox")).to_have_count(0)
    dialog.get_by_role("button", name="Keep it").click()
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Forget this session…").click()
    page.get_by_role("button", name="Forget it").click()
    expect(page.locator("#gone")).to_contain_text("This session was forgotten")
    expect(page.locator("#gone")).to_contain_text("cryowatch forget --undo demo")
    expect(page.locator(".tabs")).to_be_hidden()
    expect(other.locator("#gone")).to_contain_text("This session was forgotten")
    expect(sessions.locator("a.session")).to_have_count(1)
    page.get_by_role("link", name="All sessions", exact=True).last.click()
    expect(page.locator("a.session")).to_have_count(1)


def test_what_was_sent_elsewhere_goes_only_where_that_is_ticked(
    visit: Visit, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = served.forgetter.figures

    def elsewhere(row: Row) -> Figures:
        found = figures(row)
        return dataclasses.replace(found, belongings=dataclasses.replace(found.belongings, points=POINTS, files=FILES))

    monkeypatch.setattr(served.forgetter, "figures", elsewhere)
    page = visit.go("/s/demo/summary")
    log_in(page, "grace")
    page.get_by_role("button", name="Forget this session…").click()
    dialog = page.get_by_role("dialog", name="Forget demo")
    expect(dialog).to_contain_text("48,120 points at https://influx.example.org:8086 (scipion)")
    boxes = dialog.get_by_role("checkbox")
    expect(boxes).to_have_count(2)
    expect(boxes.first).not_to_be_checked()
    boxes.last.check()
    page.get_by_role("button", name="Forget it").click()
    expect(page.locator("#gone")).to_contain_text("36,012 files at sftp://scipionbox")
    expect(page.locator("#gone")).not_to_contain_text("48,120 points")
    (note,) = served.store.reader().rows("SELECT influxdb, images, author FROM forgotten")
    assert note == {"influxdb": 0, "images": 1, "author": "grace"}


def test_a_viewer_does_not_see_how_to_forget_a_session_but_that_it_was(visit: Visit, served: Served) -> None:
    page = visit.go("/s/demo/summary")
    log_in(page, "ada")
    expect(page.locator(".panel").first).to_be_visible()
    expect(page.get_by_role("button", name="Forget this session…")).to_have_count(0)
    row = served.store.reader().session("demo")
    served.forgetter.forget(row, author="grace", influxdb=False, images=False)
    expect(page.locator("#gone")).to_contain_text("was forgotten")  # as it hears, or as it asks


@pytest.mark.parametrize("width", [1440, 375])
def test_the_dialog_fits_into_the_window(browser: Browser, served: Served, width: int) -> None:
    visit = Visit(browser, served.address, viewport={"width": width, "height": 700})
    page = visit.go("/s/demo/summary")
    log_in(page, "grace")
    page.get_by_role("button", name="Forget this session…").click()
    expect(page.get_by_role("button", name="Forget it")).to_be_enabled()
    box = page.locator("dialog.forget").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert page.evaluate(
        "document.querySelector('dialog.forget').scrollWidth <= document.querySelector('dialog.forget').clientWidth"
    )
    visit.close(tolerant=True)
