"""A session of nearly five hours, told in simulated time, in which one thing after another goes wrong.

The project is written by the demo's engine in Scipion's layout, without images; the agent's own classes read it and
sample the machine, and the clock and the disk say what the script says.  An agent can be killed at any moment: after
the sample, with a part of the project read, after alerts were written and before anybody was told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from cryowatch.agent.session import Watch
from cryowatch.alerts.alarms import Alarms
from cryowatch.alerts.rules import STANDARD
from cryowatch.demo.project import ACQUISITION, Run, SetFile, local, write_objects
from cryowatch.demo.story import PIXEL_SIZE, exposure
from cryowatch.notices.channel import Channel
from cryowatch.notices.message import Context
from cryowatch.notices.notifier import Notifier
from cryowatch.sources.host import FileSystems, HostSource
from cryowatch.sources.scipion import ScipionSource
from cryowatch.store import Store

SECOND = 10**9
BEGIN = 1_795_000_000
EVERY = 30
MINUTE = 60
STAGES = ("import", "alignment", "ctf")
HOST = "gpu1"
_BLOCKS = 2 * 10**9

Span = tuple[float, float]


class Project:
    """A project whose stages can be stopped, and whose microscope can be led astray."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        told = {name.removeprefix("_"): value for name, value in ACQUISITION.items()}
        self.runs = (
            Run(folder, 2, "ProtImportMovies", "import movies", parameters={**told, "samplingRate": PIXEL_SIZE}),
            Run(folder, 67, "ProtMotionCorr", "motion correction"),
            Run(folder, 135, "CistemProtCTFFind", "ctffind4"),
        )
        kinds = (("outputMovies", "SetOfMovies"), ("outputMicrographs", "SetOfMicrographs"), ("outputCTF", "SetOfCTF"))
        for run, (output, class_name) in zip(self.runs, kinds, strict=True):
            run.output, run.started = output, local(BEGIN)
            run.set = SetFile(folder, f"{run.folder}/{output}.sqlite", class_name, {"_samplingRate": PIXEL_SIZE})
        self.done = [0, 0, 0]
        self.store()

    def store(self) -> None:
        """Write every run, as the processes and the GUI do."""
        creation = (1, None, "CreationTime", "String", local(BEGIN - 60), "")
        write_objects(self.folder / "project.sqlite", [creation, *(row for run in self.runs for row in run.objects())])
        for run in self.runs:
            run.store()

    def bring(self, stage: int, upto: int, now: float, values: Callable[[int], Mapping[str, Any]]) -> None:
        """Let a stage finish its items up to a number."""
        numbers = range(self.done[stage] + 1, upto + 1)
        file = self.runs[stage].set
        if numbers and file is not None:
            file.append([(number, now, values(number)) for number in numbers])
            self.done[stage] = upto
            self.runs[stage].store()


class Script:
    """What happens when, in minutes from the beginning."""

    defocus: Span = (60, 78)
    astigmatism: Span = (95, 120)
    no_import: Span = (135, 160)
    no_ctf: Span = (175, 195)
    disk: Span = (195, 255)
    failed: Span = (270, 280)
    end: float = 295

    def __init__(self, project: Project) -> None:
        self.project = project

    def happen(self, now: float) -> None:
        """Let everything happen that happens up to now (s)."""
        minute = (now - BEGIN) / MINUTE
        taken = int((now - BEGIN) // EVERY)
        project = self.project
        if not _within(minute, self.no_import):
            project.bring(0, taken, now, self._movie)
        failed = _within(minute, self.failed)
        alignment = project.runs[1]
        if failed != (alignment.status == "failed"):
            alignment.status = "failed" if failed else "running"
            alignment.ended = local(now) if failed else ""
            alignment.error = "step 12 of 40\nCUDA error: out of memory" if failed else ""
            project.store()
        if not failed:
            project.bring(1, max(project.done[1], project.done[0] - 1), now, self._movie)
        if not _within(minute, self.no_ctf):
            project.bring(2, max(project.done[2], project.done[1] - 1), now, self._ctf)

    def space(self, now: float) -> SimpleNamespace:
        """Return what `statvfs` says of the disk, a tenth of which the system keeps for itself.

        It is filled from 70 to 97.5 % of what users may write, slowly and in jumps as movies come; then people delete.
        """
        minute = (now - BEGIN) / MINUTE
        begin, end = self.disk
        filled = 27.5 * (minute - begin) / (end - begin) if _within(minute, self.disk) else 0.0
        writable = _BLOCKS - _BLOCKS // 10
        free = round(writable * (1 - (70 + filled) / 100)) - round(now // EVERY) % 5 * 1000
        return SimpleNamespace(f_frsize=4096, f_blocks=_BLOCKS, f_bavail=free, f_bfree=free + _BLOCKS // 10)

    def _movie(self, number: int) -> Mapping[str, Any]:
        shot = exposure(number, 7)
        return {"_filename": f"{shot.name}.tiff", "_micName": shot.name, "_samplingRate": PIXEL_SIZE}

    def _ctf(self, number: int) -> Mapping[str, Any]:
        minute = number * EVERY / MINUTE
        mean = 55_000.0 if _within(minute, self.defocus) else 12_000.0 + 500 * (number % 7)
        begin, end = self.astigmatism
        grown = 2_000 * (minute - begin) / (end - begin) if _within(minute, self.astigmatism) else 0.0
        half = (250.0 + 10 * (number % 5) + grown) / 2
        return {
            "_micObj._micName": exposure(number, 7).name,
            "_defocusU": mean + half,
            "_defocusV": mean - half,
            "_defocusAngle": 40.0,
            "_resolution": 3.2 + 0.1 * (number % 9),
            "_fitQuality": 0.2 + 0.01 * (number % 5),
            "_micObj._rlnAccumMotionTotal": 4.0 + number % 3,
        }


def _within(minute: float, span: Span) -> bool:
    return span[0] <= minute < span[1]


class Killed(Exception):
    """The agent's end, wherever it was."""


class Watcher:
    """The agent's parts that see the project and tell of it, on a clock of their own; begun anew they go on."""

    def __init__(
        self,
        project: Path,
        data: Path,
        clock: Callable[[], float],
        space: Callable[[float], SimpleNamespace],
        channel: Channel | None,
    ) -> None:
        def now() -> int:
            return round(clock() * SECOND)

        self._now = now
        self.store = Store(data)
        self._project = project
        self._watch = Watch(project, ScipionSource(project, host=HOST), self.store, host=HOST, clock=self._now)
        disks = FileSystems(usage=lambda _: space(clock()))  # type: ignore[arg-type, return-value]
        disks.recall(self.store.reader().free_space(HOST, since=now() - 3600 * SECOND))
        self._host = HostSource(HOST, clock=self._now, file_systems=disks)
        self.alarms = Alarms(self.store, STANDARD, host=HOST, read_at=self._read_at, clock=self._now)
        self._notifier = None
        if channel is not None:
            context = Context(host=HOST, zone=ZoneInfo("UTC"))
            self._notifier = Notifier(self.store, channel, context, digest_minutes=0, clock=now, mono=clock)

    def look(self, killed_at: int | None = None) -> None:
        """Sample the host, read everything, judge and tell; raises `Killed` after so many of these steps."""
        for place, step in enumerate((self._sample, self._read, self.alarms.step, self._tell)):
            if place == killed_at:
                raise Killed
            step()

    def told(self) -> list[tuple[str, str]]:
        """Return what people were to be told: event and rule."""
        _, rows = self.store.reader().table(
            "SELECT event, rule FROM notice JOIN alert ON alert.id = alert_id"
            " WHERE event != 'replaced' ORDER BY notice.id"
        )
        return [(event, rule) for event, rule in rows]

    def _read_at(self, _: int) -> int | None:
        return self._watch.last_read if self._watch.whole else None

    def _sample(self) -> None:
        """Sample this machine as the agent does; its memory alone is not left to chance."""
        sample = self._host.sample([self._project])
        self.store.add_host_sample(replace(sample, memory=50.0, swap=0.0))

    def _read(self) -> None:
        while True:
            reading, _ = self._watch.step()
            if reading is not None and reading.finished:
                break

    def _tell(self) -> None:
        if self._notifier is not None:
            self._notifier.step()


@contextmanager
def watching(
    project: Path,
    data: Path,
    clock: Callable[[], float],
    space: Callable[[float], SimpleNamespace],
    channel: Channel | None = None,
) -> Iterator[Watcher]:
    watcher = Watcher(project, data, clock, space, channel)
    try:
        yield watcher
    finally:
        watcher.store.close()
