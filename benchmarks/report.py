"""How long it takes to make the report of 20,000 micrographs, and to open the file in a headless browser.

Its images are noise, from a few dozen files that many micrographs share: reading is cheap, encoding takes most of the
time.  Baseline: a session of 1,000 micrographs.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
from measuring.figures import Rounds, ratio, show, title
from measuring.projects import workplace
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from cryowatch.dashboards import STANDARD
from cryowatch.images import ImageServer
from cryowatch.reading import Reading, Span
from cryowatch.records import Micrograph, Output, OutputKind, Run, Session
from cryowatch.report import Maker
from cryowatch.store import Store

CHROMIUM = "/usr/bin/chromium"
FILES = 64
SMALL = 1_000
GOAL_MADE, GOAL_OPENED = 60.0, 3.0
_SECOND = 10**9


def project(folder: Path) -> None:
    """Write the images that the micrographs are of."""
    folder.mkdir()
    numbers = np.random.default_rng(1)
    for i in range(FILES):
        Image.fromarray(numbers.integers(0, 255, (818, 1152), dtype=np.uint8)).save(
            folder / f"{i}.png", compress_level=1
        )


def micrographs(count: int, chance: random.Random) -> tuple[Micrograph, ...]:
    """Return CTF estimates, one every four seconds until now."""
    begin = time.time_ns() - count * 4 * _SECOND
    return tuple(
        Micrograph(
            run="2", output="outputCTF", item=i, name=f"FoilHole_{7 * i}_{i:06d}",
            time=begin + i * 4 * _SECOND,
            defocus_u=chance.uniform(8_000, 42_000), defocus_v=chance.uniform(8_000, 42_000),
            defocus_angle=chance.uniform(0, 180), resolution=chance.lognormvariate(1.3, 0.3),
            fit_quality=chance.uniform(0.02, 0.3), motion_total=chance.uniform(5, 60),
            micrograph_path=f"{i % FILES}.png",
        )
        for i in range(1, count + 1)
    )  # fmt: skip


def fill(store: Store, folder: Path, count: int) -> str:
    """Store a session, and return its key."""
    session = Session(name=f"of-{count}", path=str(folder), host="gpu1", status="finished")
    registered = store.register(session)
    run = Run(run="2", label="ctffind 4", class_name="CistemProtCTFFind", status="finished")
    output = Output(run="2", name="outputCTF", class_name="SetOfCTF", kind=OutputKind.CTF)
    span = Span(run="2", output="outputCTF", after=0, upto=None, items=micrographs(count, random.Random(1)))
    reading = Reading(cursor="1", session=session, runs=(run,), outputs=(output,), spans=(span,))
    store.commit(registered.session, reading, now=time.time_ns())
    return registered.key


def opened(browser: Browser, file: Path) -> float:
    """Return the seconds until the first chart of the CTF dashboard is drawn."""
    page = browser.new_page(offline=True)
    began = time.perf_counter()
    page.goto(f"{file.as_uri()}#ctf", wait_until="commit")
    page.wait_for_selector('#dashboard-ctf [data-panel="defocus-over-time"]:not(.waiting)', state="attached")
    took = time.perf_counter() - began
    page.close()
    return took


def measure(folder: Path, count: int, rounds: int, browser: Browser) -> tuple[Rounds, Rounds]:
    """Return the seconds to make a report with its images rendered anew, and to open it."""
    project(folder / "project")
    store = Store(folder / "data")
    made, shown = [], []
    key = fill(store, folder / "project", count)
    for number in range(rounds):
        images = ImageServer(folder / f"images-{number}", workers=2)
        maker = Maker(reader=store.reader(), images=images, dashboards=STANDARD, clock=time.time_ns)
        began = time.perf_counter()
        report = maker.make(key, folder / "report.html", size_mb=20)
        made.append(time.perf_counter() - began)
        images.close()
        shown.append(opened(browser, report.path))
    print(f"  {count:,} micrographs: {report.bytes / 1e6:.1f} MB, {report.pictured:,} with images")
    store.close()
    return Rounds(made), Rounds(shown)


def main() -> None:
    """Print what the report takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--micrographs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    title(f"Report of {chosen.micrographs:,} micrographs, 20 MB")
    with workplace() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--disable-gpu"], chromium_sandbox=False)
        results = []
        for count in (SMALL, chosen.micrographs):
            place = folder / str(count)
            place.mkdir()
            results.append(measure(place, count, chosen.rounds, browser))
        browser.close()
    (small_made, small_opened), (made, shown) = results
    show("made", made, goal=GOAL_MADE)
    ratio(made, small_made, f"{SMALL:,} micrographs")
    show("opened, first chart of CTF drawn", shown, goal=GOAL_OPENED)
    ratio(shown, small_opened, f"{SMALL:,} micrographs")


if __name__ == "__main__":
    main()
