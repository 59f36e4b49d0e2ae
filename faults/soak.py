"""Half an hour of everything at once: memory, descriptors and threads of the agent do not grow."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx2
import psutil

from faults.site import Project, Site, until, workplace
from faults.verdicts import Verdicts
from tests.support.influxd import InfluxServer

PROJECTS = 4
BACKLOG = 4_000
"""Micrographs that each project holds before, which is a night's work.

So the largest page of a set has been read once, and the pages have drawn thousands of points: what memory that takes is
taken, and the half hour is about what comes on top.
"""

LISTENERS = 6
PAGES = (
    "/", "/s/{key}/summary", "/s/{key}/ctf", "/api/sessions", "/api/sessions/{key}", "/metrics", "/healthz",
    "/api/sessions/{key}/data/summary", "/api/sessions/{key}/data/ctf", "/api/sessions/{key}/data/system",
    "/api/sessions/{key}/micrographs?limit=60", "/api/sessions/{key}/micrographs?after=0&limit=500",
)  # fmt: skip
MOST_GROWTH = 0.05
"""By how much of itself memory may differ between the beginning and the end, each the median of a third."""


@dataclass(slots=True)
class _Samples:
    """What was measured of the agent's process, and of those that it started, again and again."""

    memory: list[float] = field(default_factory=list)
    children: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)

    def take(self, pid: int) -> None:
        agent = psutil.Process(pid)
        with agent.oneshot():
            self.memory.append(agent.memory_info().rss / 1e6)
            self.descriptors.append(agent.num_fds())
            self.threads.append(agent.num_threads())
        sizes = []
        for child in agent.children(recursive=True):
            try:
                sizes.append(child.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue
        self.children.append(sum(sizes))
        self.processes.append(len(sizes))


class _Visitors:
    """Pages that listen, reload now and then, and look at everything."""

    def __init__(self, address: str, keys: Sequence[str]) -> None:
        self.address = address
        self.keys = keys
        self.answers: Counter[int] = Counter()
        self.events = 0
        self.odd: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._listen, args=(n,), daemon=True) for n in range(LISTENERS)]
        self._threads.append(threading.Thread(target=self._browse, daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _listen(self, number: int) -> None:
        """Listen for changes; every other one of the listeners comes anew after some events."""
        most = 10 * (number + 1) if number % 2 else 10**9
        while not self._stop.is_set():
            try:
                with httpx2.stream("GET", f"{self.address}/api/events", timeout=30, trust_env=False) as answer:
                    for count, line in enumerate(answer.iter_lines()):
                        self.events += line.startswith("event: change")
                        if self._stop.is_set() or count > 3 * most:
                            break
            except httpx2.TransportError as error:
                self._odd(f"events: {error}")

    def _browse(self) -> None:
        with httpx2.Client(base_url=self.address, timeout=30, trust_env=False) as client:
            number = 0
            while not self._stop.wait(0.25):
                number += 1
                key = self.keys[number % len(self.keys)]
                try:
                    self._get(client, PAGES[number % len(PAGES)].format(key=key))
                    if number % 4 == 0:
                        self._look_at_images(client, key)
                except httpx2.TransportError as error:
                    self._odd(str(error))

    def _look_at_images(self, client: httpx2.Client, key: str) -> None:
        rows = client.get(f"/api/sessions/{key}/micrographs?limit=2").json()["micrographs"]
        for row in rows:
            for kind in ("micrograph", "power-spectrum", "shift-plot"):
                self._get(client, f"/images/{row['id']}/{kind}?size=256")

    def _get(self, client: httpx2.Client, path: str) -> None:
        answer = client.get(path)
        self.answers[answer.status_code] += 1
        if answer.status_code != 200:
            self._odd(f"{path}: {answer.status_code} {answer.text[:100]}")

    def _odd(self, text: str) -> None:
        if not self._stop.is_set() and len(self.odd) < 20:
            self.odd.append(text)


def soak(seconds: float, *, warm: float, every: float = 5.0, quiet: bool = False) -> Verdicts:
    """Let everything run so long, and measure from `warm` seconds on."""
    found = Verdicts("Soak", quiet=quiet)
    with workplace() as folder:
        server = InfluxServer(folder / "influx")
        projects = []
        try:
            server.query("CREATE DATABASE scipion")
            site = Site(folder, influx=server.url, publish=f"file://{folder}/published")
            projects = [Project(site.projects / f"session-{number}", seed=number) for number in range(PROJECTS)]
            for project in projects:
                project.grow(BACKLOG)
                project.start(every=1.0)
            agent = site.start("--listen", "127.0.0.1:0")
            visitors = _Visitors(site.address(), [project.root.name for project in projects])
            until(lambda: len(site.stored_items()) >= BACKLOG * PROJECTS, seconds=60)
            samples = _measured(agent.pid, seconds, warm=warm, every=every)
            visitors.stop()
            for project in projects:
                project.stop()
            whole = sum(len(project.written) for project in projects)
            caught_up = until(lambda: len(site.stored_items()) == whole)
            took = site.interrupt()
            status = site.finish()
            _judge(found, samples, seconds=seconds, warm=warm, lasting=seconds >= 600)
            _judge_work(found, site, visitors, whole, caught_up=bool(caught_up))
            ended = took is not None and took < 10 and status == 0
            found.promise(
                "the agent shuts down cleanly within 10 s", kept=ended, otherwise=(took, status, site.said()[-300:])
            )
        finally:
            for project in projects:
                project.stop()
            site.kill()
            server.stop()
    return found


def _measured(pid: int, seconds: float, *, warm: float, every: float) -> _Samples:
    samples = _Samples()
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        if now >= warm:
            samples.take(pid)
        time.sleep(every)
    return samples


def _judge(found: Verdicts, samples: _Samples, *, seconds: float, warm: float, lasting: bool) -> None:
    found.figure(
        f"{seconds / 60:.0f} minutes, of which the first {warm / 60:.0f} are not measured; {len(samples.memory)}"
        f" samples of a process with {PROJECTS} projects growing from {BACKLOG:,} micrographs on, InfluxDB, a"
        f" published folder and {LISTENERS} listening pages"
    )
    first, last = _thirds(samples.memory)
    growth = last / first - 1
    found.figure(
        f"memory of the agent, MB: {first:.1f} in the first third, {last:.1f} in the last ({growth:+.1%}),"
        f" at most {max(samples.memory):.1f}; of the rendering processes: at most {max(samples.children):.0f}"
    )
    if lasting:
        found.promise(f"memory is flat within {MOST_GROWTH:.0%}", kept=growth < MOST_GROWTH, otherwise=f"{growth:+.1%}")
    for what, values in (("descriptors", samples.descriptors), ("threads", samples.threads)):
        early, late = (max(part) for part in _parts(values))
        found.figure(f"{what}, at most: {early} in the first third, {late} in the last")
        found.promise(f"{what} are flat", kept=late <= early + max(3, early // 20), otherwise=f"{early}, then {late}")
    most = max(samples.processes)
    found.promise("no process is left over", kept=most <= 4, otherwise=f"{most} at once")


def _judge_work(found: Verdicts, site: Site, visitors: _Visitors, whole: int, *, caught_up: bool) -> None:
    answers = sum(visitors.answers.values())
    found.figure(
        f"{whole:,} micrographs arrived, {answers:,} pages and images were requested, listeners were notified of"
        f" {visitors.events:,} changes"
    )
    found.promise("every micrograph is stored promptly", kept=caught_up, otherwise=len(site.stored_items()))
    found.promise("every page and image is served", kept=not visitors.odd, otherwise=visitors.odd[:5])
    said = site.said()
    found.promise("the log contains no traceback", kept="Traceback" not in said, otherwise=said[-500:])


def _parts(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    third = max(1, len(values) // 3)
    return values[:third], values[-third:]


def _thirds(values: Sequence[float]) -> tuple[float, float]:
    first, last = _parts(values)
    return statistics.median(first), statistics.median(last)
