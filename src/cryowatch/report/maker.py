"""Making a report: what the store knows at one moment, with as many images as fit, in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryowatch.dashboards import Dashboard
from cryowatch.errors import ReportError, remedy_of
from cryowatch.images import ImageServer
from cryowatch.records import ImageKind
from cryowatch.report import file, page
from cryowatch.report.content import Content, content
from cryowatch.report.pictures import LEFT_OUT, NEWEST, NO_PROJECT, Pictures, Progress, pictures, silent
from cryowatch.settings.config import LOGO_KINDS
from cryowatch.store import Reader
from cryowatch.store.reader import Row
from cryowatch.times import milliseconds

_MEGABYTE = 1_000_000
_SLACK = 4_000
"""Bytes for what is only known when the images are: the sentences of what was left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A report that was written: of which session, at which position of it, how large, and what it says it lacks."""

    path: Path
    session: str
    seq: int
    bytes: int
    micrographs: int
    pictured: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Makes reports of a store's sessions; `clock` gives UTC ns."""

    reader: Reader
    images: ImageServer
    dashboards: Sequence[Dashboard]
    clock: Callable[[], int]
    facility: str = ""
    logo: Path | None = None

    def make(
        self,
        session: str,
        path: Path,
        *,
        size_mb: float,
        force: bool = False,
        progress: Progress = silent,
        ended: Callable[[], bool] = lambda: False,
    ) -> Made:
        """Write the report of a session (by key, name or path).

        Raises `NotFoundError` or `ReportError`; the latter also where `ended` says that nobody wants it any more.
        """
        file.check(path, force=force)
        now = self.clock()
        found = content(self.reader, session, self.dashboards, now=now)
        bare = self._page(found, now, b"", ())
        most = round(size_mb * _MEGABYTE) - len(bare) - _SLACK
        if most < 0:
            needed = (len(bare) + _SLACK) / _MEGABYTE
            raise ReportError(
                f"the numbers alone take {needed:.1f} MB, more than the {size_mb:g} MB that a report may have",
                where=found.session["key"],
                remedy="Use a larger --size-mb, or report.size_mb",
            )
        chosen = pictures(self.reader, self.images, found, most=most, progress=progress, ended=ended)
        if ended():
            raise ReportError("was not finished", where=path)
        rows = found.leading_rows
        pictured = sum(chosen.holds(row["id"]) for row in rows)
        left_out = _left_out(chosen, rows, pictured, size_mb)
        shown = {"images": chosen.images, "reasons": chosen.reasons, "computed": chosen.computed}
        data = self._page(found, now, page.inert(shown), left_out)
        file.write(path, data)
        return Made(
            path=path,
            session=found.session["key"],
            seq=found.session["seq"],
            bytes=len(data),
            micrographs=len(rows),
            pictured=pictured,
            left_out=left_out,
        )

    def _page(self, found: Content, now: int, images: bytes, left_out: Sequence[str]) -> bytes:
        return page.render(
            session=found.session["name"],
            made=milliseconds(now),
            content={**found.data, "left_out": left_out},
            pictures=images,
            left_out=list(left_out),
            facility=self.facility,
            logo=self._logo(),
        )

    def _logo(self) -> tuple[str, bytes] | None:
        if self.logo is None:
            return None
        try:
            return LOGO_KINDS[self.logo.suffix.lower()], self.logo.read_bytes()
        except OSError as error:
            raise ReportError(f"cannot be read: {error.strerror}", where=self.logo, remedy=remedy_of(error)) from error


def _left_out(chosen: Pictures, rows: Sequence[Row], pictured: int, size_mb: float) -> tuple[str, ...]:
    """Return what a report lacks, in sentences for its readers."""
    count = sum(row["images"] > 0 for row in rows)
    if not count:
        return ()
    if chosen.reasons[0] == NO_PROJECT:
        return ("No image is in this report, as the project's folder could not be reached.",)
    looked_at = sum(any(row["id"] in chosen.images[kind] for kind in ImageKind) for row in rows)
    said = []
    if looked_at < count:
        some = f"the newest {NEWEST} and others evenly spread over the session" if pictured > NEWEST else "the newest"
        said.append(
            f"Images of {pictured:,} of {len(rows):,} micrographs are in this report, as it may have {size_mb:g} MB:"
            f" {some}. The numbers are those of all."
        )
    failed = looked_at - pictured
    if failed > 0:
        reasons = "; ".join(reason for reason in chosen.reasons if reason != LEFT_OUT)
        said.append(f"The images of {failed:,} micrographs could not be rendered: {reasons[:300]}.")
    return tuple(said)
