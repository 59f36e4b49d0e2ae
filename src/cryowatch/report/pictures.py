"""The images of a report: as many as fit, the newest and others evenly spread over the session.

A micrograph's images come together.  Where all of them fit, they are large; else small, as many as fit.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from cryowatch.errors import ImageError
from cryowatch.images import ImageServer, Rendered, Shifts, can_be_reached, subject
from cryowatch.records import ImageKind
from cryowatch.report.content import Content
from cryowatch.store import Reader
from cryowatch.store.reader import Row

NEWEST = 60
AT_ONCE = 8
SIZES = {ImageKind.MICROGRAPH: 512, ImageKind.POWER_SPECTRUM: 256, ImageKind.SHIFT_PLOT: 256}
"""The sizes that live pages show first, so that a live session's are rendered already."""

SMALL = 256
QUALITY = 60
LEFT_OUT = "not in this report"
ENDING = "could not be rendered in time"
NO_PROJECT = "the project's folder could not be reached"
_COLUMNS = ("micrograph_path", "power_spectrum_path", "shift_plot_path")

Progress = Callable[[int, int], object]
"""Told how many of how many micrographs have been looked at."""


def silent(done: int, total: int) -> None:
    """Tell nobody."""
    del done, total


@dataclass(slots=True)
class Pictures:
    """By kind and micrograph an image in base64, the number of a reason why it is not there, or `=` and whose it is."""

    images: dict[str, dict[int, str | int]] = field(default_factory=lambda: {kind.value: {} for kind in ImageKind})
    reasons: list[str] = field(default_factory=lambda: [LEFT_OUT])
    computed: list[int] = field(default_factory=list)
    """The micrographs whose power spectrum is not the project's, but computed."""
    bytes: int = 0
    """How much of a file they take."""

    def holds(self, micrograph: int) -> bool:
        """Return whether any image of a micrograph is in it."""
        return any(isinstance(found.get(micrograph), str) for found in self.images.values())


def order(count: int) -> Iterator[int]:
    """Yield the places of rows that are sorted by time: the newest, then others so that each lies far from the last.

    The rest is halved again and again (van der Corput's sequence), so wherever it stops, it is evenly spread.
    """
    newest = min(NEWEST, count)
    yield from range(count - 1, count - newest - 1, -1)
    rest = count - newest
    bits = max(0, rest - 1).bit_length()
    for number in range(1 << bits if rest else 0):
        place = int(f"{number:0{bits}b}"[::-1], 2) if bits else 0
        if place < rest:
            yield place


def pictures(
    reader: Reader,
    images: ImageServer,
    found: Content,
    *,
    most: int,
    progress: Progress = silent,
    ended: Callable[[], bool] = lambda: False,
) -> Pictures:
    """Return images of a session's leading outputs that take at most so many bytes."""
    rows = found.leading_rows
    large, small = Pictures(), Pictures()
    if rows and not _reached(images, found.session["path"]):
        small.reasons[0] = NO_PROJECT
        return small
    fits = True
    for done, (row, rendered) in enumerate(_rendered(reader, images, rows, found.session["id"], ended), 1):
        progress(done, len(rows))
        fits = fits and _add(large, row, rendered, size=None, most=most, outputs=len(found.rows))
        if not fits:
            large = Pictures()
        if not _add(small, row, rendered, size=SMALL, most=most, outputs=len(found.rows)):
            break
    chosen = large if fits else small
    _share(chosen, found, rows)
    return chosen


def _reached(images: ImageServer, project: str) -> bool:
    """Return whether a project's folder can be looked into."""
    try:
        return images.looked(lambda: can_be_reached(Path(project)), project, project)
    except ImageError:
        return False


def _rendered(
    reader: Reader, images: ImageServer, rows: Sequence[Row], session: int, ended: Callable[[], bool]
) -> Iterator[tuple[Row, dict[ImageKind, Rendered | str]]]:
    """Yield rows in the order of `order` with their images or the reasons why there is none, some asked for ahead."""

    def ask(row: Row, kind: ImageKind) -> Future[Rendered] | str:
        shifts: Shifts | None = None
        if kind is ImageKind.SHIFT_PLOT and not row["shift_plot_path"]:
            shifts = reader.shifts(session, row)
        made_of = partial(subject, row, kind, lambda: shifts)
        try:
            return images.ask_for(made_of, SIZES[kind], name=row["name"], project=row["session_path"], ahead=True)
        except ImageError as error:
            return _reason(error)

    def got(asked: Future[Rendered] | str) -> Rendered | str:
        if isinstance(asked, str):
            return asked
        try:
            return asked.result()
        except ImageError as error:
            return _reason(error)
        except CancelledError:
            return ENDING

    def asked(row: Row) -> tuple[Row, dict[ImageKind, Future[Rendered] | str]]:
        return row, {kind: ask(row, kind) for bit, kind in enumerate(ImageKind) if row["images"] >> bit & 1}

    coming = (asked(rows[place]) for place in order(len(rows)))
    waiting = deque(islice(coming, AT_ONCE))
    try:
        while waiting and not ended():
            row, futures = waiting.popleft()
            yield row, {kind: got(future) for kind, future in futures.items()}
            waiting.extend(islice(coming, 1))
    finally:
        for _, futures in waiting:
            for future in futures.values():
                if isinstance(future, Future):
                    future.cancel()


def _reason(error: ImageError) -> str:
    """Return what is wrong without where: a report does not say how a facility's folders are called."""
    return f"the file {error.what}" if error.where else error.what


def _add(
    place: Pictures, row: Row, rendered: dict[ImageKind, Rendered | str], *, size: int | None, most: int, outputs: int
) -> bool:
    """Put a micrograph's images into a place unless it would grow beyond `most`; returns whether it did not."""
    new: dict[ImageKind, Any] = {}
    room = 0
    for kind, image in rendered.items():
        if isinstance(image, str):
            if image not in place.reasons:
                place.reasons.append(image)
                room += len(image.encode()) + 16
            new[kind] = place.reasons.index(image)
            room += 20
        else:
            new[kind] = base64.b64encode(_reduced(image, size)).decode()
            room += len(new[kind]) + 20 * outputs + 12 * bool(image.computed)
    if place.bytes + room > most:
        return False
    for kind, value in new.items():
        place.images[kind.value][row["id"]] = value
    if any(isinstance(image, Rendered) and image.computed for image in rendered.values()):
        place.computed.append(row["id"])
    place.bytes += room
    return True


def _reduced(image: Rendered, size: int | None) -> bytes:
    from cryowatch.images.reduced import reduced  # noqa: PLC0415  it needs an image library

    return reduced(image, size=size, quality=QUALITY).data


def _share(place: Pictures, found: Content, rows: Sequence[Row]) -> None:
    """Let other outputs' micrographs that are made of the same files have the same images, as far as there is room."""
    known: dict[tuple[ImageKind, str], int] = {}
    for row in rows:
        for kind, column in zip(ImageKind, _COLUMNS, strict=True):
            if row[column] and isinstance(place.images[kind.value].get(row["id"]), str):
                known[kind, row[column]] = row["id"]
    others = (row for output, rows in found.rows.items() if output not in found.leading for row in rows)
    same = (
        (kind, row["id"], known[kind, row[column]])
        for row in others
        for kind, column in zip(ImageKind, _COLUMNS, strict=True)
        if (kind, row[column]) in known
    )
    for kind, micrograph, owner in islice(same, len(known) * (len(found.rows) - 1)):
        place.images[kind.value][micrograph] = f"={owner}"
