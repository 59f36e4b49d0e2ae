"""Asking what may hang without hanging."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

STALE = 60.0
"""For how many seconds of silence the last answer is taken for what holds now."""

Answer = TypeVar("Answer")


class Aside(Generic[Answer]):
    """Calls something in a thread of its own, one call at a time; whoever asks goes on with the last answer.

    The thread ends with the call, so nothing stays behind but a call that hangs, which is never asked again before it
    has come back.  `call` raises nothing.
    """

    def __init__(self, call: Callable[[], Answer], what: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._call = call
        self._what = what
        self._clock = clock
        self._answer: Answer | None = None
        self._asked = clock()
        self._ended = threading.Event()
        self._ended.set()

    def ask(self) -> None:
        """Begin a call, unless one is under way."""
        if self._ended.is_set():
            self._ended.clear()
            self._asked = self._clock()
            threading.Thread(target=self._run, name=self._what, daemon=True).start()

    def answer(self, deadline: float) -> Answer | None:
        """Return the last answer, None before the first; waits for a call under way until `deadline` (monotonic)."""
        self._ended.wait(max(0.0, deadline - time.monotonic()))
        return self._answer

    @property
    def silent(self) -> float:
        """For how many seconds the call under way has been; 0 where none is."""
        return 0.0 if self._ended.is_set() else self._clock() - self._asked

    def _run(self) -> None:
        try:
            self._answer = self._call()
        finally:
            self._ended.set()
