"""How long it takes from the commit of a new CTF to the page's event, to the API's answer, and to InfluxDB.

Arrivals come at random phases, at the default interval.  Baseline: a plain loop that reads the last id of the same file
as often, beside it.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
from influx import ask, settings
from measuring import reference
from measuring.agent import Watching, until
from measuring.figures import Rounds, ratio, show, title
from measuring.projects import ctfs, origin, workplace, write
from measuring.writer import Writer

INTERVAL = 1.0
GOAL = 2.0


class Listener(threading.Thread):
    """Notes when which position was told as an event."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self.opened = threading.Event()
        self.told: list[tuple[float, int]] = []

    def run(self) -> None:
        """Follow the stream until it ends."""
        url = f"{self._address}/api/events"
        with httpx2.stream("GET", url, timeout=None, trust_env=False) as answer:
            name = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                    self.opened.set()
                elif line.startswith("data: ") and name == "change":
                    head = int(line.partition('"head":')[2].partition(",")[0].rstrip("}"))
                    self.told.append((time.perf_counter(), head))

    def when(self, seq: int) -> float | None:
        """Return when a position was told, None while it was not."""
        return next((moment for moment, head in self.told if head >= seq), None)


class Loop(threading.Thread):
    """The plainest poller there can be: the last id of a set, once an interval."""

    def __init__(self, file: Path) -> None:
        super().__init__(daemon=True)
        self._file = file
        self._end = threading.Event()
        self.seen: dict[int, float] = {}

    def run(self) -> None:
        """Ask until told to end."""
        while not self._end.wait(INTERVAL):
            with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=0.05)) as database:
                (last,) = database.execute("SELECT max(id) FROM Objects").fetchone()
            self.seen.setdefault(last, time.perf_counter())

    def end(self) -> None:
        """Ask no more."""
        self._end.set()
        self.join()


@contextmanager
def database(folder: Path) -> Iterator[int]:
    """Run an InfluxDB that the agent delivers to, and give its port; 0 where there is none."""
    if not shutil.which("influxd"):
        print("arrival: InfluxDB is not timed; there is no influxd here")
        yield 0
        return
    with reference.influxd(folder / "server") as port:
        settings(folder, port)
        yield port


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--micrographs", type=int, default=20_000, help="those already there")
    p.add_argument("--arrivals", type=int, default=20)
    p.add_argument("--seed", type=int, default=7)
    a = p.parse_args()
    phases = random.Random(a.seed)
    with workplace() as folder, database(folder) as port:
        project = write(folder, "session", a.micrographs, running=True)
        with Watching(project, folder / "data") as watching:
            watching.wait_for(1, a.micrographs)
            time.sleep(3)
            listener, loop = Listener(watching.address), Loop(ctfs(project))
            listener.start()
            loop.start()
            listener.opened.wait(10)
            writer = Writer(ctfs(project))
            session = watching.get("/api/sessions")["sessions"][0]
            path, after = f"/api/sessions/{session['id']}/micrographs", session["head"]
            title(f"arrival: a new CTF beside {a.micrographs:,}; {origin()}")
            events, shown, bare, written = [], [], [], []
            for _ in range(a.arrivals):
                time.sleep(1.0 + phases.uniform(0, INTERVAL))
                item, _ = writer.append()
                committed = time.perf_counter()
                found = until(lambda: _shown(watching, path, after, item), every=0.02, seconds=30)  # noqa: B023
                shown.append(found[0] - committed)
                events.append(until(lambda: listener.when(found[1]), every=0.02, seconds=30) - committed)  # noqa: B023
                bare.append(until(lambda: loop.seen.get(item), every=0.02, seconds=30) - committed)  # noqa: B023
                after = found[2]
                if port:
                    held = until(lambda: _written(port, item), every=0.02, seconds=30)  # noqa: B023
                    written.append(held - committed)
            writer.close()
            loop.end()
        for what, values in (("until the change event", events), ("until the API returns it", shown)):
            show(what, Rounds(values), goal=GOAL)
            print(f"    longest: {max(values):.2f} s")
        if written:
            show("until a query of InfluxDB finds it", Rounds(written), goal=GOAL)
            print(f"    longest: {max(written):.2f} s")
        ratio(Rounds(events), Rounds(bare), f"a plain loop with one look every {INTERVAL:g} s")


def _shown(watching: Watching, path: str, after: int, item: int) -> tuple[float, int, int] | None:
    """Return when the interface shows an item, the item's position and that of its answer; None before."""
    answer = watching.get(path, after=after)
    now = time.perf_counter()
    found = next((m for m in answer["micrographs"] if m["item"] == item), None)
    return None if found is None else (now, found["version"], answer["head"])


def _written(port: int, item: int) -> float | None:
    """Return when InfluxDB had an item; None before."""
    series = ask(port, f'SELECT "defocus" FROM "micrograph" WHERE "ctfID" = {item}')
    return time.perf_counter() if series else None


if __name__ == "__main__":
    main()
