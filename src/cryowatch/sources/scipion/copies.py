"""Private copies of databases that others may be writing, told from those that were torn.

Whoever may write the database says how large it is and what lies beside it.  So only regular files are copied, no more
of each than it held before, and what is only zeros becomes a hole, as it may have been one.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryowatch.errors import SourceBusy, SourceInterrupted, SourceMalformed
from cryowatch.sources.scipion.files import COMPANIONS, denied_or_gone

COPY_SECONDS = 60.0
ROOM_SECONDS = 5.0
MOST_COPIED = 2**30
FREE_SHARE = 0.5

_SUFFIXES = ("", *COMPANIONS)
_HEADER = 100
_BLOCK = 1 << 18
_ZEROS = bytes(_BLOCK)
_JOURNAL_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_NO_LOCKS = "changes all the time, and its file system has no locks by which it could be read in between"
_LOCKS = (
    "Mount it with locks: NFS with its lock service, or with local_lock=all where Scipion runs on this machine;"
    " Lustre with flock"
)
_TRIES = 3


class NoRoom(Exception):
    """Others take all the room."""


class Room:
    """Bytes that several threads may take up together; what is larger than all of it is alone."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def of(self, size: int, *, patience: float) -> Iterator[None]:
        """Take up some of it meanwhile; raises `NoRoom` where there is none for so many seconds."""
        share = min(size, self._size)
        with self._changed:
            if not self._changed.wait_for(lambda: self._free >= share, patience):
                raise NoRoom
            self._free -= share
        try:
            yield
        finally:
            with self._changed:
                self._free += share
                self._changed.notify_all()


COPIES = Room(2**26)
"""Copies together take so much, or one that is larger."""


@contextmanager
def private_copy(
    path: Path, size: int, *, locked: bool = True, most: int = MOST_COPIED, share: float = FREE_SHARE
) -> Iterator[Path]:
    """Give a copy of a database, `size` bytes with its companions, that stood still, in a folder of its own.

    `most` bytes are copied at most, and no more than a `share` of the free space.  `locked` is False where the file
    system has no locks.  Raises a `SourceError`: `SourceBusy` where the database changes all the time.
    """
    if size > most:
        what = f"can only be read from a copy, and takes {size / 1e9:,.1f} GB"
        raise SourceMalformed(what, where=path, remedy=f"Up to {most / 1e9:,.1f} GB are copied")
    with ExitStack() as opened:
        try:
            opened.enter_context(COPIES.of(size, patience=ROOM_SECONDS))
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="cryowatch-")))
            _refuse_where_it_fills(folder, size, share)
            copy = folder / "copy.sqlite"
            source = opened.enter_context(_pinned(path))
            still = any(copy_still(source, copy, most=size) for _ in range(1 if locked else _TRIES))
        except SourceMalformed as error:
            raise SourceMalformed(error.what, where=path, remedy=error.remedy) from error
        except NoRoom as error:
            raise SourceBusy("others are being copied", where=path) from error
        except (FileNotFoundError, PermissionError) as error:
            raise denied_or_gone(path, error) from error
        except OSError as error:
            raise SourceInterrupted(
                f"can only be read from a copy, which cannot be made: {error.strerror}",
                where=path,
                remedy=f"Is there space in {tempfile.gettempdir()}?",
            ) from error
        if not still and locked:
            raise SourceBusy("it changed while it was being copied", where=path)
        if not still:
            raise SourceBusy(_NO_LOCKS, where=path, remedy=_LOCKS)
        yield copy


@contextmanager
def _pinned(path: Path) -> Iterator[Path]:
    """Give a path of a file, by its own path, that leads into its folder whatever is put into its place meanwhile."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        place = Path(f"/proc/self/fd/{folder}")
        if place.readlink() != path.parent:
            raise SourceBusy("another folder was put into its place", where=path)
        yield place / path.name
    finally:
        os.close(folder)


def _refuse_where_it_fills(folder: Path, size: int, share: float) -> None:
    if size > share * shutil.disk_usage(folder).free:
        raise OSError(0, f"it takes more than {share:.0%} of the free space")


def copy_still(path: Path, copy: Path, *, most: int, seconds: float = COPY_SECONDS) -> bool:
    """Copy a database and its journal or WAL; returns whether they stood still meanwhile, with `most` bytes or fewer.

    Raises an `OSError`, and `SourceMalformed` for what is no file or must not be recovered.  A journal holds what a
    transaction has overwritten in the database by then, so it is copied after the database.
    """
    until = time.monotonic() + seconds
    before = _state(path)
    if sum(found[1] for found in before if found is not None) > most:
        return False
    for suffix, found in zip(_SUFFIXES, before, strict=True):
        target = Path(f"{copy}{suffix}")
        target.unlink(missing_ok=True)
        if found is not None:
            try:
                whole = _copied(f"{path}{suffix}", target, found[1], until)
            except FileNotFoundError:
                return False
            if not whole:
                return False
    _refuse_super_journal(path, Path(f"{copy}-journal"))
    return _state(path) == before


def _copied(source: str, target: Path, size: int, until: float) -> bool:
    """Copy a file of so many bytes; returns whether it still had as many."""
    with ExitStack() as opened:
        reading = _opened(source)
        opened.callback(os.close, reading)
        writing = opened.enter_context(target.open("wb", buffering=0))
        at = 0
        while at < size and (data := os.pread(reading, min(_BLOCK, size - at), at)):
            if time.monotonic() > until:
                raise TimeoutError(0, "its disk is too slow")
            if data != _ZEROS[: len(data)]:
                os.pwrite(writing.fileno(), data, at)
            at += len(data)
        os.truncate(writing.fileno(), at)
    return at == size


def _refuse_super_journal(path: Path, journal: Path) -> None:
    """Raise `SourceMalformed` for a copied journal that names the journal of several databases.

    SQLite would delete the file of that name, wherever it lies, when it recovers the copy.  Scipion writes one database
    in a transaction, so its journals name none.
    """
    if not journal.exists():
        return
    with journal.open("rb") as file:
        file.seek(max(0, journal.stat().st_size - len(_JOURNAL_MAGIC)))
        named = file.read() == _JOURNAL_MAGIC
    if named:
        raise SourceMalformed("has a journal that names another file", where=path)


def _opened(path: str) -> int:
    """Return a descriptor of a regular file; raises an `OSError`, and `SourceMalformed` for a link or a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SourceMalformed("is a link", where=path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceMalformed("is not a file", where=path)
    return descriptor


def _state(path: Path) -> list[tuple[int, int, int, bytes] | None]:
    """Return by what a change of a database, its journal and its WAL is seen, None for one that is not there.

    Each is opened for that: a network file system then asks its server, where stat may answer from memory.  The first
    bytes of a database count its transactions, whatever its time stamp says.
    """
    found: list[tuple[int, int, int, bytes] | None] = []
    for suffix in _SUFFIXES:
        try:
            descriptor = _opened(f"{path}{suffix}")
        except FileNotFoundError:
            if not suffix:
                raise
            found.append(None)
            continue
        try:
            status = os.fstat(descriptor)
            found.append((status.st_ino, status.st_size, status.st_mtime_ns, os.pread(descriptor, _HEADER, 0)))
        finally:
            os.close(descriptor)
    return found
