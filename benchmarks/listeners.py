"""How soon 200 listeners to the page's events are notified of a new CTF, and what listening costs the agent.

Baseline from the same run: a single listener.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

import psutil
from measuring.agent import Watching
from measuring.figures import Rounds, percentile, ratio, show, title
from measuring.projects import ctfs, origin, workplace, write
from measuring.writer import Writer

GOAL = 2.0
_CHANGE = b"event: change"
SECONDS = 30.0


class Listener:
    """One connection to the events, read as it comes; `told` is when each change came."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.removeprefix("http://").partition(":")
        self._port = int(port)
        self.told: list[float] = []

    async def open(self) -> asyncio.Task[None]:
        """Connect and wait for the first words; returns what goes on listening."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(f"GET /api/events HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        return asyncio.create_task(self._listen(reader, writer))

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if line.startswith(_CHANGE):
                    self.told.append(time.perf_counter())
        finally:
            writer.close()


async def heard(address: str, file: Path, agent: psutil.Process, *, count: int, changes: int) -> dict[str, list[float]]:
    """Return, of each change, the seconds to the first and the last listener, and the CPU of the agent meanwhile."""
    listeners = [Listener(address) for _ in range(count)]
    tasks = [await listener.open() for listener in listeners]
    await asyncio.sleep(2)
    found: dict[str, list[float]] = {"first": [], "all": [], "lost": []}
    writer = Writer(file)
    before = used(agent)
    for _ in range(changes):
        for listener in listeners:
            listener.told.clear()
        writer.append()
        committed = time.perf_counter()
        while time.perf_counter() - committed < SECONDS and not all(listener.told for listener in listeners):
            await asyncio.sleep(0.02)
        times = [listener.told[0] - committed for listener in listeners if listener.told]
        found["lost"].append(count - len(times))
        found["first"].append(min(times))
        found["all"].append(percentile(times, 1.0))
        await asyncio.sleep(1)
    found["cpu"] = [1e3 * (used(agent) - before) / changes]
    found["memory"] = [agent.memory_info().rss / 1e6]
    writer.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return found


def used(process: psutil.Process) -> float:
    """Return the seconds of CPU that a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--micrographs", type=int, default=5_000)
    p.add_argument("--listeners", type=int, default=200)
    p.add_argument("--changes", type=int, default=10)
    a = p.parse_args()
    with workplace() as folder:
        project = write(folder, "session", a.micrographs, running=True)
        with Watching(project, folder / "data") as watching:
            watching.wait_for(1, a.micrographs)
            agent = psutil.Process(watching.process.pid)
            title(f"listeners: {a.listeners} listening to the events of {a.micrographs:,} micrographs; {origin()}")
            alone, many = (
                asyncio.run(heard(watching.address, ctfs(project), agent, count=count, changes=a.changes))
                for count in (1, a.listeners)
            )
    show("from the commit until the first is notified", Rounds(many["first"]))
    show("until the last is notified", Rounds(many["all"]), goal=GOAL)
    ratio(Rounds(many["all"]), Rounds(alone["all"]), "a single listener")
    show(
        "between the first and the last",
        Rounds([1e3 * (b - x) for x, b in zip(many["first"], many["all"], strict=True)], "ms"),
    )
    show("CPU of the agent per change, including its looks at the files", Rounds(many["cpu"], "ms"))
    ratio(Rounds(many["cpu"], "ms"), Rounds(alone["cpu"], "ms"), "a single listener")
    show("resident memory of the agent", Rounds(many["memory"], "MB"))
    ratio(Rounds(many["memory"], "MB"), Rounds(alone["memory"], "MB"), "a single listener")
    show("changes that a listener missed", Rounds([sum(many["lost"])], "of them"), goal=0)


if __name__ == "__main__":
    main()
