"""The clock: whether a time service keeps it, and whether it agrees with the servers'."""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from cryowatch.doctor.finding import Finding, absent, look, well
from cryowatch.settings.config import Settings

_STATUS_AT = 5 * struct.calcsize("l")
"""Where `status` lies in `struct timex`: after modes, offset, freq, maxerror and esterror, see adjtimex(2)."""

_UNSYNCHRONISED = 0x0040
_SKEW_SECONDS = 5.0


def synchronised(chosen: Settings) -> Iterator[Finding]:
    """Look whether the kernel's clock is kept by a time service."""
    del chosen
    status = kernel_status()
    if status is None:
        yield absent("clock", "the kernel does not tell whether a time service keeps it")
    elif status & _UNSYNCHRONISED:
        yield look(
            "clock", "no time service keeps it, so times may drift. Switch one on: sudo timedatectl set-ntp true"
        )
    else:
        yield well("clock", "a time service keeps it")


def kernel_status() -> int | None:
    """Return the status bits of the kernel's clock; None where they cannot be read."""
    buffer = ctypes.create_string_buffer(512)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    return None if state < 0 else struct.unpack_from("i", buffer, _STATUS_AT)[0]


def compared(whose: str, date: str, *, now: float | None = None) -> Iterator[Finding]:
    """Compare the clock with a server's, by the `Date` of its answer; nothing where it sent none that can be read."""
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return
    skew = (time.time() if now is None else now) - theirs
    what = f"clock, {whose}"
    if abs(skew) > _SKEW_SECONDS:
        way = "ahead of" if skew > 0 else "behind"
        yield look(what, f"this machine's is {abs(skew):,.0f} s {way} {whose}'s. Does a time service run on both?")
    else:
        yield well(what, f"agrees with {whose}'s")
