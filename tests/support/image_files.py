"""Image files for tests, and how they are rendered."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cryowatch.errors import ImageError
from cryowatch.images.render import Picture
from cryowatch.images.render import render as render_subject
from cryowatch.images.subject import Subject
from cryowatch.records import ImageKind

Plane = NDArray[Any]
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


def shown(path: Path, size: int = 256, kind: ImageKind = ImageKind.MICROGRAPH) -> Plane:
    """Return the greys (or colours) of a rendered image."""
    found = render(path, kind, size)
    with Image.open(io.BytesIO(found.data)) as image:
        assert image.get_format_mimetype() == found.media_type
        assert found.media_type in ("image/jpeg", "image/png")
        assert max(image.size) <= size
        return np.asarray(image).astype(float)


def ramp(height: int = 64, width: int = 96, low: float = 0.0, high: float = 100.0) -> Plane:
    """Return a plane that grows from its first column to its last."""
    return np.tile(np.linspace(low, high, width), (height, 1))


def noise(height: int, width: int) -> Plane:
    """Return what has no structure, around 100."""
    return np.random.default_rng(3).normal(100, 10, (height, width))


def rises(greys: Plane) -> bool:
    """Return whether an image runs from black at the left to white at the right."""
    columns = greys.mean(axis=0)
    return bool(columns[:2].mean() < 12 and columns[-2:].mean() > 243 and (np.diff(columns) > -6).all())


def spectrum(fall: float, peak: float) -> Plane:
    """Return a power spectrum with rings, as high as `exp(-fall * radius)`, and a bright centre."""
    y, x = np.mgrid[-256:256, -256:256] / 512
    radius = np.hypot(x, y)
    plane: Plane = np.exp(-fall * radius) * (1.2 + np.cos(400 * radius**2))
    plane[radius < 0.02] = peak
    return plane


def rings(greys: Plane, inner: float = 0.3, outer: float = 0.45) -> float:
    """Return how strongly rings between two frequencies stand out: the spread of greys."""
    y, x = np.mgrid[-256:256, -256:256] / 512
    radius = np.hypot(x, y)
    return float(greys[(radius > inner) & (radius < outer)].std())


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    """Write an image with Pillow."""
    image.save(path, **options)
    return path


def tiff(
    path: Path,
    plane: NDArray[Any],
    *,
    order: Order = "<",
    compression: int = 1,
    photometric: int = 1,
    big: bool = False,
) -> Path:
    """Write a plane of any kind of numbers as a TIFF of one strip, its directory first."""
    kinds = {"u": 1, "i": 2, "f": 3, "c": 6}
    kind = plane.dtype
    data = plane.astype(kind.newbyteorder(order)).tobytes()
    tags = {256: plane.shape[1], 257: plane.shape[0], 258: 8 * kind.itemsize, 259: compression, 262: photometric}
    start, count, entry = ("Q", "Q", "HHQQ") if big else ("I", "H", "HHII")
    head = struct.pack(f"{order}HHHQ", 43, 8, 0, 16) if big else struct.pack(f"{order}HI", 42, 8)
    after = 2 + len(head) + struct.calcsize(f"{order}{count}{start}") + 10 * struct.calcsize(f"{order}{entry}")
    tags |= {273: after, 277: 1, 278: plane.shape[0], 279: len(data), 339: kinds[kind.kind]}
    entries = b"".join(struct.pack(f"{order}{entry}", tag, 16 if big else 4, 1, tags[tag]) for tag in sorted(tags))
    mark = b"II" if order == "<" else b"MM"
    path.write_bytes(mark + head + struct.pack(f"{order}{count}", 10) + entries + bytes(8 if big else 4) + data)
    return path
