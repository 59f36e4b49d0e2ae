"""When something last came into the folders that an import looks into: the microscope's own clock.

A folder's time changes when a file appears in it, so the folders alone are looked at, however many files they hold.
"""

from __future__ import annotations

import glob
import itertools
import time
from pathlib import Path

from cryowatch.sources.host.aside import Aside

MOST_FOLDERS = 2_000
SECONDS = 2.0


def newest_change(pattern: str) -> int | None:
    """Return when the folders of a pattern of files last changed, in UTC ns; None where that cannot be told.

    Of a pattern for many folders the first two thousand count; one that reaches down to any depth tells nothing.
    """
    folder = str(Path(pattern).parent) if glob.has_magic(Path(pattern).name) else pattern
    if not folder.startswith("/") or "**" in folder or "\0" in folder:
        return None
    times = []
    for path in itertools.islice(glob.iglob(folder), MOST_FOLDERS):  # noqa: PTH207  Path.glob takes no absolute pattern
        try:
            times.append(Path(path).stat().st_mtime_ns)
        except OSError:
            continue
    return max(times, default=None)


class Incoming:
    """Looks into the folders of imports; one that hangs is said to be unknown, and holds nothing up."""

    def __init__(self) -> None:
        self._looks: dict[str, Aside[int | None]] = {}

    def newest(self, pattern: str) -> int | None:
        """Return when something last came where an import looks, in UTC ns; None where that is not known."""
        look = self._looks.setdefault(pattern, Aside(lambda: newest_change(pattern), "incoming files"))
        look.ask()
        found = look.answer(time.monotonic() + SECONDS)
        return None if look.silent else found
