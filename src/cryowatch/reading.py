"""What a source hands to the store: values that say all there is, so that storing them twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Protocol, overload

from cryowatch.records import GainResidual, Micrograph, Output, Run, Session

Shifts = tuple[tuple[float, ...], tuple[float, ...]]
"""Where each frame of a movie was, in Å: x and y, of as many frames; both are nan of a frame without a shift."""

ZONE = "zone"
"""The state of a session whose local times seem to be those of another zone than the one they are read in."""

READABLE = frozenset({"ok", "busy", ZONE})
"""The states of a session in which what it holds can be read."""

_DEFAULTS = {f.name: f.default for f in fields(Micrograph)}


class Items(Sequence[Micrograph]):
    """Micrographs of one output, kept as columns: a record is made of one only where somebody asks for it.

    `columns` holds as many values of each field, `item` among them; a field that is not there has its default.  A
    backlog of a hundred thousand goes from a source to the store without a hundred thousand records.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, columns: Mapping[str, Sequence[Any]], *, run: str, output: str) -> None:
        self._columns = columns
        self._run = run
        self._output = output

    def column(self, name: str) -> Sequence[Any]:
        """Return the values of one field."""
        found = self._columns.get(name)
        return [_DEFAULTS[name]] * len(self) if found is None else found

    def __len__(self) -> int:
        return len(self._columns["item"])

    @overload
    def __getitem__(self, place: int) -> Micrograph: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Micrograph]: ...

    def __getitem__(self, place: int | slice) -> Micrograph | Sequence[Micrograph]:
        if isinstance(place, slice):
            columns = {name: column[place] for name, column in self._columns.items()}
            return Items(columns, run=self._run, output=self._output)
        return self._record(tuple(column[place] for column in self._columns.values()))

    def __iter__(self) -> Iterator[Micrograph]:
        return map(self._record, zip(*self._columns.values(), strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def _record(self, values: tuple[Any, ...]) -> Micrograph:
        return Micrograph(run=self._run, output=self._output, **dict(zip(self._columns, values, strict=True)))


def columns_of(items: Sequence[Micrograph], names: Sequence[str]) -> list[Sequence[Any]]:
    """Return the values of some fields of all items, field by field."""
    if isinstance(items, Items):
        return [items.column(name) for name in names]
    return list(zip(*map(attrgetter(*names), items), strict=True)) or [()] * len(names)


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
    items: Sequence[Micrograph]
    shifts: Mapping[str, Shifts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A file that could not be read this time: which, in which state (`SourceError.state`), and why."""

    where: str
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class Origin:
    """By what a project is known wherever it lies: when it was made, as it says itself, and its database's inode."""

    created: str
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is new in a source since a cursor, and the cursor to go on from.

    `session`, `runs` and `outputs` are None where nothing changed; else `runs` and `outputs` are complete lists,
    and the store drops what is not in them.  `gains` are added to those that the store holds, but for the runs in
    `gains_anew`: of these, what is not here is dropped.  `finished` is False where more can be read at once.  `done`
    and `total` count items over the whole source, for a progress bar.  `origin` is that of the project; None where it
    does not say.
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
    origin: Origin | None = None


class Source(Protocol):
    """Reads one session.

    `read` is called from one thread at a time, with the cursor that the store committed last (empty at first).
    It only reads, holds nothing open afterwards, and does not retry: a `SourceError` means that nothing was
    read this time, and the same cursor comes again.  Reading from the same cursor twice gives the same values.
    `is_whole` says whether all that there was had been read at a cursor.  `rest` lets go of what is only kept to make
    the next reading fast, as that is far away.
    """

    def read(self, cursor: str) -> Reading: ...

    def is_whole(self, cursor: str) -> bool: ...

    def rest(self) -> None: ...
