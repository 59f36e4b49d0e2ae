"""How often a password may be tried: by account, by address, and in a browser that is known."""

from __future__ import annotations

from cryowatch.access.throttle import ACCOUNT, ADDRESS, KNOWN, MOST_KEPT, Throttle


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def tries(throttle: Throttle, account: str, address: str, known: str | None = None) -> int:
    """Return how many tries are allowed at once."""
    count = 0
    while throttle.take(account, address, known) == 0:
        count += 1
    return count


def test_an_account_is_tried_a_few_times_and_then_slowly() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert tries(throttle, "ada", "10.0.0.1") == ACCOUNT.burst
    assert 0 < throttle.take("ada", "10.0.0.2", None) <= ACCOUNT.seconds, "from wherever it is tried"
    clock.now += ACCOUNT.seconds
    assert tries(throttle, "ada", "10.0.0.2") == 1
    clock.now += 24 * 3600
    assert tries(throttle, "ada", "10.0.0.3") == ACCOUNT.burst


def test_an_address_tries_a_few_names_and_then_slowly() -> None:
    throttle = Throttle(Clock())
    count = sum(throttle.take(f"user{number}", "10.0.0.1", None) == 0 for number in range(100))
    assert count == ADDRESS.burst
    assert throttle.take("ada", "10.0.0.2", None) == 0


def test_a_stranger_does_not_lock_a_known_browser_out() -> None:
    throttle = Throttle(Clock())
    tries(throttle, "ada", "10.6.6.6")
    assert throttle.take("ada", "10.0.0.1", None) > 0
    assert tries(throttle, "ada", "10.0.0.1", "mark") == KNOWN.burst


def test_a_right_password_gives_the_account_its_tries_back() -> None:
    throttle = Throttle(Clock())
    for _ in range(ACCOUNT.burst - 1):
        throttle.take("ada", "10.0.0.1", None)
    throttle.take("ada", "10.0.0.1", None)
    throttle.succeeded("ada", "10.0.0.1", None)
    assert tries(throttle, "ada", "10.0.0.2") == ACCOUNT.burst


def test_memory_is_bounded_whoever_tries() -> None:
    throttle = Throttle(Clock())
    for number in range(MOST_KEPT):
        throttle.take(f"user{number}", f"10.{number}", None)
    assert len(throttle._buckets) <= MOST_KEPT
