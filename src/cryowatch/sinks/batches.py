"""Batches of lines for InfluxDB, from what changed in the store since a position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from cryowatch.store.changes import Changes, Item, Place
from cryowatch.store.reader import Row

MOST_ITEMS = 2_000
"""How many items a batch holds: larger ones are delivered no faster, and two are in memory at a time."""

MOST_OTHERS = 200
"""How many records of every other kind a batch holds: a sample of a large machine is as large as 20 items."""

MOST_BYTES = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What changed with `after < seq <= upto`, of every kind of record; `places` are those of the items' outputs."""

    after: int
    upto: int
    micrographs: list[Item]
    published: list[Item]
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
    """How records become lines: which measurements, tags and fields.  The same slice gives the same lines, always."""

    @property
    def name(self) -> str: ...

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
    micrographs = changes.micrographs(after, head, limit=most)
    published = changes.published(after, head, limit=most)
    upto = min(
        micrographs[-1].seq if len(micrographs) == most else head,
        (published[-1].published_seq or 0) if len(published) == most else head,
    )
    found = Slice(
        after=after,
        upto=upto,
        micrographs=[item for item in micrographs if item.seq <= upto],
        published=[item for item in published if (item.published_seq or 0) <= upto],
        places=changes.places({item.output_id for item in (*micrographs, *published)}),
        sessions=changes.sessions(after, upto),
        runs=changes.runs(after, upto),
        sizes=changes.sizes(after, upto),
        gains=changes.gains(after, upto),
        samples=changes.samples(after, upto),
        alerts=changes.alerts(after, upto),
    )
    return Batch(list(layout.lines(found, changes)), upto, len(found.samples))


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
