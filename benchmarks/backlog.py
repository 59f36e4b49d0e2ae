"""How long `cryowatch watch --once` takes for a session of 20,000 micrographs that waits to be read.

Baselines of the same run: reading the same rows with sqlite3 alone, and with --reference the reference's first pass.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from measuring import reference
from measuring.agent import once
from measuring.figures import Rounds, ratio, show, title
from measuring.projects import origin, sets, workplace, write


def fetch(project: Path) -> float:
    """Return the seconds that it takes to fetch every row of every set."""
    began = time.perf_counter()
    for file in sets(project):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            database.execute("SELECT * FROM Objects ORDER BY id").fetchall()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--micrographs", type=int, default=20_000)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--reference", action="store_true", help="time the reference too: a minute or more")
    a = p.parse_args()
    with workplace() as folder:
        project = write(folder, "session", a.micrographs)
        empty = write(folder / "small", "empty", 1)
        title(f"backlog: {a.micrographs:,} micrographs waiting, movies, micrographs and CTFs; {origin()}")
        plain, begun, seconds, memory = [], [], [], []
        for number in range(a.rounds):
            plain.append(fetch(project))
            begun.append(once(empty, folder / f"empty-{number}")[0])
            took, peak = once(project, folder / f"data-{number}")
            seconds.append(took)
            memory.append(peak)
        ours = Rounds(seconds)
        show("watch --once", ours, goal=2.0 * max(1.0, a.micrographs / 20_000))
        show("of which to start, and to read a project of one micrograph", Rounds(begun))
        show("peak of resident memory", Rounds(memory, "MB"))
        ratio(ours, Rounds(plain), "sqlite3's fetchall of the same rows")
        if not a.reference:
            print("  the reference was not timed; --reference does")
        elif lacking := reference.missing():
            print(f"  the reference was not timed; not here: {lacking}")
        else:
            theirs = Rounds([reference.first_pass(project, folder)])
            ratio(ours, theirs, "the reference's first pass")


if __name__ == "__main__":
    main()
