"""The newest micrograph of a session, small, for a message that does not wait long for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial

from cryowatch.errors import CryowatchError
from cryowatch.images import ImageServer, Rendered, available, subject
from cryowatch.records import ImageKind
from cryowatch.store import Reader, Selection

SIZE = 512
PATIENCE_SECONDS = 10.0

Fetch = Callable[[Sequence[int]], Mapping[int, Rendered]]
"""Returns the newest pictures of sessions, by their row ids; those that there are, and that come in time."""


class Pictures:
    """Fetches pictures in a thread of its own, which never touches a project's disk itself."""

    def __init__(self, reader: Reader, images: ImageServer, *, patience: float = PATIENCE_SECONDS) -> None:
        self._reader = reader
        self._images = images
        self._patience = patience
        self._thread: threading.Thread | None = None

    def __call__(self, sessions: Sequence[int]) -> Mapping[int, Rendered]:
        """Return the newest picture of each session, of those that come within the patience for all together."""
        if not sessions or (self._thread is not None and self._thread.is_alive()):
            return {}
        found: dict[int, Rendered] = {}
        arguments = (sessions, found, time.monotonic() + self._patience)
        self._thread = threading.Thread(target=self._fetch, args=arguments, name="pictures", daemon=True)
        self._thread.start()
        self._thread.join(self._patience)
        return dict(found)

    def _fetch(self, sessions: Sequence[int], found: dict[int, Rendered], deadline: float) -> None:
        for session in sessions:
            try:
                picture = self._newest(session, deadline)
            except (CryowatchError, CancelledError, FutureTimeoutError):  # the message goes without it
                continue
            if picture is not None:
                found[session] = picture

    def _newest(self, session: int, deadline: float) -> Rendered | None:
        outputs = self._reader.leading(session).shown.ids
        _, rows = self._reader.micrographs(Selection(outputs=outputs), offset=0, limit=1)
        path = self._reader.path_of(session)
        if not rows or not available(rows[0], ImageKind.MICROGRAPH, shifted=False):
            return None
        made_of = partial(subject, {**rows[0], "session_path": path}, ImageKind.MICROGRAPH, lambda: None)
        asked = self._images.ask_for(made_of, SIZE, name=rows[0]["name"], project=path)
        return asked.result(max(0.0, deadline - time.monotonic()))
