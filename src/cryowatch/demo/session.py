"""The made-up session as it unfolds: some of it lies in the past, then movies come, are aligned and estimated.

What lies in the past is there whole when the project is, as if somebody had watched from the beginning: each movie was
aligned and estimated soon after it came.  As nobody waits for two hundred micrographs to be drawn, several of the past
that look alike are one that is mirrored, each with its own power spectrum and shift plot; and the images of the older
ones come in the first seconds that the project is there.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from numpy.typing import NDArray

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
AT_FIRST = 3 * 40
"""Events of the past whose images are there before the project is: those of the micrographs that pages show first."""

ALIKE = 8
"""How many micrographs of the past are made from one that is drawn."""

_MIRRORS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


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
            self._keep_micrograph(shot, self._micrograph(shot))
            self._draw_plot(shot)
        elif event.stage == 2:
            self._draw_spectrum(shot)

    def drawing(self, past: Sequence[Event], crew: Executor) -> list[Future[None]]:
        """Let a crew write the images of the past; returns what it is at."""
        aligned, estimated = ([exposure(e.number, self._seed) for e in past if e.stage == stage] for stage in (1, 2))
        return [
            *(crew.submit(self._draw_alike, shots) for shots in _alike(aligned)),
            *(crew.submit(self._draw_plot, shot) for shot in aligned),
            *(crew.submit(self._draw_spectrum, shot) for shot in estimated),
        ]

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

    def _draw_alike(self, shots: Sequence[Exposure]) -> None:
        """Write the micrographs of exposures that look alike: the first one's, and that one mirrored."""
        plane = self._micrograph(shots[0])
        for number, shot in enumerate(shots):
            down, across = _MIRRORS[number % len(_MIRRORS)]
            self._keep_micrograph(shot, plane[::down, ::across])

    def _micrograph(self, shot: Exposure) -> NDArray[np.int8]:
        return self._specimen.micrograph(
            shot.defocus,
            particles=shot.particles,
            thickness=shot.thickness,
            drift=shot.drift,
            crystals=shot.crystals,
            edge=shot.edge,
        )

    def _keep_micrograph(self, shot: Exposure, plane: NDArray[np.int8]) -> None:
        file = self._root / self._runs[1].folder / "extra" / f"{shot.name}_aligned_mic.mrc"
        mrcfile.write(file, np.ascontiguousarray(plane), voxel_size=PIXEL_SIZE * BINNING)

    def _draw_plot(self, shot: Exposure) -> None:
        plot = self._root / self._runs[1].folder / "extra" / f"{shot.name}_global_shifts.png"
        plot.write_bytes(shift_plot.draw(shot.shifts))

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


def _alike(shots: Sequence[Exposure]) -> Iterator[list[Exposure]]:
    """Yield exposures that look alike, a few at a time: the same focus within 0.4 µm, the same faults."""
    kinds: defaultdict[tuple[float | bool, ...], list[Exposure]] = defaultdict(list)
    for shot in shots:
        focus = round((shot.defocus.u + shot.defocus.v) / 2 / 4_000)
        faults = (shot.drift[0] > 0, shot.crystals > 1, shot.crystals > 0, shot.edge, shot.fitted)
        kinds[focus, *faults].append(shot)
    for kind in kinds.values():
        yield from (kind[first : first + ALIKE] for first in range(0, len(kind), ALIKE))


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
    newest, older = past[-AT_FIRST:], past[:-AT_FIRST]
    crew = ThreadPoolExecutor(os.cpu_count())
    try:
        for drawn in session.drawing(newest, crew):
            drawn.result()
            if not wait(0):
                return
        session.begin(events[0].time - every, past)
        meanwhile = session.drawing(older, crew)
        for event in events[len(past) :]:
            if not wait(event.time - clock()):
                return
            session.happen(event, event.time)
        for drawn in meanwhile:
            drawn.result()
        session.end(clock())
    finally:
        crew.shutdown(cancel_futures=True)
