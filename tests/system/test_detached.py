"""Work that a dead disk holds is given up in time, holds nobody, and is limited."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from cryowatch.errors import ImageMissing
from cryowatch.system.detached import Detached


def hanging(again: threading.Event) -> Callable[[], int]:
    def work() -> int:
        again.wait(30)
        return 1

    return work


def test_what_work_returns_and_raises_comes_back() -> None:
    def refuse(error: Exception) -> int:
        raise error

    async def run() -> None:
        apart = Detached("test", seconds=5, most=1)
        assert await apart.do(lambda: 7) == 7
        assert sum(await asyncio.gather(*(apart.do(lambda: 1) for _ in range(50)))) == 50, "busy is not hanging"
        for error in (ImageMissing("is not there"), PermissionError(13, "Permission denied")):
            with pytest.raises(type(error)):
                await apart.do(lambda e=error: refuse(e))  # type: ignore[misc]

    asyncio.run(run())


def test_what_hangs_at_one_place_keeps_nobody_from_others() -> None:
    again = threading.Event()

    async def run() -> None:
        apart = Detached("hangs", seconds=0.1, most=3)
        asked = [apart.do(hanging(again), "dead") for _ in range(3)]
        assert all(isinstance(found, TimeoutError) for found in await asyncio.gather(*asked, return_exceptions=True))
        with pytest.raises(TimeoutError):
            await apart.do(lambda: 7, "dead")
        assert await apart.do(lambda: 7, "alive") == 7
        again.set()
        while any(thread.name == "hangs" for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
        assert await apart.do(lambda: 7, "dead") == 7

    asyncio.run(run())


def test_no_more_may_hang_than_are_allowed_and_those_that_come_back_count_no_more() -> None:
    again = threading.Event()

    async def run() -> None:
        apart = Detached("hangs", seconds=2.0, most=3)
        results = await asyncio.gather(*(apart.do(hanging(again)) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(result, TimeoutError) for result in results)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await apart.do(lambda: 7)
        assert time.monotonic() - began < 1.8, "nobody waits once more"
        assert sum(thread.name == "hangs" for thread in threading.enumerate()) == 3
        again.set()
        while any(thread.name == "hangs" for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
        assert await apart.do(lambda: 7) == 7

    asyncio.run(run())
