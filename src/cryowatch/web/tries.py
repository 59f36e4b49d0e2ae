"""Passwords that are tried: one after another, as each try takes 64 MiB and a tenth of a second of all cores.

Few may wait for their turn.  Whoever comes beyond that takes a place from an address that has more of them waiting, or
is refused at once and may come again; and no address has two turns in a row while another one waits.  A browser in
which the account was logged in before goes by its account instead of its address, has its turn before any that was not,
and takes a place from one of these.  So strangers who try many passwords hold up neither the pages nor, for long,
whoever knows the right one.

Used by the event loop's thread alone; a password is tried in a thread of its own.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from cryowatch.errors import CryowatchError

MOST_WAITING = 8

T = TypeVar("T")


class Crowded(CryowatchError):
    """Too many wait already; `seconds` is when to come again."""

    def __init__(self, seconds: int) -> None:
        super().__init__("many are logging in just now")
        self.seconds = seconds


class Away(CryowatchError):
    """Whoever wanted the try has gone before its turn."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    by: str
    known: bool
    turn: asyncio.Future[bool]
    """True where it has come, False where the place went to another."""


class Tries:
    """The tries of one server; `clock` is in seconds."""

    def __init__(self, *, most_waiting: int = MOST_WAITING, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_waiting = most_waiting
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._waiting: list[_Waiting] = []
        self._busy = False
        self._last = ""
        self._usual = 0.2

    async def run(
        self, attempt: Callable[[], T], *, by: str, known: bool, gone: Callable[[], Awaitable[bool]] | None = None
    ) -> T:
        """Return what an attempt returns when its turn has come; raises `Crowded`, or `Away` where `gone` says so.

        `by` is whose it is: an address, or an account where the browser was logged in to it before (`known`).
        """
        await self._turn(by, known=known)
        try:
            if gone is not None and await gone():
                raise Away("nobody waits for this any more")
            begun = self._clock()
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, attempt)
            finally:
                self._usual = self._clock() - begun
        finally:
            self._pass_on()

    async def _turn(self, by: str, *, known: bool) -> None:
        if not self._busy:
            self._busy, self._last = True, by
            return
        if len(self._waiting) >= self._most_waiting:
            self._take_place(by, known=known)
        own = _Waiting(by, known, asyncio.get_running_loop().create_future())
        self._waiting.append(own)
        try:
            if not await own.turn:
                raise self._crowded()
        except asyncio.CancelledError:
            if own in self._waiting:
                self._waiting.remove(own)
            elif own.turn.done() and not own.turn.cancelled() and own.turn.result():
                self._pass_on()
            raise

    def _take_place(self, by: str, *, known: bool) -> None:
        """Refuse the last who waits of an address that has more waiting than this one; else raise `Crowded`."""
        counts = Counter(one.by for one in reversed(self._waiting))
        strangers = Counter(one.by for one in reversed(self._waiting) if not one.known)
        largest, number = counts.most_common(1)[0]
        if number <= counts[by] + 1:
            if not known or counts[by] or not strangers:
                raise self._crowded()
            largest = strangers.most_common(1)[0][0]
        last = next(one for one in reversed(self._waiting) if one.by == largest)
        self._waiting.remove(last)
        last.turn.set_result(False)

    def _pass_on(self) -> None:
        if not self._waiting:
            self._busy = False
            return
        following = min(self._waiting, key=lambda one: (one.by == self._last, not one.known))
        self._waiting.remove(following)
        self._last = following.by
        following.turn.set_result(True)

    def _crowded(self) -> Crowded:
        return Crowded(max(1, math.ceil(self._usual * (len(self._waiting) + 1))))
