"""What was looked at, how it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from cryowatch.errors import CryowatchError
from cryowatch.settings.config import Settings


class Verdict(StrEnum):
    """How a thing is."""

    WELL = "well"
    LOOK = "look"
    BAD = "bad"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; `text` is one line, with how to mend it where that is needed."""

    what: str
    verdict: Verdict
    text: str

    @property
    def is_well(self) -> bool:
        """Whether nobody has to look at it."""
        return self.verdict in (Verdict.WELL, Verdict.ABSENT)


Check = Callable[[Settings], Iterator[Finding]]


def well(what: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(what=what, verdict=Verdict.WELL, text=text)


def look(what: str, text: str) -> Finding:
    """Return something that works, but that a person should know."""
    return Finding(what=what, verdict=Verdict.LOOK, text=text)


def bad(what: str, error: CryowatchError | str) -> Finding:
    """Return what does not work."""
    return Finding(what=what, verdict=Verdict.BAD, text=str(error))


def absent(what: str, text: str) -> Finding:
    """Return what is not configured, or not there."""
    return Finding(what=what, verdict=Verdict.ABSENT, text=text)
