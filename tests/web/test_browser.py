"""What a person sees: every page of the demo in a real browser, wide and narrow, light and dark, as it grows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browsing import Visit
from tests.support.projects import CTFS, MOVIES, append, change, execute, genuine
from tests.support.serving import serving, until

pytestmark = pytest.mark.browser

DASHBOARDS = ("summary", "ctf", "gain", "system", "gallery")
SESSION = "/s/demo-session"


class Demo:
    """`cryowatch demo` as somebody would start it."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "cryowatch", "demo", "--port", "0", "--no-browser"]
        self.log = folder / "demo.log"
        self.began = time.monotonic()
        environment = {**os.environ, "TMPDIR": str(folder), "HOME": str(folder)}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--micrographs", "400", "--every", "1"], stderr=log, env=environment
            )
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() - self.began < 60
            time.sleep(0.05)
        self.address = found[0]

    def has_session(self) -> bool:
        """Return whether the session is there within half a minute of the command."""
        while time.monotonic() - self.began < 30:
            if httpx2.get(f"{self.address}{SESSION}/summary").status_code == 200:
                return True
            time.sleep(0.05)
        return False

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0, self.log.read_text()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    started = Demo(folder)
    assert started.has_session()
    yield started
    started.end()
    assert [path.name for path in folder.iterdir() if path.name.startswith("cryowatch-demo")] == []


@pytest.fixture
def visit(browser: Browser, demo: Demo) -> Iterator[Visit]:
    opened = Visit(browser, demo.address)
    yield opened
    opened.close()


def count(page: Page) -> int:
    """Return how many CTF estimates the Summary page shows."""
    text = page.locator('[data-panel="progress"] .stats > div', has_text="CTF").locator(".value").inner_text()
    return int(text.replace(",", ""))


def test_the_first_micrograph_is_soon_on_the_page(browser: Browser, tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    try:
        visit = Visit(browser, demo.address)
        assert demo.has_session()
        page = visit.go(f"{SESSION}/summary")
        expect(page.locator('[data-panel="newest"] .picture.loaded').first).to_be_visible()
        visit.close()
    finally:
        demo.end()


def test_a_newcomer_goes_from_the_list_of_sessions_to_a_dashboard(visit: Visit) -> None:
    page = visit.go("/")
    card = page.locator("a.session")
    expect(card.locator("h2")).to_have_text("demo-session")
    expect(card).to_contain_text("µm")
    card.click()
    expect(page).to_have_url(re.compile(f"{SESSION}/summary$"))
    expect(page.locator('[data-panel="acquisition"]')).to_contain_text("300 kV")
    page.locator('[data-panel="runs"]').scroll_into_view_if_needed()
    expect(page.locator('[data-panel="runs"] tbody tr')).to_have_count(4)


@pytest.mark.parametrize("dashboard", DASHBOARDS)
@pytest.mark.parametrize(
    ("width", "scheme"), [(1440, "light"), (1440, "dark"), (375, "light"), (375, "dark"), (2560, "dark")]
)
def test_every_page_is_whole_at_every_width(
    browser: Browser, demo: Demo, dashboard: str, width: int, scheme: str
) -> None:
    viewport = {"width": width, "height": 900}
    visit = Visit(browser, demo.address, viewport=viewport, color_scheme=scheme)
    page = visit.go(f"{SESSION}/{dashboard}")
    expect(page.locator("h1")).to_have_text("demo-session")
    if dashboard == "gallery":
        expect(page.locator(".card .picture.loaded").first).to_be_visible()
    else:
        expect(page.locator(".panel:not(.waiting):visible").first).to_be_visible()
        expect(page.locator(".panel.failed")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(n) for n in re.findall(r"\d+", ground)[:3]) < 200) == (scheme == "dark")
    visit.close()


def test_new_micrographs_appear_without_a_reload(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/summary")
    expect(page.locator('[data-panel="progress"] .value').first).to_be_visible()
    page.evaluate("window.same = true")
    before = count(page)
    page.wait_for_function(
        "before => Number(document.querySelector('[data-panel=progress] .stats > div:last-child .value')"
        ".textContent.replace(',', '')) > before",
        arg=before,
    )
    assert page.evaluate("window.same") is True


def test_only_what_is_new_is_fetched(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/ctf")
    expect(page.locator('[data-panel="defocus-over-time"] canvas')).to_be_visible()
    with page.expect_response(lambda r: "/data/ctf" in r.url and "after=" in r.url) as found:
        pass
    panels = found.value.json()["panels"]
    assert all(p["partial"] and len(p["id"]) < 20 for name, p in panels.items() if name.endswith("over-time"))


def test_nothing_is_drawn_before_it_is_known_whether_the_session_is_at_work(visit: Visit) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    visit.page.route("**/api/sessions/*", hold)
    visit.go(f"{SESSION}/ctf")
    visit.page.wait_for_function("() => document.querySelectorAll('[data-panel]').length > 3")
    visit.page.wait_for_timeout(1_000)
    assert [url for url in visit.requests if "/data/" in url]
    expect(visit.page.locator("canvas")).to_have_count(0)
    assert visit.page.locator("body").get_attribute("data-ready") is None
    assert held
    visit.page.unroute("**/api/sessions/*")  # lets those go that were held
    expect(visit.page.locator("body")).to_have_attribute("data-ready", "yes")


def test_a_point_in_a_plot_opens_its_micrograph(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/ctf")
    box = page.locator('[data-panel="defocus-over-time"] .chart')
    expect(box.locator("canvas")).to_be_visible()
    size = box.bounding_box()
    assert size is not None
    places = ((0.2 + step * 0.015, 0.8 - height * 0.07) for height in range(9) for step in range(40))
    for across, down in places:
        page.mouse.move(size["x"] + size["width"] * across, size["y"] + size["height"] * down)
        if box.evaluate("node => node.style.cursor") == "pointer":
            break
    tip = page.locator('[data-panel="defocus-over-time"] .tip')
    expect(tip.locator("img")).to_be_visible()
    expect(tip.locator("b").first).to_contain_text("FoilHole")
    shown = re.search(r"Defocus: ([\d.]+ µm)", tip.inner_text())
    assert shown is not None
    page.mouse.down()
    page.mouse.up()
    dialog = page.locator("dialog.enlarge")
    expect(dialog.locator(".large .picture.loaded")).to_be_visible()
    expect(dialog.locator(".numbers")).to_contain_text(shown[1])
    expect(page).to_have_url(re.compile(r"#m=\d+$"))


def test_the_moment_under_the_pointer_is_marked_in_every_chart_over_time(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/ctf")
    chart = page.locator('[data-panel="defocus-over-time"] .chart')
    expect(chart.locator("canvas")).to_be_visible()
    expect(page.locator('[data-panel="resolution-over-time"] .chart canvas')).to_be_visible()
    expect(page.locator('[data-panel="defocus-map"] .chart canvas').first).to_be_visible()
    size = chart.bounding_box()
    assert size is not None
    page.mouse.move(size["x"] + size["width"] * 0.5, size["y"] + 60)
    for panel in ("defocus-over-time", "resolution-over-time", "defocus-map"):
        expect(page.locator(f'[data-panel="{panel}"] .cursor')).to_be_visible()
    places = [
        page.locator(f'[data-panel="{panel}"] .cursor').evaluate("node => node.style.transform")
        for panel in ("defocus-over-time", "resolution-over-time")
    ]
    middles = [float(re.findall(r"[\d.]+", place)[0]) for place in places]
    assert all(abs(middle - size["width"] * 0.5) < 12 for middle in middles)
    page.mouse.move(size["x"] + size["width"] * 0.5, size["y"] - 40)
    expect(page.locator('[data-panel="resolution-over-time"] .cursor')).to_be_hidden()


def test_a_heat_map_says_what_its_colours_mean(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/ctf")
    for panel in ("defocus-map", "resolution-map"):
        scale = page.locator(f'[data-panel="{panel}"] .scale')
        expect(scale).to_have_text(re.compile(r"^0[\d,]+ micrographs$"))
        expect(scale.locator("i")).to_be_visible()


def test_dragging_over_a_plot_zooms_into_the_time_and_back(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/ctf")
    box = page.locator('[data-panel="defocus-over-time"] .chart')
    expect(box.locator("canvas")).to_be_visible()
    size = box.bounding_box()
    assert size is not None
    y = size["y"] + 40
    page.mouse.move(size["x"] + size["width"] * 0.3, y)
    page.mouse.down()
    page.mouse.move(size["x"] + size["width"] * 0.6, y + 30, steps=6)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=\d+&to=\d+"))
    page.locator("#toolbar button", has_text="✕").click()
    expect(page).not_to_have_url(re.compile(r"from="))


def test_a_limit_that_is_moved_is_kept_in_the_address_and_counts(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/ctf")
    share = page.locator('[data-panel="defocus-share"] .value')
    expect(share).to_be_visible()
    before = share.inner_text()
    page.locator("input[name=defocus_max]").fill("1.3")
    page.keyboard.press("Enter")
    expect(share).not_to_have_text(before)
    expect(page).to_have_url(re.compile(r"defocus_max=1\.3"))
    page.locator(".tabs a", has_text="Summary").click()
    expect(page).to_have_url(re.compile(r"summary\?defocus_max=1\.3"))


def test_the_gallery_shows_images_and_numbers_and_filters_by_value(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/gallery")
    card = page.locator(".card").first
    expect(card.locator(".picture.loaded")).to_have_count(3)
    expect(card).to_contain_text("µm")
    page.locator(".filter summary").click()
    page.locator("input[name=min_defocus]").fill("1.9")
    expect(page.locator(".filter")).to_contain_text("match")
    value = r"n => parseFloat(/Defocus ([\d.]+)/.exec(n.textContent)[1])"
    page.wait_for_function(f"() => [...document.querySelectorAll('.card .values')].map({value}).every(v => v >= 1.9)")
    page.locator(".filter button", has_text="Clear").click()
    page.locator("select[aria-label='Sort by']").select_option("name")
    expect(page.locator(".card[data-index='0'] .title b")).to_contain_text("_000001")
    page.locator("input[type=search]").fill("000013")
    expect(page.locator(".card .title b")).to_have_text([re.compile("_000013$")])
    page.reload()
    expect(page.locator(".card .title b")).to_have_text([re.compile("_000013$")])


def test_the_gallery_and_the_enlarged_view_obey_the_keyboard(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/gallery?sort=name")
    expect(page.locator(".card").first).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(".card.selected .title b")).to_contain_text("_000002")
    page.keyboard.press("Enter")
    name = page.locator("dialog.enlarge .name")
    expect(name).to_contain_text("_000002")
    expect(page.locator("dialog.enlarge .large .picture.loaded")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(name).to_contain_text("_000003")
    page.keyboard.press("ArrowLeft")
    expect(name).to_contain_text("_000002")
    page.locator("dialog.enlarge button", has_text="Power spectrum").click()
    expect(page.locator("dialog.enlarge .large .picture.loaded img")).to_have_attribute(
        "src", re.compile("power-spectrum")
    )
    page.keyboard.press("Escape")
    expect(page.locator("dialog.enlarge")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.locator("dialog.help")).to_be_visible()


def test_a_link_to_a_micrograph_opens_it(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/gallery?sort=name")
    page.locator(".card").first.click()
    expect(page.locator("dialog.enlarge")).to_be_visible()
    link = page.url
    other = visit.context.new_page()
    other.goto(link)
    expect(other.locator("dialog.enlarge .name")).to_contain_text("_000001")


@pytest.mark.timeout(200)
def test_a_long_gallery_keeps_only_what_is_in_sight(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/gallery")
    expect(page.locator(".card").first).to_be_visible()
    last = page.locator(".card .title b", has_text=re.compile("_000001$"))

    def at_the_end() -> bool:
        page.evaluate("scrollTo(0, document.body.scrollHeight)")  # the page may still grow
        return last.is_visible()

    until(at_the_end, seconds=90)
    until(lambda: page.locator(".card").count() < 40)


@pytest.mark.timeout(200)
def test_a_gallery_that_has_not_heard_of_new_micrographs_misses_none_further_down(visit: Visit) -> None:
    page = visit.page
    unheard: list[str] = []

    def total() -> int:
        return int(page.context.request.get(unheard[0]).json()["total"])

    def more_than(number: int) -> bool:
        page.wait_for_timeout(50)  # the page's requests are only seen in a wait of its own
        return bool(unheard) and total() > number

    page.route("**/micrographs?*limit=0*", lambda route: unheard.append(route.request.url))
    visit.go(f"{SESSION}/gallery")
    until(lambda: more_than(60), seconds=90)  # more than one answer holds
    page.reload()
    expect(page.locator(".card").first).to_be_visible()
    shown = total()
    until(lambda: more_than(shown), seconds=90)
    last = page.locator(".card .title b", has_text=re.compile("_000001$"))

    def at_the_end() -> bool:
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        return last.is_visible()

    until(at_the_end, seconds=90)


def test_a_gallery_whose_requests_fail_says_so_and_goes_on_by_itself(browser: Browser, demo: Demo) -> None:
    visit = Visit(browser, demo.address)
    page = visit.page
    for failing in ("**/api/fields", "**/micrographs?*"):
        page.route(failing, lambda route: route.abort())
        visit.go(f"{SESSION}/gallery")
        expect(page.get_by_role("status")).to_have_text("cryowatch cannot be reached")
        page.unroute(failing)
        expect(page.locator(".card").first).to_be_visible()
    page.route("**/micrographs?*", lambda route: route.abort())
    page.get_by_label("Sort by").select_option("name")
    expect(page.get_by_role("status")).to_have_text("cryowatch cannot be reached")
    page.unroute("**/micrographs?*")
    expect(page.get_by_role("status")).to_contain_text("micrographs")
    visit.close(tolerant=True)


def test_colours_can_be_chosen_and_are_remembered(visit: Visit) -> None:
    page = visit.go("/")
    for expected in ("light", "dark"):
        page.locator("#theme").click()
        expect(page.locator("html")).to_have_attribute("data-theme", expected)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_page_that_does_not_exist_says_so_and_leads_back(browser: Browser, demo: Demo) -> None:
    visit = Visit(browser, demo.address)
    page = visit.go("/s/nobody/summary")
    expect(page.locator("main")).to_contain_text("nobody")
    page.locator("main a").first.click()
    expect(page.locator("a.session")).to_be_visible()
    visit.close(tolerant=True)


def test_pages_say_when_cryowatch_is_gone_and_go_on_when_it_is_back(browser: Browser, tmp_path: Path) -> None:
    project = genuine(tmp_path)
    first = serving([project], tmp_path / "data")
    served = first.__enter__()
    visit = Visit(browser, served.address)
    page = visit.go("/s/small/summary")
    expect(page.locator('[data-panel="progress"] .value').first).to_have_text("8")
    page.evaluate("window.same = true")
    first.__exit__(None, None, None)
    expect(page.locator("#offline")).to_contain_text("Not connected to cryowatch, last heard ")
    expect(page.locator('[data-panel="progress"] .value').first).to_have_text("8")
    append(project / MOVIES, 9)
    with serving([project], tmp_path / "data", listen=served.address.removeprefix("http://")):
        expect(page.locator("#offline")).to_be_hidden()
        expect(page.locator('[data-panel="progress"] .value').first).to_have_text("9")
        assert page.evaluate("window.same") is True
    visit.close(tolerant=True)


def test_an_agent_without_projects_says_how_to_begin(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "projects").mkdir()
    with serving([tmp_path / "projects"], tmp_path / "data") as served:
        visit = Visit(browser, served.address)
        page = visit.go("/")
        expect(page.locator("#none")).to_contain_text("cryowatch watch")
        genuine(tmp_path / "projects")
        expect(page.locator("a.session h2")).to_have_text("small", timeout=20_000)
        expect(page.locator("a.session .thumb")).to_have_text("no image")
        visit.close(tolerant=True)


def test_names_are_text_on_every_page(browser: Browser, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)> \"'& 😀"
    project = genuine(tmp_path, name)
    change(project / CTFS, 8, **{"micObj._micName": name})
    execute(
        project / "project.sqlite", f"UPDATE Objects SET label = '{name.replace(chr(39), chr(39) * 2)}' WHERE id = 135"
    )
    with serving([project], tmp_path / "data") as served:
        [session] = served.get("/api/sessions")["sessions"]
        visit = Visit(browser, served.address)
        dialogs: list[str] = []
        visit.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        expect(visit.go("/").locator("a.session h2")).to_have_text(name)
        for dashboard in DASHBOARDS:
            expect(visit.go(f"/s/{session['id']}/{dashboard}").locator("h1")).to_have_text(name)
        page = visit.go(f"/s/{session['id']}/gallery?sort=name&order=asc")
        expect(page.locator(".card .title b", has_text="onerror")).to_have_text(name)
        expect(page.locator(".card .reason").first).to_contain_text("aligned_mic.mrc")
        assert dialogs == []
        visit.close(tolerant=True)


def test_a_source_in_trouble_is_named_on_the_page(browser: Browser, tmp_path: Path) -> None:
    project = genuine(tmp_path)
    with serving([project], tmp_path / "data") as served:
        visit = Visit(browser, served.address)
        page = visit.go("/s/small/ctf")
        expect(page.locator('[data-panel="defocus-over-time"] canvas')).to_be_visible()
        (project / CTFS).write_text("moved to tape")
        expect(page.locator("#state")).to_contain_text("is not a database")
        expect(page.locator("#state")).to_contain_text("Last good read")
        expect(page.locator('[data-panel="defocus-over-time"] canvas')).to_be_visible()
        visit.close()
