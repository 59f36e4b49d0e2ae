"""How long `cryowatch watch --once` takes to read waiting sessions: into the store, and on to InfluxDB.

Each round, in turn: reading the same rows with sqlite3 alone, which is the minimum; ours into the store; ours on to a
real InfluxDB; and the reference's first pass to its own InfluxDB, if the reference is installed.  Each step begins when
the data of the steps before are on the disk.  Ours uses a server that has already received a session, as a facility's
has.  The reference uses one that has just started, which matters little to it: it takes a minute.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path

from influx import settings
from measuring import reference
from measuring.agent import once
from measuring.figures import Rounds, faster, ratio, show, title
from measuring.projects import copy, origin, sets, workplace, write

GOAL_FASTER, GOAL_FLAT = 50.0, 1.3
COMPARED = 20_000


def fetch(project: Path) -> float:
    """Return the seconds that it takes to fetch every row of every set."""
    began = time.perf_counter()
    for file in sets(project):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            database.execute("SELECT * FROM Objects ORDER BY id").fetchall()
    return time.perf_counter() - began


def delivered(project: Path, folder: Path, *, before: Path) -> float:
    """Return the seconds until all is in the store and accepted by an InfluxDB that has taken a session before."""
    folder.mkdir()
    with reference.influxd(folder / "server") as port:
        settings(folder, port)
        once(before, folder / "data-before")
        os.sync()
        return once(project, folder / "data")[0]


def measure(project: Path, folder: Path, *, before: Path, rounds: int, compared: int) -> dict[str, Rounds]:
    """Return the seconds of each way, and the memory of ours."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        place = folder / f"{project.name}-{number}"
        place.mkdir()
        found["rows"].append(fetch(project))
        os.sync()
        took, peak = once(project, place / "data")
        found["store"].append(took)
        found["memory"].append(peak)
        if not reference.missing():
            found["influx"].append(delivered(project, place / "influx", before=before))
            if number < compared:
                (place / "theirs").mkdir()
                own = copy(project, place / "theirs" / project.name)  # it adds a run of its own
                os.sync()
                found["reference"].append(reference.first_pass(own, place / "theirs"))
    return {name: Rounds(values, "MB" if name == "memory" else "s") for name, values in found.items()}


def tell(micrographs: int, found: dict[str, Rounds]) -> None:
    """Print what was measured of one size."""
    goal = GOAL_FASTER if micrographs == COMPARED else None
    for name, what in (("store", "into the store"), ("influx", "through to InfluxDB")):
        if name in found:
            show(what, found[name])
            if "reference" in found:
                faster(found[name], found["reference"], "the reference's first pass to InfluxDB", goal=goal)
    ratio(found["store"], found["rows"], "sqlite3's fetchall of the same rows")
    show("peak resident memory", found["memory"])


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--micrographs", type=int, nargs="+", default=[1_000, 5_000, 20_000, 100_000])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--compared", type=int, default=3, help="rounds in which the reference is timed, up to 20,000")
    a = p.parse_args()
    if lacking := reference.missing():
        print(f"backlog: neither InfluxDB nor the reference is timed; not here: {lacking}")
    costs: dict[str, list[float]] = defaultdict(list)
    with workplace() as folder:
        one = write(folder / "projects", "one", 1)
        before = write(folder / "projects", "before", 100)
        start = measure(one, folder, before=before, rounds=a.rounds, compared=0)
        title(f"backlog: a project of one micrograph: starting and ending only; {origin()}")
        tell(1, start)
        for micrographs in a.micrographs:
            project = write(folder / "projects", f"session-{micrographs}", micrographs)
            compared = a.compared if micrographs <= COMPARED else 0
            title(f"backlog: {micrographs:,} micrographs waiting, with as many movies and CTFs; {origin()}")
            found = measure(project, folder, before=before, rounds=a.rounds, compared=compared)
            tell(micrographs, found)
            for name in ("store", "influx"):
                if name in found:
                    costs[name].append(1e3 * found[name].median / micrographs)
                    costs[f"{name}, without the start"].append(
                        1e3 * (found[name].median - start[name].median) / micrographs
                    )
    title("backlog: the cost per micrograph; is it the same in a long session?")
    for name, each in costs.items():
        show(f"ms per micrograph to the {name}, {a.micrographs[-1]:,} waiting", Rounds(each[-1:], "ms"))
        if name in ("store", "influx"):
            ratio(Rounds(each[-1:], "ms"), Rounds(each[:1], "ms"), f"a backlog of {a.micrographs[0]:,}", goal=GOAL_FLAT)
        elif len(each) > 1:
            ratio(Rounds(each[-1:], "ms"), Rounds(each[-2:-1], "ms"), f"a backlog of {a.micrographs[-2]:,}")


if __name__ == "__main__":
    main()
