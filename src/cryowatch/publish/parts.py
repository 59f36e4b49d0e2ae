"""Names under which files are written before they get their own: `NAME.HOST-PID-RUN-NUMBER.part`.

Each is used once, so that two agents, or two attempts of one, never write into one file.  The name tells who wrote it:
what a killed agent left can be told from what one is writing just now, at once on the same machine, by age on another.
One that is taken away too early does no harm: its writer finds it gone, and writes it again.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket

STALE_SECONDS = 3600.0

_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_RUN = secrets.token_hex(4)
_PART = re.compile(r".+\.([0-9a-f]{8})-([0-9]+)-([0-9a-f]{8})-[0-9a-f]{8}\.part", re.DOTALL)


def part_of(name: str) -> str:
    """Return a new name for a file, or a path, that is being written."""
    return f"{name}.{_HOST}-{os.getpid()}-{_RUN}-{secrets.token_hex(4)}.part"


def abandoned(name: str, age: float) -> bool:
    """Return whether a file is one that is being written, and its writer is gone; `age` in seconds."""
    found = _PART.fullmatch(name)
    if found is None:
        return False
    host, pid, run = found.groups()
    if host != _HOST:
        return age > STALE_SECONDS
    return run != _RUN and (int(pid) == os.getpid() or not _lives(int(pid)) or age > STALE_SECONDS)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
