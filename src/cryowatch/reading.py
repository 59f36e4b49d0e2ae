"""What a source hands to the store: values that say all there is, so that storing them twice changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cryowatch.model import GainResidual, Micrograph, Output, Run, Session

Shifts = tuple[tuple[float, ...], tuple[float, ...]]
"""Where each frame of a movie was, in Å: x and y, of as many frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """All items that one output holds with `after < item <= upto` (None: to its end), in order of id.

    The store makes its own items in that range equal to these: new ones are added, changed ones updated, and
    those that are not here any more dropped.  `shifts` are those of the movies among them, by name.
    """

    run: str
    output: str
    after: int
    upto: int | None
    items: tuple[Micrograph, ...]
    shifts: Mapping[str, Shifts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A file that could not be read this time: which, in which state (`SourceError.state`), and why."""

    where: str
    state: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is new in a source since a cursor, and the cursor to go on from.

    `session`, `runs` and `outputs` are None where nothing changed; else `runs` and `outputs` are complete lists,
    and the store drops what is not in them.  `gains` are added to those that the store holds, but for the runs in
    `gains_anew`: of these, what is not here is dropped.  `finished` is False where more can be read at once.  `done`
    and `total` count items over the whole source, for a progress bar.
    """

    cursor: str
    session: Session | None = None
    runs: tuple[Run, ...] | None = None
    outputs: tuple[Output, ...] | None = None
    spans: tuple[Span, ...] = ()
    gains: tuple[GainResidual, ...] = ()
    gains_anew: frozenset[str] = frozenset()
    troubles: tuple[Trouble, ...] = ()
    finished: bool = True
    done: int = 0
    total: int = 0


class Source(Protocol):
    """Reads one session.

    `read` is called from one thread at a time, with the cursor that the store committed last (empty at first).
    It only reads, holds nothing open afterwards, and does not retry: a `SourceError` means that nothing was
    read this time, and the same cursor comes again.  Reading from the same cursor twice gives the same values.
    """

    def read(self, cursor: str) -> Reading: ...
