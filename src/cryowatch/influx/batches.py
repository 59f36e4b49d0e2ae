"""What goes to InfluxDB at a time: records as a layout gets them, and a batch as a server does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol

from cryowatch.influx.series import Series
from cryowatch.influx.states import State
from cryowatch.store.changes import ItemRow, OutputNow, Place, Published, SessionNow
from cryowatch.store.delivered import Settled
from cryowatch.store.reader import Row

MOST_BYTES = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Items of one output, at least one, column by column; `columns` are those that the layout asks for.

    `ids` are the store's, `numbers` those in the output; `times` are in UTC nanoseconds.
    """

    output: int
    ids: Sequence[int]
    numbers: Sequence[int]
    times: Sequence[int]
    columns: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Records to be delivered: `items` of themselves, of `published` the images.

    `images` are what lies published of either, by the item's id.  `places` and `series` are those of their outputs, by
    the output's id: one without a series is not delivered.  `gain_series` are by session and run, `projects` what
    sessions' projects are called, and `at_work` which sessions were, by the sample's `seq`.
    """

    items: Sequence[Items]
    published: Sequence[Items]
    images: Mapping[int, Published]
    places: Mapping[int, Place]
    series: Mapping[int, Series]
    gains: Sequence[Row]
    gain_series: Mapping[tuple[int, str], Series]
    samples: Sequence[Row]
    at_work: Mapping[int, Sequence[int]]
    projects: Mapping[int, str]


Deletions = Mapping[Series, Sequence[int]]
"""Points that are to be taken away: their times (UTC ns) in order, by series."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """How many lines a server took, which it never will, with its reason, and how many it would not keep.

    `old` is why those were not sent: they are older than what the server keeps.
    """

    accepted: int
    rejected: tuple[tuple[str, str], ...] = ()
    outdated: int = 0
    old: str = ""


@dataclass(frozen=True, slots=True)
class Removal:
    """How many points stay at a server that does not take them away, and what it says."""

    stay: int = 0
    reason: str = ""


class Layout(Protocol):
    """How records become lines: which measurements, tags and fields.  The same records give the same lines, always.

    `columns` names the store's columns of items that it wants, beside their id, item and time; `samples_of_sessions`
    says whether host samples are written for each session that was at work.
    """

    @property
    def name(self) -> str: ...

    @property
    def samples_of_sessions(self) -> bool: ...

    @property
    def columns(self) -> Sequence[str]: ...

    def identity(self, name: str, host: str, /) -> str: ...

    def outputs(self, project: str, host: str, outputs: Sequence[OutputNow], /) -> dict[int, Series]: ...

    def before(self, project: str, host: str, outputs: Sequence[OutputNow], /) -> dict[int, Series]: ...

    def gains(self, project: str, host: str, run: str, /) -> Series: ...

    def superseded(self, series: Series, cause: str, /) -> Sequence[Series]: ...

    def moment(self, time: int, item: int, /) -> int: ...

    def lines(self, found: Slice, /) -> Iterable[str]: ...

    def states(self, project: str, session: SessionNow, /) -> Iterable[State]: ...

    def alert(self, row: Row, project: str, /) -> Iterable[State]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is taken away and then written, the position that is reached when that is done, and what holds then.

    It tells of `samples` host samples.
    """

    deletions: Deletions
    lines: list[str]
    upto: int
    settled: Settled
    samples: int


def by_output(rows: Iterable[ItemRow]) -> list[Items]:
    """Arrange rows in columns, those of an output that follow one another together."""
    arranged = []
    for output, of_one in groupby(rows, key=itemgetter(1)):
        _, _, ids, numbers, times, *columns = zip(*of_one, strict=True)
        arranged.append(Items(output=output, ids=ids, numbers=numbers, times=times, columns=columns))
    return arranged


def portions(lines: list[str], *, most: int = MOST_BYTES) -> Iterable[list[str]]:
    """Yield the lines in portions of at most so many characters, one line at least each."""
    portion: list[str] = []
    size = 0
    for line in lines:
        if portion and size + len(line) > most:
            yield portion
            portion, size = [], 0
        portion.append(line)
        size += len(line) + 1
    if portion:
        yield portion
