"""A report as its reader sees it: a file in a real browser without any network."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pytest
from playwright.sync_api import Browser, Page, expect

from cryowatch.dashboards.custom import customised
from cryowatch.store import Selection
from cryowatch.store.panels.good import bounds_of_good
from tests.dashboards.test_sql import EXPOSURES, GAINS
from tests.report.agreement import differences
from tests.report.making import HOSTILE, LATER, Sessions
from tests.support.records import SECOND, START, micrograph, session

pytestmark = pytest.mark.browser

TITLES = ("Summary", "CTF", "Gain", "System", "Gallery", "Ice")
OWN = """
[ice]
title = "Ice"
[[ice.panels]]
id = "note"
kind = "text"
text = "Ask the operator on duty."
[[ice.panels]]
id = "motion"
title = "Motion"
kind = "histogram"
fields = ["motion_total"]
bins = [0, 50, 1]
limits = [{ field = "motion_total", high = 20 }]
[[ice.panels]]
id = "medians"
kind = "stat"
fields = ["ratio", "phase_shift", "fit_quality", "defocus_angle"]
"""
FIRST, LAST = EXPOSURES[0].time // 10**6, EXPOSURES[-1].time // 10**6


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """A session of 400 estimates with a hostile name, of which the newest 20 have images."""
    dashboards = customised(tomllib.loads(OWN), {}, file=Path("cryowatch.toml"))
    made = Sessions(tmp_path_factory.mktemp("report"), dashboards)
    pictured = made.pictures(20)
    newest = [
        replace(
            m, micrograph_path=p.micrograph_path, power_spectrum_path="", name=f"{m.name}{HOSTILE if i == 19 else ''}"
        )
        for i, (m, p) in enumerate(zip(EXPOSURES[-20:], pictured, strict=True))
    ]
    key = made.add(HOSTILE, [*EXPOSURES[:-20], *newest], gains=GAINS)
    for i in range(40):
        made.sample(START + i * 120 * SECOND, 20.0 + i)
    made.make(key)
    yield made
    made.close()


class Opened:
    """A report in a browser that is offline, with what went wrong and what was asked for."""

    def __init__(self, browser: Browser, path: Path, fragment: str = "", **context: Any) -> None:
        self.path = path
        self.context = browser.new_context(
            **{"viewport": {"width": 1440, "height": 900}, "offline": True, "color_scheme": "light", **context}
        )
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(f"{path.as_uri()}{fragment}")

    def tab(self, title: str) -> None:
        self.page.locator("#tabs a", has_text=title).click()

    def close(self) -> None:
        """Close it; it must not have had an error, nor asked anybody for anything but itself."""
        assert self.page.evaluate("window.harmed") is None
        self.context.close()
        asked = [u for u in self.requests if not u.startswith(("data:", self.path.as_uri()))]
        assert asked == []
        assert self.errors == []


@pytest.fixture
def opened(browser: Browser, sessions: Sessions) -> Iterator[Opened]:
    visit = Opened(browser, sessions.folder / "report.html")
    yield visit
    visit.close()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (375, "dark")])
def test_every_dashboard_is_whole_at_every_width(browser: Browser, sessions: Sessions, width: int, scheme: str) -> None:
    viewport = {"width": width, "height": 900}
    visit = Opened(browser, sessions.folder / "report.html", viewport=viewport, color_scheme=scheme)
    expect(visit.page.locator("#tabs a")).to_have_text(list(TITLES))
    for title in TITLES:
        visit.tab(title)
        shown = visit.page.locator(f"#dashboard-{title.lower()}")
        expect(shown.locator(".panel:not(.waiting):visible").first).to_be_visible()
        expect(shown.locator(".panel.waiting:visible")).to_have_count(0)
        expect(visit.page.locator(".dashboard:visible")).to_have_count(1)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    expect(visit.page.locator("html")).to_have_attribute("data-theme", scheme)
    visit.close()


def test_it_says_of_which_session_it_is_when_it_was_made_and_by_what(opened: Opened) -> None:
    expect(opened.page.locator("h1")).to_have_text(HOSTILE)
    expect(opened.page.locator("#made")).to_have_text(re.compile(r"as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d"))
    expect(opened.page.locator(".foot")).to_contain_text("cryowatch ")
    expect(opened.page.locator(".foot")).to_contain_text("Made ")
    expect(opened.page.locator("#newest")).to_contain_text("newest 40 min ago")


SCOPES = [
    {},
    {"defocus_max": 2.1, "resolution_max": 3.3, "astigmatism_max": 40.0},
    {"from": FIRST + 60_000, "to": LAST - 90_000},
    {"from": LAST - 1_000_000},
    {"from": LAST + 5_000},
]


@pytest.mark.parametrize("query", SCOPES, ids=["all", "limits", "middle", "end", "after"])
def test_it_computes_what_the_agent_would_answer(opened: Opened, sessions: Sessions, query: dict[str, float]) -> None:
    assert differences(opened.page, sessions, query) == []


def test_limits_can_be_moved_and_hold_on_every_dashboard(opened: Opened) -> None:
    opened.tab("CTF")
    share = opened.page.locator('#dashboard-ctf [data-panel="defocus-share"] .value')
    before = share.inner_text()
    opened.page.locator("#dashboard-ctf input[name=defocus_max]").fill("1.3")
    opened.page.keyboard.press("Enter")
    expect(share).not_to_have_text(before)
    opened.tab("Summary")
    expect(opened.page.locator("#dashboard-summary input[name=defocus_max]")).to_have_value("1.3")


def test_dragging_over_a_chart_zooms_and_all_comes_back(opened: Opened) -> None:
    opened.tab("CTF")
    panel = opened.page.locator('#dashboard-ctf [data-panel="defocus-over-time"]')
    expect(panel.locator("canvas")).to_be_visible()
    whole = panel.locator(".note").inner_text()
    size = panel.locator(".chart").bounding_box()
    assert size is not None
    opened.page.mouse.move(size["x"] + size["width"] * 0.3, size["y"] + 40)
    opened.page.mouse.down()
    opened.page.mouse.move(size["x"] + size["width"] * 0.6, size["y"] + 70, steps=6)
    opened.page.mouse.up()
    expect(panel.locator(".note")).not_to_have_text(whole)
    opened.page.locator("#dashboard-ctf .toolbar button", has_text="✕").click()
    expect(panel.locator(".note")).to_have_text(whole)


def test_the_gallery_is_cut_to_a_time_and_to_what_is_not_good_and_back_undoes_it(
    opened: Opened, sessions: Sessions
) -> None:
    reader = sessions.store.reader()
    outputs = reader.leading(1).shown.ids
    bounds = bounds_of_good(sessions.maker.dashboards)
    wanted: dict[str, Any] = {"outputs": outputs, "good": False, "good_bounds": bounds}
    count, rows = reader.micrographs(Selection(**wanted, descending=False), offset=0, limit=500)
    opened.tab("Gallery")
    gallery = opened.page.locator("#dashboard-gallery")
    whole = gallery.get_by_role("status").inner_text()
    gallery.get_by_role("button", name="Not good").click()
    expect(gallery.get_by_role("status")).to_have_text(f"{count} match")
    gallery.get_by_role("button", name="1 h", exact=True).click()
    expect(gallery.get_by_role("button", name="1 h", exact=True)).to_have_attribute("aria-pressed", "true")
    first = sessions.now - 3600 * SECOND
    lately = reader.micrographs(Selection(**wanted, start=first), offset=0, limit=0)[0]
    expect(gallery.get_by_role("status")).to_have_text(f"{lately} match")
    opened.page.go_back()
    expect(gallery.get_by_role("status")).to_have_text(f"{count} match")
    gallery.locator(".card").first.click()
    name = opened.page.locator("dialog.enlarge .name")
    expect(name).to_contain_text(rows[-1]["name"][:20])
    opened.page.keyboard.press("ArrowLeft")
    expect(name).to_contain_text(rows[-2]["name"])
    opened.page.keyboard.press("Escape")
    expect(opened.page).not_to_have_url(re.compile("#m="))  # the step back of closing is done
    opened.page.go_back()
    expect(gallery.get_by_role("status")).to_have_text(whole)


def test_tables_can_be_sorted(opened: Opened) -> None:
    opened.tab("Gain")
    table = opened.page.locator('#dashboard-gain [data-panel="gain-table"]')
    head = table.locator("th", has_text="Standard deviation")
    values = table.locator("tbody tr td:nth-child(3)")
    head.locator("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    numbers = [float(text) for text in values.all_inner_texts()]
    assert numbers == sorted(numbers, reverse=True)
    head.locator("button").click()
    assert [float(text) for text in values.all_inner_texts()] == sorted(numbers)


def test_the_gallery_obeys_the_keyboard_and_enlarges(opened: Opened) -> None:
    opened.tab("Gallery")
    cards = opened.page.locator("#dashboard-gallery .list .card")
    expect(cards.first.locator(".picture.loaded").first).to_be_visible()
    expect(cards.first.locator(".title b")).to_have_text(f"{EXPOSURES[-1].name}{HOSTILE}")
    expect(cards.first.locator(".computed")).to_have_count(1)
    opened.page.keyboard.press("j")
    opened.page.keyboard.press("j")
    opened.page.keyboard.press("Enter")
    dialog = opened.page.locator("dialog.enlarge")
    expect(dialog.locator(".name")).to_contain_text("000399")
    expect(dialog.locator(".picture.loaded").first).to_be_visible()
    opened.page.keyboard.press("ArrowLeft")
    expect(dialog.locator(".name")).to_contain_text("000398")
    opened.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    opened.tab("Summary")
    opened.page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()


def test_the_gallery_sorts_and_filters_and_names_what_is_not_there(opened: Opened) -> None:
    opened.tab("Gallery")
    gallery = opened.page.locator("#dashboard-gallery")
    gallery.locator("select[aria-label='Sort by']").select_option("name")
    first = gallery.locator(".list .card[data-index='0']")
    expect(first.locator(".title b")).to_contain_text("000001")
    expect(first.locator(".reason").first).to_contain_text("the file is not there")
    gallery.locator(".filter summary").click()
    gallery.locator("input[name=min_defocus]").fill("4.2")
    expected = sum((m.defocus_u + m.defocus_v) / 2 >= 42_000 for m in EXPOSURES if m.defocus_u and m.defocus_v)
    expect(gallery.locator(".filter")).to_contain_text(f"{expected} match")
    gallery.locator(".filter button", has_text="Clear").click()
    gallery.locator("label", has_text="with images").locator("input").check()
    expect(gallery.locator(".filter")).to_contain_text("20 match")


def test_printed_it_shows_every_dashboard_in_light_colours(browser: Browser, sessions: Sessions) -> None:
    visit = Opened(browser, sessions.folder / "report.html", color_scheme="dark")
    expect(visit.page.locator("#dashboard-gallery .sheet .card")).to_have_count(20)
    expect(visit.page.locator("#dashboard-gallery .sheet img").first).to_have_js_property("complete", value=True)
    paper = pypdfium2.PdfDocument(visit.page.pdf(prefer_css_page_size=True))
    texts = [page.get_textpage().get_text_bounded() for page in paper]
    places = [
        next(i for i, text in enumerate(texts) if re.search(rf"^{title}\r?$", text, re.MULTILINE)) for title in TITLES
    ]
    assert places == sorted(set(places))
    ctf = paper[places[1]].render(scale=1).to_pil()
    assert ctf.getpixel((2, 2)) == (255, 255, 255)
    red, green, blues = np.moveaxis(np.asarray(ctf.convert("RGB")), 2, 0)
    blue = np.count_nonzero((blues > 150) & (red < 60) & (green < 160))
    assert blue > 500, "the charts are not on the page"
    paper.close()
    expect(visit.page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(visit.page.locator(".dashboard:visible")).to_have_count(1)
    visit.close()


def test_a_session_without_anything_has_a_report_that_says_so(browser: Browser, tmp_path: Path) -> None:
    made = Sessions(tmp_path)
    try:
        made.make(made.store.register(session(str(made.folder / "alpha"), status="")).key)
        visit = Opened(browser, made.folder / "report.html")
        for title in ("CTF", "Gain", "System", "Gallery"):
            visit.tab(title)
            expect(visit.page.locator(f"#dashboard-{title.lower()} .empty h2")).to_be_visible()
        visit.page.pdf()
        visit.close()
    finally:
        made.close()


def test_a_report_says_that_items_are_dated_in_the_future(browser: Browser, tmp_path: Path) -> None:
    made = Sessions(tmp_path)
    try:
        made.make(made.add("ahead", [micrograph(1), replace(micrograph(2), time=LATER + 5 * 3600 * SECOND)]))
        visit = Opened(browser, made.folder / "report.html")
        expect(visit.page.locator("#state")).to_contain_text("2 items are dated in the future, up to ")
        visit.close()
    finally:
        made.close()


def test_a_long_session_is_drawn_whole_on_the_screen_and_on_paper(browser: Browser, tmp_path: Path) -> None:
    made = Sessions(tmp_path)
    try:
        many = [micrograph(i, defocus_angle=float(i % 180), defocus_u=15_000.0 + i % 400) for i in range(1, 4_201)]
        made.make(made.add("long", many))
        visit = Opened(browser, made.folder / "report.html", "#ctf")
        expect(visit.page.locator("#dashboard-ctf .panel.waiting")).to_have_count(0)
        visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        for panel in ("defocus-over-time", "astigmatism-by-angle", "defocus-histogram"):
            blue = visit.page.locator(f"#dashboard-ctf [data-panel={panel}] .on-paper").evaluate(
                """canvas => {
                    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                    let n = 0;
                    for (let i = 0; i < data.length; i += 4) if (data[i + 2] > 150 && data[i] < 60) n += 1;
                    return n;
                }"""
            )
            assert blue > 1000, panel
        visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
        expect(visit.page.locator(".on-paper")).to_have_count(0)
        visit.close()
    finally:
        made.close()
