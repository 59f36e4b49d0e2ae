"""Sets that the genuine framework writes into one file, told apart by a prefix."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.scipion.framework import PYTHON, environment
from tests.support.projects import Watched, genuine

pytestmark = [pytest.mark.scipion, pytest.mark.timeout(120)]


def test_two_genuine_sets_of_one_file_are_stored_as_the_api_says_them(tmp_path: Path) -> None:
    project = genuine(tmp_path)
    script = Path(__file__).parent / "prefixed.py"
    run = subprocess.run(
        [PYTHON, script, "135", "Good", "Bad"],
        cwd=project, env=environment(), capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    said = json.loads(run.stdout.splitlines()[-1])
    assert [len(said[prefix]) for prefix in ("Good", "Bad")] == [6, 5]
    watched = Watched(project, tmp_path / "data")
    watched.look()
    for prefix, items in said.items():
        stored = watched.items(f"output{prefix}")
        assert {str(item): [row["defocus_u"], row["defocus_v"]] for item, row in stored.items()} == items
    assert len(watched.items()) == 8
    assert watched.troubles() == []
    watched.close()
