"""Which data directories the store accepts, and the lock that keeps a second agent out of one.

SQLite in WAL mode needs locks and shared memory that network file systems do not give.  The kernel releases the
lock (flock on `cryowatch.lock`) when its process ends, however it ends.  The file holds the number of that process, and
on a second line the address of its pages, where it has some.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from pathlib import Path
from typing import TextIO

from cryowatch.errors import StoreFailed, StoreInUse, StoreOnNetwork

LOCK_NAME = "cryowatch.lock"
_LOCK_MODE = 0o600
_OTHERS = 0o007

NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
        "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "panfs", "pvfs2", "smb3",
        "smbfs",
    }
)  # fmt: skip
_OCTAL = re.compile(r"\\([0-7]{3})")
"""How the kernel writes spaces, tabs, line ends and backslashes in names of mount points."""


def file_system(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds `path`, from the text of /proc/self/mounts ("" if unknown)."""
    best, kind = "", ""
    for line in mounts.splitlines():
        columns = line.split(" ")
        if len(columns) < 3:
            continue
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), columns[1])
        inside = str(path) == point or str(path).startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, columns[2]
    return kind


def kind_of(folder: Path) -> str:
    """Return the type of the file system that a folder lies on ("" if unknown)."""
    return file_system(folder.resolve(), _mounts())


def prepare(data_dir: Path) -> Path:
    """Make the data directory and return it resolved; raises `StoreOnNetwork` or `StoreFailed`."""
    try:
        data_dir = data_dir.expanduser().resolve()
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as error:
        raise StoreFailed(
            f"cannot be made: {error.strerror}", where=data_dir, remedy="Choose another --data-dir"
        ) from error
    kind = kind_of(data_dir)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreOnNetwork(
            f"lies on a network file system ({kind}), where a database cannot be kept safely",
            where=data_dir,
            remedy="Choose a --data-dir on a local disk; the projects themselves may be anywhere",
        )
    return data_dir


def _mounts() -> str:
    try:
        return Path("/proc/self/mounts").read_text(errors="surrogateescape")
    except OSError:
        return ""


def keep_private(*paths: Path) -> None:
    """Take from files, where they are there, what lets others than their owner and group at them."""
    for path in paths:
        with contextlib.suppress(OSError):
            mode = stat.S_IMODE(path.lstat().st_mode)
            if mode & _OTHERS:
                path.chmod(mode & ~_OTHERS, follow_symlinks=False)


class Lock:
    """Holds a data directory for this process until `release`; raises `StoreInUse` where another has it."""

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / LOCK_NAME
        try:
            self._file = _opened(path)
            if not _taken(self._file) and _held_by_stranger(self._file):
                # Who may not write here is no agent of this directory, and the lock that it holds is none.
                self._file.close()
                path.unlink()
                self._file = _opened(path)
                _taken(self._file)
        except OSError as error:
            raise StoreFailed(
                f"cannot be written: {error.strerror}", where=path, remedy="Choose another --data-dir"
            ) from error
        if not _taken(self._file):
            self._file.seek(0)
            owner = self._file.readline().strip()
            self._file.close()
            raise StoreInUse(
                f"another cryowatch{f' (process {owner})' if owner else ''} works with this data directory",
                where=data_dir,
                remedy="Stop it, or give this one its own --data-dir",
            )
        with contextlib.suppress(OSError):  # on a full disk the lock holds without the number of its owner
            self._file.truncate(0)
            os.write(self._file.fileno(), f"{os.getpid()}\n".encode())

    def publish(self, address: str) -> None:
        """Write the address of this process's pages, which commands look up with `published_address`."""
        with contextlib.suppress(OSError):  # on a full disk commands go by the settings
            os.write(self._file.fileno(), f"{address}\n".encode())

    def release(self) -> None:
        """Let the next one in."""
        self._file.close()


def published_address(data_dir: Path) -> str:
    """Return the address of the pages of the agent that works with a data directory; "" where none is known."""
    try:
        descriptor = os.open(data_dir / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, encoding="utf-8") as file:
            process, address, *_ = [*file.read(4096).split("\n"), ""]
    except (OSError, ValueError):
        return ""
    return address if process.isdecimal() and Path(f"/proc/{process}").exists() else ""


def _opened(path: Path) -> TextIO:
    """Open the file of the lock, which nobody else may open: whoever can read a file can lock it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, _LOCK_MODE)
    with contextlib.suppress(PermissionError):  # it belongs to another user, who lets this one at it
        os.fchmod(descriptor, _LOCK_MODE)
        if os.geteuid() == 0:  # the agent's user has to get at it, too
            folder = path.parent.stat()
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
    return os.fdopen(descriptor, "a+")


def _taken(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held_by_stranger(file: TextIO) -> bool:
    """Return whether a process of a user who may not write into the folder holds the lock of a file: proc(5)."""
    found = os.fstat(file.fileno())
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    try:
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        holders = [int(line[4]) for line in lines if line[1] == "FLOCK" and line[5] == place]
        owners = {Path(f"/proc/{holder}").stat().st_uid for holder in holders}
    except (OSError, ValueError, IndexError):
        return False
    return bool(owners) and owners.isdisjoint({0, os.geteuid(), found.st_uid})
