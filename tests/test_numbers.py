"""Whole numbers that others wrote."""

from __future__ import annotations

import pytest

from cryowatch.numbers import whole
from cryowatch.system.systemd import BEAT_SECONDS, Systemd


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("65535", 65535), ("0" * 5000 + "8", 8), ("0" * 9, 0)]
)
def test_digits_are_a_number(text: str, number: int) -> None:
    assert whole(text, most=65535) == number


@pytest.mark.parametrize(
    "text", ["", " ", "-1", "+1", "1.0", "1e3", "1_0", " 1", "1\n", "²", "٣", "65536", "9" * 5000, "0x1", "nan"]
)
def test_anything_else_is_none(text: str) -> None:
    assert whole(text, most=65535) is None


@pytest.mark.parametrize("limit", ["²", "٣", "9" * 5000, "-3", "soon", "0", ""])
def test_a_watchdog_that_says_no_number_changes_nothing(limit: str) -> None:
    assert Systemd({"WATCHDOG_USEC": limit}).beat_seconds == BEAT_SECONDS


def test_a_watchdog_is_told_thrice_in_its_time() -> None:
    assert Systemd({"WATCHDOG_USEC": "6000000"}).beat_seconds == pytest.approx(2)
