"""Rendered images on disk, up to a number of bytes; the ones not asked for longest go first.

A file's name is the hash of what it was rendered from: path, time, size of the source, kind and size of the image, and
the renderer's version.  So nothing in it is ever wrong, only unused, and the whole folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from pathlib import Path

VERSION = 1
_KEEP = 0.9


class Cache:
    """Bytes by key; may be used from several threads."""

    def __init__(self, folder: Path, *, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._total: int | None = None
        self._entry = threading.Lock()

    @staticmethod
    def key(path: Path, status: os.stat_result, kind: str, size: int) -> str:
        """Return the name of an image made from a file in this state."""
        text = f"{VERSION}\0{path}\0{status.st_mtime_ns}\0{status.st_size}\0{kind}\0{size}"
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()

    def get(self, key: str) -> bytes | None:
        """Return what is kept under a key, None of nothing; a file that a power cut left empty is nothing."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data or None

    def put(self, key: str, data: bytes) -> None:
        """Keep an image; on a full or read-only disk it is simply not kept."""
        path = self._path(key)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                temporary = Path(file.name)
                try:
                    file.write(data)
                    file.flush()
                    temporary.replace(path)
                except OSError:
                    temporary.unlink(missing_ok=True)
                    raise
            with self._entry:
                self._total = None if self._total is None else self._total + len(data)
                self._trim()

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]

    def _trim(self) -> None:
        if self._total is not None and self._total <= self._limit:
            return
        found = []
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        self._total = sum(size for _, size, _ in found)
        if self._total <= self._limit:
            return
        for _, size, path in sorted(found):
            path.unlink(missing_ok=True)
            self._total -= size
            if self._total <= self._limit * _KEEP:
                break
