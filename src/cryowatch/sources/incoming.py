"""When something last came into the folders that an import looks into: the microscope's own clock.

A folder's time changes when a file appears in it, so the folders alone are looked at, however many files they hold.

Whoever writes a project says where its imports look, and cryowatch may look where they may not.  So the way is gone
folder by folder, also through links, and ends at the first that the project's people may not pass, or not list where
the pattern is for many: what they could not find out themselves is not told to them.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from cryowatch.system.aside import Aside
from cryowatch.system.reach import MOST_LINKS, READ, SEARCH, may, owners_of

MOST_FOLDERS = 2_000
MOST_ENTRIES = 20_000
"""Of folders that are listed, all together."""

MOST_STEPS = 64
SECONDS = 2.0
MOST_LOOKS = 1_000
REST = 50
"""So many times as long as a look took, the next one waits."""


def newest_change(
    pattern: str,
    project: str,
    *,
    entries: int = MOST_ENTRIES,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> int | None:
    """Return when the folders of a project's pattern of files last changed, in UTC ns; None where that is not known.

    Of a pattern for many folders the first two thousand count; one that reaches down to any depth tells nothing, and
    neither does one for which more entries are listed, or that takes longer, than may be.
    """
    folder = os.path.dirname(pattern) if glob.has_magic(os.path.basename(pattern)) else pattern  # noqa: PTH119, PTH120
    steps = [re.compile(fnmatch.translate(name)) if glob.has_magic(name) else name for name in _names(folder)]
    if not folder.startswith("/") or "**" in folder or "\0" in folder or len(steps) > MOST_STEPS:
        return None
    until = clock() + seconds
    try:
        walk = _Walk(owners_of(project), entries, lambda: clock() < until)
        with _folder("/") as top:
            return max(islice(walk.times(top, steps, MOST_LINKS), MOST_FOLDERS), default=None)
    except (OSError, _TooMuch):
        return None


class Incoming:
    """Looks into the folders of imports; one that hangs is said to be unknown, and holds nothing up."""

    def __init__(
        self, *, most: int = MOST_LOOKS, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._looks: OrderedDict[tuple[str, str], Aside[int | None]] = OrderedDict()
        self._kept: dict[tuple[str, str], tuple[float, int | None]] = {}
        """Until when a look is not repeated, and what it found."""

    def newest(self, pattern: str, project: str) -> int | None:
        """Return when something last came where a project's import looks, in UTC ns; None where that is not known."""
        key = (pattern, project)
        until, known = self._kept.get(key, (0.0, None))
        if self._clock() < until:
            return known
        look = self._looks.setdefault(key, Aside(lambda: self._looked(key), "incoming files"))
        self._looks.move_to_end(key)
        while len(self._looks) > self._most:
            self._kept.pop(self._looks.popitem(last=False)[0], None)
        if look.silent:
            return None
        look.ask()
        found = look.answer(time.monotonic() + self._seconds)
        return None if look.silent else found

    def _looked(self, key: tuple[str, str]) -> int | None:
        began = self._clock()
        found = newest_change(*key)
        now = self._clock()
        self._kept[key] = (now + REST * (now - began), found)
        return found


class _TooMuch(Exception):
    """More is to be looked at than may be."""


Step = str | re.Pattern[str]
"""The name of a folder, or what the names of several match."""


class _Walk:
    """A walk to folders, on behalf of some users, that ends after so many entries or when it may not go on."""

    def __init__(self, users: Iterable[int], entries: int, goes_on: Callable[[], bool]) -> None:
        self._users = users
        self._left = entries
        self._goes_on = goes_on

    def times(self, folder: int, steps: Sequence[Step], links: int) -> Iterator[int]:
        """Yield the times of the folders that lie some steps below an open one; so many links may be followed."""
        if not self._goes_on():
            raise _TooMuch
        status = os.fstat(folder)
        if not steps:
            yield status.st_mtime_ns
            return
        if not self._may(folder, status, SEARCH):
            return
        step, *further = steps
        for name in (step,) if isinstance(step, str) else self._matching(folder, status, step):
            try:
                with _folder(name, folder) as below:
                    yield from self._from(folder, below, further, links)
            except OSError:
                continue

    def _from(self, folder: int, below: int, further: Sequence[Step], links: int) -> Iterator[int]:
        """Yield the times below what is a folder, or a link from one."""
        status = os.fstat(below)
        if stat.S_ISDIR(status.st_mode):
            yield from self.times(below, further, links)
        elif stat.S_ISLNK(status.st_mode) and links and len(further) < MOST_STEPS:
            target = os.readlink("", dir_fd=below)
            steps = [*_names(target), *further]
            if target.startswith("/"):
                with _folder("/") as top:
                    yield from self.times(top, steps, links - 1)
            else:
                yield from self.times(folder, steps, links - 1)

    def _matching(self, folder: int, status: os.stat_result, step: re.Pattern[str]) -> Iterator[str]:
        """Yield the names in a folder that match a step, none of them with a dot before it."""
        if not self._may(folder, status, READ):
            return
        with os.scandir(f"/proc/self/fd/{folder}") as listed:
            for entry in listed:
                self._left -= 1
                if self._left < 0 or not self._goes_on():
                    raise _TooMuch
                if step.match(entry.name) and not entry.name.startswith("."):
                    yield entry.name

    def _may(self, folder: int, status: os.stat_result, bit: int) -> bool:
        return all(may(user, f"/proc/self/fd/{folder}", status, bit) for user in self._users)


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


@contextmanager
def _folder(name: str, within: int | None = None) -> Iterator[int]:
    """Hold what has a name in a folder, a link itself; yields its descriptor, which gives nothing to read."""
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
