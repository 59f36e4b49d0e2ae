"""Looks share a few threads, and those that hang hold up nobody else."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from cryowatch.agent.looks import MOST_OF_A_PLACE, Looks
from tests.support.serving import until


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


class Counted:
    """Counts looks by name, and how many there are at a time."""

    def __init__(self, wait: float = 0.0) -> None:
        self.done: Counter[str] = Counter()
        self.at_once = self.most = 0
        self.wait = wait
        self._entry = threading.Lock()

    def look(self, name: str) -> float:
        with self._entry:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep(0.002)
        with self._entry:
            self.done[name] += 1
            self.at_once -= 1
        return self.wait


def threads() -> int:
    return sum(thread.name == "looks" for thread in threading.enumerate())


def test_a_thousand_looks_take_turns_in_a_few_threads(stop: threading.Event) -> None:
    counted, looks = Counted(), Looks(stop, at_once=4)
    names = [str(n) for n in range(1_000)]
    for name in names:
        looks.add(name, partial(counted.look, name))
    until(lambda: set(counted.done) == set(names))
    assert (counted.most <= 4, threads() <= 9) == (True, True)
    assert max(counted.done.values()) <= 3, "each has its turn"
    stop.set()
    assert looks.end(time.monotonic() + 60)


def test_a_look_comes_again_after_as_long_as_it_says(stop: threading.Event) -> None:
    counted, looks = Counted(wait=0.2), Looks(stop)
    looks.add("one", partial(counted.look, "one"))
    until(lambda: counted.done["one"] >= 1)
    began, before = time.monotonic(), counted.done["one"]
    until(lambda: counted.done["one"] >= before + 4)
    assert time.monotonic() - began > 3 * 0.2


def test_one_that_is_urgent_goes_first(stop: threading.Event) -> None:
    counted, looks = Counted(), Looks(stop, at_once=1)
    for name in map(str, range(50)):
        looks.add(name, partial(counted.look, name))
    looks.add("live", partial(counted.look, "live"), urgent=lambda: True)
    until(lambda: counted.done["live"] > 40)
    assert max(counted.done[str(n)] for n in range(50)) < 20


def test_what_is_over_is_looked_at_no_more(stop: threading.Event) -> None:
    counted, looks = Counted(), Looks(stop)
    looks.add("one", partial(counted.look, "one"), over=lambda: counted.done["one"] >= 3)
    looks.add("other", partial(counted.look, "other"))
    until(lambda: counted.done["other"] > 20)
    assert counted.done["one"] == 3


def test_those_that_hang_hold_up_nobody_else_and_take_few_threads(stop: threading.Event) -> None:
    again = threading.Event()
    counted, looks = Counted(wait=0.05), Looks(stop, at_once=2, hangs_seconds=0.1, probe_seconds=30.0)
    began: list[str] = []

    def hang(name: str) -> float:
        began.append(name)
        again.wait(60)
        return counted.look(name)

    dead = [f"dead {n}" for n in range(200)]
    for name in dead:
        looks.add(name, partial(hang, name), place=lambda: "the dead disk")
    looks.add("well", partial(counted.look, "well"))
    until(lambda: counted.done["well"] > 10)
    assert len(began) <= MOST_OF_A_PLACE + 2 + 1, "and one to see whether it answers"
    assert threads() <= 12
    waiting = [name for name in dead if name not in began]
    until(lambda: all(looks.held_since(name) is not None for name in waiting))
    again.set()
    until(lambda: set(counted.done) >= {"well", *began})
    looks._probe_seconds = 0.1
    until(lambda: set(counted.done) == {"well", *dead}, 60)
    assert [name for name in dead if looks.held_since(name) is not None] == []


def test_a_disk_that_answers_again_is_noticed(stop: threading.Event) -> None:
    again, counted = threading.Event(), Counted(wait=0.05)
    looks = Looks(stop, at_once=1, hangs_seconds=0.05, probe_seconds=0.2)

    def look(name: str) -> float:
        again.wait(60)
        return counted.look(name)

    for name in map(str, range(20)):
        looks.add(name, partial(look, name))
    until(lambda: looks.held_since("19") is not None)
    again.set()
    until(lambda: len(counted.done) == 20)


def test_threads_that_hang_at_the_end_are_left_behind(stop: threading.Event) -> None:
    again = threading.Event()
    looks = Looks(stop)
    begun = threading.Event()

    def hang() -> float:
        begun.set()
        again.wait(60)
        return 0.0

    looks.add("hangs", hang)
    assert begun.wait(60)
    stop.set()
    assert not looks.end(time.monotonic() + 0.2)
    again.set()
    assert looks.end(time.monotonic() + 60)
