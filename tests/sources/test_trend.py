"""When a disk will be full is told where its free space clearly shrinks, and not otherwise."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from cryowatch.sources.host.trend import FARTHEST, LEAST, Trend

TOTAL = 20e12
START = 1_795_000_000.0


def followed(free: Callable[[float], float], *, minutes: float, every: float = 10.0) -> float | None:
    """Return what a trend says at the end, of free space as a function of the seconds since the start."""
    trend, said = Trend(), None
    for step in range(int(minutes * 60 / every) + 1):
        said = trend.full_in(START + step * every, free(step * every), TOTAL)
    return said


def test_a_steady_fall_ends_when_nothing_is_left() -> None:
    rate = 200e6
    assert followed(lambda t: 4e12 - rate * t, minutes=45) == pytest.approx((4e12 - rate * 2700) / rate)


def test_ten_minutes_have_to_be_known() -> None:
    falling = Trend()
    assert LEAST == 600
    said = [falling.full_in(START + t, 4e12 - 1e9 * t, TOTAL) for t in range(0, 660, 10)]
    assert said[:60] == [None] * 60
    assert None not in said[60:]


def test_a_disk_that_does_not_shrink_has_no_end() -> None:
    assert followed(lambda _: 4e12, minutes=90) is None
    assert followed(lambda t: 4e12 + 1e6 * t, minutes=90) is None


def test_writing_in_bursts_counts_with_its_mean() -> None:
    burst = 60e9
    said = followed(lambda t: 4e12 - burst * (t // 300), minutes=90)
    assert said == pytest.approx((4e12 - burst * 18) / (burst / 300), rel=0.1)


def test_noise_does_not_hide_a_fall() -> None:
    chance = random.Random(5)
    said = followed(lambda t: 4e12 - 200e6 * t + chance.gauss(0, 20e9), minutes=60)
    assert said == pytest.approx((4e12 - 200e6 * 3600) / 200e6, rel=0.15)


def test_noise_alone_is_no_fall() -> None:
    for seed in range(20):
        chance = random.Random(seed)
        assert followed(lambda _, c=chance: 4e12 + c.gauss(0, 5e9), minutes=60) is None  # type: ignore[misc]


def test_one_large_copy_that_is_over_is_no_trend() -> None:
    assert followed(lambda t: 4e12 - 2e9 * min(max(t - 1200, 0), 300), minutes=60) is None


def test_after_space_was_freed_the_trend_begins_anew() -> None:
    rate = 200e6

    def free(t: float) -> float:
        return 4e12 - rate * t + (1e12 if t >= 2700 else 0)

    assert followed(free, minutes=50) is None
    assert followed(free, minutes=70) == pytest.approx(free(4200) / rate)


def test_files_that_come_and_go_do_not_begin_it_anew() -> None:
    rate = 200e6
    said = followed(lambda t: 4e12 - rate * t + (30e9 if (t // 60) % 2 else 0), minutes=60)
    assert said == pytest.approx((4e12 - rate * 3600) / rate, rel=0.1)


def test_a_file_system_of_another_size_begins_anew() -> None:
    trend = Trend()
    for t in range(0, 1800, 10):
        said = trend.full_in(START + t, 4e12 - 1e9 * t, TOTAL)
    assert said is not None
    assert trend.full_in(START + 1800, 2.2e12, 2 * TOTAL) is None


def test_a_clock_that_was_set_back_begins_anew() -> None:
    trend = Trend()
    for t in range(0, 1800, 10):
        trend.full_in(START + t, 4e12 - 1e9 * t, TOTAL)
    assert trend.full_in(START - 3600, 2.2e12, TOTAL) is None
    for t in range(0, 660, 10):
        said = trend.full_in(START - 3600 + t, 2.2e12 - 1e9 * t, TOTAL)
    assert said == pytest.approx(2200 - 650)


def test_what_is_a_month_away_is_not_told() -> None:
    slow = 10e12 / (2 * FARTHEST)
    assert followed(lambda t: 10e12 - slow * t, minutes=60) is None


def test_only_the_last_hour_counts() -> None:
    said = followed(lambda t: 8e12 - 1e9 * min(t, 3600) - 100e6 * max(t - 3600, 0), minutes=122)
    assert said == pytest.approx((8e12 - 3.6e12 - 100e6 * 3720) / 100e6)
