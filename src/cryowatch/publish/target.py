"""Places that images are published to: a folder here, or one on another machine by SFTP.

A name is `project/file.jpg`, made by the publisher of plain characters.  A target refuses one that could lie outside
its folder, whatever it is called.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Protocol

from cryowatch.errors import SinkRefused

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")


class Put(StrEnum):
    """What became of a file."""

    SENT = "sent"
    THERE = "there"


class Target(Protocol):
    """Takes files, many at a time, from one event loop.

    When `put` returns, the whole file lies under its name; until then nothing does, or what lay there before.  A file
    that is there with the right size is not sent again.  Folders are made.  Raises `SinkAway` where trying again may
    help and `SinkRefused` where only a person can; then nothing is half visible, and the next `put` connects anew.
    """

    @property
    def where(self) -> str: ...

    async def put(self, name: str, data: bytes) -> Put: ...

    async def holds(self, folder: str) -> bool:
        """Return whether a folder is there (the first part of names)."""
        ...

    async def remove(self, name: str) -> None:
        """Remove a file that was put, where it is there still, and its folder where that is empty then."""
        ...

    async def close(self) -> None: ...


def checked(name: str) -> str:
    """Return a name that lies below any folder it is joined to; raises `SinkRefused`."""
    parts = name.split("/")
    if len(parts) != 2 or not all(_NAME.fullmatch(part) for part in parts):
        raise SinkRefused("is no name that a published file can have", where=name[:200])
    return name


def checked_folder(name: str) -> str:
    """Return a folder's name, the first part of a file's; raises `SinkRefused`."""
    if not _NAME.fullmatch(name):
        raise SinkRefused("is no name that a published folder can have", where=name[:200])
    return name


async def tried(target: Target, *, tell: Callable[[str], object] = lambda _: None) -> float:
    """Put a small file, take it away again and close the target; returns the seconds that the file took.

    `tell` is given a line of text after each step.  Raises `SinkError`.
    """
    name = f"cryowatch-check-{secrets.token_hex(4)}/1.txt"
    folder = name.partition("/")[0]
    try:
        reached = await _timed(target.holds(folder))
        round_trip = min([await _timed(target.holds(folder)) for _ in range(3)])
        tell(f"reached in {reached * 1000:.0f} ms; a round trip takes {round_trip * 1000:.1f} ms")
        seconds = await _timed(target.put(name, b"cryowatch was here\n"))
        tell(f"{name} was written and renamed into its place in {seconds * 1000:.0f} ms")
        removed = await _timed(target.remove(name))
        tell(f"it was removed again in {removed * 1000:.0f} ms")
    finally:
        await target.close()
    return seconds


async def _timed(work: Awaitable[object]) -> float:
    """Return how many seconds some work takes."""
    began = time.monotonic()
    await work
    return time.monotonic() - began
