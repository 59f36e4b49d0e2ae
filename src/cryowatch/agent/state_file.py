"""A file that says how the watching goes, as JSON: for the program that started it, and that asks nothing else.

It is replaced as a whole, when something in it has changed and at least twice a minute::

    version, pid     of the agent
    time             when it was written, UTC ms
    phase            watching, finishing or ended
    reason           why it has ended by itself; empty where it has not
    address          of the pages; null without
    sessions         as in `cryowatch status --json` without `good`, and `gains` and `alerts`: those that last
    deliveries       as in `cryowatch status --json`, as they are at this moment
    left             what was not delivered when it ended, a line each
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cryowatch import __version__
from cryowatch.agent.agent import Agent
from cryowatch.store import Store, raised
from cryowatch.store.status import session_status
from cryowatch.times import milliseconds

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
FRESH_SECONDS = 25.0


class StateFile:
    """Writes the file again and again; a disk that is full or away is said once, and holds up nothing."""

    def __init__(self, path: Path, agent: Agent, store: Store, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._path = path
        self._agent = agent
        self._reader = store.reader()
        self._clock = clock
        self._written: dict[str, Any] = {}
        self._at = 0
        self._said = ""
        self.address: str | None = None
        self.reason = ""

    def step(self) -> float:
        """Write how it is; returns the seconds after which to do so again."""
        self.write()
        return LOOK_SECONDS

    def write(self, left: Sequence[str] = (), phase: str = "watching") -> None:
        """Write how it is, and what is left to deliver, where that has changed or is no longer fresh."""
        state = self._state(phase, left)
        now = self._clock()
        if state == self._written and abs(now - self._at) < FRESH_SECONDS * 10**9:
            return
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            beside.write_text(json.dumps({"time": milliseconds(now), **state}, indent=1) + "\n", encoding="utf-8")
            beside.replace(self._path)
        except OSError as error:
            if str(error) != self._said:
                self._said = str(error)
                log.warning("%s: cannot be written: %s", self._path, error.strerror)
            return
        self._written, self._at, self._said = state, now, ""

    def _state(self, phase: str, left: Sequence[str]) -> dict[str, Any]:
        watched = {watch.session for watch in list(self._agent.watches.values())}
        return {
            "version": __version__,
            "pid": os.getpid(),
            "phase": phase,
            "reason": self.reason,
            "address": self.address,
            "sessions": [self._session(row) for row in self._reader.sessions() if row["id"] in watched],
            "deliveries": [
                {"where": said["where"], "waiting": said["waiting"], "behind": said["behind"],
                 "refused": said["rejected"], "problem": said["problem"]}
                for said in (follower.status().shown() for follower in self._agent.followers)
            ],
            "left": list(left),
        }  # fmt: skip

    def _session(self, row: dict[str, Any]) -> dict[str, Any]:
        return {
            **session_status(self._reader, row, self._clock()),
            "gains": self._reader.count_of_gains(row["id"]),
            "alerts": raised.briefly(self._reader, row["id"], row["host"]),
        }
