"""Lines of gain residuals with anything in them: each is its own numbers or said to be none, and soon."""

from __future__ import annotations

import math
import re
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryowatch.model import GainResidual, Run
from cryowatch.sources.scipion.gain import FILE, MOST_BYTES, PROTOCOL, GainProgress, read_gains
from tests.fuzz.effort import fuzzed, tried

FOLDER = "Runs/000200_XmippProtMovieGain"
RUN = Run(run="200", label="movie gain", class_name=PROTOCOL, status="running", working_dir=FOLDER)
PLAIN = re.compile(rb"([^\s:\x00-\x1f][^:\x00-\x1f]*):((?:[ \t\r\f\v]+[^ \t\r\f\v]+){4})[ \t\r\f\v]*")
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|nan|inf)")


def read_all(folder: Path, *, most: int = 500) -> tuple[list[GainResidual], str]:
    """Read to the end, as the agent does: what is new each time, and what is said in the end."""
    known = GainProgress()
    found: list[GainResidual] = []
    for _ in range(most):
        news = read_gains(folder, RUN, known, None, time.time_ns() + 10**12)
        known = news.progress
        found += news.residuals
        if news.finished:
            return found, known.strange
    raise AssertionError("it does not end")


def expected(line: bytes) -> tuple[float | None, float | None, float | None] | None:
    """Return what a line says, in the simplest reading; None where it is none."""
    matched = PLAIN.fullmatch(line.strip())
    if matched is None or len(matched[1]) > 200 or not all(NUMBER.fullmatch(word) for word in matched[2].split()):
        return None
    stddev, low, high, most = (float(word) for word in matched[2].split())
    return (stddev if math.isfinite(stddev) and stddev >= 0 else None, over(high, low), over(most, high))


def over(above: float, below: float) -> float | None:
    """Return a ratio, where it is one."""
    if not math.isfinite(above) or not math.isfinite(below) or below <= 0:
        return None
    return above / below if math.isfinite(above / below) else None


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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / FOLDER).mkdir(parents=True)
        (folder / FOLDER / FILE).write_bytes(b"\n".join(lines) + end)
        found, strange = read_all(folder)
    whole = lines if end else lines[:-1]
    wanted = {place: told for place, line in enumerate(whole, 1) if (told := expected(line)) is not None}
    assert {one.item: (one.stddev, one.ratio1, one.ratio2) for one in found} == wanted
    assert bool(strange) == any(line.strip() and place not in wanted for place, line in enumerate(whole, 1))


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
        found, _ = read_all(tmp_path)
        assert time.monotonic() - began < 30
        assert [one.item for one in found if one.movie == "m"] == [1, 3]
