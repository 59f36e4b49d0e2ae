"""One process that renders one image at a time, seen from the agent.

It is started at the first need and ends after a while without work.  One that hangs or dies on a file takes only that
image along.
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
from cryowatch.errors import ImageAway, ImageError, ImageUnreadable
from cryowatch.images.subject import Subject, to_json
from cryowatch.settings import environment

RENDER_SECONDS = 20.0
IDLE_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")
SLOW = "Is its disk slow or unreachable?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """An encoded image, its media type, and how many pixels its source has (None where that is not known).

    `computed` says of a power spectrum why it is computed from the micrograph, and is empty where a file shows it.
    """

    data: bytes
    media_type: str
    width: int | None = None
    height: int | None = None
    computed: str = ""


class Worker:
    """A process that renders; used from one event loop, by one request at a time."""

    def __init__(self) -> None:
        self.process: asyncio.subprocess.Process | None = None
        self._killed: asyncio.subprocess.Process | None = None
        self._bored: asyncio.TimerHandle | None = None
        self._before = 0.0

    @property
    def computed(self) -> float:
        """For how many seconds of its processor's time it has computed at what it renders now; 0 for no process."""
        return max(0.0, _processor_seconds(self.process) - self._before)

    async def render(self, subject: Subject, size: int) -> Rendered:
        """Return an image of at most `size` pixels a side; raises an `ImageError`."""
        if self._bored is not None:
            self._bored.cancel()
        name = "" if subject.path is None else subject.path.name
        self._before = _processor_seconds(self.process)
        try:
            async with asyncio.timeout(RENDER_SECONDS):
                return await self._ask(subject, size)
        except TimeoutError as error:
            self.kill()
            what = f"took longer than {RENDER_SECONDS:.0f} s to read"
            raise ImageAway(what, where=name, remedy=SLOW) from error
        except (OSError, EOFError, ValueError) as error:
            self.kill()
            raise ImageAway("could not be shown: the process that renders it ended", where=name) from error
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
            self._bored = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end)

    def kill(self) -> None:
        """Kill the process, whatever it is at."""
        if self._bored is not None:
            self._bored.cancel()
        process, self.process = self.process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            self._killed = process

    async def ended(self) -> None:
        """Wait until a killed process is gone; that takes as long as the system holds it in a file system."""
        if self._killed is not None:
            await self._killed.wait()
            self._killed = None

    async def _ask(self, subject: Subject, size: int) -> Rendered:
        process = self.process
        if process is None or process.returncode is not None:
            process = self.process = await self._start()
        if process.stdin is None or process.stdout is None:
            raise EOFError
        project = None if subject.project is None else str(subject.project)
        request = [{**to_json(subject), "project": project}, size]
        process.stdin.write(json.dumps(request).encode() + b"\n")
        await process.stdin.drain()
        answer = await process.stdout.readline()
        if not answer:
            raise EOFError
        status, *rest = json.loads(answer)
        if status == "ok":
            media_type, length, width, height = rest
            data = await process.stdout.readexactly(length)
            return Rendered(data=data, media_type=media_type, width=width, height=height)
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
            env={**environment.handed_on(os.environ), **single},
            start_new_session=True,
        )

    def _end(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None


def _processor_seconds(process: asyncio.subprocess.Process | None) -> float:
    """Return the processor's time that a process has had, 0 where it is gone: proc(5), utime and stime."""
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text() if process is not None else ""
        user, system = stat.rpartition(")")[2].split()[11:13]
    except (OSError, ValueError):
        return 0.0
    return (int(user) + int(system)) / _TICKS
