"""Rendered images on disk, up to a number of bytes; the ones not asked for longest go first.

A file's name is the hash of what it was rendered from: path, time, size of the source, kind and size of the image, and
the renderer's version.  So nothing in it is ever wrong, only unused, and the whole folder may be deleted at any time.
A file holds a line of JSON, `[media type, width, height, length, project]` with the size of the source in pixels, that
of the image in bytes and a mark of the project's folder, and the image.  Earlier versions wrote no mark.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from cryowatch.images.process import Rendered

VERSION = 2
_KEEP = 0.9
_LONGEST_HEAD = 200


class Cache:
    """Bytes by key; may be used from several threads."""

    def __init__(self, folder: Path, *, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._total: int | None = None
        self._entry = threading.Lock()

    @staticmethod
    def key(*parts: str) -> str:
        """Return the name of an image made from what the parts say."""
        text = "\0".join((str(VERSION), *parts))
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()

    def get(self, key: str) -> Rendered | None:
        """Return what is kept under a key, None of nothing; a file that a power cut left damaged is nothing."""
        path = self._path(key)
        try:
            head, _, data = path.read_bytes().partition(b"\n")
            media_type, width, height, length, *_ = json.loads(head)
            os.utime(path)
        except (OSError, ValueError):
            return None
        if len(data) != length:
            return None
        return Rendered(data=data, media_type=media_type, width=width, height=height)

    def put(self, key: str, image: Rendered, *, project: Path | None = None) -> None:
        """Keep an image of a project; on a full or read-only disk it is simply not kept."""
        path = self._path(key)
        about = [image.media_type, image.width, image.height, len(image.data), _mark(project)]
        head = json.dumps(about).encode() + b"\n"
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                temporary = Path(file.name)
                try:
                    file.write(head + image.data)
                    file.flush()
                    temporary.replace(path)
                except OSError:
                    temporary.unlink(missing_ok=True)
                    raise
            with self._entry:
                self._total = None if self._total is None else self._total + len(head) + len(image.data)
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


def kept_of(folder: Path, project: Path) -> Iterator[tuple[Path, int]]:
    """Yield file and size of the images of a project's folder that a cache's folder holds.

    The beginning of each file is read: some 0.4 s for 20,000 where the system has them in memory.
    """
    mark = f'"{_mark(project)}"]'.encode()
    for path in folder.glob("??/*"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            if file.readline(_LONGEST_HEAD).rstrip(b"\n").endswith(mark):
                yield path, os.fstat(file.fileno()).st_size


def _mark(project: Path | None) -> str:
    return "" if project is None else hashlib.sha256(os.fsencode(project)).hexdigest()[:16]
