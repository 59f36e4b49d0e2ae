"""A small JSON file of mode 0600 that several processes read and change: the agent, and whoever runs a command.

A change is made under a lock (flock on `NAME.lock`) and takes the old file's place whole, so that a reader sees the old
or the new one.  Readers look at the file's stamp each time, and read it again only where it is another: a change counts
at once, everywhere.  A file that is there and cannot be read is an error, never "nobody": that would open what it is
to keep shut.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from cryowatch.errors import AccessError

_PRIVATE = 0o600
_LARGEST = 16 * 2**20

Content = dict[str, Any]


class Kept:
    """One such file, whose content is a JSON object; empty where there is no file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entry = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._content: Content = {}

    def read(self) -> Content:
        """Return what the file holds, which is not to be changed; raises `AccessError` where it cannot be read."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unreadable(error.strerror) from None
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        with self._entry:
            if stamp != self._stamp:
                self._content = self._parsed()
                self._stamp = stamp
            return self._content

    @contextlib.contextmanager
    def change(self) -> Iterator[Content]:
        """Give the content to be changed, and write it where that ends without an error; raises `AccessError`."""
        with self._alone():
            content: Content = orjson.loads(orjson.dumps(self.read()))
            before = orjson.dumps(content)
            yield content
            after = orjson.dumps(content, option=orjson.OPT_INDENT_2)
            if orjson.dumps(content) != before:
                with self._mapped():
                    replace(self.path, after)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        lock = self.path.with_name(f"{self.path.name}.lock")
        with self._mapped():
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE)
        try:
            with self._mapped():
                owned_like_folder(lock)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _parsed(self) -> Content:
        try:
            with self.path.open("rb") as file:
                found = orjson.loads(file.read(_LARGEST))
        except OSError as error:
            raise self._unreadable(error.strerror) from None
        except orjson.JSONDecodeError:
            raise self._unreadable("it is no JSON") from None
        if not isinstance(found, dict):
            raise self._unreadable("it is no JSON object")
        return found

    def _unreadable(self, reason: str | None) -> AccessError:
        remedy = "Check its owner and mode, or restore it; nobody is let in until then"
        return AccessError(f"cannot be read: {reason}", where=self.path, remedy=remedy)

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AccessError(f"cannot be written: {error.strerror}", where=error.filename or self.path) from None


def replace(path: Path, content: bytes) -> None:
    """Put a file of mode 0600 into its place whole, owned as its folder is where this is root; raises OSError."""
    descriptor, made = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, _PRIVATE)
            os.fsync(descriptor)
        owned_like_folder(Path(made))
        os.replace(made, path)  # noqa: PTH105  the text is a name, not a Path
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(made)  # noqa: PTH108
        raise


def owned_like_folder(path: Path) -> None:
    """Where root runs a command for an agent of another user, let that user own what was made."""
    folder = path.parent.stat()
    if os.geteuid() == 0 and path.stat().st_uid != folder.st_uid:
        os.chown(path, folder.st_uid, folder.st_gid)
