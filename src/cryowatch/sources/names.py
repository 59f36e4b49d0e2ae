"""Names that the machine gives: bytes, which need not be UTF-8."""

from __future__ import annotations

import os
from pathlib import Path


def readable(name: str | Path) -> str:
    """Return a name as text that can be stored and sent anywhere: a byte that is no UTF-8 as `\\xff`."""
    return os.fsencode(name).decode(errors="backslashreplace")
