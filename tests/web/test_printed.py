"""A page on paper: all panels, whole and light, and nothing that one can only press."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browsing import Visit
from tests.support.serving import Served, demo_project, serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

CUT = """() => [...document.querySelectorAll(".panel:not([hidden])")].filter((panel) => {
  const body = panel.querySelector(".body");
  return body.scrollHeight > body.clientHeight + 1 || body.scrollWidth > body.clientWidth + 1
    || [...panel.querySelectorAll(".rows, canvas")].some((node) =>
      node.getBoundingClientRect().bottom > panel.getBoundingClientRect().bottom + 1
      || node.getBoundingClientRect().right > panel.getBoundingClientRect().right + 1);
}).map((panel) => panel.dataset.panel)"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("printed")
    with serving([demo_project(folder / "demo", 60)], folder / "data") as found:
        yield found


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """A page in the dark, whose browser asks for no printer."""
    visit = Visit(browser, served.address, color_scheme="dark")
    visit.page.add_init_script("window.print = () => {}")
    yield visit.page
    visit.close()


def printed(page: Page, file: Path) -> tuple[str, float]:
    """Print a page; return its text, and how dark the sheets are on the whole, from 0 to 1."""
    page.pdf(path=file, format="A4", print_background=True)
    with pypdfium2.PdfDocument(file) as document:
        text = "\n".join(sheet.get_textpage().get_text_bounded() for sheet in document)
        dark = [1 - float(np.mean(sheet.render(scale=0.5).to_numpy())) / 255 for sheet in document]
    return text, sum(dark) / len(dark)


@pytest.mark.parametrize("dashboard", ["summary", "ctf", "system"])
def test_all_panels_of_a_dashboard_are_on_paper(page: Page, served: Served, tmp_path: Path, dashboard: str) -> None:
    page.goto(f"{served.address}/s/demo/{dashboard}")
    expect(page.locator("body")).to_have_attribute("data-ready", "yes")
    page.keyboard.press("Control+p")
    expect(page.locator(".panel.waiting")).to_have_count(0)
    text, dark = printed(page, tmp_path / "page.pdf")
    titles = page.locator(".panel:not([hidden], .bare) h2").all_inner_texts()
    assert len(titles) >= 3
    assert [title for title in titles if title.split()[0] not in text] == []
    assert "Not loaded" not in text
    assert [word for word in ("From–to", "Summary\nCTF", "Last night") if word in text] == []
    assert dark < 0.25
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("dashboard", ["summary", "ctf", "system"])
def test_no_panel_is_cut_on_paper(page: Page, served: Served, dashboard: str) -> None:
    page.goto(f"{served.address}/s/demo/{dashboard}")
    expect(page.locator("body")).to_have_attribute("data-ready", "yes")
    page.keyboard.press("Control+p")
    expect(page.locator(".panel.waiting")).to_have_count(0)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.set_viewport_size({"width": 720, "height": 1000})
    page.emulate_media(media="print")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert page.evaluate(CUT) == []


def test_who_prints_before_all_is_loaded_reads_how_much_is_missing(page: Page, served: Served, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 1440, "height": 500})
    page.goto(f"{served.address}/s/demo/ctf")
    expect(page.locator("body")).to_have_attribute("data-ready", "yes")
    text, _ = printed(page, tmp_path / "page.pdf")
    assert "Not loaded" in text


def test_a_list_of_sessions_and_a_gallery_are_light_on_paper(page: Page, served: Served, tmp_path: Path) -> None:
    page.goto(served.address)
    expect(page.locator("a.session")).to_be_visible()
    text, dark = printed(page, tmp_path / "sessions.pdf")
    assert "median defocus" in text
    assert dark < 0.25
    page.goto(f"{served.address}/s/demo/gallery")
    expect(page.locator(".card .picture.loaded").first).to_be_visible()
    text, dark = printed(page, tmp_path / "gallery.pdf")
    assert "Search names" not in text
    assert "Astigmatism" in text
    assert dark < 0.5, "pictures are grey"
