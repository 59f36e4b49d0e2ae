"""A project in Scipion's own layout with two grids and a consensus, that a test edits; and the truth about it.

The truth is computed here from what was written, with numpy and plain Python, and nothing of cryowatch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cryowatch.demo.project import SetFile, write_objects

LIMITS = {"defocus": (0.1, 4.0), "resolution": (None, 6.0), "astigmatism": (None, 100.0)}
"""Those that pages have at first, in µm, Å and nm."""

WRONG = {"_defocusU": -999.0, "_defocusV": -1.0, "_defocusAngle": -999.0, "_resolution": -1.0}
"""What `CTFModel.setWrongDefocus` writes."""

AUTUMN = 1_792_889_400
"""UTC seconds of 2026-10-25 00:50: ten minutes later, clocks in Madrid go back from 03:00 to 02:00."""


@dataclass(frozen=True)
class Item:
    """A micrograph as one set holds it; lengths in Å, None where there is no fit."""

    number: int
    name: str
    time: int
    u: float | None = None
    v: float | None = None
    resolution: float | None = None
    enabled: bool = True

    @property
    def shown(self) -> dict[str, float | None]:
        """Defocus in µm, resolution in Å, astigmatism in nm."""
        if self.u is None or self.v is None:
            return {"defocus": None, "resolution": self.resolution, "astigmatism": None}
        return {
            "defocus": (self.u + self.v) / 2 / 10_000,
            "resolution": self.resolution,
            "astigmatism": abs(self.u - self.v) / 10,
        }


@dataclass
class Output:
    """One output of a run: its set on disk, and the items in it."""

    name: str
    class_name: str
    items: list[Item]
    file: str = ""


@dataclass
class Run:
    """One run: its outputs, what it was made from, and its local times as Scipion writes them."""

    number: int
    class_name: str
    inputs: Sequence[tuple[int, str]]
    outputs: list[Output]
    started: str = "2026-10-25 02:40:00.000000"
    ended: str = "2026-10-25 02:20:00.000000"
    status: str = "finished"


class Project:
    """Writes runs and sets, and again after each edit, as Scipion does: in place, or a file anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.runs: dict[int, Run] = {}

    def add(self, run: Run) -> Run:
        self.runs[run.number] = run
        for output in run.outputs:
            self.write(run, output)
        self.store()
        return run

    def remove(self, number: int) -> None:
        """Delete a run with its files."""
        for output in self.runs.pop(number).outputs:
            (self.folder / output.file).unlink()
        self.store()

    def write(self, run: Run, output: Output) -> None:
        """Write a set anew, as a restarted run does."""
        place = f"Runs/{run.number:06d}_{run.class_name}"
        (self.folder / place).mkdir(parents=True, exist_ok=True)
        output.file = f"{place}/{output.name}.sqlite"
        (self.folder / output.file).unlink(missing_ok=True)
        made = SetFile(self.folder, output.file, output.class_name, {"_samplingRate": 0.83})
        made.append([(item.number, item.time, _values(output.class_name, item)) for item in output.items])
        made.close_stream()
        disabled = [(item.number,) for item in output.items if not item.enabled]
        with closing(sqlite3.connect(self.folder / output.file)) as database, database:
            database.executemany("UPDATE Objects SET enabled = 0 WHERE id = ?", disabled)

    def change(self, output: Output, changed: Iterable[Item]) -> None:
        """Change values and flags of items in place."""
        with closing(sqlite3.connect(self.folder / output.file)) as database, database:
            known = dict(database.execute("SELECT label_property, column_name FROM Classes").fetchall())
            for item in changed:
                values = {known[label]: value for label, value in _values(output.class_name, item).items()}
                values["enabled"] = int(item.enabled)
                terms = ", ".join(f"{column} = ?" for column in values)
                database.execute(f"UPDATE Objects SET {terms} WHERE id = ?", (*values.values(), item.number))
                place = next(i for i, one in enumerate(output.items) if one.number == item.number)
                output.items[place] = item

    def delete(self, output: Output, numbers: Iterable[int]) -> None:
        """Delete items of a set."""
        gone = set(numbers)
        output.items = [item for item in output.items if item.number not in gone]
        with closing(sqlite3.connect(self.folder / output.file)) as database, database:
            database.executemany("DELETE FROM Objects WHERE id = ?", [(number,) for number in gone])
            database.execute("UPDATE Properties SET value = ? WHERE key = '_size'", (str(len(output.items)),))

    def store(self) -> None:
        """Write project.sqlite."""
        rows: list[tuple[Any, ...]] = [(1, None, "CreationTime", "String", "2026-10-25 02:30:00.000001", "")]
        for run in sorted(self.runs.values(), key=lambda run: run.number):
            rows += _objects(run)
        file = self.folder / "project.sqlite"
        write_objects(file, rows)
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("UPDATE Objects SET creation = '2026-10-25 00:30:00'")  # UTC, and summer time in Madrid


def _values(class_name: str, item: Item) -> dict[str, Any]:
    if class_name != "SetOfCTF":
        return {"_micName": item.name, "_samplingRate": 0.83}
    name = {"_micObj._micName": item.name}
    if item.u is None or item.v is None:
        return {**name, **WRONG}
    resolution = float("inf") if item.resolution is None else item.resolution
    return {**name, "_defocusU": item.u, "_defocusV": item.v, "_defocusAngle": 30.0, "_resolution": resolution}


def _objects(run: Run) -> list[tuple[Any, ...]]:
    """Return the rows of a run with its pointers and outputs; their ids follow the run's own, times a thousand."""
    first = 1_000 * run.number
    rows: list[tuple[Any, ...]] = [(run.number, None, "", run.class_name, None, f"run {run.number}")]

    def more(parent: int, name: str, kind: str, value: Any) -> int:
        number = first + len(rows)
        rows.append((number, parent, f"{run.number}.{name}", kind, value, ""))
        return number

    folder = f"Runs/{run.number:06d}_{run.class_name}"
    for name, value in (
        ("status", run.status), ("initTime", run.started), ("endTime", run.ended), ("workingDir", folder),
        ("_outputs", ",".join(output.name for output in run.outputs)),
    ):  # fmt: skip
        more(run.number, name, "String", value)
    for number, (before, output) in enumerate(run.inputs):
        pointer = more(run.number, f"input{number}", "Pointer", str(before))
        more(pointer, f"{pointer}._extended", "String", output)
    for made in run.outputs:
        place = more(run.number, made.name, made.class_name, None)
        for name, value in (
            ("_size", str(len(made.items))), ("_streamState", "2"), ("_mapperPath", f"{made.file}, "),
        ):  # fmt: skip
            more(place, f"{place}.{name}", "String", value)
    return [rows[0], *sorted(rows[1:])]


def grid(project: Project, runs: tuple[int, int, int], estimates: Sequence[Item], waiting: Sequence[str]) -> Run:
    """Add an import, an alignment and an estimate of one grid, for which some still wait; returns the estimate."""
    movies, aligned, estimated = runs
    items = [Item(item.number, item.name, item.time - 20) for item in estimates]
    items += [Item(900 + i, name, AUTUMN + 10 * i) for i, name in enumerate(waiting)]
    project.add(Run(movies, "ProtImportMovies", (), [Output("outputMovies", "SetOfMovies", items)]))
    later = [replace(item, time=item.time + 4) for item in items]
    made_from = ((movies, "outputMovies"),)
    project.add(Run(aligned, "ProtMotionCorr", made_from, [Output("outputMicrographs", "SetOfMicrographs", later)]))
    ctfs = Output("outputCTF", "SetOfCTF", list(estimates))
    made_from = ((aligned, "outputMicrographs"),)
    return project.add(Run(estimated, "CistemProtCTFFind", made_from, [ctfs], ended="", status="running"))


def consensus(project: Project, number: int, estimate: Run, rejected: Sequence[int]) -> Run:
    """Add a consensus of estimates: the set of what it discards comes first, as in a stream that begins badly."""
    [ctfs] = estimate.outputs
    bad = [item for item in ctfs.items if item.number in set(rejected)]
    good = [item for item in ctfs.items if item.number not in set(rejected)]
    outputs = [Output("outputCTFDiscarded", "SetOfCTF", bad), Output("outputCTF", "SetOfCTF", good)]
    return project.add(Run(number, "XmippProtCTFConsensus", ((estimate.number, "outputCTF"),), outputs))


@dataclass(frozen=True)
class Truth:
    """What is true of some estimates."""

    of: int
    good: int
    unfit: int
    disabled: int
    inside: Mapping[str, int]
    medians: Mapping[str, float | None]
    values: Mapping[str, Sequence[float]]
    """Those that there are of each quantity, in shown units."""

    @property
    def counted(self) -> Mapping[str, int]:
        """How many have a value of each quantity."""
        return {name: len(values) for name, values in self.values.items()}


def truth(items: Iterable[Item]) -> Truth:
    """Return what is true of estimates, by the definitions in docs/numbers.md."""
    every = list(items)
    kept = [item.shown for item in every if item.enabled]
    values = {name: [value for one in kept if (value := one[name]) is not None] for name in LIMITS}
    return Truth(
        of=len(kept),
        good=sum(all(_inside(one[name], name) for name in LIMITS) for one in kept),
        unfit=sum(one["defocus"] is None for one in kept),
        disabled=len(every) - len(kept),
        inside={name: sum(_inside(one[name], name) for one in kept) for name in LIMITS},
        medians={name: float(np.median(found)) if found else None for name, found in values.items()},
        values=values,
    )


def _inside(value: float | None, name: str) -> bool:
    low, high = LIMITS[name]
    return value is not None and (low is None or value >= low) and (high is None or value <= high)
