"""Fuzzing that follows the branches it reaches: `python -m tests.fuzz.guided gain --seconds 60`.

What it learns and what fails is kept in `.fuzz/`, and tried first the next time.  Needs atheris (`make fuzz-guided`).
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cryowatch", "tests.fuzz"], enable_loader_override=False):
    from tests.fuzz.targets import TARGETS

KEPT = Path(".fuzz")


def main() -> None:
    """Try one target, and end with its first failure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="how long to try (60)")
    wanted = parser.parse_args()
    target = TARGETS[wanted.target]
    corpus = KEPT / wanted.target
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    options = [f"-max_total_time={wanted.seconds}", f"-artifact_prefix={KEPT}/{wanted.target}-", "-timeout=30"]
    options += ["-rss_limit_mb=2048", "-max_len=20000", "-verbosity=0", "-print_final_stats=1", str(corpus)]
    atheris.Setup([sys.argv[0], *options], target.take)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
