"""What one sample of the machine costs, with 1, 10 and 100 watched projects.

Baseline from the same run: plain calls of psutil and statvfs for the same numbers.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from measuring.figures import Rounds, ratio, show, title
from measuring.projects import workplace

from cryowatch.sources.host import HostSource

GOAL = 5.0
PRESSURES = ("cpu", "memory", "io")


def plain(paths: list[Path]) -> None:
    """Ask for the same numbers, and wait for each answer."""
    psutil.cpu_times()
    psutil.virtual_memory()
    psutil.swap_memory()
    os.getloadavg()
    psutil.net_io_counters(pernic=True, nowrap=False)
    psutil.disk_io_counters(perdisk=True, nowrap=False)
    for name in PRESSURES:
        file = Path("/proc/pressure") / name
        if file.exists():
            file.read_text(encoding="ascii")
    for path in paths:
        os.statvfs(path)


def took(call: Callable[[], object], times: int) -> float:
    """Return the seconds of one call, by the mean of some."""
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times


def measure(folder: Path, *, paths: int, rounds: int, times: int) -> None:
    """Print what a sample costs with so many projects."""
    projects = [folder / f"{paths}-{number}" for number in range(paths)]
    for project in projects:
        project.mkdir()
    source = HostSource("here")
    source.sample(projects)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(1000 * took(lambda: source.sample(projects), times))
        theirs.append(1000 * took(lambda: plain(projects), times))
    title(f"host: one sample, {paths} {'project' if paths == 1 else 'projects'}")
    show("sample", Rounds(ours, "ms"), goal=GOAL)
    ratio(Rounds(ours, "ms"), Rounds(theirs, "ms"), "plain calls of psutil and statvfs")


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--times", type=int, default=50)
    a = p.parse_args()
    with workplace() as folder:
        for paths in (1, 10, 100):
            measure(folder, paths=paths, rounds=a.rounds, times=a.times)


if __name__ == "__main__":
    main()
