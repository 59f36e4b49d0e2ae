"""InfluxDB is down for hours of full work: memory and disk stay limited, and everything kept arrives, in order.

The agent's clock runs faster (`hurried.py`), so the hours pass in a minute.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import psutil

from cryowatch.store.writer import FILE_NAME
from faults.site import Project, Site, delivered, until, workplace
from faults.verdicts import Verdicts
from tests.support.influxd import InfluxServer

AN_HOUR = 600
"""Micrographs of a fast microscope."""

MOST_GROWTH = 30.0
"""Megabytes by which the agent's memory may grow while the server is away, and once it is back."""

ROOM = 0.2
"""By how much of itself the samples' room may be exceeded until the next look at it, ten minutes later."""

_HURRIED = Path(__file__).with_name("hurried.py")
_TAKEN = """
SELECT sum(pgsize) FROM dbstat WHERE aggregate = 1 AND name IN (
    SELECT name FROM sqlite_schema WHERE tbl_name IN ('host_sample', 'device_sample'))"""
_SAMPLES = "SELECT count(*), max(id) FROM host_sample"


def away(hours: float, *, seconds: float, keep_mb: float, quiet: bool = False) -> Verdicts:
    """Let the server be away for so many hours, which pass in so many seconds; samples may take `keep_mb` megabytes."""
    found = Verdicts("InfluxDB is down for hours", quiet=quiet)
    with workplace() as folder:
        server = InfluxServer(folder / "influx")
        program = (str(_HURRIED), str(hours * 3600 / seconds), str(keep_mb))
        site = Site(folder, influx=server.url, program=program)
        try:
            server.query("CREATE DATABASE scipion")
            project = Project(site.projects / "alpha", images=False)
            project.grow(AN_HOUR)
            agent = psutil.Process(site.start("--listen", "127.0.0.1:0").pid)
            assert until(lambda: len(delivered(server)) == AN_HOUR), site.said()
            outage = _Outage(site, project, agent)
            outage.pass_by(seconds / 8, round(AN_HOUR * hours / 8))
            usual = statistics.median(outage.memory)
            server.stop()
            outage.pass_by(seconds, round(AN_HOUR * hours))
            until(lambda: _shown(site)["dropped"])  # on a slow machine there are fewer samples for as many micrographs
            shown = _shown(site)
            server.start()
            outage.replay(server)
            took, status = site.interrupt(), site.finish()
            _judge(found, outage, server, usual=usual, shown=shown, hours=hours, seconds=seconds, keep_mb=keep_mb)
            ended = took is not None and took < 10 and status == 0
            found.promise("the agent shuts down cleanly within 10 s", kept=ended, otherwise=(took, status))
        finally:
            site.kill()
            server.stop()
    return found


class _Outage:
    """What was seen of an agent whose server is away, and then back."""

    def __init__(self, site: Site, project: Project, agent: psutil.Process) -> None:
        self.site = site
        self.project = project
        self.memory: list[float] = []
        self.taken: list[float] = []
        self.file: list[float] = []
        self.gaps: list[int] = []
        self.looks = 0
        self.all_came = False
        self._agent = agent

    def pass_by(self, seconds: float, micrographs: int) -> None:
        """Let so many micrographs come, evenly."""
        began = time.monotonic()
        first = len(self.project.written)
        while (passed := time.monotonic() - began) < seconds:
            due = first + round(micrographs * min(1.0, passed / seconds))
            if due > len(self.project.written):
                self.project.grow(due - len(self.project.written))
            self._measure()
            time.sleep(0.1)
        self.project.grow(first + micrographs - len(self.project.written))

    def replay(self, server: InfluxServer) -> None:
        """Look at what has come, again and again, until all has."""
        every = sorted(self.project.written.items())

        def looked() -> bool:
            came = delivered(server)
            self.looks += AN_HOUR < len(came) < len(every)
            self.gaps += [len(came)] if came != every[: len(came)] else []
            self._measure()
            return len(came) == len(every) and not _shown(self.site)["problem"]

        self.all_came = bool(until(looked, seconds=60, every=0.01))

    def _measure(self) -> None:
        self.memory.append(self._agent.memory_info().rss / 1e6)
        self.taken.append((self.site.rows(_TAKEN)[0][0] or 0) / 1e6)
        self.file.append((self.site.data / FILE_NAME).stat().st_size / 1e6)


def _shown(site: Site) -> dict[str, Any]:
    """Return what the page of sessions says of the delivery."""
    (delivery,) = site.get("/api/sessions")["deliveries"]
    return dict(delivery)


def _judge(
    found: Verdicts,
    outage: _Outage,
    server: InfluxServer,
    *,
    usual: float,
    shown: dict[str, Any],
    hours: float,
    seconds: float,
    keep_mb: float,
) -> None:
    kept, made = outage.site.rows(_SAMPLES)[0]
    (dropped,) = outage.site.rows("SELECT dropped FROM position")[0]
    points = len(server.rows("SELECT * FROM system"))
    found.figure(
        f"{hours:g} hours in {seconds:g} s: {round(AN_HOUR * hours):,} micrographs and {made:,} samples of the machine,"
        f" of which {kept:,} were left at the end"
    )
    most = max(outage.memory)
    found.figure(f"memory of the agent, MB: {usual:.1f} before, at most {most:.1f} afterwards")
    found.figure(
        f"on disk, MB: the store at most {max(outage.file):.1f}, the samples in it at most {max(outage.taken):.2f}"
        f" of {keep_mb:g}"
    )
    found.promise(f"memory grows by less than {MOST_GROWTH:.0f} MB", kept=most - usual < MOST_GROWTH,
                  otherwise=f"{most - usual:.1f} MB")  # fmt: skip
    found.promise("samples stay within their size limit", kept=max(outage.taken) < keep_mb * (1 + ROOM),
                  otherwise=f"{max(outage.taken):.2f} MB")  # fmt: skip
    counted = made == points + dropped
    found.promise("the oldest samples were dropped, and every dropped sample is counted", kept=dropped > 0 and counted,
                  otherwise=f"{made} made, {points} delivered, {dropped} dropped")  # fmt: skip
    said = shown["problem"] and shown["behind"] > 0 and 0 < shown["dropped"] <= dropped
    found.promise("the outage and the numbers of waiting and dropped items are shown meanwhile", kept=bool(said),
                  otherwise=shown)  # fmt: skip
    found.promise("after the outage, each micrograph is there once, with its values", kept=outage.all_came,
                  otherwise=f"{len(delivered(server))} of {len(outage.project.written)}")  # fmt: skip
    found.promise(f"they arrive in order: at {outage.looks} looks, the oldest were there without a gap",
                  kept=not outage.gaps, otherwise=outage.gaps[:5])  # fmt: skip
    said_ = outage.site.said()
    found.promise("the log contains no traceback", kept="Traceback" not in said_, otherwise=said_[-500:])
