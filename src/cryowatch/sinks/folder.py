"""Publishing into a folder of this machine, or one that is mounted here.

Files are 0644 and folders 0755, so that a web server may read them.  A file is written beside its place and then
renamed, so that nobody ever sees half of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from pathlib import Path

from cryowatch.errors import SinkAway, SinkRefused
from cryowatch.sinks.targets import Put, checked

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP}


class Folder:
    """A folder that images are put into; a project's folder in it must be one, and no link to elsewhere."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def where(self) -> str:
        return f"file://{self._path}"

    async def put(self, name: str, data: bytes) -> Put:
        """Write a file; see `Target`."""
        return await asyncio.to_thread(self._put, checked(name), data)

    async def holds(self, folder: str) -> bool:
        """Return whether a folder is there."""
        return await asyncio.to_thread((self._path / folder).is_dir)

    async def remove(self, name: str) -> None:
        """Remove a file that was put, and its folder where that is empty then."""
        path = self._path / checked(name)
        try:
            path.unlink()
        except OSError as error:
            raise self._explained(error) from error
        with contextlib.suppress(OSError):
            path.parent.rmdir()

    async def close(self) -> None:
        """Nothing is held open."""

    def _put(self, name: str, data: bytes) -> Put:
        path = self._path / name
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            if path.parent.is_symlink():
                raise SinkRefused("is a link, and may lead anywhere", where=path.parent, remedy="Make it a folder")
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                if not path.is_symlink() and path.stat().st_size == len(data):
                    return Put.THERE
            part.unlink(missing_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            part.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise self._explained(error) from error
        return Put.SENT

    def _explained(self, error: OSError) -> SinkAway | SinkRefused:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            return SinkRefused(f"takes no more: {reason}", where=self.where, remedy="Free some space")
        if error.errno in _REFUSED:
            return SinkRefused(f"cannot be written: {reason}", where=self.where, remedy="Check its owner and mode")
        return SinkAway(f"cannot be written: {reason}", where=self.where)
