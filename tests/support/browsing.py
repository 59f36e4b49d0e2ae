"""Real chromium for tests, and a visit to a page that notes what goes wrong on it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Visit:
    """A page with what went wrong on it, and where it asked for things."""

    def __init__(self, browser: Browser, address: str, **context: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **context})
        self.context.set_default_timeout(60_000)  # it only ends what hangs
        self.page: Page = self.context.new_page()
        self.address = address
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def go(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page

    def close(self, *, tolerant: bool = False) -> None:
        """Close the page; it must not have asked anybody else, nor, unless `tolerant`, have had any error."""
        self.context.close()
        strangers = [u for u in self.requests if not u.startswith((f"{self.address}/", "data:", "blob:"))]
        assert strangers == [], strangers
        assert tolerant or self.errors == [], self.errors
