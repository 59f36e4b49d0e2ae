"""Rendering on demand: from the cache, else by a worker process, one rendering for all who ask for the same.

What somebody waits for comes first, the newest request before older ones; what is only rendered ahead of need comes
when nobody waits.  Projects take turns.  A rendering that nobody wants any more is not begun; one that waits for a disk
holds up only those from the same disk, and one that computes for long only its own project's.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from cryowatch.errors import ImageAway, ImageError, ImageMissing, ImageUnreadable, ImageUnsupported
from cryowatch.images.cache import Cache
from cryowatch.images.crew import SLOW_SECONDS, Crew, Place
from cryowatch.images.paths import unreachable
from cryowatch.images.process import SLOW, Rendered, Worker
from cryowatch.images.subject import Subject, stand_in, to_json
from cryowatch.system.detached import Detached

SIZES = (128, 256, 512, 1024, 2048)
LOOK_SECONDS = 10.0
MOST_HANGING = 16
"""At the files of one project."""

MOST_UNSUPPORTED = 10_000
"""Files of a kind that is not shown, which are kept in mind so that they are not read again."""

ENDING_SECONDS = 2.0

T = TypeVar("T")


class ImageServer:
    """Rendered images; has an event loop in a thread of its own, so that it may be used from any."""

    def __init__(self, folder: Path, *, workers: int = 1, cache_bytes: int = 2 * 10**9) -> None:
        self._cache = Cache(folder, limit=cache_bytes)
        self._looks = Detached("images: look", seconds=LOOK_SECONDS, most=MOST_HANGING)
        self._crew = Crew(workers)
        self._jobs: dict[str, _Job] = {}
        self._unsupported: dict[str, ImageUnsupported] = {}
        self._waiting: list[_Job] = []
        self._served: dict[str, int] = {}
        self._ended_for_others: set[Worker] = set()
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
        return asyncio.run_coroutine_threadsafe(self._shown(subject, size, ahead=ahead), loop)

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

    async def _shown(self, subject: Subject, size: int, *, ahead: bool) -> Rendered:
        """Return an image or, where its file cannot be shown, what stands in for it."""
        try:
            rendered = await self._image(subject, size, ahead=ahead)
        except (ImageMissing, ImageUnreadable) as error:
            project, spare = subject.project, subject.micrograph
            if project is None or not spare:
                raise
            cause = error
        else:
            return replace(rendered, computed=subject.reason) if subject.computed else rendered
        subject = await self.look(lambda: stand_in(project, spare, cause), spare, str(project))
        try:
            rendered = await self._image(subject, size, ahead=ahead)
        except (ImageMissing, ImageUnreadable):
            raise cause from None
        return replace(rendered, computed=subject.reason)

    async def _image(self, subject: Subject, size: int, *, ahead: bool) -> Rendered:
        state, place = await self._state(subject)
        key = Cache.key(json.dumps(to_json(subject)), state, str(size))
        kept = await asyncio.to_thread(self._cache.get, key)
        if kept is not None:
            return kept
        if key in self._unsupported:
            raise ImageUnsupported(str(self._unsupported[key]))
        if self._crew.dead(place.disk):
            raise _dead()
        if ahead and self._crew.heavy(place.project):
            raise ImageAway("is not rendered ahead: images of its project take long")
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = _Job(key, subject, size, place, asyncio.get_running_loop().create_future())
            self._waiting.append(job)
        job.wanted += 1
        if not ahead:
            job.number = -next(self._numbers)
        elif job.number > 0:
            job.number = next(self._numbers)
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

    async def _state(self, subject: Subject) -> tuple[str, Place]:
        """Return what changes with a file, and whose it is."""
        project = str(subject.project or "")
        if subject.path is None:
            return "", Place(None, project)
        status = await self.look(subject.path.stat, subject.path.name, project or str(subject.path.parent))
        return f"{status.st_mtime_ns} {status.st_size}", Place(status.st_dev, project)

    def _begin(self) -> None:
        """Give work to the workers that are free; where none is, take one from what computes without end."""
        while (job := self._next()) is not None:
            if self._crew.full:
                self._hurry(job)
                return
            self._waiting.remove(job)
            job.begun = True
            self._served[job.place.project] = next(self._numbers)
            worker = self._crew.take(job.place)
            task = asyncio.create_task(self._work(worker, job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next(self) -> _Job | None:
        """Return what is to be rendered next: what somebody waits for, of the project that has had least."""
        for job in [job for job in self._waiting if not job.wanted or job.done.done()]:
            self._waiting.remove(job)
            self._jobs.pop(job.key, None)
            job.done.cancel()
        working = self._crew.working_for()

        def turn(job: _Job) -> tuple[bool, bool, int, int, int]:
            project = job.place.project
            return (
                self._crew.heavy(project), job.number > 0, working[project], self._served.get(project, -1), job.number
            )  # fmt: skip

        ready = (job for job in self._waiting if not self._crew.held_up(job.place))
        return min(ready, key=turn, default=None)

    def _hurry(self, job: _Job) -> None:
        """Where an image has no worker because heavy ones have them all, end the one that has computed for longest."""
        if self._crew.free or self._crew.heavy(job.place.project) or job.number > 0:
            return
        heaviest = self._crew.heaviest()
        if heaviest is not None:
            self._ended_for_others.add(heaviest)
            heaviest.kill()

    async def _work(self, worker: Worker, job: _Job) -> None:
        late = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._late, worker)
        try:
            rendered = await worker.render(job.subject, job.size)
        except ImageUnsupported as error:
            self._refused(job.key, error)
            job.fail(error)
        except ImageError as error:
            job.fail(_too_heavy(job) if worker in self._ended_for_others else error)
        else:
            await asyncio.to_thread(self._cache.put, job.key, rendered, project=job.subject.project)
            job.done.set_result(rendered)
        finally:
            self._jobs.pop(job.key, None)
            self._ended_for_others.discard(worker)
            await self._ended(worker)
            late.cancel()
            self._crew.give_back(worker)
            self._begin()

    def _refused(self, key: str, error: ImageUnsupported) -> None:
        """Keep in mind that a file, as it is now, is of a kind that is not shown; the oldest of many is forgotten."""
        self._unsupported[key] = error
        if len(self._unsupported) > MOST_UNSUPPORTED:
            del self._unsupported[next(iter(self._unsupported))]

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
            self._give_up(_dead(), [job for job in self._jobs.values() if self._crew.dead(job.place.disk)])
            self._begin()
            await worker.ended()

    def _give_up(self, error: ImageError, jobs: list[_Job]) -> None:
        """Let those of some jobs fail that are not begun."""
        for job in jobs:
            if not job.begun and not job.done.done():
                self._jobs.pop(job.key, None)
                self._waiting.remove(job)
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
    place: Place
    done: asyncio.Future[Rendered]
    number: int = 1
    """Its place in the order of requests: below 0 where somebody waits, the newest lowest; above 0 ahead of need."""
    wanted: int = 0
    begun: bool = False

    def fail(self, error: ImageError) -> None:
        self.done.set_exception(error)
        self.done.exception()  # where all who asked have gone, nobody else looks at it


def _dead() -> ImageAway:
    return ImageAway("cannot be shown: its disk does not answer, and holds the processes that render")


def _too_heavy(job: _Job) -> ImageAway:
    name = "" if job.subject.path is None else job.subject.path.name
    return ImageAway("takes long to render, and others wait", where=name, remedy="Ask again when the pages are quiet")


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
