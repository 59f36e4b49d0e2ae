"""Which data directories the store accepts, and the lock that keeps a second agent out of one.

SQLite in WAL mode needs locks and shared memory that network file systems do not give.  The kernel releases the
lock (flock on `cryowatch.lock`) when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path

from cryowatch.errors import StoreFailed, StoreInUse, StoreOnNetwork

LOCK_NAME = "cryowatch.lock"

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


class Lock:
    """Holds a data directory for this process until `release`; raises `StoreInUse` where another has it."""

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / LOCK_NAME
        try:
            self._file = path.open("a+")
        except OSError as error:
            raise StoreFailed(
                f"cannot be written: {error.strerror}", where=path, remedy="Choose another --data-dir"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            owner = self._file.read().strip()
            self._file.close()
            raise StoreInUse(
                f"another cryowatch{f' (process {owner})' if owner else ''} works with this data directory",
                where=data_dir,
                remedy="Stop it, or give this one its own --data-dir",
            ) from error
        with contextlib.suppress(OSError):  # on a full disk the lock holds without the number of its owner
            self._file.truncate(0)
            os.write(self._file.fileno(), f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let the next one in."""
        self._file.close()
