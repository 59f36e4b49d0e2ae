"""A project that the genuine framework streams while `watch` runs: what is stored is what Scipion's API says."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cryowatch.store.reader import Reader
from cryowatch.store.writer import FILE_NAME
from tests.scipion.framework import api_values, stream

pytestmark = [pytest.mark.scipion, pytest.mark.timeout(180)]

OUTPUTS = {
    "movies.sqlite": "outputMovies",
    "micrographs.sqlite": "outputMicrographs",
    "micrographs_dw.sqlite": "outputMicrographsDoseWeighted",
    "ctfs.sqlite": "outputCTF",
}
COUNT = 40


def stored(reader: Reader, output: str) -> dict[int, dict[str, Any]]:
    [session] = reader.sessions()
    [place] = [o["id"] for o in reader.outputs(session["id"]) if o["name"] == output]
    return {row["item"]: row for row in reader.micrographs_after((place,), 0, limit=100_000)}


def has(reader: Reader, output: str) -> bool:
    """Return whether the one session has an output of this name by now."""
    return output in [o["name"] for o in reader.outputs(reader.sessions()[0]["id"])]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[tuple[Path, Reader]]:
    """A folder that is watched, empty at first, and a reader of the store."""
    projects, data = tmp_path / "projects", tmp_path / "data"
    projects.mkdir()
    command: list[str | Path] = [sys.executable, "-m", "cryowatch", "watch", projects, "--data-dir", data, "--no-web"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log)
    end = time.monotonic() + 20
    while "Ctrl+C" not in (tmp_path / "log").read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    reader = Reader(data / FILE_NAME)
    yield projects, reader
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said
    assert "locked" not in said


def test_a_streamed_session_is_stored_item_by_item_as_scipion_has_it(watch: tuple[Path, Reader]) -> None:
    projects, reader = watch
    scipion = stream(
        projects, "streamed", COUNT, "--batch", "2", "--interval", "0.6", "--phase-shift", "--dose-weighted"
    )
    seen: set[int] = set()
    end = time.monotonic() + 120
    while time.monotonic() < end:
        sessions = reader.sessions()
        if sessions:
            counts = {o["name"]: o["count"] for o in reader.outputs(sessions[0]["id"])}
            seen.add(counts.get("outputCTF", 0))
            if scipion.poll() is not None and set(counts.values()) == {COUNT} and sessions[0]["status"] == "finished":
                break
        time.sleep(0.1)
    assert scipion.wait() == 0
    assert len(seen) > 4, "the session did not grow while it was watched"
    compared = 0
    for file, items in api_values(projects / "streamed").items():
        known = stored(reader, OUTPUTS[file.rpartition("/")[2]])
        assert sorted(known) == [item["item"] for item in items], file
        for item in items:
            for field, value in item.items():
                assert known[item["item"]][field] == value, (file, item["item"], field)
                compared += 1
    assert compared > 20 * COUNT
    [session] = reader.sessions()
    assert (session["voltage"], session["pixel_size"], session["state"]) == (300.0, 0.83, "ok")
    leftovers = [f.name for f in (projects / "streamed").rglob("*") if f.name.endswith(("-journal", "-wal", "-shm"))]
    assert leftovers == []


def test_items_that_scipion_disables_and_a_project_written_at_once(watch: tuple[Path, Reader]) -> None:
    projects, reader = watch
    assert stream(projects, "at-once", COUNT, "--batch", str(COUNT), "--interval", "0").wait() == 0
    file = next((projects / "at-once").glob("Runs/*/ctfs.sqlite"))
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE Objects SET enabled = 0 WHERE id = 7")
    end = time.monotonic() + 30
    while time.monotonic() < end:
        known = stored(reader, "outputCTF") if reader.sessions() and has(reader, "outputCTF") else {}
        if len(known) == COUNT and not known[7]["enabled"]:
            break
        time.sleep(0.1)
    [values] = [items for name, items in api_values(projects / "at-once").items() if name.endswith("ctfs.sqlite")]
    assert {i["item"]: i["enabled"] for i in values} == {n: bool(row["enabled"]) for n, row in known.items()}
    assert [n for n, row in known.items() if not row["enabled"]] == [7]
