"""50 agents with two growing projects each, all delivering to one InfluxDB: points per second, delay, losses.

All agents, writers and the server share this one machine, unlike in a facility.  So this measures what the server and
the protocol can carry, and that nothing is lost when everybody is slow.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path

from influx import ask, settings
from measuring import reference
from measuring.agent import Watching, until
from measuring.figures import Rounds, percentile, show, title
from measuring.projects import copy, ctfs, origin, workplace, write
from measuring.writer import Writer

PROJECTS = 2
GOAL_LAG = 10.0


def counted(port: int) -> dict[str, int]:
    """Return how many CTF estimates of each project the database holds."""
    series = ask(port, 'SELECT count("ctfID") FROM "micrograph" GROUP BY "project"')
    return {str(one["tags"]["project"]): int(one["values"][0][1]) for one in series}  # type: ignore[index]


def points(port: int) -> int:
    """Return how many micrographs' points the database holds, of all outputs."""
    return sum(int(one["values"][0][1]) for one in ask(port, 'SELECT count("name") FROM "micrograph"'))  # type: ignore[index]


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--agents", type=int, default=50)
    p.add_argument("--micrographs", type=int, default=1_000, help="in each project, waiting when the agents start")
    p.add_argument("--arrivals", type=int, default=20, help="new ones in each project afterwards")
    a = p.parse_args()
    if lacking := reference.missing():
        print(f"fleet: not measured; not here: {lacking}")
        return
    with workplace() as folder, reference.influxd(folder / "server") as port, contextlib.ExitStack() as agents:
        written = write(folder, "written", a.micrographs, running=True)
        files: list[Path] = []
        homes: list[Path] = []
        for agent in range(a.agents):
            home = folder / f"agent-{agent:02d}"
            settings(home, port)
            for number in range(PROJECTS):
                project = copy(written, home / "projects" / f"session-{agent:02d}-{number}")
                files.append(ctfs(project))
            homes.append(home)
        time.sleep(1)
        title(f"fleet: {a.agents} agents, {PROJECTS} projects of {a.micrographs:,} micrographs each; {origin()}")
        began = time.perf_counter()
        for home in homes:
            agents.enter_context(Watching(home / "projects", home / "data"))
        waiting = len(files) * a.micrographs
        until(lambda: sum(counted(port).values()) >= waiting, every=0.2, seconds=240)
        took = time.perf_counter() - began
        held = points(port)
        show(f"until {held:,} points of the backlog are in InfluxDB, including starting the agents", Rounds([took]))
        print(f"  {held / took:,.0f} points per second")
        lags = []
        writers = [Writer(file) for file in files]
        for arrival in range(1, a.arrivals + 1):
            for writer in writers:
                writer.append()
            committed = time.perf_counter()
            due = waiting + arrival * len(files)
            until(lambda: sum(counted(port).values()) >= due, every=0.1, seconds=120)  # noqa: B023
            lags.append(time.perf_counter() - committed)
        for writer in writers:
            writer.close()
        show("from a commit in every project until the last of them is in InfluxDB", Rounds(lags), goal=GOAL_LAG)
        print(f"    longest: {percentile(lags, 1.0):.2f} s")
        found = counted(port)
        whole = [name for name, count in found.items() if count == a.micrographs + a.arrivals]
        lost = len(files) - len(whole)
        print(f"  {sum(found.values()):,} of {len(files) * (a.micrographs + a.arrivals):,} CTFs are there, each once")
        show("projects with missing or duplicate CTFs", Rounds([lost], "of them"), goal=0)


if __name__ == "__main__":
    main()
