"""What keeps nobody out: axe-core finds nothing on any page, wide and narrow, light and dark."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from cryowatch.settings.web import Web
from npm_packages import Unavailable
from tests.support.axe import findings, script
from tests.support.browsing import Visit
from tests.support.people import PASSWORD, add_everybody, raised
from tests.support.serving import Served, demo_project, serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

DASHBOARDS = ("summary", "ctf", "gain", "system", "gallery")
WIDTHS = (1440, 375)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="session")
def axe() -> str:
    try:
        return script()
    except Unavailable as error:
        pytest.skip(f"axe-core cannot be had: {error}")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("for-all")
    add_everybody(folder / "data")
    projects = [demo_project(folder / "demo", 24), demo_project(folder / "forgotten", 3)]
    with serving(projects, folder / "data", web=Web()) as found:
        raised(found, "Defocus: low in 20 of the last 50 micrographs", session="demo", rule="defocus")
        yield found


@pytest.fixture
def page(browser: Browser, served: Served, width: int) -> Iterator[Page]:
    """A page of somebody who may do everything."""
    visit = Visit(browser, served.address, viewport={"width": width, "height": 900}, has_touch=width < 700)
    page = visit.go("/login")
    page.get_by_label("Name").fill("grace")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("a.session").first).to_be_visible()
    yield page
    visit.close(tolerant=True)  # a browser tells of each answer of 401 and 404


def check(page: Page, axe: str) -> None:
    found: dict[str, None] = {}
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)
        found |= {f"{scheme}: {one}": None for one in findings(page, axe)}
    assert "\n".join(found) == ""


def settled(page: Page, served: Served, dashboard: str) -> None:
    page.goto(f"{served.address}/s/demo/{dashboard}")
    if dashboard == "gallery":
        expect(page.locator(".card .picture.loaded").first).to_be_visible()
    else:
        expect(page.locator("body")).to_have_attribute("data-ready", "yes")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_nothing_on_a_dashboard_keeps_anybody_out(
    page: Page, served: Served, axe: str, dashboard: str, width: int
) -> None:
    settled(page, served, dashboard)
    check(page, axe)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_on_the_list_of_sessions_keeps_anybody_out(page: Page, axe: str, width: int) -> None:
    check(page, axe)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_of_an_enlarged_micrograph_keeps_anybody_out(page: Page, served: Served, axe: str, width: int) -> None:
    settled(page, served, "gallery")
    page.locator(".card").first.click()
    expect(page.locator(".lens .picture.loaded")).to_be_visible()
    check(page, axe)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_on_an_error_page_keeps_anybody_out(page: Page, served: Served, axe: str, width: int) -> None:
    page.goto(f"{served.address}/s/nothing/summary")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    check(page, axe)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_where_one_logs_in_keeps_anybody_out(browser: Browser, served: Served, axe: str, width: int) -> None:
    visit = Visit(browser, served.address, viewport={"width": width, "height": 900})
    page = visit.go("/login")
    check(page, axe)
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    check(page, axe)
    visit.close(tolerant=True)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("button", ["Share…", "Forget this session…"])
def test_nothing_of_a_dialog_keeps_anybody_out(page: Page, served: Served, axe: str, button: str, width: int) -> None:
    settled(page, served, "summary")
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    check(page, axe)


@pytest.mark.parametrize("width", WIDTHS[-1:])
def test_nothing_on_the_page_of_a_forgotten_session_keeps_anybody_out(
    page: Page, served: Served, axe: str, width: int
) -> None:
    page.goto(f"{served.address}/s/forgotten/summary")
    expect(page.locator("body")).to_have_attribute("data-ready", "yes")
    row = served.store.reader().session("forgotten")
    served.forgetter.forget(row, author="grace", influxdb=False, images=False)
    expect(page.locator("#gone")).to_be_visible()
    check(page, axe)
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    check(page, axe)


SMALL = """() => [...document.querySelectorAll("a[href], button, select, input, summary")]
  .filter((node) => node.checkVisibility() && node.type !== "hidden" && !node.matches(".skip, :disabled"))
  .filter((node) => !document.querySelector("dialog[open]") || node.closest("dialog[open]"))
  .flatMap((node) => {
    node.scrollIntoView({ block: "center", inline: "center" });
    const { x, y, width, height } = node.getBoundingClientRect();
    return [-21, 0, 21].flatMap((away) => {
      const hit = document.elementFromPoint(x + width / 2, y + height / 2 + away);
      if (hit && (node.contains(hit) || hit.closest("label")?.control === node)) return [];
      return [`${node.outerHTML.slice(0, 90)} of ${height} px: at ${away} px is ${hit?.outerHTML.slice(0, 60)}`];
    });
  }).join("\\n")"""


@pytest.mark.parametrize("width", WIDTHS[-1:])
@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_a_finger_finds_everything_on_a_phone(page: Page, served: Served, dashboard: str, width: int) -> None:
    settled(page, served, dashboard)
    assert page.evaluate(SMALL) == ""
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", WIDTHS[-1:])
def test_a_finger_finds_everything_in_a_dialog(page: Page, served: Served, width: int) -> None:
    assert page.evaluate(SMALL) == "", "of the list of sessions"
    settled(page, served, "summary")
    page.get_by_role("button", name="Share…").click()
    page.get_by_role("button", name="Make a link").click()
    expect(page.get_by_role("button", name="Revoke").first).to_be_visible()
    assert page.evaluate(SMALL) == "", "of sharing"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Forget this session…").click()
    expect(page.get_by_role("button", name="Forget it")).to_be_enabled()
    assert page.evaluate(SMALL) == "", "of forgetting"
    settled(page, served, "gallery")
    page.locator(".card").first.click()
    expect(page.locator(".lens .picture.loaded")).to_be_visible()
    assert page.evaluate(SMALL) == "", "of an enlarged micrograph"


@pytest.mark.parametrize("width", WIDTHS)
def test_what_a_panel_shows_is_told_to_fingers_and_keys(page: Page, served: Served, width: int) -> None:
    settled(page, served, "ctf")
    button = page.get_by_role("button", name="About Resolution histogram", exact=True)
    said = page.get_by_text("How often each resolution occurs")
    expect(said).to_be_hidden()
    if width < 700:
        button.tap()
    else:
        button.focus()
        page.keyboard.press("Enter")
    expect(said).to_be_in_viewport(ratio=1)
    page.keyboard.press("Escape")
    expect(said).to_be_hidden()
    expect(button).to_be_focused()
    expect(button).to_have_accessible_description(re.compile("How often each resolution occurs"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", WIDTHS[:1])
def test_a_chart_says_in_words_what_it_shows(page: Page, served: Served, width: int) -> None:
    settled(page, served, "ctf")
    outputs = "SELECT MIN(output_id) FROM micrograph WHERE defocus IS NOT NULL"
    rows = served.store.reader().rows(f"SELECT defocus FROM micrograph WHERE defocus > 0 AND output_id = ({outputs})")
    values = [row["defocus"] / 1e4 for row in rows]
    ends = f"from {min(values):.2f} to {max(values):.2f} µm"
    number = r"[\d.]+"
    for panel, said in (
        ("defocus-over-time", rf"Defocus: n = {len(values)}; median {statistics.median(values):.2f} µm, {ends}"),
        (
            "defocus-histogram",
            rf"Defocus histogram: n = {len(values)}; median {number} µm, from {number} to {number} µm",
        ),
        ("defocus-map", rf"Defocus over time: n = {len(values)}; median {number} µm, from {number} to {number} µm"),
    ):
        place = page.locator(f'[data-panel="{panel}"]')
        place.scroll_into_view_if_needed()
        expect(place.get_by_role("img")).to_have_accessible_name(re.compile(f"^{said}$"))
