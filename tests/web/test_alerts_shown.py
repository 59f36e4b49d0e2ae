"""A person at a screen or with a phone at night sees what is wrong at once, and can say that somebody sees to it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from cryowatch.records import Severity
from tests.support.browsing import Visit
from tests.support.projects import genuine
from tests.support.serving import Served, serving
from tests.web.test_alerts import Facility, active
from tests.web.test_browser import DASHBOARDS

pytestmark = pytest.mark.browser

SUMMARY = "/s/small/summary"
HOSTILE = "<img src=x onerror=alert(1)> \"'& {b|c} 😀 " + "x" * 120
PHONE: dict[str, Any] = {"viewport": {"width": 375, "height": 800}, "has_touch": True, "is_mobile": True}
STALL: dict[str, Any] = {"rule": "import-stalled", "severity": Severity.CRITICAL, "minutes": 14}
DEFOCUS: dict[str, Any] = {"field": "defocus", "value": 5.21, "limit": 4.0, "unit": "µm"}

TINT = """([panel, place]) => {
  const canvas = document.querySelector(`[data-panel="${panel}"] canvas`);
  const [x, y] = [canvas.width * place, canvas.height * 0.2];
  const data = canvas.getContext("2d").getImageData(x, y, 24, canvas.height * 0.5).data;
  return [0, 1, 2, 3].map((part) => data.filter((_, i) => i % 4 === part).reduce((a, b) => a + b, 0));
}"""
"""What a stretch of a chart looks like."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving([genuine(tmp_path)], tmp_path / "data") as found:
        yield found


@pytest.fixture
def facility(served: Served) -> Facility:
    return Facility(served)


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Visit]:
    opened = Visit(browser, served.address)
    yield opened
    opened.close(tolerant=True)


def opened(visit: Visit, path: str = SUMMARY) -> Page:
    """Return a page whose data is there, and which is marked so that a reload would be seen."""
    page = visit.go(path)
    ready = "a.session" if path == "/" else "body[data-ready]"
    page.locator(ready).first.wait_for(state="attached")
    page.evaluate("window.same = true")
    return page


def test_a_page_without_alerts_shows_nothing_of_them(visit: Visit) -> None:
    page = opened(visit)
    expect(page.locator("#alerts")).to_be_hidden()
    expect(page.locator("#alarm")).to_be_hidden()
    expect(page).to_have_title("small · Summary · cryowatch")
    page = opened(visit, "/")
    expect(page.locator(".strip")).to_have_count(0)
    expect(page).to_have_title("Sessions · cryowatch")


def test_an_alert_appears_and_goes_without_a_reload(visit: Visit, facility: Facility) -> None:
    page = opened(visit)
    alert = facility.raise_("Import has stopped", **STALL)
    row = page.locator(".alert")
    expect(row.locator(".said")).to_have_text("Import has stopped")
    expect(row.locator(".facts")).to_contain_text(re.compile("critical.*for 14 min.*since"))
    expect(row.locator(".sign")).to_have_text("✕")
    expect(page.locator("#alarm")).to_have_text("1")
    expect(page).to_have_title("(1) small · Summary · cryowatch")
    facility.end(alert)
    expect(row).to_have_count(0)
    expect(page).to_have_title("small · Summary · cryowatch")
    earlier = page.locator("#alerts details.earlier")
    expect(earlier.locator("summary")).to_have_text("1 resolved alert in the last 24 h")
    expect(earlier.locator("li")).to_be_hidden()
    earlier.locator("summary").click()
    expect(earlier.locator("li")).to_contain_text("lasted 14 min")
    assert page.evaluate("window.same") is True


def test_the_worst_comes_first_with_value_limit_and_unit(visit: Visit, facility: Facility) -> None:
    facility.raise_("worth knowing", severity=Severity.INFO, rule="a")
    facility.raise_("Defocus: 3 of 25", minutes=200, **DEFOCUS)
    facility.raise_("Disk /data is full", severity=Severity.CRITICAL, rule="disk", host_alone=True)
    page = opened(visit)
    expect(page.locator(".alert .said")).to_have_text(["Disk /data is full", "Defocus: 3 of 25", "worth knowing"])
    expect(page.locator(".alert .facts")).to_contain_text(
        ["on gpu1", re.compile("for 3 h 20 min.*5.21 µm, limit 4.00 µm"), "note"]
    )
    expect(page.locator(".alert .sign")).to_have_text(["✕", "▲", "●"])


def test_every_heading_leads_to_the_alerts_and_every_card_tells_the_worst(visit: Visit, facility: Facility) -> None:
    facility.raise_("Defocus: 3 of 25", **DEFOCUS)
    facility.raise_("Import has stopped", **STALL)
    page = opened(visit, "/")
    expect(page.locator("a.session .strip .pill")).to_have_text("1 critical, 1 warning")
    expect(page.locator("a.session .strip .said")).to_have_text("Import has stopped")
    expect(page).to_have_title("(2) Sessions · cryowatch")
    for dashboard in DASHBOARDS:
        page = visit.go(f"/s/small/{dashboard}")
        expect(page.locator("#alarm")).to_have_attribute(
            "aria-label", "Alerts: 1 critical, 1 warning: Import has stopped"
        )
        expect(page).to_have_title(re.compile(r"^\(2\) small"))
    page.locator("#alarm").click()
    expect(page).to_have_url(re.compile(f"{SUMMARY}#alerts$"))
    expect(page.locator(".alert")).to_have_count(2)


def test_seen_to_is_seen_on_every_open_page(visit: Visit, served: Served, facility: Facility) -> None:
    facility.raise_("Import has stopped", **STALL)
    page = opened(visit)
    other = visit.context.new_page()
    other.goto(served.address + SUMMARY)
    expect(other.locator(".alert")).to_have_count(1)
    page.locator("button", has_text="Acknowledge").click()
    for one in (page, other):
        expect(one.locator(".alert.heeded .seen")).to_have_text(re.compile(r"✓ acknowledged \d+ s ago"))
        expect(one.locator("button", has_text="Acknowledge")).to_have_count(0)
    expect(page.locator("#alarm.heeded")).to_have_text("1")
    assert active(served)["active"][0]["acknowledged"] is not None
    assert page.evaluate("window.same") is True


def test_a_silence_is_chosen_shown_and_ended_with_a_thumb(browser: Browser, served: Served, facility: Facility) -> None:
    facility.raise_("Import has stopped; alignment and CTF estimation have caught up", **STALL)
    facility.raise_(f"Disk /data/{'x' * 80} is full", rule="disk", host_alone=True, value=97.3, limit=95, unit="%")
    visit = Visit(browser, served.address, **PHONE)
    page = opened(visit)
    row = page.locator(".alert").first
    row.locator("button", has_text="Mute…").tap()
    choices = row.locator(".choices button")
    expect(choices).to_have_text(["1 h", "8 h", re.compile(r"^until (tomorrow )?08:00$")])
    for button in row.locator("button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 375
        assert button.evaluate("node => node.scrollHeight <= node.clientHeight")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    choices.nth(1).tap()
    expect(row.locator(".silent")).to_have_text(re.compile(r"^muted until (tomorrow )?\d\d:\d\d$"))
    [muted] = [alert for alert in active(served)["active"] if alert["muted_until"] is not None]
    assert muted["muted_until"] > muted["since"] + 8 * 3_600_000
    row.locator("button", has_text="Unmute").tap()
    expect(row.locator(".silent")).to_have_count(0)
    assert all(alert["muted_until"] is None for alert in active(served)["active"])
    row.locator("button", has_text="Mute…").tap()
    choices.nth(2).tap()
    expect(row.locator(".silent")).to_have_text(re.compile(r"^muted until (tomorrow )?08:00$"))
    visit.close(tolerant=True)


def test_a_silence_that_is_over_is_over_on_the_page(visit: Visit, facility: Facility) -> None:
    alert = facility.raise_("Import has stopped", **STALL)
    facility.ledger.mute(alert, until=time.time_ns() + 3 * 10**9)
    page = opened(visit)
    expect(page.locator(".alert.heeded .silent")).to_have_count(1)
    expect(page.locator(".alert .silent")).to_have_count(0)
    expect(page.locator("#alarm.loud")).to_be_visible()


def test_what_cannot_be_done_is_said_beside_the_alert(browser: Browser, tmp_path: Path) -> None:
    with serving([genuine(tmp_path)], tmp_path / "data", told=False) as served:
        Facility(served).raise_("text")
        visit = Visit(browser, served.address)
        page = opened(visit)
        page.locator("button", has_text="Acknowledge").click()
        expect(page.locator(".alert .failure")).to_have_text("alerts can only be looked at here")
        visit.close(tolerant=True)


def test_an_open_choice_and_the_focus_stay_when_another_alert_comes(visit: Visit, facility: Facility) -> None:
    facility.raise_("first")
    page = opened(visit)
    page.locator("button", has_text="Mute…").click()
    page.locator(".choices button").first.focus()
    facility.raise_("second", rule="b", severity=Severity.CRITICAL)
    expect(page.locator(".alert .said")).to_have_text(["second", "first"])
    expect(page.locator(".alert").nth(1).locator(".choices button").first).to_be_focused()


def test_many_alerts_do_not_bury_the_page(visit: Visit, facility: Facility) -> None:
    for number in range(9):
        facility.raise_(f"alert {number}", rule=f"rule {number}")
    page = opened(visit)
    expect(page.locator("#alerts > .rows-of-alerts > .alert")).to_have_count(6)
    more = page.locator("#alerts details.more")
    expect(more.locator("summary")).to_have_text("3 more")
    expect(more.locator(".alert").first).to_be_hidden()


def test_texts_of_alerts_are_text_everywhere(visit: Visit, facility: Facility) -> None:
    dialogs: list[str] = []
    visit.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    facility.end(facility.raise_(HOSTILE, rule="over", subject=HOSTILE))
    facility.raise_(HOSTILE, subject=HOSTILE, minutes=10**6, **DEFOCUS)
    facility.raise_(HOSTILE, subject=HOSTILE, host_alone=True, host="gpu1", unit=HOSTILE, value=1.0, limit=2.0)
    page = opened(visit)
    expect(page.locator(".alert .said")).to_have_text([HOSTILE, HOSTILE])
    page.locator("details.earlier summary").click()
    expect(page.locator("details.earlier .said")).to_have_text(HOSTILE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    page = opened(visit, "/s/small/ctf")
    box = page.locator('[data-panel="defocus-over-time"] .chart')
    expect(box.locator("canvas")).to_be_visible()
    box.hover()
    expect(page.locator('[data-panel="defocus-over-time"] .tip')).to_contain_text(HOSTILE)
    page = opened(visit, "/")
    expect(page.locator(".strip .said")).to_have_text(HOSTILE)
    assert dialogs == []


def test_a_span_marks_the_charts_of_its_field_and_no_other(visit: Visit, served: Served, facility: Facility) -> None:
    [session] = served.get("/api/sessions")["sessions"]
    first = min(row["time"] for row in served.get("/api/sessions/small/micrographs")["micrographs"])
    now = served.get("/api/sessions/small")["state"]["last_read"]
    assert session["status"] == "running"
    page = opened(visit, "/s/small/ctf")
    panels = ("defocus-over-time", "resolution-over-time")
    for panel in panels:
        expect(page.locator(f'[data-panel="{panel}"] canvas')).to_be_visible()

    def tinted(panel: str) -> bool:
        marked, plain = (page.evaluate(TINT, [panel, place]) for place in (0.8, 0.3))
        return bool(marked != plain)

    assert [tinted(panel) for panel in panels] == [False, False]
    facility.raise_("Defocus: 3 of 25", minutes=(now - first) / 60_000 / 2, **DEFOCUS)
    expect(page.locator("#alarm")).to_be_visible()
    page.wait_for_function(
        f"() => (([a, b]) => String(({TINT})(a)) !== String(({TINT})(b)))([[{panels[0]!r}, 0.8], [{panels[0]!r}, 0.3]])"
    )
    assert [tinted(panel) for panel in panels] == [True, False]
    box = page.locator('[data-panel="defocus-over-time"] .chart')
    size = box.bounding_box()
    assert size is not None
    tip = page.locator('[data-panel="defocus-over-time"] .tip')
    page.mouse.move(size["x"] + size["width"] * 0.8, size["y"] + size["height"] * 0.3)
    expect(tip).to_have_text("▲ Defocus: 3 of 25")
    page.mouse.move(size["x"] + size["width"] * 0.3, size["y"] + size["height"] * 0.3)
    expect(tip).to_be_hidden()


def test_a_stage_that_stopped_is_marked_on_the_throughput(visit: Visit, facility: Facility) -> None:
    facility.raise_("Import has stopped", **{**STALL, "minutes": 10**6})
    facility.raise_("InfluxDB takes nothing", rule="undelivered", host_alone=True, minutes=10**6)
    page = opened(visit)
    box = page.locator('[data-panel="throughput"] .chart')
    expect(box.locator("canvas")).to_be_visible()
    box.hover()
    tip = page.locator('[data-panel="throughput"] .tip')
    expect(tip).to_contain_text("✕ Import has stopped")
    expect(tip).not_to_contain_text("InfluxDB")


def test_the_title_of_a_page_that_nobody_looks_at_counts_all_the_same(visit: Visit, facility: Facility) -> None:
    visit.page.add_init_script("Object.defineProperty(document, 'hidden', { get: () => window.away === true })")
    visit.page.clock.install()
    page = opened(visit, "/s/small/ctf")
    page.evaluate("window.away = true; document.dispatchEvent(new Event('visibilitychange'))")
    facility.raise_("Import has stopped", **STALL)
    page.clock.fast_forward(60_000)
    expect(page).to_have_title(re.compile(r"^\(1\) "))
