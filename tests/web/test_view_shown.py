"""What a person chooses on a page stays: in its address, in every link, and behind Back and Forward."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browsing import Visit
from tests.support.serving import Served, demo_project, serving

pytestmark = pytest.mark.browser

COUNT = 40
ZONE = "America/New_York"
SESSION = "/s/demo-session"
MICROGRAPHS = "/api/sessions/demo-session/micrographs"
PHONE: dict[str, Any] = {"viewport": {"width": 375, "height": 800}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("view")
    demo_project(folder / "projects" / "demo-session", COUNT)
    with serving([folder / "projects"], folder / "data") as found:
        yield found


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Visit]:
    opened = Visit(browser, served.address, timezone_id=ZONE)
    yield opened
    opened.close()


def tab(page: Page, title: str) -> None:
    page.locator(".tabs a", has_text=title).click()
    expect(page.locator(".tabs a[aria-current]")).to_have_text(title)
    expect(page.locator("#toolbar")).to_be_visible()


def chosen(page: Page) -> dict[str, str]:
    """Return what the address says."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def pressed(page: Page) -> Locator:
    return page.locator("#toolbar .times button[aria-pressed=true]:visible")


def say(page: Page, name: str, value: str) -> None:
    """Type a limit as somebody does who goes on with Enter."""
    page.locator(f"#toolbar input[name={name}]").fill(value)
    page.keyboard.press("Enter")


def zoom(page: Page, panel: str = "defocus-over-time") -> None:
    """Drag over the middle of a chart."""
    box = page.locator(f'[data-panel="{panel}"] .chart')
    expect(box.locator("canvas")).to_be_visible()
    size = box.bounding_box()
    assert size is not None
    page.mouse.move(size["x"] + size["width"] * 0.3, size["y"] + 40)
    page.mouse.down()
    page.mouse.move(size["x"] + size["width"] * 0.6, size["y"] + 70, steps=6)
    page.mouse.up()


def total(served: Served, **query: Any) -> int:
    return int(served.get(MICROGRAPHS, limit=0, **query)["total"])


def test_a_colleagues_limits_and_time_are_kept_on_every_dashboard_and_back_again(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/ctf?defocus_max=2&window=6h")
    expect(page.locator("#toolbar input[name=defocus_max]")).to_have_value("2")
    for title in ("Summary", "Gain", "System", "Gallery", "CTF"):
        tab(page, title)
        assert chosen(page) == {"defocus_max": "2", "window": "6h"}
        expect(pressed(page)).to_have_text("6 h")
    expect(page.locator("#toolbar input[name=defocus_max]")).to_have_value("2")
    page.go_back()
    expect(page).to_have_url(re.compile(r"/gallery\?"))
    expect(page.locator("#toolbar input[name=defocus_max]")).to_have_value("2")
    assert chosen(page) == {"defocus_max": "2", "window": "6h"}


def test_the_gallerys_filter_is_still_there_after_a_look_at_another_dashboard(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/gallery")
    page.get_by_role("button", name="No fit").click()
    page.get_by_label("Sort by").select_option("resolution")
    tab(page, "CTF")
    tab(page, "Gallery")
    expect(page.get_by_role("button", name="No fit")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Sort by")).to_have_value("resolution")


def test_back_undoes_each_choice_and_forward_does_it_again(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/ctf")
    share = page.locator('[data-panel="defocus-share"] .value')
    expect(share).to_be_visible()
    before = share.inner_text()
    say(page, "defocus_max", "1.3")
    expect(share).not_to_have_text(before)
    page.get_by_role("button", name="6 h").click()
    zoom(page)
    expect(page).to_have_url(re.compile("from="))
    page.go_back()
    expect(pressed(page)).to_have_text("6 h")
    page.go_back()
    expect(pressed(page)).to_have_text("All")
    expect(page.locator("#toolbar input[name=defocus_max]")).to_have_value("1.3")
    page.go_back()
    expect(page.locator("#toolbar input[name=defocus_max]")).to_have_value("4")
    expect(share).to_have_text(before)
    page.go_forward()
    expect(page.locator("#toolbar input[name=defocus_max]")).to_have_value("1.3")
    expect(share).not_to_have_text(before)
    expect(page.locator(".tabs a", has_text="Summary")).to_have_attribute("href", re.compile(r"\?defocus_max=1\.3$"))


def test_a_name_that_is_typed_letter_by_letter_is_one_step_back(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/gallery")
    expect(page.locator(".card").first).to_be_visible()
    for part in ("0000", "1", "3"):
        page.locator("input[type=search]").press_sequentially(part)
        expect(page).to_have_url(re.compile(f"search=[0-9]*{part}$"))
    expect(page.locator(".card .title b")).to_have_text([re.compile("_000013$")])
    page.go_back()
    expect(page.locator("input[type=search]")).to_have_value("")
    expect(page.locator(".filter")).to_contain_text(f"{COUNT} micrographs")


def test_the_toolbar_says_that_time_is_cut_while_a_field_has_the_focus(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/ctf")
    field = page.locator("#toolbar input[name=defocus_max]")
    expect(page.locator('[data-panel="defocus-over-time"] canvas')).to_be_visible()
    page.evaluate("addEventListener('mousedown', (event) => event.preventDefault(), true)")
    field.focus()
    zoom(page)
    expect(page).to_have_url(re.compile("from="))
    expect(field).to_be_focused()
    expect(pressed(page)).to_have_text([re.compile("✕")])


def test_a_time_is_chosen_from_the_readers_clock_and_asked_for_in_utc(visit: Visit, served: Served) -> None:
    rows = served.get(MICROGRAPHS, limit=500, order="asc")["micrographs"]
    cut = rows[COUNT // 2]["time"] // 1000 * 1000
    page = visit.go(f"{SESSION}/gallery")
    page.get_by_role("button", name="From–to…").click()
    fields = page.locator(".from-to")
    expect(fields).to_contain_text(ZONE)
    expect(fields.get_by_label("From", exact=True)).to_be_focused()
    local = datetime.fromtimestamp(cut / 1000, ZoneInfo(ZONE))
    fields.get_by_label("From", exact=True).fill(local.strftime("%Y-%m-%dT%H:%M:%S"))
    fields.get_by_label("To", exact=True).fill((local - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S"))
    fields.get_by_role("button", name="Show").click()
    expect(fields.get_by_role("alert")).to_have_text("The end must be after the beginning.")
    fields.get_by_label("To", exact=True).fill((local + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S"))
    page.keyboard.press("Enter")
    expect(fields).to_be_hidden()
    assert chosen(page) == {"from": str(cut), "to": str(cut + 3_600_000)}
    expect(page.locator(".filter")).to_contain_text(f"{sum(row['time'] >= cut for row in rows)} micrographs")
    expect(pressed(page)).to_contain_text(f"{local:%m-%d %H:%M} – ")


@pytest.mark.parametrize("zone", [ZONE, "Asia/Tokyo"])
def test_last_night_and_last_shift_are_those_of_the_readers_clock(browser: Browser, served: Served, zone: str) -> None:
    end = served.get("/api/sessions/demo-session")["newest"]["time"]
    local = datetime.fromtimestamp(end / 1000, ZoneInfo(zone))
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    begin = day + timedelta(hours=max((h for h in (-2, 6, 14, 22) if h <= local.hour), default=-2))
    visit = Visit(browser, served.address, timezone_id=zone)
    page = visit.go(f"{SESSION}/ctf")
    for name, start, hours in (("Last night", day - timedelta(hours=4), 12), ("Last shift", begin, 8)):
        page.get_by_role("button", name=name).click()
        expect(page.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
        milliseconds = int(start.timestamp() * 1000)
        assert chosen(page) == {"from": str(milliseconds), "to": str(milliseconds + hours * 3_600_000)}
    visit.close()


def test_system_shows_a_session_that_is_over_in_its_own_time_until_somebody_asks_for_now(
    visit: Visit, served: Served
) -> None:
    session = served.get("/api/sessions/demo-session")
    assert session["status"] == "finished"
    started = min(run["started"] for run in session["runs"])
    ended = max([run["ended"] for run in session["runs"]] + [session["newest"]["time"]])
    with visit.page.expect_response(lambda r: "/data/system" in r.url) as own:
        page = visit.go(f"{SESSION}/system")
    assert (f"from={started}&to={ended}") in own.value.url
    expect(pressed(page)).to_have_text("Session")
    page.get_by_role("button", name="1 h").click()
    expect(pressed(page)).to_have_text("1 h")
    page.get_by_role("button", name="Now", exact=True).click()
    expect(page.locator('[data-panel="host-load"] canvas')).to_be_visible()
    with visit.page.expect_response(lambda r: "/data/system" in r.url) as now:
        page.reload()
    assert "to=" not in now.value.url
    expect(pressed(page)).to_have_text("Now")
    tab(page, "CTF")
    expect(pressed(page)).to_have_text("All")


def test_the_gallery_takes_over_a_charts_zoom_and_all_comes_back(visit: Visit, served: Served) -> None:
    page = visit.go(f"{SESSION}/ctf")
    zoom(page)
    expect(page).to_have_url(re.compile("from="))
    tab(page, "Gallery")
    cut = total(served, **chosen(page))
    assert 0 < cut < COUNT
    expect(page.locator(".filter")).to_contain_text(f"{cut} micrographs")
    page.locator("#toolbar button", has_text="✕").click()
    expect(page.locator(".filter")).to_contain_text(f"{COUNT} micrographs")


@pytest.mark.parametrize(
    ("button", "query"), [("Outside limits", {"outside": 1}), ("No fit", {"fit": 0}), ("Not good", {"good": 0})]
)
def test_the_gallery_shows_what_is_outside_what_has_no_fit_and_what_is_not_good(
    visit: Visit, served: Served, button: str, query: dict[str, int]
) -> None:
    page = visit.go(f"{SESSION}/gallery?defocus_max=1.5&resolution_max=3.6")
    expect(page.locator(".filter")).to_contain_text(f"{COUNT} micrographs")
    page.get_by_role("button", name=button).click()
    found = total(served, defocus_max=1.5, resolution_max=3.6, **query)
    if found:
        expect(page.locator(".filter")).to_contain_text(f"{found} match")
        marks = page.locator(".card .outside").or_(page.get_by_text("no CTF could be fitted"))
        expect(marks.first).to_be_visible()
    else:
        expect(page.locator(".bare .empty h2")).to_have_text("No micrograph matches")
    page.get_by_role("button", name=button).click()
    expect(page.locator(".filter")).to_contain_text(f"{COUNT} micrographs")


def test_a_limit_that_is_moved_on_the_gallery_marks_what_is_outside_of_it(visit: Visit) -> None:
    page = visit.go(f"{SESSION}/gallery?sort=defocus&order=asc")
    marked = page.locator(".card[data-index='0'] .outside", has_text="Defocus")
    expect(page.locator(".card[data-index='0']")).to_be_visible()
    expect(marked).to_have_count(0)
    say(page, "defocus_max", "0.2")
    expect(marked).to_be_visible()


@pytest.mark.parametrize("context", [{}, PHONE], ids=["wide", "phone"])
def test_an_empty_gallery_says_why_and_one_button_removes_the_filters(
    browser: Browser, served: Served, context: dict[str, Any]
) -> None:
    visit = Visit(browser, served.address, **context)
    page = visit.go(f"{SESSION}/gallery?min_defocus=99&good=0")
    empty = page.locator(".bare .empty")
    expect(empty).to_contain_text("No micrograph matches")
    expect(empty).to_contain_text("defocus from 99 µm")
    expect(page.locator(".filter")).not_to_contain_text("match")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
    empty.get_by_role("button", name="Remove the filters").click()
    expect(empty).to_be_hidden()
    expect(page.locator(".filter")).to_contain_text(f"{COUNT} micrographs")
    expect(page.locator("input[name=min_defocus]")).to_have_value("")
    page.go_back()
    expect(empty).to_be_visible()
    visit.close()


def test_a_time_without_anything_leads_to_all_times_on_charts_and_in_the_gallery(visit: Visit) -> None:
    for dashboard in ("gallery", "ctf"):
        page = visit.go(f"{SESSION}/{dashboard}?from=1000&to=2000")
        page.get_by_role("button", name="Show all times").click()
        expect(pressed(page)).to_have_text("All")
        expect(page.locator(".card, canvas").first).to_be_visible()
        assert chosen(page) == {}


@pytest.mark.parametrize("sort", ["", "defocus"])
def test_arrows_of_an_enlarged_picture_stay_within_the_gallerys_filter(visit: Visit, served: Served, sort: str) -> None:
    query: dict[str, Any] = {"outside": 1, "defocus_max": 1.5, **({"sort": sort} if sort else {"order": "asc"})}
    rows = served.get(MICROGRAPHS, limit=500, **query)["micrographs"]
    names = [row["name"] for row in rows]
    page = visit.go(f"{SESSION}/gallery?" + "&".join(f"{name}={value}" for name, value in query.items()))
    page.locator(".card[data-index='0']").click()
    name = page.locator("dialog.enlarge .name")
    for expected in names[:4]:
        expect(name).to_contain_text(expected)
        page.keyboard.press("ArrowRight")
    expect(name).to_contain_text(names[4])
    expect(page.locator("dialog.enlarge .previous")).to_have_attribute(
        "title", "Previous (←)" if sort else "Earlier (←)"
    )
    page.go_back()
    expect(page.locator("dialog.enlarge")).to_be_hidden()
    expect(page.get_by_role("button", name="Outside limits")).to_have_attribute("aria-pressed", "true")
