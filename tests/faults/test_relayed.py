"""The quick part of lines that are slow or break."""

from __future__ import annotations

import pytest

from faults.relayed import FAULTS, relayed


@pytest.mark.timeout(240)
def test_lines_that_break_or_stall_lose_and_double_nothing() -> None:
    quick = [name for name in FAULTS if "swallow" not in name and "slow" not in name]
    found = relayed(seconds=1.5, faults=quick, quiet=True)
    assert not found.broken, "\n".join(found.lines)
