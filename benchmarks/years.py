"""A folder with years of finished projects and a few live ones: starting, resting, a new row, the page.

Baseline: the same agent with only the live projects.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from measuring.agent import Watching, until, used
from measuring.figures import Rounds, ratio, show, title
from measuring.projects import copy, ctfs, origin, sets, workplace, write
from measuring.writer import Writer

GOAL_START, GOAL_SHARE, GOAL_MEMORY, GOAL_THREADS, GOAL_ROW = 30.0, 3.0, 150.0, 40, 2.0
GOAL_LIST, GOAL_WEIGHT = 1.0, 150.0

ROWS = 5
LISTS = 5


def grow_old(project: Path, days: int) -> None:
    """Let a project have been made and finished so many days ago."""
    made = datetime.now(UTC) - timedelta(days=days)
    with closing(sqlite3.connect(project / "project.sqlite")) as database, database:
        database.execute(
            "UPDATE Objects SET value = ?, creation = ? WHERE name = 'CreationTime'",
            (f"{made:%Y-%m-%d %H:%M:%S.%f}", f"{made:%Y-%m-%d %H:%M:%S}"),
        )
    for file in sets(project):
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("UPDATE Objects SET creation = datetime(creation, ?)", (f"-{days} days",))
    ended = min(made.timestamp() + 86_400, time.time() - 60)
    for file in project.rglob("*"):
        os.utime(file, (ended, ended))


def folder_of(home: Path, *, finished: int, live: int, micrographs: int) -> Path:
    """Write a folder of projects, the finished ones some days old each."""
    written = {state: write(home / "written", state, micrographs, running=state == "live") for state in ("old", "live")}
    folder = home / f"projects-{finished}"
    for number in range(finished):
        grow_old(copy(written["old"], folder / f"old-{number:04d}"), days=3 + number)
    for number in range(live):
        grow_old(copy(written["live"], folder / f"live-{number:02d}"), days=number % 2)
    return folder


def measure(projects: Path, data: Path, *, count: int, micrographs: int, rest: float, seconds: float) -> Rounds:
    """Start twice, the second time with what is known; print what both cost, and return the share of a core at rest.

    That is as many seconds as `rest` after the second start.
    """
    began = time.perf_counter()
    with Watching(projects, data) as first:
        until(lambda: first.whole(count, micrographs), every=0.5, seconds=600)
        show("first start, until everything is read", Rounds([time.perf_counter() - began]), goal=GOAL_START)
    with Watching(projects, data) as agent:
        began = time.perf_counter()
        time.sleep(rest)
        show(f"second start: CPU of the first {rest:g} s", Rounds([used(agent.processes())]))
        shares = []
        for _ in range(3):
            begun, before = time.perf_counter(), used(agent.processes())
            time.sleep(seconds / 3)
            shares.append(100 * (used(agent.processes()) - before) / (time.perf_counter() - begun))
        share = Rounds(shares, "%")
        show("CPU at rest, of one core", share, goal=GOAL_SHARE)
        memory = sum(one.memory_info().rss for one in agent.processes()) / 1e6
        show("resident memory", Rounds([memory], "MB"), goal=GOAL_MEMORY)
        threads = sum(one.num_threads() for one in agent.processes())
        show("threads", Rounds([threads], ""), goal=GOAL_THREADS)
        show("from a commit in a live project to the API", _rows(agent, projects, micrographs), goal=GOAL_ROW)
        _list(agent)
    print(f"    {time.perf_counter() - began:.0f} s after its start")
    return share


def _rows(agent: Watching, projects: Path, micrographs: int) -> Rounds:
    took = []
    live = projects / "live-00"
    (key,) = [s["id"] for s in agent.get("/api/sessions")["sessions"] if s["path"] == str(live)]
    with closing(Writer(ctfs(live))) as writer:
        for row in range(1, ROWS + 1):
            writer.append()
            began = time.perf_counter()
            until(lambda: agent.get(f"/api/sessions/{key}")["counts"]["ctf"] >= micrographs + row, every=0.02)  # noqa: B023
            took.append(time.perf_counter() - began)
            time.sleep(0.3)
    return Rounds(took)


def _list(agent: Watching) -> None:
    took = []
    for _ in range(LISTS):
        began = time.perf_counter()
        answer = agent.fetched("/api/sessions")
        took.append(time.perf_counter() - began)
    show("the list of sessions, answered", Rounds(took), goal=GOAL_LIST)
    show("the list of sessions, on the wire", Rounds([answer.num_bytes_downloaded / 1e3], "kB"), goal=GOAL_WEIGHT)


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--finished", type=int, default=1_000)
    p.add_argument("--live", type=int, default=10)
    p.add_argument("--micrographs", type=int, default=200, help="in each project")
    p.add_argument("--rest", type=float, default=30, help="seconds after a start from which on the agent has to rest")
    p.add_argument("--seconds", type=float, default=30, help="for which it is watched then")
    a = p.parse_args()
    with workplace() as home:
        alone = folder_of(home / "alone", finished=0, live=a.live, micrographs=a.micrographs)
        title(f"years: {a.live} live projects of {a.micrographs:,} micrographs each; {origin()}")
        few = measure(alone, home / "data-few", count=a.live, micrographs=a.micrographs, rest=a.rest, seconds=a.seconds)
        whole = folder_of(home / "whole", finished=a.finished, live=a.live, micrographs=a.micrographs)
        title(f"years: the same beside {a.finished:,} finished projects")
        many = measure(
            whole,
            home / "data-many",
            count=a.live + a.finished,
            micrographs=a.micrographs,
            rest=a.rest,
            seconds=a.seconds,
        )
        ratio(many, few, "the live projects alone")


if __name__ == "__main__":
    main()
