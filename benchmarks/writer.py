"""How watching affects a writer: a hundred commits per second into a set, with and without cryowatch.

The writer is like Scipion's own (its queries, its time-out of 1000 s, a rollback journal).  A second writer without a
time-out shows how often a reader is in the way at all.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path

from measuring.agent import Watching
from measuring.figures import Rounds, percentile, ratio, show, title
from measuring.projects import ctfs, origin, workplace, write
from measuring.writer import TIMEOUT, Writer

ROUNDS = 3


@dataclass(slots=True)
class Written:
    """What a writer saw: seconds of each commit, and how many it was refused."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0


def commit(file: Path, *, rate: float, seconds: float, timeout: float = TIMEOUT) -> Written:
    """Commit at a rate for some seconds; where a commit takes longer than its turn, the next follows at once."""
    writer, found = Writer(file, timeout=timeout), Written()
    began = due = time.perf_counter()
    while due - began < seconds:
        time.sleep(max(0.0, due - time.perf_counter()))
        try:
            found.seconds.append(writer.append()[1])
        except sqlite3.OperationalError:
            found.refused += 1
        due = max(due + 1 / rate, time.perf_counter() - 1 / rate)
    writer.close()
    return found


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--micrographs", type=int, default=20_000, help="those already there")
    p.add_argument("--seconds", type=float, default=60, help="of writing, for each of the two")
    p.add_argument("--rate", type=float, default=100, help="commits a second")
    a = p.parse_args()
    turn = a.seconds / ROUNDS
    with workplace() as folder:
        project = write(folder, "session", a.micrographs, running=True)
        file = ctfs(project)
        title(f"writer: {a.rate:g} commits per second into a set of {a.micrographs:,} for {a.seconds:g} s; {origin()}")
        rounds: dict[str, list[Written]] = {"alone": [], "watched": []}
        for _ in range(ROUNDS):
            for who, done in rounds.items():
                with Watching(project, folder / "data") if who == "watched" else contextlib.nullcontext() as watching:
                    if watching:
                        watching.wait_for(1, a.micrographs + count(rounds))
                        time.sleep(1)
                    done.append(commit(file, rate=a.rate, seconds=turn))
        with Watching(project, folder / "data") as watching:
            watching.wait_for(1, a.micrographs + count(rounds))
            hasty = commit(file, rate=a.rate, seconds=turn, timeout=0)
    for who, done in rounds.items():
        commits = count({who: done})
        refused = sum(w.refused for w in done)
        print(f"  {who}: {commits:,} commits, {refused} lock errors{' (goal 0)' if who == 'watched' else ''}")
        for name, share in (("p50", 0.5), ("p99", 0.99), ("longest", 1.0)):
            show(f"  {name}", milliseconds(done, share))
    for name, share in (("p50", 0.5), ("p99", 0.99), ("longest", 1.0)):
        print(f"  {name}", end="")
        ratio(milliseconds(rounds["watched"], share), milliseconds(rounds["alone"], share), "the same writer alone")
    waits = f"{hasty.refused} of {len(hasty.seconds) + hasty.refused:,}"
    print(f"  a watched writer that never waits is refused {waits} commits in {turn:g} s")


def count(rounds: dict[str, list[Written]]) -> int:
    """Return how many items have been written in all rounds."""
    return sum(len(w.seconds) for done in rounds.values() for w in done)


def milliseconds(done: list[Written], share: float) -> Rounds:
    """Return a percentile of each round."""
    return Rounds([1e3 * percentile(w.seconds, share) for w in done], "ms")


if __name__ == "__main__":
    main()
