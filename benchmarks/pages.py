"""How soon a headless browser draws the CTF page of many micrographs, and how soon it draws a new one.

Baseline from the same run: the same page of a session with 100 micrographs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from measuring.agent import Watching, once, until
from measuring.figures import Rounds, ratio, show, title
from measuring.projects import ctfs, multiplied, origin, spread, workplace
from measuring.writer import Writer
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
GOAL_FIRST, GOAL_UPDATE = 1.5, 0.2
TEXTS = (
    "first chart, from navigation", "everything visible, from navigation",
    "update, from the change event", "update, from requesting its data",
)  # fmt: skip
GOALS = (GOAL_FIRST, None, None, GOAL_UPDATE)
GOALS_UPTO = 50_000
"""Micrographs of the longest sessions that there are; with more it is only measured."""

SMALL = 100
EVERY = 4.0

# Notes, in ms of performance.now(): the first chart drawn, everything in sight drawn, and of each update the event, the
# request for what came since (`after`), and the frame after all of it is drawn. The page sets data-ready after each
# answer; two frames later that has been painted.
_INSTRUMENT = """
window.measured = { first: null, whole: null, events: [], updates: [] };
let asked = null;
let answered = false;
const drawn = (tell) => requestAnimationFrame(() => requestAnimationFrame(() => tell(performance.now())));
const lacking = (panel) => panel.getBoundingClientRect().top < innerHeight;
const listen = MessagePort.prototype.addEventListener;
MessagePort.prototype.addEventListener = function (name, ...rest) {
  listen.call(this, name, ({ data }) => { if (data.kind === "change") measured.events.push(performance.now()); });
  return listen.call(this, name, ...rest);
};
const ask = window.fetch;
window.fetch = async (url, ...rest) => {
  if (!String(url).includes("after=")) return ask(url, ...rest);
  asked = performance.now();
  const answer = await ask(url, ...rest);
  answered = true;
  return answer;
};
new MutationObserver(() => {
  if (document.body?.dataset.ready !== "yes") return;
  if (measured.first === null) {
    if (!document.querySelector('[data-panel="defocus-over-time"] canvas')) return;
    measured.first = 0;
    drawn((now) => { measured.first = now; });
  }
  if (measured.whole === null) {
    if ([...document.querySelectorAll(".panel.waiting")].some(lacking)) return;
    measured.whole = 0;
    drawn((now) => { measured.whole = now; });
    return;
  }
  if (!answered) return;
  const update = { event: measured.events.shift() ?? null, asked };
  measured.events = [];
  answered = false;
  drawn((now) => measured.updates.push({ ...update, drawn: now }));
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-ready"] });
"""


def first_visit(browser: Browser, address: str) -> tuple[Page, float, float]:
    """Open a page in a browser context of its own; returns it, and the seconds from navigation.

    First those to the first chart, then those to all that is in sight.
    """
    page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
    page.add_init_script(_INSTRUMENT)
    page.goto(address, wait_until="commit")
    whole = until(lambda: page.evaluate("measured.whole"), every=0.1)
    return page, page.evaluate("measured.first") / 1e3, whole / 1e3


def update(page: Page, writer: Writer) -> tuple[float, float]:
    """Add a micrograph; returns the seconds to its being drawn: from the change event, and from the request of data."""
    page.evaluate("measured.updates.length = 0; measured.events.length = 0")
    writer.append()

    def drawn() -> dict[str, float] | None:
        found: list[dict[str, float]] = page.evaluate("measured.updates.filter((u) => u.event !== null)")
        return found[0] if found else None

    found = until(drawn, every=0.05, seconds=120)
    return (found["drawn"] - found["event"]) / 1e3, (found["drawn"] - found["asked"]) / 1e3


def measure(browser: Browser, address: str, file: Path, *, rounds: int, updates: int) -> list[Rounds]:
    """Return the seconds to the first chart and to all in sight, and of updates from the event and from the request."""
    first, whole = [], []
    for number in range(rounds):
        page, *seconds = first_visit(browser, address)
        first.append(seconds[0])
        whole.append(seconds[1])
        if number < rounds - 1:
            page.context.close()
    writer = Writer(file)
    time.sleep(2)
    told, asked = [], []
    for _ in range(updates):
        from_event, from_request = update(page, writer)
        told.append(from_event)
        asked.append(from_request)
        time.sleep(1)
    writer.close()
    page.context.close()
    return [Rounds(first), Rounds(whole), Rounds(told), Rounds(asked)]


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--micrographs", type=int, nargs="+", default=[50_000])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--updates", type=int, default=10)
    a = p.parse_args()
    if not Path(CHROMIUM).exists():
        print(f"pages: not measured; there is no {CHROMIUM}")
        return
    sizes = {"small": SMALL} | {f"large-{micrographs}": micrographs for micrographs in a.micrographs}
    with workplace() as folder:
        for name, micrographs in sizes.items():
            spread(multiplied(folder / "projects", name, micrographs), EVERY)
        once(folder / "projects", folder / "data")
        found = {}
        with Watching(folder / "projects", folder / "data") as watching, sync_playwright() as playwright:
            watching.wait_for(len(sizes), SMALL)
            watching.settle()
            sessions = {s["name"]: s["id"] for s in watching.get("/api/sessions")["sessions"]}
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False)
            for name, micrographs in sizes.items():
                address = f"{watching.address}/s/{sessions[name]}/ctf"
                file = ctfs(folder / "projects" / name)
                found[name] = measure(browser, address, file, rounds=a.rounds, updates=a.updates)
                if name == "small":
                    continue
                title(f"pages: the CTF page of {micrographs:,} micrographs, one every {EVERY:g} s; {origin()}")
                for what, goal, large, small in zip(TEXTS, GOALS, found[name], found["small"], strict=True):
                    show(what, large, goal=goal if micrographs <= GOALS_UPTO else None)
                    ratio(large, small, f"the same with {SMALL} micrographs")
            browser.close()
    print("  the page itself waits 0.4 s after an event, so that several are drawn together")


if __name__ == "__main__":
    main()
