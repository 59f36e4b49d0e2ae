"""`make screenshots`: the pages of a made-up session as pictures, in docs/images or the folder that is named."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.support.browsing import CHROMIUM, FLAGS

PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1400, "height": 1030}
DASHBOARDS = ("summary", "ctf", "gain", "system", "gallery")
PICTURES = (
    *((name, name, WIDE, "light") for name in DASHBOARDS),
    ("summary-dark", "summary", WIDE, "dark"),
    ("summary-phone", "summary", PHONE, "light"),
)
SETTLED_MS = 2500
"""Charts move for a second after they appear."""


def main(folder: Path) -> None:
    """Take every picture from one demo, once half of its session is read."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "cryowatch", "demo", "--no-browser", "--port=0", "--micrographs=160", "--every=2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as demo, sync_playwright() as playwright:
        assert demo.stderr is not None
        address = next(found[0] for line in demo.stderr if (found := re.search(r"http://[\d.:]+", line)))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False)
        for name, dashboard, size, scheme in PICTURES:
            page = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
            page.goto(address)
            page.get_by_role("link", name="demo-session").first.click()
            expect(page.locator('[data-panel="quality"]')).to_be_visible(timeout=60_000)
            page.goto(page.url.replace("/summary", f"/{dashboard}"))
            page.wait_for_timeout(SETTLED_MS)
            page.screenshot(path=folder / f"{name}.jpg", type="jpeg", quality=70)
            page.close()
        browser.close()
        demo.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
