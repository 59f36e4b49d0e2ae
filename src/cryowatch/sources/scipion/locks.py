"""Locks of database files: whether a file system gives any, and which thread's turn it is with a file.

Closing any descriptor of a file drops all POSIX locks that the process holds on it, those of SQLite as well.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path
from weakref import WeakValueDictionary

LOCKS = (
    "Mount it with locks: NFS with its lock service, or with local_lock=all where Scipion runs on this machine;"
    " Lustre with flock"
)
"""How to mount a file system that gives none."""

_NONE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_FREE_BYTE = 0x40000000 + 512
"""Just behind those that SQLite locks (os.h, PENDING_BYTE)."""

_TURNS: WeakValueDictionary[tuple[int, int], threading.Lock] = WeakValueDictionary()
"""Of each file that is being read, by device and inode."""

_ENTRY = threading.Lock()


def gives_locks(path: Path) -> bool:
    """Return whether the file system of a file gives locks at all; this process must not have the file open.

    Where it does not, SQLite says of some errors that the database is locked (ENOLCK), and of others that the disk
    does not work.  The byte that is locked here is one that SQLite does not use.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, _FREE_BYTE)
    except OSError as error:
        return error.errno not in _NONE
    finally:
        os.close(descriptor)
    return True


def turn(path: Path) -> threading.Lock:
    """Return the lock by which the threads of this process take turns with a file, whatever names it has.

    Raises an `OSError` where the file is not there.
    """
    found = path.stat()
    with _ENTRY:
        return _TURNS.setdefault((found.st_dev, found.st_ino), threading.Lock())
