"""`cryowatch watch`, started as a user would, in a separate process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil

SECONDS = 120.0
SETTLED = 5.0


def environment(home: Path) -> dict[str, str]:
    """Return an environment in which nobody's own settings count, neither of cryowatch nor of Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CRYOWATCH_", "PYTHON"))}
    return {**kept, "HOME": str(home)}


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of `cryowatch watch`."""
    return [sys.executable, "-m", "cryowatch", "watch", *map(str, arguments)]


def once(paths: Path, data: Path) -> tuple[float, float]:
    """Read all there is into a store; returns seconds and the peak resident memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command(paths, "--once", "--data-dir", data), env=environment(data.parent), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with ThreadPoolExecutor(1) as pool:
        peak = pool.submit(_peak, process.pid)
        said = process.stderr.read()
        process.wait()
        took = time.perf_counter() - began
        if process.returncode:
            raise SystemExit(said)
        return took, peak.result()


def _peak(process: int) -> float:
    """Return the most resident memory that a process has had, in MB, when it has ended.

    What `wait4` says of a process begins with the memory of the one that started it.
    """
    peak = 0.0
    with suppress(OSError):
        while said := re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text()):
            peak = float(said[1]) * 1.024e-3
            time.sleep(0.01)
    return peak


def used(processes: Sequence[psutil.Process]) -> float:
    """Return the seconds of CPU that processes have used, those that ended since aside."""
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def until(found: Callable[[], Any], *, every: float = 0.05, seconds: float = SECONDS) -> Any:
    """Return what `found` returns as soon as that is true."""
    end = time.monotonic() + seconds
    while not (value := found()):
        if time.monotonic() > end:
            raise SystemExit(f"not within {seconds:.0f} s")
        time.sleep(every)
    return value


class Watching:
    """A running agent with its pages; a context manager."""

    def __init__(self, paths: Path, data: Path) -> None:
        self.log = data.with_suffix(".log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command(paths, "--data-dir", data, "--listen", "127.0.0.1:0"),
                env=environment(data.parent),
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self.address = until(self._address)
        self._client = httpx2.Client(base_url=self.address, timeout=30, trust_env=False)

    def _address(self) -> str | None:
        if self.process.poll() is not None:
            raise SystemExit(self.log.read_text())
        found = re.search(r"http://127\.0\.0\.1:\d+", self.log.read_text())
        return found[0] if found else None

    def get(self, path: str, **query: Any) -> Any:
        """Return what the interface answers."""
        return self._client.get(path, params=query).raise_for_status().json()

    def fetched(self, path: str) -> httpx2.Response:
        """Return an answer of the interface."""
        return self._client.get(path).raise_for_status()

    def whole(self, projects: int, ctfs: int) -> bool:
        """Return whether so many projects are read, with at least so many CTFs each."""
        sessions = self.get("/api/sessions")["sessions"]
        return len(sessions) == projects and all(s["counts"]["ctf"] >= ctfs for s in sessions)

    def wait_for(self, projects: int, ctfs: int) -> None:
        """Wait until so many projects are read, with at least so many CTFs each."""
        until(lambda: self.whole(projects, ctfs), every=0.2)

    def settle(self) -> None:
        """Wait until some seconds have passed with hardly any work: all has been read, and rendered ahead."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            before = used(self.processes())
            time.sleep(SETTLED)
            if used(self.processes()) - before < 0.05 * SETTLED:
                return
        print(f"  it did not settle within {SECONDS:g} s")

    def processes(self) -> list[psutil.Process]:
        """Return the agent and its children."""
        agent = psutil.Process(self.process.pid)
        return [agent, *agent.children(recursive=True)]

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
