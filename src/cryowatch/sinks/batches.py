"""Batches of lines for InfluxDB, from what changed in the store since a position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol

from cryowatch.store.changes import Changes, ItemRow, Place, Published
from cryowatch.store.reader import Row

MOST_ITEMS = 2_000
"""How many items a batch holds: larger ones are delivered no faster, and two are in memory at a time."""

MOST_OTHERS = 200
"""How many records of every other kind a batch holds: a sample of a large machine is as large as 20 items."""

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
    """What changed with `after < seq <= upto`, of every kind of record.

    `items` changed themselves, of `published` the images; `images` are what lies published of either, by the item's id.
    `places` are those of their outputs.
    """

    after: int
    upto: int
    items: list[Items]
    published: list[Items]
    images: Mapping[int, Published]
    places: Mapping[int, Place]
    sessions: list[Row]
    runs: list[Row]
    sizes: list[Row]
    gains: list[Row]
    samples: list[Row]
    alerts: list[Row]


@dataclass(frozen=True, slots=True)
class Receipt:
    """How many lines a server took, and which it never will, with its reason."""

    accepted: int
    rejected: tuple[tuple[str, str], ...] = ()


class Layout(Protocol):
    """How records become lines: which measurements, tags and fields.  The same slice gives the same lines, always.

    `columns` names the store's columns of items that it wants, beside their id, item and time.
    """

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> Sequence[str]: ...

    def lines(self, found: Slice, changes: Changes) -> Iterable[str]: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines to deliver, the position that is reached when they are, and of how many host samples they tell."""

    lines: list[str]
    upto: int
    samples: int


def following(changes: Changes, layout: Layout, after: int, *, most: int = MOST_ITEMS) -> Batch | None:
    """Return the next batch after a position; None where nothing changed since."""
    if changes.head() <= after:
        return None
    head = changes.within(after, most=MOST_OTHERS)
    rows = changes.items(after, head, limit=most, columns=layout.columns)
    published = changes.published(after, head, limit=most)
    upto = min(
        rows[-1][0] if len(rows) == most else head,
        published[-1].seq if len(published) == most else head,
    )
    items = _by_output(row for row in rows if row[0] <= upto)
    ids = [images.micrograph_id for images in published if images.seq <= upto]
    others = _by_output(changes.items_of(ids, columns=layout.columns)) if ids else []
    found = Slice(
        after=after,
        upto=upto,
        items=items,
        published=others,
        images={images.micrograph_id: images for images in (*changes.published_of(after, upto), *published)},
        places=changes.places({each.output for each in (*items, *others)}),
        sessions=changes.sessions(after, upto),
        runs=changes.runs(after, upto),
        sizes=changes.sizes(after, upto),
        gains=changes.gains(after, upto),
        samples=changes.samples(after, upto),
        alerts=changes.alerts(after, upto),
    )
    return Batch(list(layout.lines(found, changes)), upto, len(found.samples))


def _by_output(rows: Iterable[ItemRow]) -> list[Items]:
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
