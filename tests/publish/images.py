"""Images for a genuine project, whose fixture holds its databases alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import mrcfile
import numpy as np
from PIL import Image

from tests.support.projects import CTFS, columns

LABELS = ("_micObj._filename", "_psdFile", "_micObj.plotGlobal._filename")


def paths(project: Path) -> list[tuple[str, str, str]]:
    """Return micrograph, power spectrum and shift plot of each CTF, as the project names them, without decorations."""
    known = columns(project / CTFS)
    chosen = ", ".join(known.get(label, "''") for label in LABELS)
    with closing(sqlite3.connect(project / CTFS)) as database:
        rows = database.execute(f"SELECT {chosen} FROM Objects ORDER BY id").fetchall()
    bare = [[(value or "").removesuffix(":mrc") for value in row] for row in rows]
    return [(micrograph, spectrum, plot) for micrograph, spectrum, plot in bare]


def draw(project: Path, *, only: slice = slice(None)) -> None:
    """Write the images that the project names, each of them different."""
    for number, (micrograph, spectrum, plot) in enumerate(paths(project)[only], start=1):
        for name in filter(None, (micrograph, spectrum)):
            file = project / name
            file.parent.mkdir(parents=True, exist_ok=True)
            plane = np.random.default_rng(number).normal(100, 10 + number, (300, 400)).astype(np.float32)
            mrcfile.write(file, plane, overwrite=True)
        if plot:
            (project / plot).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (300, 200), (number * 20 % 256, 90, 90)).save(project / plot)
