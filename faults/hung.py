"""The file system under one project hangs at random moments: the others continue, pages answer, the agent ends in time.

The project is on a FUSE file system (bindfs) whose process is stopped (SIGSTOP).  Everything that accesses it waits
until the process continues, as below an NFS mount whose server is down.  A waiting process can be killed, but nothing
else ends it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil

from faults.site import Project, Site, until, workplace
from faults.verdicts import Verdicts
from tests.support.influxd import InfluxServer

DEAD = "dead"
_STORED = """
SELECT session.name, micrograph.item, micrograph.defocus_u FROM micrograph JOIN output ON output.id = output_id
JOIN session ON session.id = session_id WHERE output.kind = 'ctf'"""
PATIENCE = 10.0
"""Seconds that a page or image may take: the process that renders is held for 20 s, another takes its place after 2."""

_PAGES = (
    "/", "/s/alive-0/summary", f"/s/{DEAD}/summary", "/api/sessions", f"/api/sessions/{DEAD}/data/ctf",
    "/api/sessions/alive-1/data/summary", "/metrics",
)  # fmt: skip


class Mount:
    """A folder mounted elsewhere by a process that can be stopped, and with it everything that asks for a file."""

    def __init__(self, below: Path, place: Path) -> None:
        self.place = place
        place.mkdir(parents=True)
        self._process = subprocess.Popen(["bindfs", "-f", below, place], stdin=subprocess.DEVNULL)
        until(lambda: os.path.ismount(place), seconds=10)

    def hang(self) -> None:
        """Answer nothing any more."""
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Answer again, also what was asked meanwhile."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Unmount it; what still waits for an answer gets an error."""
        self.wake()
        subprocess.run(["umount", "--lazy", self.place], check=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()


def why_not() -> str:
    """Return why this cannot be tried here; empty where it can."""
    if os.geteuid() != 0:
        return "only root can mount a file system"
    return "" if Path("/dev/fuse").exists() else "there is no FUSE here"


def hung(moments: int, *, every: float = 0.2, brief: bool = False, quiet: bool = False) -> Verdicts:
    """Let the file system under one of three projects hang so many times, while all of them grow.

    A `brief` attack does not wait until people are told or a new project is found, and starts no agent meanwhile.
    """
    found = Verdicts("The file system under one project hangs", quiet=quiet)
    if reason := why_not():
        found.skipped(reason)
        return found
    with workplace() as folder, _facility(folder, every) as (site, projects, mount, server):
        site.start("--listen", "127.0.0.1:0")
        site.address()
        until(lambda: len(_stored(site)) >= 3)
        ends = _Ends()
        chance = random.Random(3)
        for number in range(moments):
            time.sleep(chance.uniform(0.3, 1.5))
            mount.hang()
            ends.look(site, projects, brief=brief)
            if number == 0 and not brief:
                ends.told = bool(until(lambda: _state(site) == "gone", seconds=60))
            mount.wake()
            ends.back.append(bool(until(lambda: _whole(site, projects, only=[DEAD]), seconds=45)))
        time.sleep(chance.uniform(0.3, 1.5))
        mount.hang()
        time.sleep(0.5)
        ended = [_end(site, mount)]
        again = brief
        if not brief:
            site.start("--listen", "127.0.0.1:0")
            again = bool(until(lambda: _newer(site, projects), seconds=30))
            ended.append(_end(site, mount))
        mount.wake()
        for project in projects.values():
            project.stop()
        status = site.finish()
        whole = _whole(site, projects)
        points = sorted((str(row["project"]), int(row["ctfID"])) for row in server.rows(_POINTS))
        expected = sorted((name, item) for name, project in projects.items() for item in project.written)
        ends.judge(found, moments, brief=brief)
        found.promise("while it hangs, the agent shuts down within 10 s", kept=max(ended) < 10, otherwise=ended)
        if not brief:
            text = "while it hangs, an agent starts and watches the other projects"
            found.promise(text, kept=again, otherwise=site.said()[-500:])
        found.promise("at the end, the store and InfluxDB contain each item of all projects once, with its values",
                      kept=status == 0 and whole and points == expected and site.whole() == "ok",
                      otherwise=(status, whole, len(points), len(expected)))  # fmt: skip
        traces = site.said().count("Traceback")
        found.promise("the log contains no traceback", kept=not traces, otherwise=traces)
    return found


_POINTS = "SELECT ctfID, defocusU FROM micrograph WHERE ctfID > 0 GROUP BY project"


@contextmanager
def _facility(folder: Path, every: float) -> Iterator[tuple[Site, dict[str, Project], Mount, InfluxServer]]:
    server = InfluxServer(folder / "influx")
    projects: dict[str, Project] = {}
    mount: Mount | None = None
    site: Site | None = None
    try:
        server.query("CREATE DATABASE scipion")
        site = Site(folder, influx=server.url, publish=f"file://{folder}/published", more="[alerts]\nenabled = false")
        places = {"alive-0": site.projects / "alive-0", "alive-1": site.projects / "alive-1", DEAD: folder / "below"}
        projects = {name: Project(place, seed=seed) for seed, (name, place) in enumerate(places.items())}
        mount = Mount(folder / "below", site.projects / DEAD)
        for project in projects.values():
            project.grow(10)
            project.start(every)
        yield site, projects, mount, server
    finally:
        for project in projects.values():
            project.stop()
        if mount is not None:
            mount.close()
        if site is not None:
            site.kill()
        server.stop()


class _Ends:
    """What came of each time that the file system hung."""

    def __init__(self) -> None:
        self.went_on: list[bool] = []
        self.pages: list[str] = []
        self.slowest = 0.0
        self.images: list[str] = []
        self.found: list[bool] = []
        self.back: list[bool] = []
        self.told = False

    def look(self, site: Site, projects: dict[str, Project], *, brief: bool) -> None:
        """Look at the others, at the pages, and for a new project, while one hangs."""
        self.went_on.append(bool(until(lambda: _newer(site, projects), seconds=15)))
        for path in _PAGES:
            self._get(site, path, self.pages)
        rows = site.get("/api/sessions/alive-0/micrographs?limit=3")["micrographs"]
        for row in rows:
            self._get(site, f"/images/{row['id']}/micrograph?size=256", self.images)
        if brief:
            return
        name = f"new-{len(self.found)}"
        new = projects[name] = Project(site.projects / name)
        new.grow(3)
        self.found.append(bool(until(lambda: _whole(site, projects, only=[name]), seconds=30)))

    def _get(self, site: Site, path: str, odd: list[str]) -> None:
        began = time.monotonic()
        try:
            answer = httpx2.get(f"{site.address()}{path}", timeout=PATIENCE, trust_env=False)
        except httpx2.TransportError as error:
            odd.append(f"{path}: {error}")
            return
        self.slowest = max(self.slowest, time.monotonic() - began)
        if answer.status_code != 200:
            odd.append(f"{path}: {answer.status_code} {answer.text[:100]}")

    def judge(self, found: Verdicts, moments: int, *, brief: bool) -> None:
        found.figure(
            f"a FUSE file system (bindfs) with a stopped process hung {moments} times under one of three growing"
            f" projects; the slowest page or image meanwhile took {self.slowest:.2f} s"
        )
        for text, kept in (
            ("new data of the other projects are stored meanwhile", self.went_on),
            ("a new project is found meanwhile", self.found),
            ("once the file system responds again, everything written meanwhile is read", self.back),
        ):
            found.promise(text, kept=all(kept), otherwise=f"{kept.count(False)} of {len(kept)} times not")
        odd = [*self.pages, *self.images]
        found.promise("pages, and images of the other projects, are served meanwhile", kept=not odd, otherwise=odd[:5])
        if not brief:
            found.promise("the session says that its project does not respond, until it does", kept=self.told,
                          otherwise="it is not within a minute")  # fmt: skip


def _end(site: Site, mount: Mount) -> float:
    """End the agent while the file system hangs; returns the seconds that took.

    A thread that the system holds in the middle of a file cannot be ended by anybody.  The agent counts as ended when
    nothing but such a thread is left of it; then that is let go.
    """
    assert site.agent is not None
    process = psutil.Process(site.agent.pid)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    until(lambda: process.status() == psutil.STATUS_ZOMBIE, seconds=20)
    took = time.monotonic() - began
    mount.wake()
    site.kill()
    mount.hang()
    return took


def _stored(site: Site) -> Mapping[str, dict[int, float]]:
    """Return defocus U of every stored CTF, in Å, by project and id."""
    found: dict[str, dict[int, float]] = {}
    for name, item, defocus in site.rows(_STORED):
        assert item not in found.setdefault(name, {}), "a CTF is stored twice"
        found[name][item] = defocus
    return found


def _whole(site: Site, projects: Mapping[str, Project], *, only: Sequence[str] = ()) -> bool:
    """Return whether the store holds at least what some projects, or all, held when this was asked."""
    written = {name: dict(project.written) for name, project in projects.items() if not only or name in only}
    stored = _stored(site)
    return all(written[name].items() <= stored.get(name, {}).items() for name in written)


def _newer(site: Site, projects: Mapping[str, Project]) -> bool:
    """Return whether items of both living projects that are written from now on come into the store."""
    names = ("alive-0", "alive-1")
    before = {name: len(projects[name].written) for name in names}
    return bool(until(lambda: all(len(_stored(site).get(name, {})) > before[name] for name in names), seconds=5))


def _state(site: Site) -> str:
    (row,) = site.rows(f"SELECT state FROM session WHERE name = '{DEAD}'")
    return str(row[0])
