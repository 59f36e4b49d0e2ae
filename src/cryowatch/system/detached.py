"""Work on files that a dead disk may hold for ever: in threads of their own, for which nobody waits at the end.

A thread that hangs in a file system cannot be ended, and the usual pools of threads wait for theirs when the program
ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from cryowatch.errors import CryowatchError

T = TypeVar("T")


class Detached:
    """Does pieces of work for any event loop, each in at most `seconds`; no more than `most` may hang at one place.

    What hangs at one place, as a project's folder, keeps nobody from the others.
    """

    def __init__(self, name: str, *, seconds: float, most: int) -> None:
        self.seconds = seconds
        self._name = name
        self._most = most
        self._hanging: Counter[str] = Counter()
        self._entry = threading.Lock()

    async def do(self, work: Callable[[], T], place: str = "") -> T:
        """Return what some work at a place returns, or raise the `CryowatchError` or `OSError` that it raises.

        Raises `TimeoutError` where it takes too long, and at once where as many hang as may.
        """
        if self._hanging[place] >= self._most:
            raise TimeoutError
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        given_up = ended = False

        def told(result: T | None, error: Exception | None) -> None:
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]  # what the work returns, where there is no error

        def run() -> None:
            nonlocal ended
            result: T | None = None
            error: Exception | None = OSError(f"{self._name} broke off")
            try:
                result, error = work(), None
            except (CryowatchError, OSError) as failed:
                error = failed
            finally:
                with self._entry:
                    ended = True
                    self._hanging[place] -= given_up
                with contextlib.suppress(RuntimeError):  # nobody waits any more
                    loop.call_soon_threadsafe(told, result, error)

        threading.Thread(target=run, daemon=True, name=self._name).start()
        try:
            async with asyncio.timeout(self.seconds):
                return await done
        finally:
            with self._entry:
                given_up = not ended
                self._hanging[place] += given_up
                self._hanging = +self._hanging
