"""How the process takes memory from the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
ARENAS = 2
_NEW_OBJECTS = 20_000


def share_heaps() -> None:
    """Let all threads share two heaps of the C library; to be called before there are any.

    By default glibc gives up to eight for each core to the threads, and each keeps what it once needed.  Where the C
    library is another one, nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, ARENAS)


def spare_the_old() -> None:
    """Let the garbage collector look no more at what has been imported, and not at every page of rows.

    To be called when nearly everything is imported: that is most of what there is, and all of it stays.  Rows come by
    the thousand and go again without it.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
