"""Each format's promises hold for its examples, cut and backwards too, and for junk."""

from __future__ import annotations

import pytest

from tests.fuzz.effort import tried
from tests.fuzz.targets import TARGETS

JUNK = (b"", b"\0", b"\xff\xfe", b"\n" * 100, b"[" * 3_000, b"9" * 5_000 + b"@x", b"3\x1f@x", b"%ff=%00&min_=&=")


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_examples_and_junk_are_taken(name: str) -> None:
    target = TARGETS[name]
    for seed in (*target.seeds, *JUNK):
        for data in (seed, seed[: len(seed) // 2], seed[::-1], seed + JUNK[2]):
            tried(f"examples of {name}")
            target.take(data)
