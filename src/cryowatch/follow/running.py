"""Followers at work: each carries what the store holds elsewhere, at its own pace and in a thread of its own.

A follower has a name, under which the store keeps how far it has come, and `step`, which does a piece of its work and
says after how many seconds to come again.  Everything else is here: going on, being woken by what is new, ending.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from cryowatch.follow.status import Status

LOOK_SECONDS = 0.5
"""How often a follower in trouble shows that it lives while it waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that a person may have to see to: where, and one line of what and how."""

    where: str
    text: str


class Follower(ABC):
    """Does its work in steps: `run` until `stop`, or `finish` what there is now.

    `wake` and `stop` may be called from any thread and do not wait.
    """

    name: str
    """Under which the store knows it."""

    carries_samples = False
    """Whether it misses host samples that are forgotten."""

    is_woken = True
    """Whether what is new makes it come sooner; others look soon enough by themselves."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._woken = threading.Event()
        self._stopped = threading.Event()

    @property
    @abstractmethod
    def behind(self) -> int:
        """How much is still to be carried, as far as it knows."""

    @abstractmethod
    def status(self) -> Status:
        """Return how it goes."""

    @abstractmethod
    def step(self) -> float:
        """Do a piece of the work; returns the seconds after which to come again."""

    @abstractmethod
    def finish(self) -> bool:
        """Carry what there is now, while nothing runs it; returns whether that worked within some tries."""

    def in_trouble(self) -> bool:
        """Return whether something is in the way, so that what is new does not make it come sooner."""
        return False

    def beat(self) -> None:
        """Do what is due now and then while it waits in trouble: nothing, unless a follower says otherwise."""
        return

    def run(self) -> None:
        """Work until stopped."""
        while not self.stopped:
            self.wait(self.step())

    def wake(self) -> None:
        """Say that there may be something new."""
        if self.is_woken:
            self._woken.set()

    def stop(self) -> None:
        """End `run` after the present step."""
        self._stopped.set()
        self._woken.set()

    @property
    def stopped(self) -> bool:
        """Whether it was told to end."""
        return self._stopped.is_set()

    def wait(self, seconds: float) -> None:
        """Wait, or less where something new comes and nothing is in the way."""
        end = time.monotonic() + seconds
        while not self.stopped and (left := end - time.monotonic()) > 0:
            if not self.in_trouble():
                self._woken.wait(left)
                self._clear()
                return
            self.beat()
            self._woken.wait(min(left, LOOK_SECONDS))
            self._clear()

    def _clear(self) -> None:
        self._woken.clear()
        if self.stopped:
            self._woken.set()


def finished(follower: Follower) -> Problem | None:
    """Let a follower finish, and return what stood in its way."""
    if follower.finish():
        return None
    status = follower.status()
    left = f"{follower.behind:,} {status.waiting} are not delivered and will be sent later"
    return Problem(where=status.where, text=f"{status.problem}; {left}" if status.problem else left)
