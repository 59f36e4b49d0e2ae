"""The quick part of an InfluxDB that is away for long."""

from __future__ import annotations

import pytest

from faults.away import away


@pytest.mark.timeout(120)
def test_a_server_that_is_away_for_long_costs_neither_memory_nor_micrographs() -> None:
    found = away(1, seconds=6, keep_mb=0.1, quiet=True)
    assert not found.broken, "\n".join(found.lines)
