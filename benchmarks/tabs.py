"""How soon each of eight tabs in one browser is drawn and shows a new CTF, and how soon it reports a dead connection.

A browser opens six connections to a server.  Baseline from the same run: the first tab.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from measuring.agent import Watching, until
from measuring.figures import Rounds, ratio, show, title
from measuring.projects import ctfs, origin, workplace, write
from measuring.writer import Writer
from playwright.sync_api import BrowserContext, Page, sync_playwright

sys.path.append(str(Path(__file__).resolve().parents[1]))
from tests.support.sshd import Relay

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
GOAL_LOADED, GOAL_TOLD = 2.0, 45.0
COUNT = '[data-panel="progress"] .stats > div:last-child .value'


def opened(context: BrowserContext, address: str) -> tuple[Page, float]:
    """Return a new tab, and the seconds from navigation until its first numbers are drawn."""
    page = context.new_page()
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator(COUNT).wait_for(timeout=120_000)
    return page, time.perf_counter() - began


def told(pages: list[Page], writer: Writer) -> list[float]:
    """Add a micrograph; returns the seconds until each tab shows it."""
    before = [page.locator(COUNT).inner_text() for page in pages]
    writer.append()
    began = time.perf_counter()
    found: dict[int, float] = {}

    def all_show() -> bool:
        for number, page in enumerate(pages):
            if number not in found and page.locator(COUNT).inner_text() != before[number]:
                found[number] = time.perf_counter() - began
        return len(found) == len(pages)

    until(all_show, every=0.05, seconds=60)
    return list(found.values())


def silence(page: Page, relay: Relay) -> float:
    """Let the line die without a word; returns the seconds until the page tells of it."""
    relay.silent = True
    began = time.perf_counter()
    page.locator("#offline").wait_for(timeout=120_000)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--micrographs", type=int, default=5_000)
    p.add_argument("--tabs", type=int, default=8)
    p.add_argument("--changes", type=int, default=5)
    a = p.parse_args()
    if not Path(CHROMIUM).exists():
        print(f"tabs: not measured; there is no {CHROMIUM}")
        return
    with workplace() as folder:
        project = write(folder, "session", a.micrographs, running=True)
        with Watching(project, folder / "data") as watching, sync_playwright() as playwright:
            watching.wait_for(1, a.micrographs)
            watching.settle()
            relay = Relay(int(watching.address.rpartition(":")[2]))
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False)
            context = browser.new_context(viewport={"width": 1400, "height": 1000})
            session = watching.get("/api/sessions")["sessions"][0]["id"]
            title(f"tabs: {a.tabs} in one browser on the Summary of {a.micrographs:,} micrographs; {origin()}")
            tabs = [opened(context, f"http://127.0.0.1:{relay.port}/s/{session}/summary") for _ in range(a.tabs)]
            pages, loaded = [page for page, _ in tabs], [seconds for _, seconds in tabs]
            time.sleep(2)
            writer = Writer(ctfs(project))
            heard = [told(pages, writer) for _ in range(a.changes)]
            writer.close()
            time.sleep(2)
            dead = silence(pages[0], relay)
            browser.close()
            relay.close()
    show("the slowest tab, from navigation to its numbers", Rounds([max(loaded)]), goal=GOAL_LOADED)
    ratio(Rounds([max(loaded)]), Rounds(loaded[:1]), "the first")
    show("from the commit until the last tab shows it", Rounds([max(times) for times in heard]))
    show("from the silent death of the connection until the page says so", Rounds([dead]), goal=GOAL_TOLD)


if __name__ == "__main__":
    main()
