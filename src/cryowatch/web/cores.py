"""How busy each core of this machine is: measured only when somebody asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cryowatch.sources.host.counters import CpuTimes, core_times, share_at_work
from cryowatch.web.replies import JSON

SHORTEST = 1.0
"""Seconds below which the counters say too little: who asks sooner gets the last answer."""


class Cores:
    """Shares of the time since somebody asked last, or since the start; `host` is this machine's name."""

    def __init__(
        self,
        host: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        read: Callable[[], tuple[CpuTimes, ...]] = core_times,
    ) -> None:
        self._host = host
        self._clock = clock
        self._read = read
        self._lock = threading.Lock()
        self._time, self._before = clock(), read()
        self._seconds: float | None = None
        self._shares: list[float | None] = [None] * len(self._before)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/api/cores", self.cores)]

    def cores(self, request: Request) -> Response:
        del request
        with self._lock:
            now = self._clock()
            if now - self._time >= SHORTEST:
                before, self._before = self._before, self._read()
                same = len(before) == len(self._before)
                self._shares = [share_at_work(*pair) for pair in zip(before, self._before, strict=True)] if same else []
                self._seconds, self._time = now - self._time, now
            return JSON({"host": self._host, "seconds": self._seconds, "cores": self._shares, "unit": "%"})
