"""The end of a run's log, for who may see every session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryowatch.errors import SourceGone, plain_line
from cryowatch.store.reader import Row
from cryowatch.system.detached import Detached
from cryowatch.times import milliseconds

SECONDS = 10.0
MOST_HANGING = 2

Read = Callable[[Path, str], Sequence[Mapping[str, Any]]]
"""Returns the ends of the logs of a run, of a project's folder and the run's own below it."""


class Logs:
    """Reads logs in threads of their own: a disk that does not answer holds up no page."""

    def __init__(self, read: Read, *, seconds: float = SECONDS) -> None:
        self._read = read
        self._threads = Detached("pages: log", seconds=seconds, most=MOST_HANGING)

    async def of(self, session: Row, run: Row) -> dict[str, Any]:
        """Return what is known of a run that is read in its log; raises a `SourceError`."""
        path = Path(session["path"])
        try:
            files = await self._threads.do(lambda: self._read(path, run["working_dir"]), str(path))
        except TimeoutError:
            remedy = "Is its disk or its server reachable?"
            raise SourceGone("does not answer", where=path, remedy=remedy) from None
        return {
            **{name: run[name] for name in ("run", "label", "status")},
            "error": "\n".join(map(plain_line, run["error"].splitlines())),
            "files": [{**file, "modified": milliseconds(file["modified"] or None)} for file in files],
        }
