"""The documentation as a site: it builds without a warning, finds things, and loads nothing from elsewhere."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browsing import Visit

ROOT = Path(__file__).parents[2]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (built.returncode, built.stderr) == (0, "")
    return folder


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.browser
def test_search_finds_a_setting_and_nothing_comes_from_elsewhere(browser: Browser, address: str) -> None:
    visit = Visit(browser, address)
    page = visit.go("/index.html")
    page.get_by_role("textbox", name="Search").click()
    page.keyboard.type("digest_minutes")
    page.locator(".md-search-result__link").first.wait_for()
    assert "configuration" in " ".join(
        str(link.get_attribute("href")) for link in page.locator(".md-search-result__link").all()
    )
    visit.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_site_follows_the_system_and_fits_a_telephone(browser: Browser, address: str, scheme: str) -> None:
    visit = Visit(browser, address, viewport={"width": 375, "height": 700}, color_scheme=scheme)
    for name in ("index", "commands", "configuration"):
        page = visit.go(f"/{name}.html")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") is (scheme == "light")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, name
    visit.close()
