"""MRC files whose headers lie: a picture or a reason, in bounded memory and time."""

from __future__ import annotations

import gzip
import struct
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cryowatch.records import ImageKind
from tests.fuzz.effort import fuzzed, tried
from tests.fuzz.targets import take_image
from tests.support.image_files import KINDS, header

SIZES = st.one_of(st.integers(1, 70), st.integers(-(2**31), 2**31 - 1), st.sampled_from([0, -1, 32_768, 32_769, 2**20]))
WORDS = st.one_of(st.integers(0, 255), st.sampled_from([3, 5, 16, 19, 23, 24, 27, 48, 52, 53, 54]))
DATA = st.sampled_from(["noise", "zeros", "nan", "inf", "huge", "one nan", "bytes"])


def pixels(kind: str, mode: int, count: int) -> bytes:
    """Return the stored numbers of an image."""
    chance = np.random.default_rng(7)
    if kind == "bytes" or mode not in KINDS:
        return chance.bytes(count)
    values = {"zeros": 0.0, "nan": np.nan, "inf": np.inf, "huge": 3e38}.get(kind)
    plane = np.full(count, values) if values is not None else chance.normal(100, 10, count)
    if kind == "one nan" and count:
        plane[0] = np.nan
    with np.errstate(all="ignore"):
        return plane.astype(KINDS[mode]).tobytes()


@given(
    st.tuples(SIZES, SIZES),
    st.sampled_from([0, 1, 2, 6, 12, 101, 3, 4, -1, 2**31 - 1]),
    SIZES,
    st.one_of(st.just(0), SIZES),
    st.sampled_from(["<", ">"]),
    st.lists(st.tuples(WORDS, st.one_of(SIZES, st.sampled_from([0x7FC00000, 0x7F800000]))), max_size=3),
    DATA,
    st.integers(0, 30),
    st.sampled_from([ImageKind.MICROGRAPH, ImageKind.POWER_SPECTRUM]),
    st.sampled_from([(False, 0), (True, 0), (False, 1), (False, 10**6)]),
)
@fuzzed(examples=200)
def test_any_header_is_a_picture_or_a_reason(
    shape: tuple[int, int],
    mode: int,
    planes: int,
    extended: int,
    order: str,
    changes: list[tuple[int, int]],
    data: str,
    missing: int,
    kind: ImageKind,
    wanted: tuple[bool, int],
) -> None:
    tried("headers of MRC files")
    made = bytearray(header(*shape, mode, planes=planes, order=order, extended=extended))  # type: ignore[arg-type]
    for word, value in changes:
        struct.pack_into("<i", made, word * 4, value)
    whole = pixels(data, mode, min(max(0, shape[0]) * max(0, shape[1]), 5_000))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mrc"
        path.write_bytes(bytes(made) + bytes(min(max(0, extended), 5_000)) + whole[: len(whole) - missing])
        take_image(path, kind, computed=wanted[0], index=wanted[1])


@given(st.binary(max_size=64), st.integers(0, 1100), st.sampled_from([".mrc", ".mrc.gz", ".mrcs", ".mrc.bz2"]), DATA)
@fuzzed(examples=120)
def test_any_bytes_are_a_picture_or_a_reason(over: bytes, place: int, suffix: str, data: str) -> None:
    tried("bytes of MRC files")
    whole = bytearray(header(48, 32, 2) + pixels(data, 2, 48 * 32))
    whole[place : place + len(over)] = over
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        packed = bytearray(gzip.compress(whole, 1)) if suffix.endswith(".gz") else whole
        if suffix.endswith(".gz"):
            at = place % len(packed)
            packed[at : at + len(over) % 4] = over[: len(over) % 4]
        path.write_bytes(packed)
        take_image(path, ImageKind.MICROGRAPH, computed=False, index=0)


def test_a_file_that_unpacks_to_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    tried("bytes of MRC files")
    path = tmp_path / "x.mrc.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(header(8_192, 8_192, 2))
        for _ in range(24):
            file.write(bytes(2**20))
    take_image(path, ImageKind.MICROGRAPH, computed=False, index=0)
