"""A real sshd for tests: OpenSSH's, on a loopback port, with its own keys; and a relay that can delay and cut."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.ports import free_port

BINARY = shutil.which("sshd") or "/usr/sbin/sshd"


def make_key(file: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """Write a private key and its public part."""
    bits = ["-b", "2048"] if kind == "rsa" else []
    command = ["ssh-keygen", "-q", "-t", kind, *bits, "-N", passphrase, "-C", "test", "-f", str(file)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return file


class Sshd:
    """An SSH server for the user that runs the tests, whose key is in its authorized_keys."""

    def __init__(self, folder: Path, *, sftp: str = "internal-sftp", more: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.user = getpass.getuser()
        self.port = free_port()
        self.root = folder / "home"
        self.root.mkdir()
        self.key = make_key(folder / "client")
        self.host_key = make_key(folder / "host")
        self.authorized = folder / "authorized_keys"
        self.authorized.write_text(self.key.with_suffix(".pub").read_text())
        self.known_hosts = folder / "known_hosts"
        self.trust(self.host_key)
        self.config = folder / "sshd_config"
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.host_key}",
            f"AuthorizedKeysFile {self.authorized}",
            f"PidFile {folder}/sshd.pid",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "PermitRootLogin yes",
            "MaxStartups 100",
            *([f"Subsystem sftp {sftp}"] if sftp else []),
            *more,
        ]
        self.config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """The address of the folder that is published to."""
        return f"sftp://{self.user}@127.0.0.1:{self.port}{self.root}"

    def trust(self, host_key: Path, *, marker: str = "", port: int | None = None) -> None:
        """Make a host key, and no other, the one that is known; of a relay where its port is given."""
        kind, data, *_ = host_key.with_suffix(".pub").read_text().split()
        self.known_hosts.write_text(f"{marker}[127.0.0.1]:{port or self.port} {kind} {data}\n")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd, as root, wants it for its unprivileged part
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [BINARY, "-D", "-e", "-f", str(self.config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        log.close()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """Stop the server; connections that are open live on in their own processes."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None


class Relay:
    """Carries bytes between a port of its own and another, later by a delay; can fall silent or cut."""

    def __init__(self, port: int, *, delay: float = 0.0) -> None:
        self.port = free_port()
        self.sent = 0
        """Bytes that went to the server."""
        self.cut_after: int | None = None
        self.silent = False
        """Whether what comes is thrown away."""
        self.stalled = False
        """Whether what comes waits."""
        self._target = port
        self.delay = delay
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", self.port))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self.cut()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, far_writer}
        with contextlib.suppress(asyncio.CancelledError):  # else asyncio tells of it at the end
            await asyncio.gather(
                self._carry(reader, far_writer, counted=True), self._carry(far_reader, writer, counted=False)
            )

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                while self.stalled:
                    await asyncio.sleep(0.02)
                if self.silent:
                    continue
                if counted:
                    self.sent += len(data)
                    if self.cut_after is not None and self.sent > self.cut_after:
                        self.cut()
                        return
                self._loop.call_later(self.delay, _write, writer, data)
            self._loop.call_later(self.delay, writer.close)

    def reset(self) -> None:
        """Cut every connection, from another thread."""
        self._loop.call_soon_threadsafe(self.cut)

    def cut(self) -> None:
        """Cut every connection, as a pulled cable does that is noticed."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)
