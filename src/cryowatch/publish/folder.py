"""Publishing into a folder of this machine, or one that is mounted here.

Files are 0644 and new folders 0755 whatever the umask, so that a web server may read them.  A file is written beside
its place and then renamed, so that nobody ever sees half of it; it is not forced to disk, since it can be published
again.

The folder itself may be a link, and lie wherever its administrator wants.  A project's folder in it is opened as what
it is and never followed where it is a link, so nothing is written outside.

Each piece of work has a thread of its own, for which nobody waits at the end: a network file system whose server is
away may hold a thread for ever.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from cryowatch.errors import SinkAway, SinkError, SinkRefused
from cryowatch.publish.parts import abandoned, part_of
from cryowatch.publish.target import Put, checked, checked_folder
from cryowatch.system.detached import Detached

SECONDS = 60.0
MOST_THREADS = 64

T = TypeVar("T")

_FILE = 0o644
_FOLDER = 0o755
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENAMETOOLONG}


class Folder:
    """A folder that images are put into; `seconds` is how long a piece of work may take."""

    def __init__(self, path: Path, *, seconds: float = SECONDS) -> None:
        self._path = path
        self._swept: set[str] = set()
        self._threads = Detached("publishing: folder", seconds=seconds, most=MOST_THREADS)

    @property
    def where(self) -> str:
        return f"file://{self._path}"

    async def put(self, name: str, data: bytes) -> Put:
        """Write a file; see `Target`."""
        project, _, file = checked(name).partition("/")
        return await self._apart(lambda: self._put(project, file, data))

    async def holds(self, folder: str) -> bool:
        """Return whether a folder is there."""
        path = self._path / checked_folder(folder)
        return await self._apart(lambda: _is_folder(path))

    async def remove(self, name: str) -> None:
        """Remove a file that was put, where it is there still, and its folder where that is empty then."""
        project, _, file = checked(name).partition("/")
        await self._apart(lambda: self._remove(project, file))

    async def close(self) -> None:
        """Nothing is held open."""

    async def _apart(self, work: Callable[[], T]) -> T:
        """Return what some work returns, done in a thread; raises `SinkAway` where that takes too long."""
        try:
            return await self._threads.do(work)
        except TimeoutError:
            raise SinkAway(f"did not answer for {self._threads.seconds:g} s", where=self.where) from None
        except OSError as error:
            raise self._explained(error) from None

    def _put(self, project: str, name: str, data: bytes) -> Put:
        part = part_of(name)
        with self._opened(project) as folder:
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if there.st_size == len(data) and stat.S_ISREG(there.st_mode):
                    return Put.THERE
            try:
                descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE, dir_fd=folder)
                with os.fdopen(descriptor, "wb") as file:
                    with contextlib.suppress(OSError):  # some mounted file systems know no modes
                        os.fchmod(descriptor, _FILE)
                    file.write(data)
                os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(part, dir_fd=folder)
                raise
        return Put.SENT

    def _remove(self, project: str, name: str) -> None:
        if not (_is_folder(self._path / project) or (self._path / project).is_symlink()):
            return
        with self._opened(project) as folder, contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        with contextlib.suppress(OSError):
            (self._path / project).rmdir()

    @contextlib.contextmanager
    def _opened(self, project: str) -> Iterator[int]:
        """Open a project's folder, which is made where there is none; raises `SinkRefused` where it is no folder."""
        path = self._path / project
        if not _is_folder(path):
            if path.is_symlink():
                raise SinkRefused("is a link, and may lead anywhere", where=path, remedy="Make it a folder")
            _make(path)
        descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            self._sweep(project)
            yield descriptor
        finally:
            os.close(descriptor)

    def _sweep(self, project: str) -> None:
        """Remove what a killed agent left, at the first use of a folder."""
        if project in self._swept:
            return
        self._swept.add(project)
        with contextlib.suppress(OSError), os.scandir(self._path / project) as entries:
            for entry in entries:
                if abandoned(entry.name, time.time() - entry.stat().st_mtime):
                    Path(entry.path).unlink(missing_ok=True)

    def _explained(self, error: OSError) -> SinkError:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            return SinkRefused(f"takes no more: {reason}", where=self.where, remedy="Free some space")
        if error.errno in _REFUSED:
            place = f" ({error.filename})" if error.filename else ""
            remedy = "Check owner and mode of the folder"
            return SinkRefused(f"cannot be written: {reason}{place}", where=self.where, remedy=remedy)
        return SinkAway(f"cannot be written: {reason}", where=self.where)


def _is_folder(path: Path) -> bool:
    """Return whether a folder is there that is no link; raises `OSError` where that cannot be told."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _make(path: Path) -> None:
    """Make a folder, and those above it, for everybody to read."""
    try:
        path.mkdir(_FOLDER)
    except FileNotFoundError:
        _make(path.parent)
        path.mkdir(_FOLDER)
    except FileExistsError:
        return
    with contextlib.suppress(OSError):
        path.chmod(path.stat().st_mode & 0o7777 | _FOLDER)
