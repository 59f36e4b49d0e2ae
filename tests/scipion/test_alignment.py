"""Shifts that the framework stored with its movies are kept as its API says them."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest

from tests.scipion.framework import PYTHON, environment
from tests.support.projects import MOVIES, Watched, genuine

pytestmark = [pytest.mark.scipion, pytest.mark.timeout(120)]


def test_the_shifts_of_genuine_aligned_movies_are_stored_as_the_api_says_them(tmp_path: Path) -> None:
    project = genuine(tmp_path)
    script = Path(__file__).parent / "aligned.py"
    file, aligned = project / MOVIES, project / MOVIES.replace("movies", "aligned")
    run = subprocess.run(
        [PYTHON, script, file, aligned], cwd=project, env=environment(), capture_output=True, check=True, timeout=60
    )
    aligned.replace(file)
    watched = Watched(project, tmp_path / "data")
    watched.look()
    said = json.loads(run.stdout.splitlines()[-1])
    assert len(said) == 8
    missing = []
    movies = {movie["name"]: movie for movie in watched.items("outputMovies").values()}
    for name, axes in said.items():
        stored = watched.store.reader().shifts(watched.watch.session, movies[name])
        missing.append(axes[0].count(None))
        if missing[-1] == len(axes[0]):
            assert stored is None
            continue
        assert stored is not None
        for kept, axis in zip(stored, axes, strict=True):
            known = [math.nan if shift is None else shift for shift in axis]
            assert kept == pytest.approx(known, abs=5.1e-4, nan_ok=True)
    assert missing == [0, 0, 12, 1, 0, 0, 0, 0]
    assert watched.troubles() == []
    watched.close()
