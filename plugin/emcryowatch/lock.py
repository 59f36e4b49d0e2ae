"""One monitor for each thing to watch in a project: two would tell everything twice.

A file for each lies in the project's `Logs`, locked (flock) by the monitor's process and by its agent, which has the
same open file: the kernel lets go of it when both have ended, however they end.  What the file says is for people.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import time
from pathlib import Path
from typing import Any, Callable, Sequence

LOOK_SECONDS = 0.2
ENDING_SECONDS = 20.0
"""For how long the agent of a monitor that was stopped may still be at work."""


_LONGEST = 4096


class Watched(Exception):
    """Another monitor watches this already; the text says which."""


def file_of(project: Path, measure: str) -> Path:
    """Return the file that stands for watching something in a project."""
    return project / "Logs" / f"cryowatch-{measure}.lock"


def refuse(project: Path, measures: Sequence[str], run: int, *, seconds: float = ENDING_SECONDS) -> None:
    """Raise `Watched` where another run watches any of these."""
    for measure in measures:
        path = file_of(project, measure)
        try:
            file = _opened(path, os.O_RDONLY, "rb")
        except FileNotFoundError:
            continue
        with file:
            _wait(file, fcntl.LOCK_SH, run, seconds)


class Hold:
    """Holds what is watched for this process and those who get its `descriptors`; raises `Watched`."""

    def __init__(
        self, project: Path, measures: Sequence[str], run: int, label: str, *, seconds: float = ENDING_SECONDS
    ) -> None:
        self._files: list[Any] = []
        owner = {"run": run, "label": label, "host": socket.gethostname(), "pid": os.getpid()}
        try:
            for measure in measures:
                path = file_of(project, measure)
                path.parent.mkdir(exist_ok=True)
                file = _opened(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, "a+b")
                self._files.append(file)
                _wait(file, fcntl.LOCK_EX, run, seconds)
                file.truncate(0)
                file.write(json.dumps(owner).encode())
        except BaseException:
            self.release()
            raise

    @property
    def descriptors(self) -> list[int]:
        """The open files, for the agent to hold them too."""
        return [file.fileno() for file in self._files]

    def release(self) -> None:
        """Let go, as far as this process is concerned."""
        for file in self._files:
            file.close()


def _opened(path: Path, flags: int, mode: str) -> Any:
    """Open a lock's file; raises `Watched` for a link, which may lead to a file that is somebody's, or for no file."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise Watched(f"{path} is a link, and not the file of a lock. Delete it.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Watched(f"{path} is no file. Delete it.")
    return os.fdopen(descriptor, mode, buffering=0)


def _wait(
    file: Any,
    how: int,
    run: int,
    seconds: float,
    mono: Callable[[], float] = time.monotonic,
) -> None:
    """Lock a file; waits where its owner has been stopped, or is this very run, and what it started is just ending."""
    deadline = mono() + seconds
    while True:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(file)
            if mono() < deadline and (owner.get("run") == run or not _alive(owner)):
                time.sleep(LOOK_SECONDS)
                continue
            raise Watched(_said(owner)) from None
        except OSError:  # a file system without locks keeps nobody out
            return
        return


def _owner(file: Any) -> dict[str, Any]:
    try:
        said = json.loads(os.pread(file.fileno(), _LONGEST, 0))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _alive(owner: dict[str, Any]) -> bool:
    """Return whether the process of a monitor is at work; one on another machine counts as such.

    One that was killed may stay a zombie for long: who launched it does not always ask for its end.
    """
    if owner.get("host") != socket.gethostname():
        return bool(owner)
    try:
        status = Path(f"/proc/{owner.get('pid')}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[:1] != ["Z"]


def _said(owner: dict[str, Any]) -> str:
    who = (
        f"Run {owner['run']}, {owner.get('label', '')!r} on {owner.get('host', '')}," if "run" in owner else "A monitor"
    )
    return f"{who} watches this project already. Stop it first: two monitors would tell everything twice."
