"""Malicious projects: each is a folder in Scipion's layout, with something that makes it hostile.

This is what a user of the facility can write below a watched folder: databases of a few kilobytes that expand to
gigabytes, links to files that they may not read, special files, and endless names, texts and numbers.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from faults.site import Project

_CTFS = "Runs/000135_CistemProtCTFFind/ctfs.sqlite"
_RUN = "Runs/000135_CistemProtCTFFind/logs/run.db"
_WAL_BYTES = (18, 19)
_PAGE = 4096

Victim = Path
"""The folder of a project of somebody else, which the maker of a hostile one may not read."""


def computed_columns(folder: Path, _: Victim) -> None:
    """Make columns of which each is computed when it is read, to 16 MB."""
    _small(folder)
    _replace_column(folder / _CTFS, "_micObj._micName", "hex(zeroblob(8000000))")


def slow_function(folder: Path, _: Victim) -> None:
    """Make a column whose one function works for hours."""
    _small(folder)
    slow = "instr(hex(zeroblob(8000000)), hex(zeroblob(4000000)) || '1')"
    _replace_column(folder / _CTFS, "_micObj._micName", slow)


def endless_tree(folder: Path, _: Victim) -> None:
    """Let the pages of a table lead to the same pages again and again: millions of rows in some kilobytes."""
    _small(folder)
    with closing(sqlite3.connect(folder / _CTFS, isolation_level=None)) as database:
        database.execute("UPDATE Objects SET label = hex(zeroblob(300))")
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'Objects'").fetchone()
    _let_page_lead_to_itself(folder / _CTFS, int(root))


def sparse_log(folder: Path, _: Victim) -> None:
    """Make a database of ten terabytes, of which nothing is on the disk, that has to be copied to be read."""
    _small(folder)
    _in_wal_mode(folder / _CTFS)
    os.truncate(folder / _CTFS, 10 * 2**40)


def log_of_zeros(folder: Path, _: Victim) -> None:
    """Make the log of a database a device that never ends."""
    _small(folder)
    _in_wal_mode(folder / _CTFS)
    Path(f"{folder / _CTFS}-wal").symlink_to("/dev/zero")


def long_texts(folder: Path, _: Victim) -> None:
    """Give a run a label and an error of 8 MB each."""
    _small(folder)
    with closing(sqlite3.connect(folder / "project.sqlite")) as database, database:
        database.execute("UPDATE Objects SET label = hex(zeroblob(4000000)) WHERE label <> ''")
    with closing(sqlite3.connect(folder / _RUN)) as database, database:
        database.execute("UPDATE Objects SET value = hex(zeroblob(4000000)) WHERE name LIKE '%._error'")


def many_outputs(folder: Path, _: Victim) -> None:
    """Give a run 100,000 outputs."""
    _small(folder)
    for file in (folder / "project.sqlite", folder / _RUN):
        _add_objects(
            file,
            "SELECT 1000 + 2 * i, 135, '135.output' || i, 'SetOfCTF', NULL, '' FROM n"
            " UNION ALL SELECT 1001 + 2 * i, 1000 + 2 * i, '135.' || (1000 + 2 * i) || '._size', 'Integer', '7', ''"
            " FROM n",
        )


def many_runs(folder: Path, _: Victim) -> None:
    """Name 100,000 runs."""
    _small(folder)
    _add_objects(
        folder / "project.sqlite",
        "SELECT 1000 + 2 * i, NULL, '', 'ProtUserSubSet', NULL, 'run ' || i FROM n"
        " UNION ALL SELECT 1001 + 2 * i, 1000 + 2 * i, (1000 + 2 * i) || '.status', 'String', 'failed', '' FROM n",
    )


def failed_runs(folder: Path, _: Victim) -> None:
    """Let 1,000 runs fail at this moment, each with a long error."""
    _small(folder)
    _add_objects(
        folder / "project.sqlite",
        "SELECT 1000 + 4 * i, NULL, '', 'ProtUserSubSet', NULL, hex(zeroblob(100)) || i FROM n"
        " UNION ALL SELECT 1001 + 4 * i, 1000 + 4 * i, (1000 + 4 * i) || '.status', 'String', 'failed', '' FROM n"
        " UNION ALL SELECT 1002 + 4 * i, 1000 + 4 * i, (1000 + 4 * i) || '.endTime', 'String',"
        " strftime('%Y-%m-%d %H:%M:%f', 'now'), '' FROM n"
        " UNION ALL SELECT 1003 + 4 * i, 1000 + 4 * i, (1000 + 4 * i) || '._error', 'String',"
        " hex(zeroblob(2000)), '' FROM n",
        count=1_000,
    )


def many_tables(folder: Path, _: Victim) -> None:
    """Make 20,000 tables, which are all looked at when the database is opened."""
    _small(folder)
    with closing(sqlite3.connect(folder / _CTFS, isolation_level=None)) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
            " INSERT INTO sqlite_master SELECT 'table', 't' || i, 't' || i, 2, 'CREATE TABLE t' || i || ' (a)' FROM n"
        )


def others_runs(folder: Path, victim: Victim) -> None:
    """Let the folder of the runs be that of somebody else's project."""
    _small(folder)
    (folder / "Runs").rename(folder / "OwnRuns")
    (folder / "Runs").symlink_to(victim / "Runs")


def others_project(folder: Path, victim: Victim) -> None:
    """Be a folder whose project is a link to somebody else's."""
    folder.mkdir()
    (folder / "project.sqlite").symlink_to(victim / "project.sqlite")


def others_images(folder: Path, victim: Victim) -> None:
    """Let micrographs be links to somebody else's."""
    _small(folder)
    for image in sorted(folder.glob("Runs/*/extra/*_mic.mrc")):
        image.unlink()
        image.symlink_to(victim / image.relative_to(folder))


def pipes_for_images(folder: Path, _: Victim) -> None:
    """Let micrographs be pipes into which nobody writes."""
    _small(folder)
    for image in sorted(folder.glob("Runs/*/extra/*_mic.mrc")):
        image.unlink()
        os.mkfifo(image)


def huge_images(folder: Path, _: Victim) -> None:
    """Let each shift plot be 400 megapixels in 400 kB."""
    _small(folder)
    plots = sorted(folder.glob("Runs/*/extra/*_shifts.png"))
    plots[0].write_bytes(_png(20_000))
    for plot in plots[1:]:
        plot.unlink()
        os.link(plots[0], plot)


def every_folder(folder: Path, _: Victim) -> None:
    """Import from a pattern that matches every folder of the machine."""
    _small(folder)
    for file in (folder / "project.sqlite", folder / "Runs/000002_ProtImportMovies/logs/run.db"):
        with closing(sqlite3.connect(file)) as database, database:
            database.executemany(
                "INSERT INTO Objects (id, parent_id, name, classname, value, label) VALUES (?, 2, ?, 'String', ?, '')",
                [(900, "2.filesPath", "/*/*/*/*"), (901, "2.filesPattern", "*")],
            )


def cut_short(folder: Path, _: Victim) -> None:
    """Say of a set that is closed that it holds more than it does, as after a damage."""
    _small(folder)
    with closing(sqlite3.connect(folder / _CTFS)) as database, database:
        database.execute("UPDATE Properties SET value = '2' WHERE key = '_streamState'")
        database.execute("UPDATE Properties SET value = '500' WHERE key = '_size'")
    for file in (folder / "project.sqlite", folder / _RUN):
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("UPDATE Objects SET value = '2' WHERE name LIKE '135.%._streamState'")
            database.execute("UPDATE Objects SET value = '500' WHERE name LIKE '135.%._size'")
            database.execute("UPDATE Objects SET value = 'finished' WHERE name = '135.status'")


HOSTILE: Mapping[str, Callable[[Path, Victim], None]] = {
    make.__name__.replace("_", "-"): make
    for make in (
        computed_columns, slow_function, endless_tree, sparse_log, log_of_zeros, long_texts, many_outputs, many_runs,
        failed_runs, many_tables, others_runs, others_project, others_images, pipes_for_images, huge_images,
        every_folder, cut_short,
    )
}  # fmt: skip
"""What makes each of them, by the name of its folder."""

OF_OTHERS = ("others-runs", "others-project", "others-images")
"""Those that reach for what is somebody else's."""

SILENT = ("others-project", "pipes-for-images", "huge-images", "every-folder", "others-images")
"""Those of which the session need say nothing: what is wrong is an image, or a folder that is not looked into."""


def _add_objects(file: Path, rows: str, *, count: int = 100_000) -> None:
    """Add rows to `Objects` that a query makes of the numbers `n.i` from 1 on."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(
            "INSERT INTO Objects (id, parent_id, name, classname, value, label)"
            f" WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) {rows}"
        )


def _small(folder: Path) -> None:
    Project(folder, seed=len(folder.name)).grow(4)


def _replace_column(file: Path, label: str, expression: str) -> None:
    """Let a column of a set be computed by an expression whenever it is read."""
    with closing(sqlite3.connect(file)) as database, database:
        ((column,),) = database.execute("SELECT column_name FROM Classes WHERE label_property = ?", (label,)).fetchall()
        database.execute(f"ALTER TABLE Objects DROP COLUMN {column}")
        database.execute(f"ALTER TABLE Objects ADD COLUMN {column} TEXT GENERATED ALWAYS AS ({expression}) VIRTUAL")


def _in_wal_mode(file: Path) -> None:
    """Mark a database as one with a log that nobody has open."""
    with file.open("r+b") as database:
        for place in _WAL_BYTES:
            database.seek(place)
            database.write(b"\x02")


def _let_page_lead_to_itself(file: Path, root: int) -> None:
    """Put two pages above the leaf of a table: each leads hundreds of times to the one below it."""
    data = bytearray(file.read_bytes())
    pages = len(data) // _PAGE
    leaf = bytes(data[(root - 1) * _PAGE : root * _PAGE])
    below = pages + 1
    data += leaf
    for _ in range(2):
        data += _interior(below, 500)
        below += 1
    data[(root - 1) * _PAGE : root * _PAGE] = _interior(below, 500)
    struct.pack_into(">I", data, 28, len(data) // _PAGE)
    file.write_bytes(data)


def _interior(child: int, count: int) -> bytes:
    """Return an interior page of a table whose every cell leads to one page (SQLite's file format, 1.6)."""
    cell = struct.pack(">I", child) + b"\x01"
    page = bytearray(_PAGE)
    start = _PAGE - count * len(cell)
    struct.pack_into(">BHHHBI", page, 0, 5, 0, count, start, 0, child)
    for number in range(count):
        place = start + number * len(cell)
        struct.pack_into(">H", page, 12 + 2 * number, place)
        page[place : place + len(cell)] = cell
    return bytes(page)


def _png(side: int) -> bytes:
    """Return a black picture of so many pixels a side, one bit each."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(side + 1)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
