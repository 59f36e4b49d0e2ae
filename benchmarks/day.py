"""Memory over a day at a busy microscope, in a minute: 8,640 CTFs, one commit each, with one listener.

The agent looks as often as usual, so it finds many new items at each look.
"""

from __future__ import annotations

import argparse
import threading
import time

import httpx2
import psutil
from measuring.agent import Watching
from measuring.figures import Rounds, show, title
from measuring.projects import ctfs, origin, workplace, write
from measuring.writer import Writer

DAY = 8_640
GOAL_GROWTH, GOAL_MEMORY = 20.0, 150.0


def listen(address: str) -> None:
    """Follow the events until the agent ends."""
    try:
        with httpx2.stream("GET", f"{address}/api/events", timeout=None, trust_env=False) as answer:
            for _ in answer.iter_lines():
                pass
    except httpx2.HTTPError:
        return


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--micrographs", type=int, default=DAY, help="those of the day")
    p.add_argument("--seconds", type=float, default=60)
    a = p.parse_args()
    with workplace() as folder:
        project = write(folder, "session", 100, running=True)
        with Watching(project, folder / "data") as watching:
            watching.wait_for(1, 100)
            agent = psutil.Process(watching.process.pid)
            threading.Thread(target=listen, args=(watching.address,), daemon=True).start()
            session = watching.get("/api/sessions")["sessions"][0]["id"]
            time.sleep(3)
            title(f"day: {a.micrographs:,} micrographs one by one in {a.seconds:g} s; {origin()}")
            writer = Writer(ctfs(project))
            memory, descriptors = [], []
            began = time.perf_counter()
            samples = 20
            for number in range(a.micrographs):
                writer.append()
                time.sleep(max(0.0, began + a.seconds * number / a.micrographs - time.perf_counter()))
                if number % max(1, a.micrographs // samples) == 0:
                    watching.get(f"/api/sessions/{session}/micrographs", limit=60)
                    memory.append(agent.memory_info().rss / 1e6)
                    descriptors.append(agent.num_fds())
            writer.close()
            took = time.perf_counter() - began
            caught_up = time.perf_counter()
            watching.wait_for(1, 100 + a.micrographs)
            behind = time.perf_counter() - caught_up
            memory.append(agent.memory_info().rss / 1e6)
            descriptors.append(agent.num_fds())
    half = len(memory) // 2
    show("resident memory", Rounds(memory, "MB"), goal=GOAL_MEMORY)
    grown = max(memory[half:]) - max(memory[:half])
    show("growth of the peak from the first half to the second", Rounds([grown], "MB"), goal=GOAL_GROWTH)
    show("open descriptors", Rounds([float(d) for d in descriptors], "of them"))
    show(f"from the last of {a.micrographs / took:,.0f} commits per second until all are shown", Rounds([behind]))


if __name__ == "__main__":
    main()
