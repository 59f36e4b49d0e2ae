"""Numbers that tell nothing of other sessions, for who has a link to one.

Ids count through all sessions, and so do the positions in the order of changes: gaps in them tell how much goes on
elsewhere.  `Veil` puts ids through a permutation of the numbers of 52 bits (a Feistel network of six rounds, as in NIST
SP 800-38G, over keyed BLAKE2), which nobody can undo or continue without the key; `Heads` counts the changes of one
session alone.
"""

from __future__ import annotations

import bisect
import hashlib
import threading
import time

from cryowatch.times import milliseconds

_HALF = 26
_MASK = (1 << _HALF) - 1
_ROUNDS = 6
_KEPT = 10_000

LARGEST = (1 << 2 * _HALF) - 1
"""Whole numbers up to here are exact in JavaScript."""


class Veil:
    """A permutation of the whole numbers from 0 to `LARGEST`, for a key of up to 64 bytes."""

    def __init__(self, key: bytes) -> None:
        self._rounds = [hashlib.blake2b(key=key, salt=bytes([i]), digest_size=4) for i in range(_ROUNDS)]

    def hide(self, number: int) -> int:
        """Return the number that stands for an id."""
        left, right = number >> _HALF, number & _MASK
        for i in range(_ROUNDS):
            left, right = right, left ^ self._mixed(i, right)
        return left << _HALF | right

    def reveal(self, number: int) -> int:
        """Return the id that a number stands for; any number stands for one, which is hardly ever there."""
        left, right = number >> _HALF, number & _MASK
        for i in reversed(range(_ROUNDS)):
            left, right = right ^ self._mixed(i, left), left
        return left << _HALF | right

    def _mixed(self, i: int, half: int) -> int:
        mixed = self._rounds[i].copy()
        mixed.update(half.to_bytes(4, "big"))
        return int.from_bytes(mixed.digest(), "big") & _MASK


class Heads:
    """Positions of one session's changes, counted from one that no earlier agent has given out."""

    def __init__(self) -> None:
        self._entry = threading.Lock()
        self._first = milliseconds(time.time_ns())
        self._known: list[int] = []

    def head(self, seq: int) -> int:
        """Return what stands for a position in the store."""
        with self._entry:
            at = bisect.bisect_left(self._known, seq)
            if at == len(self._known) or self._known[at] != seq:
                self._known.insert(at, seq)
            if len(self._known) > _KEPT and at > _KEPT // 2:
                dropped = len(self._known) - _KEPT // 2
                del self._known[:dropped]
                self._first += dropped
                at -= dropped
            return self._first + at

    def position(self, head: int) -> int:
        """Return the position in the store that a number stands for; 0, from the beginning, for an unknown one."""
        with self._entry:
            at = head - self._first
            return self._known[at] if 0 <= at < len(self._known) else 0
