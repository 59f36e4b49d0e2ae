"""How soon `cryowatch demo` shows its first micrograph on the page, after the command.

Baseline from the same run: starting `cryowatch --version`.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from measuring.agent import environment, until
from measuring.figures import Rounds, ratio, show, title
from measuring.projects import workplace
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]
GOAL = 10.0


def first_micrograph(browser: Browser, folder: Path) -> float:
    """Return the seconds from the command to the picture of the first micrograph."""
    folder.mkdir()
    command = [sys.executable, "-m", "cryowatch", "demo", "--port", "0", "--no-browser"]
    began = time.perf_counter()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env={**environment(folder), "TMPDIR": str(folder)}, stderr=log)
    try:
        address = until(lambda: re.search(r"http://127[.]0[.]0[.]1:\d+", (folder / "log").read_text()))[0]
        page = browser.new_page()
        page.goto(address)
        page.locator("a.session").first.click()
        page.locator('[data-panel="newest"] .picture.loaded').first.wait_for(timeout=60_000)
        took = time.perf_counter() - began
        page.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    return took


def version() -> float:
    """Return the seconds of the shortest command."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "cryowatch", "--version"], capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=3)
    a = p.parse_args()
    with workplace() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False)
        title("demo: from the command to the first micrograph on the page")
        ours = Rounds([first_micrograph(browser, folder / f"round-{n}") for n in range(a.rounds)])
        show("first micrograph on the page", ours, goal=GOAL)
        ratio(ours, Rounds([version() for _ in range(a.rounds)]), "cryowatch --version")
        browser.close()


if __name__ == "__main__":
    main()
