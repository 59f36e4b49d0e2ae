"""Projects to watch: written by the genuine Scipion framework if it is installed, otherwise in its layout."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from cryowatch.demo.project import Run, SetFile, local, write_objects

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT.parent / "shared" / "tools"
SCIPION = ROOT / ".venv-scipion" / "bin" / "python"
LINKS = Path(__file__).with_name("links.py")
BATCH = 2_000
MOST_WRITTEN = 20_000


@contextmanager
def workplace() -> Iterator[Path]:
    """Give a temporary folder on the local disk, and remove it."""
    with tempfile.TemporaryDirectory(prefix="cryowatch-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def is_genuine() -> bool:
    """Return whether the genuine framework writes the projects."""
    return SCIPION.exists() and (TOOLS / "make_scipion_project.py").exists()


def origin() -> str:
    """Return who writes the projects, in words."""
    return "projects by Scipion itself" if is_genuine() else "no Scipion here: projects by cryowatch.demo.project"


def write(
    folder: Path, name: str, micrographs: int, *, running: bool = False, size: tuple[int, int] = (128, 128)
) -> Path:
    """Write a project of movies, micrographs and CTFs, three sets of as many items; returns its folder.

    Only the genuine framework writes images, of `size` pixels, a few that all items share.
    """
    if not is_genuine():
        return _imitate(folder / name, micrographs, running=running)
    command = [str(SCIPION), str(LINKS), str(TOOLS / "make_scipion_project.py"), str(folder), name]
    command += ["--micrographs", str(micrographs), "--batch", str(BATCH), "--size", *map(str, size)]
    environment = scipion_environment(folder / ".scipion")
    done = subprocess.run(
        [*command, *(["--leave-running"] if running else [])], env=environment, capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{name} was not written:\n{done.stderr.decode(errors='replace')[-2000:]}")
    shutil.rmtree(folder / f"{name}_frames")
    return folder / name


def scipion_environment(folder: Path) -> dict[str, str]:
    """Return an environment in which Scipion runs, with its own folders below `folder`."""
    home, data = folder / "home", folder / "data"
    (home / "config").mkdir(parents=True, exist_ok=True)
    (data / "projects").mkdir(parents=True, exist_ok=True)
    hosts = "[localhost]\nPARALLEL_COMMAND = mpirun -np %%_(JOB_NODES)d %%_(COMMAND)s\n"
    (home / "config" / "hosts.conf").write_text(hosts)
    scipion = {"SCIPION_HOME": str(home), "SCIPION_USER_DATA": str(data), "SCIPION_VERSION": "3.11"}
    return {**os.environ, **scipion}


def copy(project: Path, target: Path) -> Path:
    """Copy a project's databases, without its images."""
    return Path(shutil.copytree(project, target, ignore=shutil.ignore_patterns("extra")))


def spread(project: Path, seconds: float) -> None:
    """Let the items come one every so many seconds up to now, as in a session, and not all at once."""
    for file in sets(project):
        with closing(sqlite3.connect(file)) as database, database:
            database.execute(
                "UPDATE Objects SET creation ="
                " datetime('now', ((id - (SELECT max(id) FROM Objects)) * ?) || ' seconds')",
                (seconds,),
            )


def multiplied(folder: Path, name: str, micrographs: int) -> Path:
    """Write a project whose runs still run; what Scipion would write for minutes is its first items again and again."""
    project = write(folder, name, min(micrographs, MOST_WRITTEN), running=True)
    for file in sets(project) if micrographs > MOST_WRITTEN else ():
        with closing(sqlite3.connect(file)) as database, database:
            columns = [row[1] for row in database.execute("PRAGMA table_info(Objects)") if row[1] != "id"]
            listed = ", ".join(columns)
            for after in range(MOST_WRITTEN, micrographs, MOST_WRITTEN):
                database.execute(
                    f"INSERT INTO Objects (id, {listed}) SELECT id + ?, {listed} FROM Objects WHERE id <= ? LIMIT ?",
                    (after, MOST_WRITTEN, micrographs - after),
                )
            database.execute("UPDATE Properties SET value = ? WHERE key = '_size'", (str(micrographs),))
    return project


def sets(project: Path) -> list[Path]:
    """Return the files of a project's sets."""
    return sorted(project.glob("Runs/*/*.sqlite"))


def ctfs(project: Path) -> Path:
    """Return the file of a project's CTFs."""
    return next(project.glob("Runs/*/ctfs.sqlite"))


def _imitate(root: Path, micrographs: int, *, running: bool) -> Path:
    root.mkdir(parents=True)
    numbers = random.Random(7)
    now = time.time()
    runs = (
        Run(root, 2, "ProtImportMovies", "import movies"),
        Run(root, 67, "ProtMotionCorr", "movie alignment - motioncor"),
        Run(root, 135, "CistemProtCTFFind", "ctffind 4"),
    )
    outputs = (
        ("outputMovies", "movies", "SetOfMovies"),
        ("outputMicrographs", "micrographs", "SetOfMicrographs"),
        ("outputCTF", "ctfs", "SetOfCTF"),
    )
    items = [(number, now, _values(runs, number, numbers)) for number in range(1, micrographs + 1)]
    for run, (output, file, class_name) in zip(runs, outputs, strict=True):
        run.started, run.output = local(now), output
        run.set = SetFile(root, f"{run.folder}/{file}.sqlite", class_name, {})
        run.set.append(items)
        if not running:
            run.status, run.ended = "finished", local(now)
            run.set.close_stream()
        run.store()
    creation = (1, None, "CreationTime", "String", local(now), "")
    write_objects(root / "project.sqlite", [creation, *(row for run in runs for row in run.objects())])
    return root


def _values(runs: tuple[Run, ...], number: int, numbers: random.Random) -> dict[str, Any]:
    stem = f"FoilHole_{number:06d}"
    defocus = numbers.uniform(8_000, 25_000)
    micrograph = {
        "_filename": f"{runs[1].folder}/extra/{stem}_aligned_mic.mrc",
        "_samplingRate": 0.83,
        "_micName": f"{stem}_fractions.mrcs",
        "plotGlobal._filename": f"{runs[1].folder}/extra/{stem}_global_shifts.png",
    }
    return {
        **micrograph,
        **{f"_micObj.{name}": value for name, value in micrograph.items()},
        "_defocusU": defocus + numbers.expovariate(1 / 180),
        "_defocusV": defocus,
        "_defocusAngle": numbers.uniform(0, 180),
        "_resolution": 2.4 + numbers.gammavariate(4, 0.4),
        "_fitQuality": numbers.uniform(0.02, 0.25),
        "_psdFile": f"{runs[2].folder}/extra/{stem}_aligned_mic_ctf.mrc",
    }
