"""Image files for tests, and how they are rendered."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cryowatch.errors import ImageError
from cryowatch.images.render import Picture
from cryowatch.images.render import render as render_subject
from cryowatch.images.subject import Subject
from cryowatch.model import ImageKind

Order = Literal["<", ">"]
KINDS = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
STAMPS = {"<": b"\x44\x44\0\0", ">": b"\x11\x11\0\0"}


def header(
    width: int, height: int, mode: int, *, planes: int = 1, order: Order = "<", extended: int = 0, stamp: bytes = b""
) -> bytes:
    """Return the header of an MRC2014 file."""
    made = bytearray(1024)
    struct.pack_into(f"{order}4i", made, 0, width, height, planes, mode)
    struct.pack_into(f"{order}i", made, 92, extended)
    made[208:216] = b"MAP " + (stamp or STAMPS[order])
    return bytes(made)


def mrc(
    path: Path, plane: NDArray[Any], mode: int = 2, *, order: Order = "<", extended: int = 0, stamp: bytes = b""
) -> Path:
    """Write a plane (or a stack of them) as an MRC file."""
    planes = plane if plane.ndim == 3 else plane[np.newaxis]
    head = header(
        planes.shape[2], planes.shape[1], mode, planes=len(planes), order=order, extended=extended, stamp=stamp
    )
    path.write_bytes(head + b"\xff" * extended + planes.astype(f"{order}{KINDS[mode]}").tobytes())
    return path


def render(
    path: Path, kind: ImageKind = ImageKind.MICROGRAPH, size: int = 256, *, index: int = 0, computed: bool = False
) -> Picture:
    """Return an image of a file, rendered."""
    return render_subject(Subject(kind=kind, path=path, index=index, computed=computed), size)


def peak(path: Path, *, computed: bool = False) -> int:
    """Return how many bytes of memory rendering took at most, whatever came of it."""
    tracemalloc.start()
    try:
        with contextlib.suppress(ImageError):
            render(path, size=512, computed=computed)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
