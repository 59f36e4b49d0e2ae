"""The quick part of killing the agent under load."""

from __future__ import annotations

from faults.killed import killed


def test_an_agent_killed_under_load_loses_and_doubles_nothing() -> None:
    found = killed(5, every=0.2, longest=1.6, quiet=True)
    assert not found.broken, "\n".join(found.lines)
