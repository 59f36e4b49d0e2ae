"""Handing a report over: a facility's own command, run without any shell.

The command is a list of arguments, in which `{file}`, `{folder}` and `{session}` are filled in.  No name can become an
option or another path there: file and folder are absolute, and a session goes by its key, which is plain ASCII and
begins with a letter, a digit or an underscore.  What the command says where it fails is shown without passwords: those
of the settings, and those that its arguments seem to hold.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryowatch.errors import SinkAway, SinkRefused
from cryowatch.settings.environment import handed_on
from cryowatch.settings.placeholders import filled
from cryowatch.system import redaction
from cryowatch.system.redaction import Redaction

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_LOOK_SECONDS = 0.1
_KILL_SECONDS = 2.0
_MOST_SAID = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is run with each report; without arguments nothing is."""

    arguments: Sequence[str]
    timeout: float
    environment: Mapping[str, str]
    secrets: Collection[str] = field(default=(), repr=False)
    """What is not shown of what the command says."""

    def filled(self, file: Path, session: str) -> list[str]:
        """Return the arguments for one report; raises `SinkRefused` where its session's key is no plain name."""
        if not _PLAIN.fullmatch(session) or not file.is_absolute():
            raise SinkRefused("its name is not plain, so no command is run with it", where=f"report of {session}")
        return filled(self.arguments, {"file": str(file), "folder": str(file.parent), "session": session})

    def run(self, file: Path, session: str, *, ended: Callable[[], bool] = lambda: False) -> None:
        """Run the command and wait for it; raises `SinkAway` where it fails, takes too long, or `ended` says so.

        Raises `SinkRefused` where it cannot be run at all.  Settings in the environment, which may hold passwords, are
        not handed on.
        """
        if not self.arguments:
            return
        arguments = self.filled(file, session)
        where = f"report of {session}: {arguments[0]}"
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(  # noqa: S603  the facility's own command, and no shell
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    env=handed_on(self.environment),
                    start_new_session=True,
                )
            except OSError as error:
                raise SinkRefused(
                    f"cannot be run: {error.strerror}", where=where, remedy="See report.command"
                ) from None
            try:
                code = _outcome(process, self.timeout, ended)
            finally:
                _end(process)
            if code is None:
                took = "was ended with cryowatch" if ended() else f"took longer than {self.timeout:g} s and was ended"
                raise SinkAway(took, where=where)
            if code:
                how = f"ended with {code}" if code > 0 else f"was ended by signal {-code}"
                raise SinkAway(f"{how}{self._last_line(said.fileno())}", where=where)

    def _last_line(self, descriptor: int) -> str:
        """Return the last line that the command wrote, "" for none."""
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, _MOST_SAID, max(0, size - _MOST_SAID)).decode("utf-8", "replace")
        if size > _MOST_SAID:  # it may begin within a password
            tail = tail[tail.find("\n" if "\n" in tail.rstrip() else " ") + 1 :]
        lines = [line.strip() for line in tail.splitlines() if line.strip()]
        hidden = Redaction(*self.secrets, *redaction.of_arguments(self.arguments))
        return f": {hidden(lines[-1])[:300]}" if lines else ""


def _outcome(process: subprocess.Popen[bytes], timeout: float, ended: Callable[[], bool]) -> int | None:
    """Return the exit code; None where it takes too long or nobody wants it any more."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and not ended():
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK_SECONDS)
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command and whatever it has started in its group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_SECONDS)
