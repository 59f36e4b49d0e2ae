"""Reports while sessions run: each live session's every so many minutes, once more when it ends, then handed over.

Each session has a folder of its own, named by its key, with the report as `index.html`.  The position up to which a
session was reported and handed over is kept in the store, so a report that is due is not forgotten by a restart.  A
session that had ended before cryowatch first saw it gets none, unless `ended_too` says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryowatch.errors import CryowatchError, ImageError, NotFoundError, ReportError, SinkAway, SinkError, SinkRefused
from cryowatch.follow.running import Follower
from cryowatch.follow.status import Standing, Status
from cryowatch.report.after import Command
from cryowatch.report.maker import Made, Maker
from cryowatch.store import Store
from cryowatch.store.reader import Row
from cryowatch.times import SECOND

log = logging.getLogger(__name__)

NAME = "index.html"
LOOK_SECONDS = 2.0
RETRY_SECONDS = 60.0


@dataclass(slots=True)
class _Known:
    """A session: up to where it was reported, whether it was seen at work since, and when it may be reported next."""

    seq: int
    state: Standing
    live: bool = False
    next: int = 0


class Reports(Follower):
    """Writes reports into a folder and hands them over; `clock` gives UTC ns."""

    is_woken = False

    def __init__(
        self,
        store: Store,
        maker: Maker,
        *,
        folder: Path,
        minutes: float,
        size_mb: float,
        command: Command,
        ended_too: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__("reports")
        self._store = store
        self._reader = store.reader()
        self._maker = maker
        self._folder = folder
        self._pace = round(minutes * 60 * SECOND)
        self._size_mb = size_mb
        self._command = command
        self._ended_too = ended_too
        self._clock = clock
        self._sessions: dict[str, _Known] = {}

    @property
    def behind(self) -> int:
        """How many sessions' reports could not be written or handed over."""
        return sum(bool(known.state.problem) for known in list(self._sessions.values()))

    def status(self) -> Status:
        states = [known.state for known in list(self._sessions.values())]
        troubled = [state for state in states if state.problem]
        return Status(
            where=f"reports in {self._folder}",
            what="reports",
            waiting="reports",
            behind=len(troubled),
            accepted=sum(state.accepted for state in states),
            problem=troubled[0].problem if troubled else "",
            needs_person=any(state.needs_person for state in troubled),
            last_success=max((state.last_success for state in states if state.last_success is not None), default=None),
        )

    def step(self) -> float:
        """Report every session whose time has come; returns the seconds after which to look again."""
        self.look()
        return LOOK_SECONDS

    def finish(self) -> bool:
        """Report what is live or was reported before and has changed; returns whether all of that worked."""
        self._stopped.clear()
        self.look(at_once=True)
        return not self.behind

    def look(self, *, at_once: bool = False) -> None:
        """Report every session whose time has come."""
        for row in self._reader.sessions():
            if self.stopped:
                return
            known = self._known(row)
            if self._is_due(row, known, at_once=at_once):
                self._report(row, known)

    def _known(self, row: Row) -> _Known:
        known = self._sessions.get(row["key"])
        if known is None:
            seq = self._reader.position(_follower(row["key"]))
            known = self._sessions[row["key"]] = _Known(seq, Standing(f"report of {row['key']}"))
        return known

    def _is_due(self, row: Row, known: _Known, *, at_once: bool) -> bool:
        running = row["status"] == "running"
        just_ended = known.live and not running and not known.state.problem
        known.live = known.live or running
        if row["seq"] <= known.seq or not (running or known.live or known.seq or self._ended_too):
            return False
        return at_once or just_ended or self._clock() >= known.next

    def _report(self, row: Row, known: _Known) -> None:
        key = row["key"]
        try:
            made = self._make(key)
            self._command.run(made.path, key, ended=lambda: self.stopped)
        except NotFoundError:
            return
        except SinkError as error:
            self._failed(key, known, error)
        except (ReportError, ImageError) as error:
            self._failed(key, known, SinkRefused(str(error)))
        except CryowatchError as error:
            self._failed(key, known, SinkAway(str(error), where=known.state.where))
        else:
            now = self._clock()
            known.state.accepted += 1
            known.state.succeeded(now)
            known.seq, known.next, known.live = made.seq, now + self._pace, row["status"] == "running"
            self._store.advance(_follower(key), made.seq, now=now, waiting=0)

    def _make(self, key: str) -> Made:
        folder = self._folder / key
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ReportError(f"cannot be made: {error.strerror}", where=folder, remedy="See report.folder") from None
        return self._maker.make(key, folder / NAME, size_mb=self._size_mb, ended=lambda: self.stopped)

    def _failed(self, key: str, known: _Known, error: SinkError) -> None:
        if self.stopped:
            return
        now = self._clock()
        wait = max(RETRY_SECONDS, known.state.failed(error))
        known.next = now + round(wait * SECOND)
        self._store.advance(_follower(key), known.seq, now=now, problem=known.state.problem, waiting=1)


def _follower(key: str) -> str:
    return f"report {key}"
