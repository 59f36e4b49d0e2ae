"""The quick part of the attacks on the store's disk and file."""

from __future__ import annotations

import os

import pytest

from faults import storage
from faults.verdicts import Verdicts


def kept(found: Verdicts) -> None:
    """Demand that every promise was kept; skip where the attack was not possible here."""
    assert not found.broken, "\n".join(found.lines)
    if not any("**kept**" in line for line in found.lines):
        pytest.skip(found.lines[-1])


def test_a_full_disk_at_any_commit_loses_nothing_that_was_committed() -> None:
    kept(storage.full_disk(12, quiet=True))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_an_agent_outlives_a_full_disk_and_refuses_a_read_only_one() -> None:
    kept(storage.full_under_agent(quiet=True))


def test_a_damaged_store_is_kept_aside_and_everything_is_read_anew() -> None:
    kept(storage.damaged(4, quiet=True))


def test_stores_of_every_earlier_version_are_upgraded_without_loss() -> None:
    kept(storage.upgrades(quiet=True))


def test_an_upgrade_that_was_killed_is_completed() -> None:
    kept(storage.interrupted_upgrades(2, items=20_000, quiet=True))
