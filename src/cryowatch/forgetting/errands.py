"""Errands: what a command has the agent do that works with its data directory, in files below `errands/` there.

::

    ID.json            what is asked for: {"what": TEXT, ...}
    ID.taken           the same, while the agent is at it
    ID.answer          {"done": {...}}, or {"refused": "one line"}

Who may write into the data directory is the agent's own account or root; a file of anybody else is left alone.  An
errand that nobody took can be taken back.  What has lain there for an hour is swept away.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryowatch.access.private_file import owned_like_folder, replace
from cryowatch.errors import CryowatchError, StoreError, remedy_of

FOLDER = "errands"
TAKEN_SECONDS = 15.0
"""For which a command waits until the agent takes its errand."""

ANSWER_SECONDS = 60.0
LOOK_SECONDS = 0.1
STALE_SECONDS = 3600.0
MOST_BYTES = 10_000

Errand = Mapping[str, Any]


def send(
    data_dir: Path,
    errand: Errand,
    *,
    taken_seconds: float = TAKEN_SECONDS,
    answer_seconds: float = ANSWER_SECONDS,
    mono: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
) -> dict[str, Any]:
    """Have the agent of a data directory do something, and return what it answers; raises `StoreError`."""
    folder = data_dir / FOLDER
    asked = folder / f"{secrets.token_hex(8)}.json"
    taken, answer = asked.with_suffix(".taken"), asked.with_suffix(".answer")
    try:
        if not folder.is_dir():
            folder.mkdir(0o700, exist_ok=True)
            owned_like_folder(folder)
        replace(asked, json.dumps(errand).encode())
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        raise StoreError(what, where=error.filename or folder, remedy=remedy_of(error)) from None
    began = mono()
    while not answer.exists():
        passed = mono() - began
        if passed >= taken_seconds and _taken_back(asked):
            what = f"its agent did not take this up within {taken_seconds:g} s, and nothing was done"
            raise StoreError(what, where=data_dir, remedy="Is it of an earlier version, or held up? Its log tells")
        if passed >= answer_seconds:
            what = f"its agent took this up and has not answered within {answer_seconds:g} s"
            raise StoreError(what, where=data_dir, remedy="Look again with `cryowatch status`")
        wait(LOOK_SECONDS)
    said: dict[str, Any] = json.loads(answer.read_bytes())
    for file in (answer, taken):
        file.unlink(missing_ok=True)
    if "refused" in said:
        raise StoreError(str(said["refused"]))
    done: dict[str, Any] = said["done"]
    return done


def _taken_back(asked: Path) -> bool:
    """Return whether an errand could be taken back, as nobody has taken it."""
    try:
        asked.unlink()
    except FileNotFoundError:
        return False
    return True


class Errands:
    """Does the errands of a data directory, one after another; `does` takes one and returns the answer to it."""

    def __init__(self, data_dir: Path, does: Callable[[Errand], Mapping[str, Any]]) -> None:
        self._folder = data_dir / FOLDER
        self._does = does

    def step(self) -> int:
        """Do what is asked for; returns how many errands that were."""
        with contextlib.suppress(OSError):  # no folder is no errand
            names = sorted(os.listdir(self._folder))  # noqa: PTH208  names alone, and in order
            return sum(self._do(self._folder / name) for name in names if self._is_asked(self._folder / name))
        return 0

    def _is_asked(self, file: Path) -> bool:
        """Return whether a file is an errand; sweeps away what nobody came back for."""
        if file.suffix == ".json":
            return True
        with contextlib.suppress(OSError):
            if abs(time.time() - file.lstat().st_mtime) > STALE_SECONDS:
                file.unlink()
        return False

    def _do(self, asked: Path) -> bool:
        taken = asked.with_suffix(".taken")
        try:
            errand = _read(asked)
            asked.rename(taken)
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                asked.unlink()
            return False
        try:
            answer: dict[str, Any] = {"done": dict(self._does(errand))}
        except CryowatchError as error:
            answer = {"refused": str(error)}
        replace(asked.with_suffix(".answer"), json.dumps(answer).encode())
        return True


def _read(file: Path) -> Errand:
    """Return what a file of this account's, or of root's, asks for; raises OSError or ValueError for another one."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as opened:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, os.geteuid()) or found.st_size > MOST_BYTES:
            raise ValueError(f"{file}: is no errand")
        errand = json.loads(opened.read(MOST_BYTES))
    if not isinstance(errand, dict):
        raise ValueError(f"{file}: is no errand")  # noqa: TRY004  what the file holds, not a type of ours
    return errand
