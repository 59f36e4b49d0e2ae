"""A Scipion project, written as Scipion 3.11 writes it: project.sqlite, a run.db for each run, a file for each set.

Tables and columns are those of projects that scipion-pyworkflow 3.11.7 and scipion-em 3.11.1 make; of a run's many
parameters only those that say something are written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_OBJECTS = """
CREATE TABLE Objects (id INTEGER PRIMARY KEY AUTOINCREMENT, parent_id INTEGER REFERENCES Objects(id), name TEXT,
    classname TEXT, value TEXT DEFAULT NULL, label TEXT DEFAULT NULL, comment TEXT DEFAULT NULL, creation DATE);
"""
_SET = """
CREATE TABLE Properties (key TEXT UNIQUE, value TEXT DEFAULT NULL);
CREATE TABLE Classes (id INTEGER PRIMARY KEY AUTOINCREMENT, label_property TEXT UNIQUE, column_name TEXT UNIQUE,
    class_name TEXT DEFAULT NULL);
"""
_SQL_TYPES = {"Float": "REAL", "Integer": "INTEGER"}

ACQUISITION: Mapping[str, Any] = {
    "_magnification": 130000.0,
    "_voltage": 300.0,
    "_sphericalAberration": 2.7,
    "_amplitudeContrast": 0.1,
    "_doseInitial": 0.0,
    "_dosePerFrame": 1.02,
}
_IMAGE = (("_index", "Integer"), ("_filename", "String"), ("_samplingRate", "Float"))
_MICROGRAPH = (
    *_IMAGE,
    ("_acquisition", "Acquisition"),
    *((f"_acquisition.{name}", "Float") for name in ACQUISITION),
    ("_micName", "String"),
)
_ALIGNED = (
    *_MICROGRAPH,
    ("plotGlobal", "Image"),
    *((f"plotGlobal.{name}", kind) for name, kind in _IMAGE),
    ("_rlnAccumMotionTotal", "Float"),
    ("_rlnAccumMotionEarly", "Float"),
    ("_rlnAccumMotionLate", "Float"),
)
_CTF = (
    ("_defocusU", "Float"),
    ("_defocusV", "Float"),
    ("_defocusAngle", "Float"),
    ("_defocusRatio", "Float"),
    ("_psdFile", "String"),
    ("_micObj", "Micrograph"),
    *((f"_micObj.{name}", kind) for name, kind in _ALIGNED),
    ("_resolution", "Float"),
    ("_fitQuality", "Float"),
)
COLUMNS: Mapping[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "SetOfMovies": ("Movie", (*_MICROGRAPH, ("_framesRange", "FramesRange"))),
    "SetOfMicrographs": ("Micrograph", _ALIGNED),
    "SetOfCTF": ("CTFModel", _CTF),
}
"""Class of the items of each set, and their attributes in order, with their classes."""


class SetFile:
    """One output set."""

    def __init__(self, root: Path, path: str, class_name: str, properties: Mapping[str, Any]) -> None:
        self.path = path
        self.class_name = class_name
        self.size = 0
        item, columns = COLUMNS[class_name]
        self._labels = tuple(label for label, _ in columns)
        names = [f"c{number:02d}" for number in range(1, len(columns) + 1)]
        types = [_SQL_TYPES.get(kind, "TEXT") for _, kind in columns]
        declared = "".join(f", {name} {kind} DEFAULT NULL" for name, kind in zip(names, types, strict=True))
        self._insert = f"INSERT INTO Objects VALUES ({', '.join('?' * (5 + len(columns)))})"
        self._file = root / path
        with closing(sqlite3.connect(self._file)) as database, database:
            database.executescript(
                f"{_SET} CREATE TABLE Objects (id INTEGER PRIMARY KEY, enabled INTEGER DEFAULT 1,"
                f" label TEXT DEFAULT NULL, comment TEXT DEFAULT NULL, creation DATE{declared});"
            )
            classes = [("self", "c00", item), *zip(self._labels, names, (kind for _, kind in columns), strict=True)]
            database.executemany(
                "INSERT INTO Classes (label_property, column_name, class_name) VALUES (?, ?, ?)", classes
            )
            first = {"self": class_name, "_size": 0, "_streamState": 1, "_mapperPath": f"{path}, "}
            database.executemany("INSERT INTO Properties VALUES (?, ?)", ({**first, **properties}).items())

    def append(self, items: Sequence[tuple[int, float, Mapping[str, Any]]]) -> None:
        """Add items: id, time in seconds, and values by attribute."""
        rows = [
            (number, 1, "", "", _utc(created), *(values.get(label) for label in self._labels))
            for number, created, values in items
        ]
        self.size += len(rows)
        with closing(sqlite3.connect(self._file, timeout=10)) as database, database:
            database.executemany(self._insert, rows)
            database.execute("UPDATE Properties SET value = ? WHERE key = '_size'", (str(self.size),))

    def close_stream(self) -> None:
        """Say that no more items will come."""
        with closing(sqlite3.connect(self._file, timeout=10)) as database, database:
            database.execute("UPDATE Properties SET value = '2' WHERE key = '_streamState'")


class Run:
    """One protocol with one output, and its own run.db."""

    def __init__(
        self, root: Path, number: int, class_name: str, label: str, *, parameters: Mapping[str, Any] | None = None
    ) -> None:
        self.folder = f"Runs/{number:06d}_{class_name}"
        (root / self.folder / "extra").mkdir(parents=True)
        (root / self.folder / "logs").mkdir()
        self.number = number
        self.class_name = class_name
        self.label = label
        self.status = "running"
        self.started = self.ended = self.error = ""
        self.output = ""
        self.set: SetFile | None = None
        self._parameters = parameters or {}
        self._file = root / self.folder / "logs" / "run.db"

    def objects(self) -> list[tuple[Any, ...]]:
        """Return the rows of table `Objects` that stand for the run: id, parent, name, class, value, label."""
        values = {
            "status": self.status,
            "initTime": self.started,
            "endTime": self.ended,
            "_error": self.error or None,
            "workingDir": self.folder,
            **self._parameters,
            "lastUpdateTimeStamp": None,
            "_outputs": self.output,
        }
        rows: list[tuple[Any, ...]] = [(self.number, None, "", self.class_name, None, self.label)]
        for name, value in values.items():
            rows.append((self.number + len(rows), self.number, f"{self.number}.{name}", "String", value, ""))
        if self.set is not None:
            output = self.number + len(rows)
            rows.append((output, self.number, f"{self.number}.{self.output}", self.set.class_name, None, ""))
            stream = 1 if self.status == "running" else 2
            inside = {"_size": self.set.size, "_streamState": stream, "_mapperPath": f"{self.set.path}, "}
            if self.set.class_name != "SetOfCTF":
                inside["_samplingRate"] = 0.83
            for name, value in inside.items():
                row = self.number + len(rows)
                rows.append((row, output, f"{self.number}.{output}.{name}", "String", value, ""))
            if self.set.class_name != "SetOfCTF":
                acquisition = self.number + len(rows)
                place = f"{self.number}.{output}._acquisition"
                rows.append((acquisition, output, place, "Acquisition", None, ""))
                for name, value in ACQUISITION.items():
                    inner = f"{self.number}.{output}.{acquisition}.{name}"
                    rows.append((self.number + len(rows), acquisition, inner, "Float", value, ""))
        return rows

    def store(self) -> None:
        """Write the run's own run.db, as its process does after every batch."""
        write_objects(self._file, self.objects())


def write_objects(file: Path, rows: Sequence[tuple[Any, ...]]) -> None:
    """Replace all objects of a project.sqlite or run.db, in one transaction."""
    with closing(sqlite3.connect(file, timeout=10)) as database:
        if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            database.executescript(_OBJECTS)
        with database:
            database.execute("DELETE FROM Objects")
            database.executemany(
                "INSERT INTO Objects VALUES (?, ?, ?, ?, ?, ?, '', ?)", [(*row, _made(row)) for row in rows]
            )


def _made(row: Sequence[Any]) -> str:
    """Return when a row was made, in UTC as Scipion has it; that of a project's creation at that very time."""
    made = datetime.fromisoformat(row[4]).astimezone(UTC) if row[2] == "CreationTime" else datetime.now(UTC)
    return made.strftime("%Y-%m-%d %H:%M:%S")


def local(seconds: float) -> str:
    """Return a time as Scipion writes those of runs: local, with microseconds."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S.%f")  # noqa: DTZ006  Scipion's way


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
