"""Says at the end how much was tried."""

from __future__ import annotations

import pytest

from tests.fuzz.effort import TIMES, TRIED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the long attempts the time that they need."""
    for item in items:
        if TIMES and "tests/fuzz" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the number of examples of each target."""
    if TRIED and TIMES:
        terminalreporter.section("examples tried")
        for target, number in sorted(TRIED.items()):
            terminalreporter.write_line(f"{number:>8,}  {target}")
