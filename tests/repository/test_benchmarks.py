"""The benchmarks still run: in their smallest form, of which nothing is kept."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.measuring.projects import sets, spread
from tests.support.projects import genuine

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"


@pytest.mark.parametrize("subject", ["host", "sftp", "arrival", "listeners"])
def test_a_benchmark_prints_figures_beside_a_baseline(subject: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks", subject, "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=55)
    assert (done.returncode, "ended early" in done.stdout) == (0, False), done.stdout + done.stderr
    assert " times the " in done.stdout
    assert PAGE.read_text(encoding="utf-8") == page


def test_a_subject_that_is_not_there_is_named() -> None:
    command = [sys.executable, "-m", "benchmarks", "backlgo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "backlgo is none of backlog, influx," in done.stderr


def test_items_are_spread_over_time_as_a_session_has_them(tmp_path: Path) -> None:
    project = genuine(tmp_path)
    spread(project, 4.0)
    for file in sets(project):
        with closing(sqlite3.connect(file)) as database:
            times = [row[0] for row in database.execute("SELECT unixepoch(creation) FROM Objects ORDER BY id")]
        assert len(times) > 2
        assert {after - before for before, after in pairwise(times)} == {4}
