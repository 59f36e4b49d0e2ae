"""Lines of gain residuals with anything in them: each is its own numbers or said to be none, and soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryowatch.sources.scipion.gain import FILE, MOST_BYTES
from tests.fuzz.effort import fuzzed, tried
from tests.fuzz.targets import FOLDER, read_residuals, take_gain

WORDS = st.one_of(
    st.floats().map(lambda value: repr(value).encode()),
    st.sampled_from([b"0.016680", b"17.4", b"0,016", b"nan", b"inf", b"-inf", b"1e999", b"1e-999", b"NaN", b"1_0",
                     b"+.5", b"--1", b"0x10", b"\xd9\xa3", b"1." + b"0" * 500, b"9" * 2_000, b"\0", b""]),
)  # fmt: skip
LINES = st.one_of(
    st.builds(
        lambda name, words, gap, end: name + b":" + gap + gap.join(words) + end,
        st.sampled_from([b"movie_000001_residual", b"a b", b"", b"x" * 300, b"\xff", b"../../etc", b"m:n", b"a\0b"]),
        st.lists(WORDS, min_size=3, max_size=5),
        st.sampled_from([b" ", b"  ", b"\t", b""]),
        st.sampled_from([b"", b"\r", b" ", b" #"]),
    ),
    st.binary(max_size=60).filter(lambda line: b"\n" not in line),
)


@given(st.lists(LINES, max_size=8), st.sampled_from([b"\n", b""]))
@fuzzed(examples=250)
def test_any_line_is_its_own_numbers_or_none(lines: list[bytes], end: bytes) -> None:
    tried("lines of gain residuals", max(1, len(lines)))
    take_gain(b"\n".join(lines) + end)


@pytest.mark.parametrize("start", [b"a: ", b"", b"a: 1 1 1 ", b"a:"])
@pytest.mark.parametrize(
    "part", [b"1", b"1.", b" ", b"x", b"\0", b"\t ", b"1 ", b"e", b"a: 1 1 1", b"a: 1.5 2.5 3.5 4.5 "]
)
def test_no_line_takes_long_however_long_it_is(tmp_path: Path, part: bytes, start: bytes) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    good = b"m_residual: 0.5 1 2 4\n"
    for size in (100_000, MOST_BYTES - 100, 3 * MOST_BYTES):
        tried("long lines of gain residuals")
        line = (start + part * (size // len(part)))[:size]
        (tmp_path / FOLDER / FILE).write_bytes(good + line + b"\n" + good)
        began = time.monotonic()
        found, _ = read_residuals(tmp_path)
        assert time.monotonic() - began < 30
        assert [one.item for one in found if one.movie == "m"] == [1, 3]
