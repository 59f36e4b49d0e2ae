"""The quick part of projects that somebody made to harm."""

from __future__ import annotations

import os

import pytest

from faults.hostile import hostile


@pytest.mark.timeout(240)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give projects to other users")
def test_projects_made_to_harm_take_no_more_than_their_share_and_hold_up_nobody() -> None:
    quick = (
        "computed-columns", "endless-tree", "sparse-log", "log-of-zeros", "long-texts", "others-runs",
        "others-images", "cut-short",
    )  # fmt: skip
    found = hostile(10, idle=5, names=quick, patience=10, quiet=True)
    assert not found.broken, "\n".join(found.lines)
