"""A real agent with few file descriptors, and a crowd that holds connections to it from one address."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import resource
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.serving import until

DESCRIPTORS = 1024
PATIENCE = 30.0
ROUND_SECONDS = 0.25
"""After so long a crowd has noticed what was ended, and drips again."""

Hail = Callable[[socket.socket], None]
"""What one of a crowd does with a fresh connection."""


class Agent:
    """`cryowatch watch` as a process with `DESCRIPTORS` file descriptors; `context` speaks TLS to it."""

    def __init__(
        self, folder: Path, paths: Sequence[Path], *, settings: str = "", authority: Path | None = None
    ) -> None:
        self.data = folder / "data"
        self.errors = folder / "errors"
        config = folder / "cryowatch.toml"
        config.write_text(f'[web]\nlisten = "127.0.0.1:0"\n{settings}\n')
        self.context = None if authority is None else ssl.create_default_context(cafile=authority)
        command = ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", sys.executable, "-m", "cryowatch", "watch"]
        command += ["--config", str(config), "--data-dir", str(self.data), *map(str, paths)]
        with self.errors.open("wb") as file:
            environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "200"}
            self.process = subprocess.Popen(command, stderr=file, env=environment)
        self.port = int(until(self._address, PATIENCE)[1])

    def _address(self) -> re.Match[str] | None:
        assert self.process.poll() is None, self.errors.read_text()
        return re.search(r"https?://127\.0\.0\.1:(\d+)/", self.errors.read_text())

    def line(self, address: str = "127.0.0.1", *, seconds: float = 10.0) -> socket.socket:
        """Return a connection from an address of this machine, before any TLS."""
        return socket.create_connection(("127.0.0.1", self.port), seconds, source_address=(address, 0))

    def ask(
        self,
        path: str,
        *,
        address: str = "127.0.0.1",
        form: str | None = None,
        cookie: str = "",
        seconds: float = 10.0,
        headers: Mapping[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """Return the answer to a request on a connection of its own; its body is read."""
        scheme = "http" if self.context is None else "https"
        sent = {"Host": f"127.0.0.1:{self.port}", "Connection": "close", **(headers or {})}
        if cookie:
            sent["Cookie"] = cookie
        if form is not None:
            sent |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"{scheme}://{sent['Host']}"}
        line = self.line(address, seconds=seconds)
        asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        asked.sock = line if self.context is None else self.context.wrap_socket(line, server_hostname="127.0.0.1")
        try:
            asked.request("GET" if form is None else "POST", path, form, sent)
            answer = asked.getresponse()
            answer.text = answer.read().decode(errors="replace")  # type: ignore[attr-defined]
            return answer
        finally:
            asked.close()

    def login(self, name: str, password: str, *, address: str = "127.0.0.1") -> str:
        """Log in, and return the cookie of the login."""
        answer = self.ask("/login", address=address, form=f"name={name}&password={password.replace(' ', '+')}")
        assert answer.status == 303, answer.status
        said = [text for name, text in answer.getheaders() if name.lower() == "set-cookie" and "-login=" in text]
        return said[0].partition(";")[0]

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)


@contextlib.contextmanager
def watching(
    folder: Path, paths: Sequence[Path], *, settings: str = "", authority: Path | None = None
) -> Iterator[Agent]:
    """Run an agent with few file descriptors."""
    agent = Agent(folder, paths, settings=settings, authority=authority)
    try:
        yield agent
    finally:
        agent.close()


class Crowd:
    """Holds `count` connections from one address as long as it lasts, and takes a new one for each that is ended."""

    def __init__(self, agent: Agent, count: int, hail: Hail, *, address: str, drip: bytes = b"") -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
        self._agent = agent
        self._count = count
        self._hail = hail
        self._address = address
        self._drip = drip
        self._over = threading.Event()
        self.opened = 0
        self._lines: dict[int, socket.socket] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Crowd:
        self._thread.start()
        until(lambda: self.opened >= self._count, PATIENCE)
        self._agent.ask("/healthz")  # after what they have asked for all at once
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        ended = select.poll()
        while not self._over.wait(ROUND_SECONDS):
            while len(self._lines) < self._count and not self._over.is_set():
                try:
                    line = self._agent.line(self._address)
                    self._lines[line.fileno()] = line
                    ended.register(line, select.POLLRDHUP)
                    self.opened += 1
                    self._hail(line)
                except OSError:
                    self._over.wait(0.01)
                    break
            for number, _ in ended.poll(0):
                ended.unregister(number)
                self._lines.pop(number).close()
            for line in self._lines.values():
                if self._drip:
                    with contextlib.suppress(OSError):
                        line.send(self._drip)
        for line in self._lines.values():
            line.close()


def served_in_time(ask: Callable[[], int], *, times: int = 20, seconds: float = 2.0) -> list[str]:
    """Ask again and again; returns what went wrong, one line each."""
    wrong: list[str] = []
    for number in range(times):
        begun = time.monotonic()
        try:
            status = ask()
        except OSError as error:
            status, wrong = 0, [*wrong, f"{number}: {error!r} after {time.monotonic() - begun:.2f} s"]
        taken = time.monotonic() - begun
        if status and (status != 200 or taken > seconds):
            wrong.append(f"{number}: {status} after {taken:.2f} s")
    return wrong
