"""Genuine Scipion projects for tests, what can happen to them, and a watcher of them on a real store."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from cryowatch.agent.session import Watch
from cryowatch.reading import Reading
from cryowatch.sources.scipion import ScipionSource
from cryowatch.store import Store

FIXTURES = Path(__file__).parents[1] / "fixtures" / "scipion"
MOVIES = "Runs/000002_ProtImportMovies/movies.sqlite"
MICROGRAPHS = "Runs/000067_ProtMotionCorr/micrographs.sqlite"
DOSE_WEIGHTED = "Runs/000067_ProtMotionCorr/micrographs_dw.sqlite"
CTFS = "Runs/000135_CistemProtCTFFind/ctfs.sqlite"
SETS = {MOVIES: "outputMovies", MICROGRAPHS: "outputMicrographs", DOSE_WEIGHTED: "outputMicrographsDoseWeighted",
        CTFS: "outputCTF"}  # fmt: skip
"""The sets of the genuine project, and what its runs call them."""


def genuine(folder: Path, name: str = "small") -> Path:
    """Return a copy of the databases of a project of eight micrographs that Scipion wrote; without images."""
    return Path(shutil.copytree(FIXTURES / "small", folder / name))


def scipion_values() -> dict[str, list[dict[str, Any]]]:
    """Return what Scipion's API says of the genuine project's items, by file."""
    values: dict[str, list[dict[str, Any]]] = json.loads((FIXTURES / "small.values.json").read_text())
    return values


def execute(file: Path, *statements: str) -> None:
    """Run statements on a database in one transaction, as its writer."""
    with closing(sqlite3.connect(file)) as database, database:
        for statement in statements:
            database.execute(statement)


def columns(file: Path) -> dict[str, str]:
    """Return which column of a set holds what."""
    with closing(sqlite3.connect(file)) as database:
        return dict(database.execute("SELECT label_property, column_name FROM Classes").fetchall())


def append(file: Path, *numbers: int, values: Mapping[str, Any] | None = None, count: bool = True) -> None:
    """Add items to a set, like its first one but for the values given by label."""
    known = columns(file)
    chosen = values or {}
    with closing(sqlite3.connect(file)) as database, database:
        database.row_factory = sqlite3.Row
        first = dict(database.execute("SELECT * FROM Objects ORDER BY id LIMIT 1").fetchone())
        for number in numbers:
            row = {**first, **{known[label]: value for label, value in chosen.items()}, "id": number}
            marks = ", ".join("?" * len(row))
            database.execute(f"INSERT INTO Objects ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
        if count:
            database.execute("UPDATE Properties SET value = (SELECT count(*) FROM Objects) WHERE key = '_size'")


def change(file: Path, item: int, **values: Any) -> None:
    """Change values of one item, by label without the leading underscore; `enabled` is a column of its own."""
    known = columns(file)
    with closing(sqlite3.connect(file)) as database, database:
        for label, value in values.items():
            column = label if label == "enabled" else known[f"_{label}"]
            database.execute(f"UPDATE Objects SET {column} = ? WHERE id = ?", (value, item))


class Watched:
    """A project that is watched into a store; each `look` goes on from the last, some minutes later."""

    def __init__(self, project: Path, data: Path) -> None:
        self.project = project
        self.store = Store(data)
        self.late = 10 * 10**9
        self.source = ScipionSource(project, host="gpu1", clock=self.clock)
        self.watch = Watch(project, self.source, self.store, host="gpu1", clock=self.clock)
        self.closed = False

    def clock(self) -> int:
        """Return a time at which nothing in the project is fresh."""
        return time.time_ns() + self.late

    def look(self) -> Reading | None:
        """Read to the end; returns the last reading, None where the project could not be read."""
        self.late += 61 * 10**9
        while True:
            reading, _ = self.watch.step()
            if reading is None or reading.finished:
                return reading

    def restart(self) -> None:
        """Forget all that is not in the store."""
        self.source = ScipionSource(self.project, host="gpu1", clock=self.clock)
        self.watch = Watch(self.project, self.source, self.store, host="gpu1", clock=self.clock)

    def items(self, output: str = "outputCTF") -> dict[int, dict[str, Any]]:
        """Return the stored items of an output, by id."""
        reader = self.store.reader()
        found = [o["id"] for o in reader.outputs(self.watch.session) if o["name"] == output]
        return {row["item"]: row for place in found for row in reader.micrographs_after((place,), 0, limit=1_000_000)}

    def state(self) -> tuple[str, str]:
        """Return the state of the session and its text, as pages show them."""
        row = self.store.reader().session(self.watch.key)
        return row["state"], row["state_text"]

    def troubles(self) -> list[dict[str, str]]:
        """Return which files could not be read, as pages show them."""
        found: list[dict[str, str]] = json.loads(self.store.reader().session(self.watch.key)["troubles"])
        return found

    def close(self) -> None:
        if not self.closed:
            self.store.close()
            self.closed = True
