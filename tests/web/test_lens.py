"""The enlarged view: a scale bar that is true, zoom, pan, contrast, and ways in and out; a gallery scrolled fast."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browsing import Visit
from tests.support.serving import Served, demo_project, serving

pytestmark = pytest.mark.browser

GALLERY = "/s/demo/gallery?sort=name"
WIDTH, PIXEL_SIZE = 1152, 4.15
"""Of the demo's micrographs: pixels, and Å a pixel."""

SHOWN = """() => {
  const image = document.querySelector(".lens img");
  const frame = document.querySelector(".frame-of-lens").getBoundingClientRect();
  const box = image.getBoundingClientRect();
  return { width: image.naturalWidth * Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight),
           natural: image.naturalWidth, left: box.left - frame.left, top: box.top - frame.top };
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("lens")
    with serving([demo_project(folder / "demo", 12)], folder / "data") as found:
        yield found


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Visit]:
    opened = Visit(browser, served.address)
    yield opened
    opened.close()


def enlarged(visit: Visit) -> Page:
    """Open the first micrograph and wait until the large image is there."""
    page = visit.go(GALLERY)
    page.locator(".card").first.click()
    expect(page.locator(".lens .picture.loaded")).to_be_visible()
    expect(page.locator(".lens img[src*='size=2048']")).to_be_visible()
    return page


def angstroms_on_screen(page: Page) -> tuple[float, float]:
    """Return what the scale bar says it stands for, and what it does stand for, in Å."""
    bar = page.locator(".scale-bar")
    expect(bar).to_be_visible()
    said = float(bar.get_attribute("data-angstroms") or "nan")
    box = bar.bounding_box()
    assert box is not None
    return said, box["width"] * WIDTH * PIXEL_SIZE / page.evaluate(SHOWN)["width"]


def test_the_scale_bar_is_true_at_every_zoom(visit: Visit) -> None:
    page = enlarged(visit)
    lengths = []
    for _ in range(6):
        said, true = angstroms_on_screen(page)
        assert true == pytest.approx(said, rel=0.01)
        assert re.fullmatch(r"[125]0*", f"{said:.0f}")
        lengths.append(said)
        text = page.locator(".scale-bar").inner_text()
        assert text == (f"{said / 10:,.0f} nm" if said < 10_000 else f"{said / 10_000:.0f} µm")
        page.keyboard.press("+")
    assert lengths[-1] < lengths[0], "zoomed in, a shorter length is marked"


def test_a_spectrum_has_no_scale_bar(visit: Visit) -> None:
    page = enlarged(visit)
    page.keyboard.press("2")
    expect(page.locator(".lens img[src*='power-spectrum']")).to_be_visible()
    expect(page.locator(".scale-bar")).to_be_hidden()
    page.keyboard.press("1")
    expect(page.locator(".scale-bar")).to_be_visible()


def test_a_spectrum_that_is_computed_is_marked_in_gallery_summary_and_enlarged(
    browser: Browser, tmp_path: Path
) -> None:
    project = demo_project(tmp_path / "demo", 2)
    for path in project.rglob("*_ctf.mrc"):
        path.unlink()
    with serving([project], tmp_path / "data") as served:
        opened = Visit(browser, served.address)
        page = opened.go("/s/demo/summary")
        mark = page.locator(".newest-card .computed")
        expect(mark).to_have_count(1)
        expect(mark).to_have_attribute("title", re.compile("^Computed from the micrograph: .*is not there"))
        page = opened.go(GALLERY)
        expect(page.locator(".card .computed")).to_have_count(2)
        page.locator(".card").first.click()
        expect(page.locator(".lens img[src*='size=2048']")).to_be_visible()
        expect(page.locator(".lens .computed")).to_have_count(0)
        page.keyboard.press("2")
        expect(page.locator(".lens img[src*='power-spectrum'][src*='size=1024']")).to_be_visible()
        expect(page.locator(".lens .computed")).to_have_count(1)
        opened.close()


def test_the_wheel_zooms_where_the_pointer_is_and_dragging_moves(visit: Visit) -> None:
    page = enlarged(visit)
    frame = page.locator(".frame-of-lens").bounding_box()
    assert frame is not None
    x, y = frame["x"] + frame["width"] * 0.7, frame["y"] + frame["height"] * 0.3

    def place() -> tuple[float, float]:
        found = page.evaluate(SHOWN)
        scale = page.evaluate("document.querySelector('.lens img').getBoundingClientRect().width") / frame["width"]
        return (x - frame["x"] - found["left"]) / scale, (y - frame["y"] - found["top"]) / scale

    before = place()
    page.mouse.move(x, y)
    page.mouse.wheel(0, -600)
    expect(page.locator(".zooms .level")).not_to_have_text("100 %")
    assert place() == pytest.approx(before, abs=1.5), "what was under the pointer still is"
    left = page.evaluate(SHOWN)["left"]
    page.mouse.down()
    page.mouse.move(x - 50, y - 20, steps=4)
    page.mouse.up()
    assert page.evaluate(SHOWN)["left"] == pytest.approx(left - 50, abs=1)
    page.keyboard.press("0")
    expect(page.locator(".zooms .level")).to_have_text("100 %")
    assert page.evaluate(SHOWN)["left"] == pytest.approx(0, abs=0.5)


def test_zoom_and_contrast_stay_from_one_micrograph_to_the_next(visit: Visit) -> None:
    page = enlarged(visit)
    page.locator(".sliders input").first.fill("2")
    page.keyboard.press("Escape")
    page.locator(".card").first.click()
    name = page.locator(".enlarge .name").inner_text()
    page.locator(".zooms button").last.click()
    page.locator(".enlarge button.next").click()
    expect(page.locator(".enlarge .name")).not_to_have_text(name)
    expect(page.locator(".zooms .level")).to_have_text("140 %")
    assert "contrast(2)" in page.evaluate("document.querySelector('.frame-of-lens').style.filter")
    page.locator(".sliders button", has_text="Reset").click()
    assert "contrast(1)" in page.evaluate("document.querySelector('.frame-of-lens').style.filter")


ANSWERS_DURING_A_STEP_BACK = """() => {
  window.fetch = async (url, options) => {
    const found = await (await originally(url, options)).json();
    return new Promise((answer) => addEventListener("popstate", () => answer({ ok: true, json: async () => found })));
  };
}"""


def test_an_answer_that_comes_as_one_steps_back_does_not_hold_it_open(visit: Visit) -> None:
    page = enlarged(visit)
    page.evaluate("() => { window.originally = window.fetch; }")
    page.evaluate(ANSWERS_DURING_A_STEP_BACK)
    with page.expect_response("**/api/micrographs/*"):
        page.keyboard.press("ArrowRight")
    page.go_back()
    expect(page.locator("dialog.enlarge")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/gallery\?sort=name$"))


def test_the_browsers_back_button_closes_it(visit: Visit) -> None:
    page = visit.go("/s/demo/summary")
    page = enlarged(visit)
    page.keyboard.press("ArrowRight")
    page.go_back()
    expect(page.locator("dialog.enlarge")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/gallery\?sort=name$"))
    page.locator(".card").first.click()
    expect(page.locator("dialog.enlarge")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"/gallery\?sort=name$"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"/summary$"))


def test_a_finger_swipes_and_two_zoom(browser: Browser, served: Served) -> None:
    opened = Visit(browser, served.address, viewport={"width": 375, "height": 740}, has_touch=True, is_mobile=True)
    page = opened.go(GALLERY)
    page.locator(".card").first.tap()
    expect(page.locator(".lens .picture.loaded")).to_be_visible()
    first = page.locator(".enlarge .name").inner_text()
    touch = """([type, ...points]) => {
      const target = document.querySelector(".frame-of-lens");
      const touches = points.map(([x, y], identifier) => new Touch({ identifier, target, clientX: x, clientY: y }));
      const down = type === "touchend" ? [] : touches;
      target.dispatchEvent(new TouchEvent(type, { bubbles: true, touches: down, changedTouches: touches }));
    }"""
    page.evaluate(touch, ["touchstart", [300, 300]])
    page.evaluate(touch, ["touchend", [120, 300]])
    expect(page.locator(".enlarge .name")).not_to_have_text(first)
    pointer = """([type, id, x, y]) => document.querySelector(".frame-of-lens").dispatchEvent(
      new PointerEvent(type, { bubbles: true, pointerId: id, pointerType: "touch", clientX: x, clientY: y }))"""
    page.evaluate("Element.prototype.setPointerCapture = () => {}")
    for step in (("pointerdown", 1, 150, 200), ("pointerdown", 2, 200, 200), ("pointermove", 2, 250, 200)):
        page.evaluate(pointer, list(step))
    expect(page.locator(".zooms .level")).to_have_text("200 %")
    second = page.locator(".enlarge .name").inner_text()
    page.evaluate(touch, ["touchstart", [300, 300]])
    page.evaluate(touch, ["touchend", [120, 300]])
    expect(page.locator(".enlarge .name")).to_have_text(second)
    opened.close()


def test_on_a_phone_names_can_be_told_apart_and_contrast_can_be_given(browser: Browser, served: Served) -> None:
    opened = Visit(browser, served.address, viewport={"width": 375, "height": 740})
    page = opened.go(GALLERY)
    page.locator(".card").first.click()
    for where in (".card .named", ".enlarge .named"):
        name, end = page.locator(where).first, page.locator(f"{where} > :last-child").first
        whole, last = name.bounding_box(), end.bounding_box()
        assert whole is not None
        assert last is not None
        assert last["x"] + last["width"] <= whole["x"] + whole["width"] + 1
        assert end.inner_text() == "_000001"
    for slider in page.locator(".sliders input").all():
        expect(slider).to_be_in_viewport(ratio=1)
        box = slider.bounding_box()
        assert box is not None
        assert box["width"] > 40
    opened.close()


def test_who_scrolls_fast_asks_for_no_image_on_the_way(visit: Visit) -> None:
    page = visit.go(GALLERY)
    expect(page.locator(".card .picture.loaded").first).to_be_visible()
    visit.requests.clear()
    page.set_viewport_size({"width": 700, "height": 300})
    page.wait_for_timeout(100)
    visit.requests.clear()
    page.evaluate("""async () => {
      for (let y = 0; y < document.body.scrollHeight; y += 400) {
        scrollTo(0, y);
        await new Promise(requestAnimationFrame);
      }
    }""")
    expect(page.locator(".card .title b", has_text=re.compile("_000012$"))).to_be_visible()
    expect(page.locator(".card", has_text="_000012").locator(".picture.loaded")).to_have_count(3)
    asked = {re.findall(r"/images/(\d+)/", url)[0] for url in visit.requests if "/images/" in url}
    assert len(asked) < 9, "of the twelve only those at the end"
