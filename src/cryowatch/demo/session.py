"""The made-up session as it unfolds: some of it lies in the past, then movies come, are aligned and estimated.

What lies in the past is there whole when the project is, as if somebody had watched from the beginning: each movie was
aligned and estimated soon after it came.  The newest images are there as well; the older ones, of which nobody asks at
first, are drawn in between, the newest first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np

from cryowatch.demo import shift_plot
from cryowatch.demo.gain import GainFile
from cryowatch.demo.optics import Optics, power_spectrum
from cryowatch.demo.project import ACQUISITION, Run, SetFile, local, write_objects
from cryowatch.demo.specimen import Specimen
from cryowatch.demo.story import FRAMES, PAUSE, PIXEL_SIZE, Exposure, exposure

BINNING = 5
HEIGHT, WIDTH = 818, 1152
SPECTRUM = 384
SPECTRUM_PIXEL_SIZE = 1.4
MOST_IN_THE_PAST = 200
DRAWN_AT_FIRST = 6
"""Images, of three micrographs, before the project is there: a page shows the newest, and nobody has to wait long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A stage (0 import, 1 alignment, 2 CTF) finishes an exposure at a time in seconds."""

    time: float
    stage: int
    number: int


def timetable(micrographs: int, every: float, now: float) -> list[Event]:
    """Return all events in order; two fifths of the session, at most 200 micrographs, lie before `now`."""
    past = min(MOST_IN_THE_PAST, micrographs * 2 // 5)
    pauses = {past // 2, past + 50} if micrographs > 100 else {past + (micrographs - past) // 2}
    events = []
    ahead = 0.0
    times = []
    for number in range(1, micrographs + 1):
        ahead += every * (1 + PAUSE * (number in pauses))
        times.append(ahead)
    start = now - (times[past - 1] + 2 * every if past else 0)
    for number, offset in enumerate(times, start=1):
        for stage, lag in enumerate((0.0, 0.8 * every, 1.5 * every)):
            events.append(Event(time=start + offset + lag, stage=stage, number=number))
    return sorted(events, key=lambda e: (e.time, e.stage))


class DemoSession:
    """Writes the project and its images into a new folder."""

    def __init__(self, folder: Path, *, seed: int = 7) -> None:
        self._root = folder
        self._seed = seed
        self._random = np.random.default_rng(seed)
        self._optics = Optics()
        self._specimen = Specimen(
            self._random, self._optics, height=HEIGHT, width=WIDTH, pixel_size=PIXEL_SIZE * BINNING
        )
        folder.mkdir(parents=True)
        told = {name.removeprefix("_"): value for name, value in ACQUISITION.items()}
        self._runs = (
            Run(folder, 2, "ProtImportMovies", "import movies", parameters={**told, "samplingRate": PIXEL_SIZE}),
            Run(folder, 67, "ProtMotionCorr", "movie alignment - motioncor"),
            Run(folder, 135, "CistemProtCTFFind", "ctffind4"),
        )
        self._gain_run = Run(folder, 203, "XmippProtMovieGain", "movie gain")
        self._gain = GainFile(folder / self._gain_run.folder, seed)
        self._sets: tuple[SetFile, ...] = ()

    def begin(self, started: float, past: Sequence[Event] = ()) -> None:
        """Write the project as the GUI stores it, with what has happened since the runs were launched but its images.

        The file by which a project is known comes last.
        """
        image = {f"_acquisition.{name}": value for name, value in ACQUISITION.items()}
        kinds: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
            ("outputMovies", "movies", "SetOfMovies", {"_samplingRate": PIXEL_SIZE, **image}),
            ("outputMicrographs", "micrographs", "SetOfMicrographs", {"_samplingRate": PIXEL_SIZE * BINNING, **image}),
            ("outputCTF", "ctfs", "SetOfCTF", {}),
        )
        sets = []
        for run, (output, file, class_name, properties) in zip(self._runs, kinds, strict=True):
            run.started = local(started)
            run.output = output
            run.set = SetFile(self._root, f"{run.folder}/{file}.sqlite", class_name, properties)
            sets.append(run.set)
        self._sets = tuple(sets)
        for stage, (run, file_) in enumerate(zip(self._runs, sets, strict=True)):
            file_.append([self._item(event, event.time) for event in past if event.stage == stage])
            run.store()
        self._gain_run.started = local(started)
        self._gain_run.store()
        for event in past:
            self._measure(event, event.time)
        self._started = started
        self._store_project()

    def happen(self, event: Event, created: float) -> None:
        """Write what an event brings; images come before the rows that name them."""
        self.draw(event)
        self._sets[event.stage].append([self._item(event, created)])
        self._runs[event.stage].store()
        self._measure(event, created)

    def draw(self, event: Event) -> None:
        """Write the images that an event brings; an import brings none."""
        shot = exposure(event.number, self._seed)
        if event.stage == 1:
            self._draw_micrograph(shot)
        elif event.stage == 2:
            self._draw_spectrum(shot)

    def end(self, now: float) -> None:
        """Close the streams and store the project once more."""
        for run, file in zip(self._runs, self._sets, strict=True):
            run.status = "finished"
            run.ended = local(now)
            file.close_stream()
            run.store()
        self._gain_run.status = "finished"
        self._gain_run.ended = local(now)
        self._gain_run.store()
        self._store_project()

    def _store_project(self) -> None:
        runs = (*self._runs, self._gain_run)
        creation = (1, None, "CreationTime", "String", local(self._started - 60), "")
        write_objects(self._root / "project.sqlite", [creation, *(row for run in runs for row in run.objects())])

    def _item(self, event: Event, created: float) -> tuple[int, float, dict[str, Any]]:
        values = (self._movie, self._aligned, self._estimate)[event.stage](exposure(event.number, self._seed))
        return event.number, created, values

    def _measure(self, event: Event, created: float) -> None:
        """Add the gain residual of a movie that was aligned."""
        if event.stage == 1:
            self._gain.append(event.number, created)

    def _movie(self, shot: Exposure) -> dict[str, Any]:
        acquisition = {f"_acquisition.{name}": value for name, value in ACQUISITION.items()}
        return {
            "_index": 0,
            "_filename": f"{self._runs[0].folder}/extra/{shot.name}.tiff",
            "_samplingRate": PIXEL_SIZE,
            **acquisition,
            "_micName": shot.name,
            "_framesRange": f"1,{FRAMES},1",
        }

    def _draw_micrograph(self, shot: Exposure) -> None:
        extra = f"{self._runs[1].folder}/extra"
        plane = self._specimen.micrograph(
            shot.defocus,
            particles=shot.particles,
            thickness=shot.thickness,
            drift=shot.drift,
            crystals=shot.crystals,
            edge=shot.edge,
        )
        mrcfile.write(self._root / extra / f"{shot.name}_aligned_mic.mrc", plane, voxel_size=PIXEL_SIZE * BINNING)
        plot = f"{extra}/{shot.name}_global_shifts.png"
        (self._root / plot).write_bytes(shift_plot.draw(shot.shifts))

    def _aligned(self, shot: Exposure) -> dict[str, Any]:
        extra = f"{self._runs[1].folder}/extra"
        total, early, late = shot.motion
        return {
            **self._movie(shot),
            "_filename": f"{extra}/{shot.name}_aligned_mic.mrc",
            "_samplingRate": PIXEL_SIZE * BINNING,
            "plotGlobal._index": 0,
            "plotGlobal._filename": f"{extra}/{shot.name}_global_shifts.png",
            "_rlnAccumMotionTotal": total,
            "_rlnAccumMotionEarly": early,
            "_rlnAccumMotionLate": late,
        }

    def _spectrum(self, shot: Exposure) -> str:
        return f"{self._runs[2].folder}/extra/{shot.name}_aligned_mic_ctf.mrc"

    def _draw_spectrum(self, shot: Exposure) -> None:
        plane = power_spectrum(
            self._random,
            self._optics,
            shot.defocus,
            size=SPECTRUM,
            pixel_size=SPECTRUM_PIXEL_SIZE,
            resolution=shot.resolution if shot.fitted else 40.0,
            drift=shot.drift,
            ice=0.35 if shot.crystals > 1 else 0.0,
        )
        mrcfile.write(self._root / self._spectrum(shot), plane, voxel_size=SPECTRUM_PIXEL_SIZE)

    def _estimate(self, shot: Exposure) -> dict[str, Any]:
        found = shot.defocus
        estimate = (found.u, found.v, found.angle) if shot.fitted else (-999.0, -1.0, -999.0)
        return {
            **{f"_micObj.{name}": value for name, value in self._aligned(shot).items()},
            **dict(zip(("_defocusU", "_defocusV", "_defocusAngle"), estimate, strict=True)),
            "_defocusRatio": estimate[0] / estimate[1],
            "_psdFile": self._spectrum(shot),
            "_resolution": shot.resolution,
            "_fitQuality": shot.fit_quality,
        }


def unfold(
    session: DemoSession,
    *,
    micrographs: int,
    every: float,
    wait: Callable[[float], bool],
    clock: Callable[[], float] = time.time,
) -> None:
    """Write the whole session in its own time; `wait` sleeps some seconds and says whether to go on."""
    now = clock()
    events = timetable(micrographs, every, now)
    past = [event for event in events if event.time <= now]
    undrawn = [event for event in reversed(past) if event.stage > 0]
    for event in undrawn[:DRAWN_AT_FIRST]:
        session.draw(event)
    session.begin(events[0].time - every, past)
    del undrawn[:DRAWN_AT_FIRST]
    for event in events[len(past) :]:
        while undrawn:
            if not wait(0):
                return
            session.draw(undrawn.pop(0))
            if clock() >= event.time:
                break
        if not wait(event.time - clock()):
            return
        session.happen(event, event.time)
    for event in undrawn:
        if not wait(0):
            return
        session.draw(event)
    session.end(clock())
