"""How soon a gallery of 20,000 micrographs shows its first images, and how it scrolls, in a headless browser.

All micrographs share a few real images of 5,760 x 4,092 pixels through hard links; each is rendered separately.
Baseline from the same run: the same gallery with 100 micrographs.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import mrcfile
import numpy as np
from measuring.agent import Watching, once, until
from measuring.figures import Rounds, ratio, show, title
from measuring.projects import origin, workplace, write
from playwright.sync_api import Browser, Page, sync_playwright

from cryowatch.store.writer import FILE_NAME

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-precise-memory-info", "--js-flags=--expose-gc",
]  # fmt: skip
SMALL = 100
GOAL = 1.0

_OF_PROJECT = """
SELECT m.id FROM micrograph AS m JOIN output ON output.id = m.output_id JOIN session ON session.id = output.session_id
WHERE session.path = ?"""

_SCROLL = """async (speed) => {
  const frames = [];
  let last = performance.now();
  const end = document.documentElement.scrollHeight - innerHeight;
  const stop = Math.min(end, scrollY + speed * 60 * 5);
  for (let y = scrollY; y < stop; y += speed) {
    scrollTo(0, y);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  return frames;
}"""
_STATE = """() => {
  gc();
  return { nodes: document.querySelectorAll("*").length, heap: performance.memory.usedJSHeapSize / 1e6 };
}"""


def images(project: Path, data: Path) -> None:
    """Let every micrograph have a real image of its own name."""
    folder = project / "images"
    folder.mkdir()
    random = np.random.default_rng(3)
    for number in range(4):
        mrcfile.write(folder / f"mic-{number}.mrc", random.normal(10, 3, (4092, 5760)).astype(np.float32))
        mrcfile.write(folder / f"psd-{number}.mrc", random.normal(10, 3, (512, 512)).astype(np.float32))
    with closing(sqlite3.connect(data / FILE_NAME)) as database, database:
        rows = database.execute(_OF_PROJECT, (str(project),)).fetchall()
        for (row,) in rows:
            for kind in ("mic", "psd"):
                os.link(folder / f"{kind}-{row % 4}.mrc", folder / f"{kind}-of-{row}.mrc")
        database.executemany(
            "UPDATE micrograph SET micrograph_path = ?, power_spectrum_path = ?, shift_plot_path = '' WHERE id = ?",
            [(f"images/mic-of-{row}.mrc", f"images/psd-of-{row}.mrc", row) for (row,) in rows],
        )


def first_images(browser: Browser, address: str) -> tuple[Page, float]:
    """Open a gallery; returns it, and the seconds from navigation until all images in sight are there."""
    page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
    page.goto(address, wait_until="commit")
    seen = """() => {
      const cards = [...document.querySelectorAll(".card")].filter((c) => c.getBoundingClientRect().top < innerHeight);
      const pictures = cards.flatMap((c) => [...c.querySelectorAll(".picture:has(img)")]);
      return pictures.length > 0 && pictures.every((p) => p.classList.contains("loaded")) && performance.now();
    }"""
    return page, until(lambda: page.evaluate(seen), every=0.02) / 1e3


def scrolled(page: Page, speed: int) -> tuple[float, float]:
    """Scroll for five seconds; returns the median and the longest frame in ms."""
    frames = sorted(page.evaluate(_SCROLL, speed))
    return frames[len(frames) // 2], frames[-1]


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--micrographs", type=int, default=20_000)
    p.add_argument("--rounds", type=int, default=3)
    a = p.parse_args()
    if not Path(CHROMIUM).exists():
        print(f"gallery: not measured; there is no {CHROMIUM}")
        return
    with workplace() as folder:
        for name, micrographs in (("large", a.micrographs), ("small", SMALL)):
            write(folder / "projects", name, micrographs)
        once(folder / "projects", folder / "data")
        for name in ("large", "small"):
            images(folder / "projects" / name, folder / "data")
        with Watching(folder / "projects", folder / "data") as watching, sync_playwright() as playwright:
            watching.wait_for(2, SMALL)
            title(f"gallery: {a.micrographs:,} micrographs; {origin()}")
            sessions = {s["name"]: s["id"] for s in watching.get("/api/sessions")["sessions"]}
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False)
            cold, warm, small = [], [], []
            sorts = ("time", "name", "defocus", "resolution", "astigmatism")
            for sort in sorts[: a.rounds]:
                for name, into in (("large", cold), ("large", warm), ("small", small), ("small", small)):
                    page, seconds = first_images(browser, f"{watching.address}/s/{sessions[name]}/gallery?sort={sort}")
                    into.append(seconds)
                    page.context.close()
            show("first images, none rendered before", Rounds(cold))
            show("first images, rendered before, as in a live session", Rounds(warm), goal=GOAL)
            ratio(Rounds(warm), Rounds(small[1::2]), f"the same with {SMALL} micrographs")
            page, _ = first_images(browser, f"{watching.address}/s/{sessions['large']}/gallery")
            before = page.evaluate(_STATE)
            for speed, what in ((12, "scrolling to read"), (120, "scrolling fast"), (6000, "flicking to the end")):
                middle, longest = scrolled(page, speed)
                show(f"frame while {what} ({speed * 60:,} px/s)", Rounds([middle], "ms"))
                show("  the longest", Rounds([longest], "ms"))
            page.evaluate("scrollTo(0, 0)")
            until(lambda: page.evaluate("document.querySelectorAll('.card .picture.loaded').length > 0"))
            after = page.evaluate(_STATE)
            print(f"  nodes of the page: {before['nodes']:,} before, {after['nodes']:,} after")
            print(f"  memory of its script: {before['heap']:.1f} MB before, {after['heap']:.1f} MB after")
            browser.close()


if __name__ == "__main__":
    main()
