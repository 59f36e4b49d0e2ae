"""When `watch` ends by itself: once what it watches has ended, after some time, or with whoever started it.

At the first two everything is read once more and delivered first, with patience for servers that are away; what is then
still left is named.  A signal, or the end of the one who started it, ends everything at once: the store keeps what is
undelivered for the next start.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryowatch.agent.agent import Agent
from cryowatch.records import RunStatus
from cryowatch.store import Store

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
SETTLE_SECONDS = 3.0
"""Until a file that was written last counts as lying still, and is read again as a whole."""
AGAIN_SECONDS = 2.0
_NEVER_BEGUN = {RunStatus.SAVED, ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """When to end: with the runs, after so many `minutes`, or, `leashed`, when standard input ends.

    `patience` is for how many minutes servers that are away are waited for; `state_file` is where it is written how
    everything is.
    """

    ended: bool = False
    minutes: float | None = None
    patience: float = 10.0
    leashed: bool = False
    state_file: Path | None = None


class Ending:
    """Ends the process in order when it is time; `step` is called from one thread, `finish` after `Agent.stop`.

    `end` is what a signal would do.
    """

    def __init__(
        self,
        until: Until,
        agent: Agent,
        store: Store,
        *,
        mono: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
        end: Callable[[], object] = lambda: os.kill(os.getpid(), signal.SIGTERM),
    ) -> None:
        self._until = until
        self._agent = agent
        self._reader = store.reader()
        self._mono = mono
        self._wait = wait
        self._end = end
        self._began = mono()
        self.reason = ""
        """Why it is time to end; empty while it is not."""

    def leash(self) -> None:
        """End with whoever holds the other end of standard input, however that one ends."""
        if self._until.leashed:
            threading.Thread(target=self._hold, name="leash", daemon=True).start()

    def _hold(self) -> None:
        try:
            while os.read(0, 4096):
                pass
        except OSError as error:
            log.warning("standard input cannot be read: %s", error.strerror)
        self._end()

    def step(self) -> float:
        """Look whether it is time to end; returns the seconds to the next look."""
        if not self.reason:
            if self._until.ended and self._all_ended():
                self.reason = "what was watched has ended"
            elif self._until.minutes is not None and self._mono() - self._began >= self._until.minutes * 60:
                self.reason = "the time is over"
            if self.reason:
                log.info("%s; what is left is delivered", self.reason)
                self._end()
        return LOOK_SECONDS

    def _all_ended(self) -> bool:
        watches = [watch for watch in list(self._agent.watches.values()) if not watch.forgotten]
        return bool(watches) and all(
            watch.whole and not watch.active and watch.problem is None and self._begun(watch.session)
            for watch in watches
        )

    def _begun(self, session: int) -> bool:
        """Return whether any run was ever launched: a workflow whose boxes are all saved is yet to come."""
        return any(run["status"] not in _NEVER_BEGUN for run in self._reader.runs(session))

    def finish(self, told: Callable[[list[str], str], object], *, alone: bool) -> list[str]:
        """Read and deliver what is left, as long as patience lasts; returns what is still left, a line each.

        `told` is told of that meanwhile, and in which phase this is; `alone` says that no thread is at work any more.
        """
        if not alone:
            return ["a disk or a server does not answer, so what is left is read and delivered after the next start"]
        deadline = self._mono() + self._until.patience * 60
        told([], "finishing")
        self._wait(SETTLE_SECONDS)
        unread = [problem.text for problem in self._agent.read()]
        self._agent.look_last()
        while True:
            left = unread + [problem.text for problem in self._agent.deliver()]
            told(left, "finishing")
            if not left or self._mono() >= deadline:
                return left
            self._wait(AGAIN_SECONDS)
            unread = [problem.text for problem in self._agent.read()]
