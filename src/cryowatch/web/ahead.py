"""Rendering ahead of need: while a session is live, the newest micrographs' thumbnails are ready before anybody asks.

Only the newest few of each session are looked at, each time it changes, so that this never falls behind: what a page
shows first is there, older ones are rendered when somebody scrolls to them.  The processes that render are few and of
low priority, and whoever waits for an image comes first.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from functools import partial

from cryowatch.errors import ImageAway, ImageError, ImageUnsupported, NotFoundError
from cryowatch.images import ImageServer, Rendered, Shifts, available, subject
from cryowatch.records import ImageKind
from cryowatch.store import Change, Reader, Selection
from cryowatch.store.reader import Row

NEWEST = 24
SIZES: Mapping[ImageKind, int] = {
    ImageKind.MICROGRAPH: 512,
    ImageKind.POWER_SPECTRUM: 256,
    ImageKind.SHIFT_PLOT: 256,
}
"""The sizes that the pages show first."""


class Ahead:
    """Asks for the images of what is newest in live sessions, in a thread of its own."""

    def __init__(self, reader: Reader, images: ImageServer) -> None:
        self._reader = reader
        self._images = images
        self._changed: dict[int, str] = {}
        self._entry = threading.Condition()
        self._stopped = False
        self._done: dict[int, dict[int, int]] = {}

    def heard(self, change: Change) -> None:
        """Take note that a session changed; may be called from any thread, and does not wait."""
        with self._entry:
            self._changed[change.session] = change.key
            self._entry.notify()

    def stop(self) -> None:
        """End `run` soon; may be called from any thread."""
        with self._entry:
            self._stopped = True
            self._entry.notify()

    def run(self) -> None:
        """Render what is new until stopped."""
        while (changed := self._wait()) is not None:
            self._render(*changed)

    def _wait(self) -> tuple[int, str] | None:
        """Return a session that has changed, as soon as there is one; None where it is time to end."""
        with self._entry:
            self._entry.wait_for(lambda: self._changed or self._stopped)
            return None if self._stopped else self._changed.popitem()

    def _render(self, session: int, key: str) -> None:
        """Render the newest of a session that have not been, or have changed since."""
        rows = self._newest(key)
        known = self._done.get(session, {})
        done = self._done[session] = {row["id"]: row["seq"] for row in rows}
        for row in rows:
            if known.get(row["id"]) == row["seq"]:
                continue
            if self._stopped:
                return
            try:
                for asked in [self._ask(row, kind) for kind in ImageKind]:
                    if asked is not None:
                        with contextlib.suppress(ImageUnsupported):  # which is final
                            asked.result()
            except ImageAway:  # its disk may not answer, and the other sessions wait: all is tried at the next change
                for other in rows:
                    if known.get(other["id"]) != other["seq"]:
                        del done[other["id"]]
                return
            except (ImageError, CancelledError):  # whoever asks for it is told why; here it is tried again
                del done[row["id"]]

    def _newest(self, key: str) -> list[Row]:
        try:
            session = self._reader.session(key)
        except NotFoundError:
            return []
        if session["status"] != "running":
            return []
        outputs = self._reader.leading(session["id"]).shown.ids
        _, rows = self._reader.micrographs(Selection(outputs=outputs), offset=0, limit=NEWEST)
        place = {"session_path": session["path"], "session_id": session["id"]}
        return [{**row, **place} for row in rows]

    def _ask(self, row: Row, kind: ImageKind) -> Future[Rendered] | None:
        """Ask for an image of a micrograph; None where it has none."""
        shifts: Shifts | None = None
        if kind is ImageKind.SHIFT_PLOT and not row["shift_plot_path"]:
            shifts = self._reader.shifts(row["session_id"], row)
        if not available(row, kind, shifted=shifts is not None):
            return None
        made_of = partial(subject, row, kind, lambda: shifts)
        return self._images.ask_for(made_of, SIZES[kind], name=row["name"], project=row["session_path"], ahead=True)
