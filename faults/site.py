"""A small facility: a project that grows, a real InfluxDB, a folder to publish into, and the agent."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import mrcfile
import numpy as np
from PIL import Image

from cryowatch.demo.project import Run, SetFile, local, write_objects
from cryowatch.store.writer import FILE_NAME
from tests.support.influxd import ADMIN, InfluxServer

SETS = (
    ("outputMovies", "movies", "SetOfMovies"),
    ("outputMicrographs", "micrographs", "SetOfMicrographs"),
    ("outputCTF", "ctfs", "SetOfCTF"),
)

_CTFS = "SELECT micrograph.id FROM micrograph JOIN output ON output.id = output_id WHERE kind = 'ctf'"


@contextmanager
def workplace() -> Iterator[Path]:
    """Give a temporary folder on the local disk, and remove it."""
    with tempfile.TemporaryDirectory(prefix="cryowatch-faults-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def until(found: Callable[[], Any], *, seconds: float = 30.0, every: float = 0.05) -> Any:
    """Return what `found` returns as soon as that is true, or its last answer after so many seconds."""
    end = time.monotonic() + seconds
    while not (value := found()) and time.monotonic() < end:
        time.sleep(every)
    return value


class Project:
    """A project in Scipion's layout, with small images, that grows when told, or by itself in a thread."""

    def __init__(self, root: Path, *, seed: int = 7, images: bool = True) -> None:
        self.root = root
        self.written: dict[int, float] = {}
        """Defocus U of each micrograph that was written whole, in Å, by id."""
        self._random = random.Random(seed)
        self._images = images
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        root.mkdir(parents=True)
        runs = ((2, "ProtImportMovies", "import movies"), (67, "ProtMotionCorr", "motioncor"),
                (135, "CistemProtCTFFind", "ctffind"))  # fmt: skip
        self._runs = [Run(root, *run) for run in runs]
        for run, (output, file, class_name) in zip(self._runs, SETS, strict=True):
            run.started, run.output = local(time.time()), output
            run.set = SetFile(root, f"{run.folder}/{file}.sqlite", class_name, {})
            run.store()
        creation = (1, None, "CreationTime", "String", local(time.time()), "")
        write_objects(root / "project.sqlite", [creation, *(row for run in self._runs for row in run.objects())])

    def grow(self, count: int = 1) -> None:
        """Write so many micrographs through all stages."""
        first = len(self.written) + 1
        items = [(n, time.time(), self._values(n)) for n in range(first, first + count)]
        for run in self._runs:
            assert run.set is not None
            run.set.append(items)
        self.written.update((n, values["_defocusU"]) for n, _, values in items)

    def start(self, every: float) -> None:
        """Write a micrograph every so many seconds until `stop`."""
        self._thread = threading.Thread(target=self._go_on, args=(every,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _go_on(self, every: float) -> None:
        while not self._stop.wait(every):
            self.grow()

    def _values(self, number: int) -> dict[str, Any]:
        stem = f"FoilHole_{number:06d}"
        defocus = self._random.uniform(8_000, 25_000)
        micrograph = {
            "_filename": f"{self._runs[1].folder}/extra/{stem}_mic.mrc",
            "_samplingRate": 0.83,
            "_micName": f"{stem}_fractions.mrcs",
            "plotGlobal._filename": f"{self._runs[1].folder}/extra/{stem}_shifts.png",
        }
        spectrum = f"{self._runs[2].folder}/extra/{stem}_ctf.mrc"
        if self._images:
            plane = np.random.default_rng(number).normal(100, 10, (64, 96)).astype(np.float32)
            for name in (micrograph["_filename"], spectrum):
                mrcfile.write(self.root / str(name), plane)
            Image.new("RGB", (30, 20), (number % 256, 9, 9)).save(self.root / str(micrograph["plotGlobal._filename"]))
        return {
            **micrograph,
            **{f"_micObj.{name}": value for name, value in micrograph.items()},
            "_defocusU": defocus + self._random.expovariate(1 / 180),
            "_defocusV": defocus,
            "_defocusAngle": self._random.uniform(0, 180),
            "_resolution": 2.4 + self._random.gammavariate(4, 0.4),
            "_fitQuality": self._random.uniform(0.02, 0.25),
            "_psdFile": spectrum,
        }


class Site:
    """Where the agent works: its data directory, its configuration and what it feeds, all below one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        influx: str = "",
        publish: str = "",
        images: Sequence[str] = (),
        more: str = "",
        program: Sequence[str] = ("-m", "cryowatch"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.environment = environment or {}
        self.program = program
        self.data = folder / "data"
        self.projects = folder / "projects"
        self.projects.mkdir(exist_ok=True)
        self.config = folder / "cryowatch.toml"
        self.log = folder / "agent.log"
        lines = []
        if influx:
            (folder / "password").write_text(ADMIN[1])
            lines += [
                "[influx]",
                f'url = "{influx}"',
                f'username = "{ADMIN[0]}"',
                f'password_file = "{folder}/password"',
            ]
        if publish:
            lines += ["[images]", f'publish = "{publish}"', *images]
        self.config.write_text("\n".join([*lines, "[host]", "interval = 1", more]) + "\n")
        self.agent: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start the agent; nobody's own settings count."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CRYOWATCH_")}
        command = [sys.executable, *self.program, "watch", str(self.projects), "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.agent = subprocess.Popen(
                [*command, "--data-dir", str(self.data), *(options or ("--no-web",))],
                env={**kept, "HOME": str(self.folder), **self.environment},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return self.agent

    def finish(self) -> int:
        """Let the agent read and deliver all there is; returns its exit status."""
        return self.start("--once").wait(300)

    def kill(self) -> None:
        """End the agent as a power cut does."""
        if self.agent is not None:
            self.agent.kill()
            self.agent.wait()

    def interrupt(self, *, seconds: float = 20.0) -> float | None:
        """End the agent in order; returns the seconds that took, None where it had to be killed."""
        assert self.agent is not None
        began = time.monotonic()
        self.agent.send_signal(signal.SIGTERM)
        try:
            self.agent.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        return time.monotonic() - began

    def said(self) -> str:
        """Return what the agent has said so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def address(self) -> str:
        """Return where the pages of the agent are."""
        found = until(lambda: re.findall(r"http://127\.0\.0\.1:\d+", self.said()))
        assert found, self.said()[-2000:]
        return str(found[-1])

    def get(self, path: str, *, seconds: float = 5.0) -> Any:
        """Return what the interface answers."""
        return httpx2.get(f"{self.address()}{path}", timeout=seconds, trust_env=False).raise_for_status().json()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return rows of the store; nothing where it is not there yet."""
        file = self.data / FILE_NAME
        if not file.exists():
            return []
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as database:
            try:
                return database.execute(sql).fetchall()
            except sqlite3.OperationalError:  # its tables are not made yet
                return []

    def stored(self) -> dict[int, float]:
        """Return defocus U of every stored CTF, in Å, by id; raises where an id is there twice."""
        found = self.rows(
            "SELECT item, defocus_u FROM micrograph JOIN output ON output.id = output_id WHERE kind = 'ctf'"
        )
        values = dict(found)
        assert len(values) == len(found), "a CTF is stored twice"
        return values

    def stored_items(self) -> list[int]:
        """Return the ids in the store of the CTFs of all projects."""
        return [row[0] for row in self.rows(_CTFS)]

    def stored_or_nothing(self) -> dict[int, float]:
        """Return what `stored` does, and nothing while the store is damaged."""
        try:
            return self.stored()
        except sqlite3.DatabaseError:
            return {}

    def whole(self) -> str:
        """Return what SQLite says of the store's integrity."""
        return "; ".join(str(row[0]) for row in self.rows("PRAGMA integrity_check"))


def delivered(server: InfluxServer) -> list[tuple[int, float]]:
    """Return the id and defocus U of every point of a CTF, in the order of their ids."""
    rows = server.rows("SELECT ctfID, defocusU FROM micrograph WHERE ctfID > 0")
    return sorted((int(row["ctfID"]), float(row["defocusU"])) for row in rows if row["defocusU"] is not None)
