"""How somebody who delivers to a server fares: what was taken, what stands in the way, and when to try again."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from cryowatch.errors import SinkAway, SinkError, SinkRefused
from cryowatch.times import milliseconds

log = logging.getLogger(__name__)

SHORTEST_WAIT = 0.5
LONGEST_WAIT = 30.0
PERSON_WAIT = 60.0
LONGEST_ASKED = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a follower fares: `what` travels to `where`, and `behind` of `waiting` have not yet.

    `dropped` is how many were forgotten before they could travel, `problem` is empty where there is none, and
    `needs_person` says whether it will not pass by itself.  Times are UTC ns.
    """

    where: str
    what: str
    waiting: str
    behind: int
    accepted: int
    rejected: int = 0
    dropped: int = 0
    last_dropped: int | None = None
    problem: str = ""
    needs_person: bool = False
    last_success: int | None = None

    def shown(self) -> dict[str, Any]:
        """Return it as pages and programs get it, with times in milliseconds."""
        times = {"last_dropped": self.last_dropped, "last_success": self.last_success}
        return {**asdict(self), **{name: milliseconds(time) for name, time in times.items()}}


@dataclass(slots=True)
class Standing:
    """Counts, the present problem (empty where there is none) and the time of the last success (UTC ns).

    `chance` gives numbers from 0 to 1, by which those who wait for the same server do not all come back at once.
    """

    where: str
    chance: Callable[[], float] = random.random
    accepted: int = 0
    rejected: int = 0
    problem: str = ""
    needs_person: bool = False
    last_success: int | None = None
    _failures: int = field(default=0, repr=False)

    def status(
        self, *, what: str, waiting: str, behind: int, dropped: int = 0, last_dropped: int | None = None
    ) -> Status:
        """Return how it goes, with what only the follower knows."""
        return Status(
            where=self.where,
            what=what,
            waiting=waiting,
            behind=behind,
            accepted=self.accepted,
            rejected=self.rejected,
            dropped=dropped,
            last_dropped=last_dropped,
            problem=self.problem,
            needs_person=self.needs_person,
            last_success=self.last_success,
        )

    def failed(self, error: SinkError) -> float:
        """Take note of a failure, telling of a new one; returns the seconds after which to try again."""
        self.needs_person = isinstance(error, SinkRefused)
        if str(error) != self.problem:
            self.problem = str(error)
            log.warning("%s; everything is kept and sent later", error)
        self._failures += 1
        if isinstance(error, SinkAway) and error.after is not None:
            return min(error.after, LONGEST_ASKED)
        if self.needs_person:
            return PERSON_WAIT
        longest: float = min(LONGEST_WAIT, SHORTEST_WAIT * 2 ** min(self._failures, 10))
        return max(SHORTEST_WAIT, longest * (0.5 + self.chance() / 2))

    def succeeded(self, now: int, *, complaint: str = "") -> None:
        """Take note that all went well at a time (UTC ns), or nearly: of a `complaint` a person has to know."""
        if complaint and complaint != self.problem:
            log.warning("%s", complaint)
        elif self.problem and not complaint:
            log.info("%s: takes what it is sent again", self.where)
        self._failures = 0
        self.problem = complaint
        self.needs_person = bool(complaint)
        self.last_success = now
