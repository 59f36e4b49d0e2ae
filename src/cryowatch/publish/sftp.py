"""Publishing by SFTP: many files in flight over one connection, each whole or not there.

A file is written under a name of its own and then renamed over its place: a cut leaves no half image, and neither a
second agent nor what is still on its way of an earlier attempt can touch it.  What a cut left is removed when its file
is put again; what a killed agent left, when its folder is next used.

Files are 0644 and new folders 0755 whatever the server's umask, so that a web server may read them.
"""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import TypeVar

import asyncssh

from cryowatch.errors import SinkAway, SinkError, SinkRefused
from cryowatch.publish.parts import abandoned, part_of
from cryowatch.publish.ssh import CLOSE_SECONDS, MOST_SAID, Access, Connection, Place, opened, place_of
from cryowatch.publish.target import Put, checked, checked_folder
from cryowatch.settings.config import Images

CONNECT_SECONDS = 15.0
SILENT_SECONDS = 60.0
STEP_BYTES = 1 << 18
"""At less than this in `SILENT_SECONDS` a line counts as dead."""

T = TypeVar("T")

_FILE = 0o644
_FOLDER = 0o755
_READ_ONLY = 1  # in the flags of statvfs
_SUBSYSTEM = "sshd_config needs a line `Subsystem sftp internal-sftp`, and no start file of its shell may print"
_FULL = (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded)
_REFUSED = (
    asyncssh.SFTPPermissionDenied,
    asyncssh.SFTPWriteProtect,
    asyncssh.SFTPNoSuchFile,
    asyncssh.SFTPNoSuchPath,
)
_CUT = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.DisconnectError, OSError)


def target_of(images: Images) -> Sftp:
    """Return the place that the settings name; raises `ConfigError`."""
    access = Access(key_file=images.key_file, password=images.secret(), known_hosts=images.known_hosts)
    return Sftp(place_of(images.publish), access)


class Sftp:
    """A folder on another machine, over one connection that is made at the first need, and anew after a cut."""

    def __init__(
        self,
        place: Place,
        access: Access,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self._place = place
        self._access = access
        self._connect_seconds = connect_seconds
        self._silent_seconds = silent_seconds
        self._line: _Line | None = None
        self._attempt: asyncio.Task[_Line] | None = None
        self._left: dict[str, set[str]] = {}
        self._swept: set[str] = set()
        self._sweeps: set[asyncio.Task[None]] = set()

    @property
    def where(self) -> str:
        return self._place.address

    async def put(self, name: str, data: bytes) -> Put:
        """Write a file; see `Target`."""
        path = f"{self._place.path}/{checked(name)}"
        folder = posixpath.dirname(path)
        async with self._at_work() as line:
            there = await _look(line, path, follow=False)
            if there is not None and there.size == len(data) and there.type == asyncssh.FILEXFER_TYPE_REGULAR:
                await self._tidy(line, path)
                return Put.THERE
            await self._ready(line, folder)
            try:
                await self._write(line, path, data)
            except asyncssh.SFTPNoSuchFile:  # somebody deleted the folder
                line.folders.clear()
                await self._ready(line, folder)
                await self._write(line, path, data)
            await self._tidy(line, path)
        return Put.SENT

    async def holds(self, folder: str) -> bool:
        """Return whether a folder is there."""
        path = f"{self._place.path}/{checked_folder(folder)}"
        async with self._at_work() as line:
            return _is_folder(await _look(line, path))

    async def remove(self, name: str) -> None:
        """Remove a file that was put, where it is there still, and its folder where that is empty then."""
        path = f"{self._place.path}/{checked(name)}"
        async with self._at_work() as line:
            with contextlib.suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                await line.heard(line.client.remove(path))
            line.folders.clear()
            with contextlib.suppress(asyncssh.SFTPError):
                await line.heard(line.client.rmdir(posixpath.dirname(path)))

    async def close(self) -> None:
        """End the connection; the next use makes a new one, also in another event loop."""
        attempt, line, self._attempt, self._line = self._attempt, self._line, None, None
        if self._sweeps:
            await asyncio.wait(self._sweeps, timeout=CLOSE_SECONDS)
        for task in [*self._sweeps, *([attempt] if attempt else [])]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, SinkError):
                await task
        if line is not None:
            await line.close()

    @contextlib.asynccontextmanager
    async def _at_work(self) -> AsyncIterator[_Line]:
        """Give a connection to work with; foreign errors become ours, and after a cut the next one is new."""
        line = await self._connected()
        with line.busy():
            try:
                yield line
            except _CUT as error:
                self._drop(line)
                if line.silent:
                    what = f"did not answer for {self._silent_seconds:g} s"
                    raise SinkAway(what, where=self.where) from None
                raise SinkAway(f"the connection was cut: {self._access.hidden(str(error))}", where=self.where) from None
            except asyncssh.SFTPError as error:
                raise await self._explained(line, error) from None

    def _drop(self, line: _Line) -> None:
        line.abort()
        if line is self._line:
            self._line = None

    async def _connected(self) -> _Line:
        """Return the open connection; all that wait for a new one share one attempt and its failure."""
        if self._line is not None and not self._line.closed:
            return self._line
        if self._attempt is None:
            self._attempt = asyncio.create_task(self._connect())
            self._attempt.add_done_callback(self._attempted)
        return await asyncio.shield(self._attempt)

    def _attempted(self, attempt: asyncio.Task[_Line]) -> None:
        line = None if attempt.cancelled() or attempt.exception() else attempt.result()
        if attempt is self._attempt:
            self._attempt, self._line = None, line
        elif line is not None:  # closed in the meantime
            line.abort()

    async def _connect(self) -> _Line:
        connection = await opened(self._place, self._access, seconds=self._connect_seconds)
        try:
            async with asyncio.timeout(self._connect_seconds):
                client = await connection.last.start_sftp_client()
        except (asyncssh.Error, OSError) as error:
            cut = connection.closed
            connection.abort()
            if cut or isinstance(error, TimeoutError):
                what = f"cannot be reached: {self._access.hidden(str(error)) if cut else 'no answer in time'}"
                raise SinkAway(what, where=self.where) from None
            what = f"lets {self._place.user or 'us'} in, but offers no SFTP: {self._access.hidden(str(error))}"
            raise SinkRefused(what, where=self.where, remedy=_SUBSYSTEM) from None
        except asyncio.CancelledError:
            connection.abort()
            raise
        return _Line(connection, client, self._silent_seconds)

    async def _ready(self, line: _Line, folder: str) -> None:
        """See to it that a project's folder is there."""
        async with line.making:
            await self._make(line, folder)
        if folder not in self._swept:
            self._swept.add(folder)
            sweep = asyncio.create_task(_sweep(line, folder))
            self._sweeps.add(sweep)
            sweep.add_done_callback(self._sweeps.discard)

    async def _make(self, line: _Line, folder: str) -> None:
        if folder in line.folders:
            return
        if not _is_folder(await _look(line, folder)):
            if (above := posixpath.dirname(folder)) != folder:
                await self._make(line, above)
            try:
                await line.heard(line.client.mkdir(folder, asyncssh.SFTPAttrs(permissions=_FOLDER)))
            except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
                there = await _look(line, folder)
                if there is None:
                    raise
                if not _is_folder(there):
                    what = f"cannot take images: {folder} is there, and is no folder"
                    raise SinkRefused(what, where=self.where, remedy="Move it away") from None
            else:
                made = await _look(line, folder)
                mode = (made.permissions if made else None) or 0
                await _quietly(line.heard(line.client.chmod(folder, stat.S_IMODE(mode) | _FOLDER)))
        line.folders.add(folder)

    async def _write(self, line: _Line, path: str, data: bytes) -> None:
        part = part_of(path)
        mode = asyncssh.SFTPAttrs(permissions=_FILE)
        try:
            async with await line.heard(line.client.open(part, "xb", mode)) as file:
                await asyncio.gather(line.heard(file.write(data[:STEP_BYTES])), _quietly(file.setstat(mode)))
                for start in range(STEP_BYTES, len(data), STEP_BYTES):
                    await line.heard(file.write(data[start : start + STEP_BYTES]))
            await _rename(line, part, path)
        except (*_CUT, asyncio.CancelledError):
            self._left.setdefault(path, set()).add(part)
            raise
        except asyncssh.SFTPNoSuchFile:
            raise
        except asyncssh.SFTPError as error:
            explained = await self._explained(line, error, size=len(data))  # first: the part may be what fills the disk
            await _quietly(line.client.remove(part))
            raise explained from None

    async def _tidy(self, line: _Line, path: str) -> None:
        """Remove what cuts left of a file."""
        for part in self._left.pop(path, ()):
            await _quietly(line.heard(line.client.remove(part)))

    async def _explained(self, line: _Line, error: asyncssh.SFTPError, *, size: int = 0) -> SinkError:
        reason = self._access.hidden(error.reason or type(error).__name__)[:MOST_SAID]
        disk = await _disk(line, self._place.path)
        if isinstance(error, _FULL) or (disk is not None and _lacks(disk, size)):
            return SinkRefused(f"takes no more: {reason}", where=self.where, remedy="Free some space there")
        if disk is not None and disk.flags & _READ_ONLY:
            remedy = "The disk there is read-only; it may be damaged"
            return SinkRefused(f"cannot be written: {reason}", where=self.where, remedy=remedy)
        if isinstance(error, _REFUSED):
            remedy = "Check owner and mode of the folder there"
            return SinkRefused(f"cannot be written: {reason}", where=self.where, remedy=remedy)
        if isinstance(error, asyncssh.SFTPFailure):
            remedy = "The server does not say more; perhaps a quota is exceeded"
            return SinkRefused(f"cannot be written: {reason}", where=self.where, remedy=remedy)
        return SinkAway(f"cannot be written: {reason}", where=self.where)


class _Line:
    """An open connection with its SFTP session; given up where nothing that was asked is answered for a time.

    The time counts from the last answer to anybody: on a slow line one file may well wait behind others.
    """

    def __init__(self, connection: Connection, client: asyncssh.SFTPClient, seconds: float) -> None:
        self.client = client
        self.making = asyncio.Lock()
        self.folders: set[str] = set()
        self.silent = False
        self._connection = connection
        self._seconds = seconds
        self._busy = 0
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer = self._loop.call_later(seconds, self._watch)

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self._connection.closed

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """While something is asked, silence counts."""
        if not self._busy:
            self._last = self._loop.time()
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def heard(self, answer: Awaitable[T]) -> T:
        """Return an answer, and take note that one came."""
        try:
            return await answer
        finally:
            self._last = self._loop.time()

    def _watch(self) -> None:
        quiet = self._loop.time() - self._last if self._busy else 0.0
        if quiet >= self._seconds:
            self.silent = True
            self.abort()
        elif not self.closed:
            self._timer = self._loop.call_later(self._seconds - quiet, self._watch)

    def abort(self) -> None:
        """Give it up at once."""
        self._timer.cancel()
        self._connection.abort()

    async def close(self) -> None:
        """End it in order."""
        self._timer.cancel()
        self.client.exit()
        await self._connection.close()


async def _look(line: _Line, path: str, *, follow: bool = True) -> asyncssh.SFTPAttrs | None:
    """Return what lies at a path, None for nothing; what may not be looked at is no nothing, and raises."""
    try:
        return await line.heard(line.client.stat(path, follow_symlinks=follow))
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        return None


def _is_folder(there: asyncssh.SFTPAttrs | None) -> bool:
    return there is not None and there.type == asyncssh.FILEXFER_TYPE_DIRECTORY


async def _rename(line: _Line, part: str, path: str) -> None:
    """Put a file into its place, over what lies there; a server that cannot has none there for a moment.

    Such servers say that the way is unknown, that it failed, that a file is there, or that it is not permitted.
    """
    try:
        await line.heard(line.client.posix_rename(part, path))
    except (asyncssh.SFTPOpUnsupported, asyncssh.SFTPPermissionDenied):
        try:
            await line.heard(line.client.rename(part, path))
        except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists, asyncssh.SFTPPermissionDenied):
            await line.heard(line.client.remove(path))
            await line.heard(line.client.rename(part, path))


async def _quietly(answer: Awaitable[object]) -> None:
    """Wait for what may also fail; a cut is told by what is asked next."""
    with contextlib.suppress(asyncssh.SFTPError):
        await answer


async def _disk(line: _Line, path: str) -> asyncssh.SFTPVFSAttrs | None:
    """Return how full the disk there is: servers of old protocols only say "failure"; None where nobody says."""
    with contextlib.suppress(asyncssh.Error, OSError):
        return await line.heard(line.client.statvfs(path))
    return None


def _lacks(disk: asyncssh.SFTPVFSAttrs, size: int) -> bool:
    no_room = disk.blocks and disk.bavail * (disk.frsize or disk.bsize) <= size
    return bool(no_room or (disk.files and not disk.favail))


async def _sweep(line: _Line, folder: str) -> None:
    """Remove what a killed agent left in a folder."""
    with contextlib.suppress(asyncssh.Error, OSError):
        async for entry in line.client.scandir(folder):
            name = str(entry.filename)
            if abandoned(name, time.time() - (entry.attrs.mtime or 0)):
                await line.client.remove(f"{folder}/{name}")
