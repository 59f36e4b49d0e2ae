"""What is new in a set since it was looked at last, as spans of its items."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryowatch.errors import SourceMalformed
from cryowatch.reading import Span
from cryowatch.records import Output
from cryowatch.sources.scipion.cursor import Progress
from cryowatch.sources.scipion.files import Stamp
from cryowatch.sources.scipion.sets import ItemSet, Tables


@dataclass(slots=True)
class Look:
    """What the last look at a set showed besides its progress.

    `seen` is the file's stamp where nothing more is to come without a change of it, `swept_at` the time of the last
    sweep, and `ids` those of the items that were read.
    """

    seen: Stamp | None = None
    swept_at: int = 0
    ids: array[int] = field(default_factory=lambda: array("q"))


def new_spans(
    items: ItemSet, known: Progress, look: Look, seen: Stamp, now: int, *, most: int, sweep: bool
) -> list[Span]:
    """Return what is new in a set, and take `known` and `look` on."""
    if sweep:
        _begin(known, look, seen, now)
    spans = _pages(items, known, look, most)
    if not known.ended or items.size() == known.count:
        return spans
    present = items.ids()
    if len(present) == known.count:
        return spans
    if len(look.ids) == known.count:
        common = _common(look.ids, present)
        known.at = look.ids[common - 1] if common else 0
        known.count = common
        known.ended = False
        del look.ids[common:]
    else:
        _begin(known, look, seen, now)
    return spans + _pages(items, known, look, most - sum(len(s.items) for s in spans))


def _begin(known: Progress, look: Look, seen: Stamp, now: int) -> None:
    """Set out on a sweep."""
    known.inode = seen.inode
    known.swept = seen.changed if seen.settled else 0
    known.at = known.count = 0
    known.ended = False
    known.strange = ""
    look.swept_at = now
    look.ids = array("q")


def _pages(items: ItemSet, known: Progress, look: Look, most: int) -> list[Span]:
    """Return what follows, a span a page; none where the end was known already and nothing came after it."""
    spans: list[Span] = []
    left = most
    was_ended, known.ended = known.ended, False
    while left > 0 and not known.ended:
        page = items.page(known.at)
        if page.items or not was_ended:
            upto = None if page.complete else page.last
            spans.append(
                Span(
                    run=items.run,
                    output=items.output,
                    after=known.at,
                    upto=upto,
                    items=page.items,
                    shifts=page.shifts,
                )
            )
        if page.last is not None:
            known.at = page.last
        known.count += len(page.items)
        known.ended = page.complete
        look.ids.extend(page.items.column("item"))
        left -= len(page.items)
    known.strange = known.strange or items.strange
    return spans


def without_tables(
    output: Output, path: Path, tables: Tables, known: Progress, look: Look, seen: Stamp, now: int, *, same: bool
) -> list[Span]:
    """Scipion makes a set's file before its tables: where a run is at work, or nothing was counted, it is empty.

    Raises `SourceMalformed` where it ought to hold something, or where it lies still with a part of its tables.
    `same` says that the set is the one whose progress is known.
    """
    lost = (same and known.count > 0) or (tables.begun and seen.settled)
    if lost or (not output.stream_open and output.size):
        what = "lacks a table" if tables.begun else "holds no tables"
        if tables.prefix:
            what += f" of those whose names begin with {tables.prefix!r}"
        raise SourceMalformed(what, where=path, remedy="Was it cut short? Check the disk and the copy")
    if same and known.ended:
        return []
    _begin(known, look, seen, now)
    known.ended = True
    return [Span(run=output.run, output=output.name, after=0, upto=None, items=())]


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the length of the beginning that two sequences share."""
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return index
    return min(len(first), len(second))
