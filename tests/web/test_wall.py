"""A screen on a wall shows what runs, one session after the other, and what is wrong with it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cryowatch.records import Severity
from cryowatch.settings.web import Web
from npm_packages import Unavailable
from tests.support.axe import findings, script
from tests.support.browsing import Visit
from tests.support.people import Person, add_everybody
from tests.support.projects import CTFS, append, execute, genuine
from tests.support.serving import Served, serving
from tests.web.test_alerts import Facility

pytestmark = pytest.mark.browser

ENDED = "UPDATE Objects SET value = 'finished' WHERE name LIKE '%.status'"


@pytest.fixture
def projects(tmp_path: Path) -> tuple[Path, Path]:
    """Two projects whose runs are at work."""
    second = genuine(tmp_path, "second")
    execute(second / "project.sqlite", "UPDATE Objects SET value = '2026-11-01 10:00:00.5' WHERE name = 'CreationTime'")
    return genuine(tmp_path, "small"), second


@pytest.fixture
def served(projects: tuple[Path, Path], tmp_path: Path) -> Iterator[Served]:
    with serving(projects, tmp_path / "data") as found:
        yield found


@pytest.fixture
def wall(browser: Browser, served: Served) -> Iterator[Page]:
    visit = Visit(browser, served.address, viewport={"width": 1920, "height": 1080})
    visit.page.clock.install()
    yield visit.go("/wall")
    visit.close(tolerant=True)


def test_sessions_that_run_take_turns(wall: Page) -> None:
    expect(wall.locator("#name")).to_have_text("second")
    expect(wall.locator("#turn")).to_have_text("1 of 2")
    wall.keyboard.press("ArrowRight")
    expect(wall.locator("#name")).to_have_text("small")
    expect(wall.locator(".tile").first).to_contain_text("8 of 8 good")
    expect(wall.locator(".chart")).to_have_count(2)
    wall.keyboard.press("ArrowRight")
    expect(wall.locator("#name")).to_have_text("second")
    wall.clock.fast_forward(20_000)
    expect(wall.locator("#name")).to_have_text("small")


def test_what_is_new_and_what_is_wrong_is_there_by_itself(browser: Browser, tmp_path: Path) -> None:
    project = genuine(tmp_path)
    with serving([project], tmp_path / "data") as served:
        visit = Visit(browser, served.address)
        visit.page.add_init_script("window.setInterval = () => 0")  # nothing is asked anew before it is told
        wall = visit.go("/wall")
        expect(wall.locator("#name")).to_have_text("small")
        expect(wall.locator("#turn")).to_have_text("")
        expect(wall.locator("#alert")).to_be_hidden()
        facility = Facility(served)
        first = facility.raise_("Import has stopped", minutes=14, rule="import-stalled", severity=Severity.CRITICAL)
        facility.raise_("Defocus is high", rule="defocus")
        expect(wall.locator("#alert")).to_contain_text(re.compile("Import has stopped.*for 14 min, and 1 more"))
        facility.end(first)
        expect(wall.locator("#alert")).to_contain_text("Defocus is high")
        append(project / CTFS, 9)
        expect(wall.locator(".tile").first).to_contain_text("9 of 9 good")
        visit.close(tolerant=True)


def test_where_nothing_runs_it_says_so(wall: Page, projects: tuple[Path, Path]) -> None:
    expect(wall.locator(".tile").first).to_be_visible()
    for project in projects:
        execute(project / "project.sqlite", ENDED)
        shutil.rmtree(project / "Runs")
    expect(wall.get_by_text("No session is running")).to_be_visible()
    expect(wall.locator(".tile").first).to_be_hidden()


@pytest.mark.parametrize("width", [2560, 1440, 375])
def test_nothing_on_the_wall_keeps_anybody_out_and_it_fits_every_screen(wall: Page, width: int) -> None:
    try:
        axe = script()
    except Unavailable as error:
        pytest.skip(f"axe-core cannot be had: {error}")
    wall.set_viewport_size({"width": width, "height": 900})
    expect(wall.locator(".tile").first).to_be_visible()
    expect(wall.locator(".chart")).to_have_count(2)
    assert "\n".join(findings(wall, axe)) == ""
    assert wall.evaluate("document.documentElement.scrollWidth") <= width


def test_whoever_has_a_link_to_one_session_has_no_wall(tmp_path: Path) -> None:
    data = tmp_path / "data"
    add_everybody(data)
    with serving([genuine(tmp_path)], data, web=Web()) as served:
        operator = Person(served, "grace")
        guest = Person(served)
        guest.get(operator.post("/api/sessions/small/shares", {"days": 3}).json()["url"])
        assert guest.get("/s/small/summary").status_code == 200
        assert guest.get("/wall").status_code == 404
        assert operator.get("/wall").status_code == 200
        operator.close()
        guest.close()
