"""The clock: whether a time service keeps it, and whether it agrees with the servers'."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from cryowatch.doctor.finding import Finding, absent, look, well
from cryowatch.settings.config import Settings

_SKEW_SECONDS = 5.0


def synchronised(chosen: Settings) -> Iterator[Finding]:
    """Look whether a time service keeps the clock."""
    del chosen
    match _kept_by_a_service():
        case None:
            yield absent("clock", "timedatectl does not tell whether a time service keeps it")
        case False:
            yield look(
                "clock", "no time service keeps it, so times may drift. Switch one on: sudo timedatectl set-ntp true"
            )
        case True:
            yield well("clock", "a time service keeps it")


def _kept_by_a_service() -> bool | None:
    """Return what systemd says of the clock; None where it says nothing, as in a container."""
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout  # noqa: S603  no shell
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(answer.strip())


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
