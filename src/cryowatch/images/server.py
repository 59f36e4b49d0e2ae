"""Rendering on demand: from the cache, else by a worker process, one rendering for all who ask for the same.

The workers start at the first need and end after a while without work, so that an idle agent stays small.  One that
hangs or dies on a file takes only that image along.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from cryowatch import errors
from cryowatch.errors import ImageError, ImageMissing, ImageUnreadable
from cryowatch.images.cache import Cache
from cryowatch.model import ImageKind

SIZES = (128, 256, 512, 1024, 2048)
RENDER_SECONDS = 20.0
IDLE_SECONDS = 30.0

_PNG = b"\x89PNG"


@dataclass(frozen=True, slots=True)
class Rendered:
    """An encoded image and its media type."""

    data: bytes
    media_type: str


class ImageServer:
    """Rendered images of files; used from one event loop."""

    def __init__(self, folder: Path, *, workers: int = 1, cache_bytes: int = 2 * 10**9) -> None:
        self._cache = Cache(folder, limit=cache_bytes)
        self._workers = [_Worker() for _ in range(workers)]
        self._free: asyncio.LifoQueue[_Worker] | None = None
        self._running: dict[str, asyncio.Task[Rendered]] = {}

    async def image(self, path: Path, kind: ImageKind, size: int) -> Rendered:
        """Return an image at the least of `SIZES` that is not below `size`; raises an `ImageError`."""
        size = next((s for s in SIZES if s >= size), SIZES[-1])
        key, kept = await asyncio.to_thread(self._look_up, path, kind, size)
        if kept is not None:
            return Rendered(kept, "image/png" if kept.startswith(_PNG) else "image/jpeg")
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._render(key, path, kind, size))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            await worker.stop()

    def _look_up(self, path: Path, kind: ImageKind, size: int) -> tuple[str, bytes | None]:
        try:
            status = path.stat()
        except OSError as error:
            raise ImageMissing(f"cannot be reached: {error.strerror}", where=path.name) from error
        key = Cache.key(path, status, kind, size)
        return key, self._cache.get(key)

    async def _render(self, key: str, path: Path, kind: ImageKind, size: int) -> Rendered:
        if self._free is None:
            self._free = asyncio.LifoQueue()
            for worker in self._workers:
                self._free.put_nowait(worker)
        worker = await self._free.get()
        try:
            rendered = await worker.render(path, kind, size)
        finally:
            self._free.put_nowait(worker)
        await asyncio.to_thread(self._cache.put, key, rendered.data)
        return rendered


class _Worker:
    """One process that renders one image at a time."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._bored: asyncio.TimerHandle | None = None

    async def render(self, path: Path, kind: ImageKind, size: int) -> Rendered:
        if self._bored is not None:
            self._bored.cancel()
        try:
            async with asyncio.timeout(RENDER_SECONDS):
                return await self._ask(path, kind, size)
        except TimeoutError as error:
            await self._kill()
            what = f"took longer than {RENDER_SECONDS:.0f} s to read"
            raise ImageUnreadable(what, where=path.name, remedy="Is its disk slow or unreachable?") from error
        except (OSError, EOFError, ValueError) as error:
            await self._kill()
            raise ImageUnreadable("could not be shown: the process that renders it ended", where=path.name) from error
        except asyncio.CancelledError:
            await self._kill()
            raise
        finally:
            self._bored = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end)

    async def _ask(self, path: Path, kind: ImageKind, size: int) -> Rendered:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await self._start()
        if process.stdin is None or process.stdout is None:
            raise EOFError
        process.stdin.write(json.dumps([str(path), kind, size]).encode() + b"\n")
        await process.stdin.drain()
        answer = await process.stdout.readline()
        if not answer:
            raise EOFError
        status, *rest = json.loads(answer)
        if status == "ok":
            media_type, length = rest
            return Rendered(await process.stdout.readexactly(length), media_type)
        kind_of_error = getattr(errors, status, ImageUnreadable)
        raise kind_of_error(rest[0]) if issubclass(kind_of_error, ImageError) else ImageUnreadable(rest[0])

    async def _start(self) -> asyncio.subprocess.Process:
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # else it would import modules from the folder that the agent was started in
            "-m",
            "cryowatch.images.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **single},
            start_new_session=True,
        )

    def _end(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    async def stop(self) -> None:
        if self._bored is not None:
            self._bored.cancel()
        await self._kill()

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
