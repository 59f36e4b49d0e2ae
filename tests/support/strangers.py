"""Users of one machine who are strangers to each other: their ids, their folders, and what runs as one of them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ATTACKER, VICTIM, AGENT = 41_001, 41_002, 41_003
"""Ids that no account has; each has a group of the same number."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")


def owned(folder: Path, user: int, mode: int = 0o750) -> Path:
    """Give a folder and all in it to a user and the group of that number, closed to others; links themselves too."""
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            os.chown(f"{place}/{name}", user, user, follow_symlinks=False)
            if not Path(place, name).is_symlink():
                Path(place, name).chmod(mode if name in folders else mode & 0o666)
    os.chown(folder, user, user)
    folder.chmod(mode)
    return folder


def link(place: Path, target: Path | str, user: int) -> None:
    """Put a link of a user where there may be something else."""
    place.symlink_to(target)
    os.chown(place, user, user, follow_symlinks=False)


def interpreter() -> Path:
    """Return a Python that every user may run; skips the test where there is none."""
    own = Path(sys.executable).resolve()
    names = (own, Path(f"/usr/bin/python3.{sys.version_info.minor}"))
    usable = (name for name in names if name.exists() and all(f.stat().st_mode & 1 for f in (name, *name.parents)))
    found = next(usable, None)
    if found is None:
        pytest.skip("other users may run no Python of this version")
    return found


def command(user: int, groups: Sequence[int], *words: str | Path) -> list[str]:
    """Return the words that run Python, with all that we import, as a user in some groups."""
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", f"--groups={','.join(map(str, groups))}"]
    modules = os.pathsep.join(path for path in sys.path if path.endswith(("/site-packages", "/src")))
    return [*become, "env", f"PYTHONPATH={modules}", str(interpreter()), *map(str, words)]


def python(user: int, script: str, *words: str | Path, groups: Sequence[int] = ()) -> str:
    """Return what a script prints that runs as a user."""
    run = command(user, groups or (user,), "-c", script, *words)
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


SWAP = """
import ctypes, os, sys
call = ctypes.CDLL(None).renameat2
first, second = map(os.fsencode, sys.argv[1:])
print("begun", flush=True)
while True:
    call(-100, first, -100, second, 2)
"""


@contextmanager
def swapping(user: int, first: Path, second: Path) -> Iterator[None]:
    """Let a user exchange two places meanwhile, as often as the system can (renameat2, RENAME_EXCHANGE)."""
    run = command(user, (user,), "-c", SWAP, first, second)
    with subprocess.Popen(run, cwd="/", stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give a folder that every user can reach; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="cryowatch-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
