"""Taking published files away again, whose session was forgotten: those that the store names, and no others.

What is still to be taken away stands in the store until it is gone, so a target that is away only delays it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cryowatch.publish.target import Target
from cryowatch.store import Store
from cryowatch.store.changes import Changes

AT_ONCE = 32

InThread = Callable[[Callable[[], list[str]]], Awaitable[list[str]]]


class Retraction:
    """Takes files away from one target."""

    def __init__(self, store: Store, target: Target) -> None:
        self._target = target
        self._changes = Changes(store.reader())
        self._forgotten = store.forgotten()

    @property
    def left(self) -> int:
        """How many files are to be taken away."""
        return self._changes.retractions(self._target.where)

    async def step(self, in_thread: InThread) -> int:
        """Take the next few files away; returns how many that were.  Raises `SinkError`.

        `in_thread` does what speaks with the store.
        """
        where = self._target.where
        names = await in_thread(lambda: self._changes.retracted(where, limit=AT_ONCE))
        results = await asyncio.gather(*(self._target.remove(name) for name in names), return_exceptions=True)
        gone = [name for name, result in zip(names, results, strict=True) if result is None]
        if gone:
            await in_thread(lambda: self._forgotten.retracted(where, gone))
        for problem in results:
            if problem is not None:
                raise problem
        return len(gone)
