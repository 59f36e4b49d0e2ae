"""Rendering on demand: from the cache, else by a worker process, one rendering for all who ask for the same.

What somebody waits for comes first, the newest request before older ones; what is only rendered ahead of need comes
when nobody waits.  A rendering that nobody wants any more is not begun; one that takes long holds up only those from
the same disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cryowatch.detached import Detached
from cryowatch.errors import ImageAway, ImageError
from cryowatch.images.cache import Cache
from cryowatch.images.crew import SLOW_SECONDS, Crew, Disk
from cryowatch.images.paths import unreachable
from cryowatch.images.process import SLOW, Rendered, Worker
from cryowatch.images.subject import Subject, to_json

SIZES = (128, 256, 512, 1024, 2048)
LOOK_SECONDS = 10.0
MOST_HANGING = 16
"""At the files of one project."""

ENDING_SECONDS = 2.0

T = TypeVar("T")


class ImageServer:
    """Rendered images; has an event loop in a thread of its own, so that it may be used from any."""

    def __init__(self, folder: Path, *, workers: int = 1, cache_bytes: int = 2 * 10**9) -> None:
        self._cache = Cache(folder, limit=cache_bytes)
        self._looks = Detached("images: look", seconds=LOOK_SECONDS, most=MOST_HANGING)
        self._crew = Crew(workers)
        self._jobs: dict[str, _Job] = {}
        self._waiting: list[tuple[bool, int, _Job]] = []
        self._numbers = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._entry = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def image(self, subject: Subject, size: int, *, ahead: bool = False) -> Rendered:
        """Return an image at the least of `SIZES` that is not below `size`; raises an `ImageError`.

        `ahead` says that nobody waits for it yet.
        """
        return await asyncio.wrap_future(self.ask(subject, size, ahead=ahead))

    def ask(self, subject: Subject, size: int, *, ahead: bool = False) -> Future[Rendered]:
        """Ask for an image without waiting for it, as `image` does."""
        size = next((s for s in SIZES if s >= size), SIZES[-1])
        loop = self._running()
        return asyncio.run_coroutine_threadsafe(self._image(subject, size, ahead=ahead), loop)

    def ask_for(
        self, find: Callable[[], Subject], size: int, *, name: str, project: str, ahead: bool = False
    ) -> Future[Rendered]:
        """Ask for an image of what `find` finds in a project's folder, whose disk may not answer, without waiting."""

        async def found() -> Rendered:
            return await asyncio.wrap_future(self.ask(await self.look(find, name, project), size, ahead=ahead))

        return asyncio.run_coroutine_threadsafe(found(), self._running())

    def close(self) -> None:
        """End the workers; what is still asked for fails."""
        with self._entry:
            loop, self._loop, self._closed = self._loop, None, True
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._stop(), loop).result()
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._entry:
            if self._closed:
                raise ImageAway("cannot be shown any more: cryowatch is ending")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name="images", daemon=True).start()
            return self._loop

    async def _image(self, subject: Subject, size: int, *, ahead: bool) -> Rendered:
        state, disk = await self._state(subject)
        key = Cache.key(json.dumps(to_json(subject)), state, str(size))
        kept = await asyncio.to_thread(self._cache.get, key)
        if kept is not None:
            return kept
        if self._crew.dead(disk):
            raise _dead()
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = _Job(key, subject, size, disk, asyncio.get_running_loop().create_future())
        job.wanted += 1
        if not job.begun:
            number = next(self._numbers)
            heapq.heappush(self._waiting, (ahead, number if ahead else -number, job))
        self._begin()
        try:
            return await asyncio.shield(job.done)
        finally:
            job.wanted -= 1

    async def look(self, work: Callable[[], T], name: str, project: str) -> T:
        """Return what some work on a project's files returns; raises `ImageAway` where its disk does not answer."""
        try:
            return await self._looks.do(work, project)
        except TimeoutError:
            what = f"could not be looked at in {self._looks.seconds:.0f} s"
            raise ImageAway(what, where=name, remedy=SLOW) from None
        except OSError as error:
            raise unreachable(error, name) from error

    def looked(self, work: Callable[[], T], name: str, project: str) -> T:
        """Return what `look` does, from any thread but its own."""
        return asyncio.run_coroutine_threadsafe(self.look(work, name, project), self._running()).result()

    async def _state(self, subject: Subject) -> tuple[str, Disk]:
        """Return what changes with a file, and where it lies."""
        if subject.path is None:
            return "", None
        status = await self.look(subject.path.stat, subject.path.name, str(subject.project or subject.path.parent))
        return f"{status.st_mtime_ns} {status.st_size}", status.st_dev

    def _begin(self) -> None:
        """Give work to the workers that are free."""
        held_up = []
        while self._waiting and not self._crew.full:
            entry = heapq.heappop(self._waiting)
            job = entry[-1]
            if job.begun or job.done.done():
                continue
            if not job.wanted:
                self._jobs.pop(job.key, None)
                job.done.cancel()
                continue
            if self._crew.held_up(job.disk):
                held_up.append(entry)
                continue
            job.begun = True
            task = asyncio.create_task(self._work(self._crew.take(job.disk), job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        for entry in held_up:
            heapq.heappush(self._waiting, entry)

    async def _work(self, worker: Worker, job: _Job) -> None:
        late = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._late, worker)
        try:
            rendered = await worker.render(job.subject, job.size)
        except ImageError as error:
            job.fail(error)
        else:
            await asyncio.to_thread(self._cache.put, job.key, rendered)
            job.done.set_result(rendered)
        finally:
            self._jobs.pop(job.key, None)
            await self._ended(worker)
            late.cancel()
            self._crew.give_back(worker)
            self._begin()

    def _late(self, worker: Worker) -> None:
        self._crew.late(worker)
        self._begin()

    async def _ended(self, worker: Worker) -> None:
        """Wait until a worker's killed process is gone, which a dead disk may hold for ever.

        Where it holds all that it may have, nobody is left waiting for anything that lies there.
        """
        try:
            async with asyncio.timeout(ENDING_SECONDS):
                await worker.ended()
        except TimeoutError:
            self._crew.stuck(worker)
            self._give_up(_dead(), [job for job in self._jobs.values() if self._crew.dead(job.disk)])
            self._begin()
            await worker.ended()

    def _give_up(self, error: ImageError, jobs: list[_Job]) -> None:
        """Let those of some jobs fail that are not begun."""
        for job in jobs:
            if not job.begun and not job.done.done():
                self._jobs.pop(job.key, None)
                job.fail(error)

    async def _stop(self) -> None:
        self._give_up(ImageAway("cannot be shown any more: cryowatch is ending"), list(self._jobs.values()))
        for worker in self._crew:
            worker.kill()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=ENDING_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDING_SECONDS):
                await asyncio.gather(*(worker.ended() for worker in self._crew))


@dataclass(slots=True, eq=False)
class _Job:
    """One rendering, and how many wait for it."""

    key: str
    subject: Subject
    size: int
    disk: Disk
    done: asyncio.Future[Rendered]
    wanted: int = 0
    begun: bool = False

    def fail(self, error: ImageError) -> None:
        self.done.set_exception(error)
        self.done.exception()  # where all who asked have gone, nobody else looks at it


def _dead() -> ImageAway:
    return ImageAway("cannot be shown: its disk does not answer, and holds the processes that render")


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
