"""Keys of sessions, which stand for them in addresses: the project's name, and a mark of its folder where needed.

It is needed where the name is long or not plain ASCII, or where another session has the key already.  A session keeps
its key when its project is renamed or moved.
"""

from __future__ import annotations

import re
import zlib

_LONGEST = 60
_MARK = re.compile(r"(?<=.)-[0-9a-f]{8}$")


def plain(name: str) -> str:
    """Return what an address can hold of a name, which may be nothing."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:_LONGEST]


def marked(name: str, path: str) -> str:
    """Return the key with the mark of the project's folder."""
    return f"{plain(name) or 'session'}{_mark(path)}"


def unmarked(key: str) -> str:
    """Return a key without what looks like a mark, which tells that there may be another session of this name."""
    return _MARK.sub("", key)


def _mark(path: str) -> str:
    return f"-{zlib.crc32(path.encode(errors='surrogateescape')):08x}"
