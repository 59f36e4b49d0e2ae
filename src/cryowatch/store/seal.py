"""A seal on a store that was closed in order: what its file holds then is what it has to hold when it is opened again.

SQLite finds pages that are no pages, but not a number in one that a disk gave back wrong.  So whoever closes a store
writes `cryowatch.sqlite.seal` beside it, a line of JSON: size, time of the last change (ns) and CRC-32 of the file.  It
is taken away when the store is opened.  A file that somebody has written to since (its size or time tells: a restored
copy) has no seal that counts.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from enum import Enum, auto
from pathlib import Path

MOST_BYTES = 500_000_000
"""Of a file that is sealed: a disk may take seconds to read that, and the agent has ten to end."""

_AT_ONCE = 1_000_000


def seal(path: Path) -> None:
    """Seal a file that nobody writes to any more; one that is too large, or cannot be read, gets none."""
    with contextlib.suppress(OSError):
        if path.stat().st_size <= MOST_BYTES:
            _beside(path).write_text(json.dumps(_described(path)), encoding="utf-8")


class Verdict(Enum):
    """What a seal tells of its file: that it is whole, that a disk changed it, or nothing, as no seal counts."""

    WHOLE = auto()
    CHANGED = auto()
    UNKNOWN = auto()


def opened(path: Path) -> Verdict:
    """Return whether a file holds what it held when it was sealed, and take the seal away."""
    beside = _beside(path)
    try:
        said = json.loads(beside.read_text(encoding="utf-8"))
        beside.unlink()
        found = path.stat()
        if said["size"] != found.st_size or said["changed"] != found.st_mtime_ns:
            return Verdict.UNKNOWN
        return Verdict.WHOLE if said == _described(path) else Verdict.CHANGED
    except (OSError, ValueError, TypeError, KeyError):
        return Verdict.UNKNOWN


def _described(path: Path) -> dict[str, int]:
    sum_ = 0
    with path.open("rb") as file:
        while part := file.read(_AT_ONCE):
            sum_ = zlib.crc32(part, sum_)
    found = path.stat()
    return {"size": found.st_size, "changed": found.st_mtime_ns, "crc32": sum_}


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.seal")
