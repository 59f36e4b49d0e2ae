"""How the process takes memory from the system."""

from __future__ import annotations

import contextlib
import ctypes

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
ARENAS = 2


def share_heaps() -> None:
    """Let all threads share two heaps of the C library; to be called before there are any.

    By default glibc gives up to eight for each core to the threads, and each keeps what it once needed.  Where the C
    library is another one, nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, ARENAS)
