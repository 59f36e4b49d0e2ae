"""What watching costs when nothing happens, with projects whose runs are active or have ended.

Baseline: a process that only checks the same files once a second, at the same time.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from measuring.agent import Watching, used
from measuring.figures import Rounds, ratio, show, title
from measuring.projects import copy, origin, workplace, write

GOAL_SHARE, GOAL_MEMORY = 1.0, 150.0
GOALS_UPTO = 10
"""Projects in a folder, as a facility watches them at a time; with more it is only measured."""

ROUNDS = 3
_STAT = """
import os, sys, time
while True:
    for path in sys.argv[1:]:
        os.stat(path)
    time.sleep(1)
"""


def scheduled(process: int) -> float:
    """Return the seconds of CPU of a process with one thread, in ns and not in ticks: it uses less than one a round."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


def measure(folder: Path, projects: Path, *, count: int, micrographs: int, seconds: float) -> None:
    """Watch a folder of projects and print what that costs."""
    files = [str(f) for pattern in ("*/project.sqlite", "*/Runs/*/*.sqlite") for f in sorted(projects.glob(pattern))]
    shares, memory, bare = [], [], []
    with Watching(projects, folder / f"data-{projects.name}") as watching:
        watching.wait_for(count, micrographs)
        watching.settle()
        peak = _peak(watching.process.pid)
        looking = subprocess.Popen([sys.executable, "-c", _STAT, *files])
        try:
            time.sleep(1)
            for _ in range(ROUNDS):
                agent = watching.processes()
                began, ours, theirs = time.perf_counter(), used(agent), scheduled(looking.pid)
                time.sleep(seconds / ROUNDS)
                took = time.perf_counter() - began
                shares.append(100 * (used(agent) - ours) / took)
                bare.append(100 * (scheduled(looking.pid) - theirs) / took)
                memory.append(sum(p.memory_info().rss for p in agent) / 1e6)
        finally:
            looking.terminate()
            looking.wait()
    promised = count <= GOALS_UPTO
    show("CPU, of one core", Rounds(shares, "%"), goal=GOAL_SHARE if promised else None)
    ratio(Rounds(shares, "%"), Rounds(bare, "%"), f"a loop that looks at the same {len(files)} files once a second")
    show("resident memory", Rounds(memory, "MB"), goal=GOAL_MEMORY if promised else None)
    print(f"    peak, while reading the backlog: {peak:.0f} MB")


def _peak(process: int) -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--micrographs", type=int, default=20_000, help="in each project")
    p.add_argument("--projects", type=int, nargs="+", default=[10])
    p.add_argument("--seconds", type=float, default=60)
    a = p.parse_args()
    with workplace() as folder:
        for state in ("running", "finished"):
            written = write(folder / "written", state, a.micrographs, running=state == "running")
            for count in a.projects:
                projects = folder / f"{state}-{count}"
                for number in range(count):
                    copy(written, projects / f"session-{number:02d}")
                time.sleep(3)
                title(
                    f"idle: {count} {'project' if count == 1 else 'projects'} of {a.micrographs:,} micrographs,"
                    f" nothing new for {a.seconds:g} s, runs {state}; {origin()}"
                )
                measure(folder, projects, count=count, micrographs=a.micrographs, seconds=a.seconds)
                shutil.rmtree(projects)


if __name__ == "__main__":
    main()
