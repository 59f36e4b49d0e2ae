"""What docs/reliability.md says about the attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from faults.verdicts import Promise, Verdicts
from tools.findings import ROOT, Page, Part

_INTRODUCTION = """# Reliability

What cryowatch promises when something around it fails, and the results of testing that.  `make faults` runs each of the
attacks below and writes this page from the results; `make test` runs a short version of each.

- **Nothing is lost.**  All data of a project reach the store, and from there InfluxDB, the published folder and the
  people to notify, whenever the agent, a server, the network or the disk fails in between.
- **Nothing is duplicated**, and no value ever differs from the project's.
- **One fault stops one thing.**  The other projects, the pages and the other deliveries continue.
- **Faults are reported.**  A fault is one line that names it and says how to fix it, in `cryowatch status`, on the
  pages and in the log.  Whatever must be dropped is counted and shown.
- **Memory, descriptors, threads and disk space are limited**, however long an outage lasts.
"""

_HOW = """To run one attack alone, use its name, which is below each heading: `make faults ATTACKS=soak`.  The exit code
is 1 if a promise was broken."""


def page(attacks: Sequence[Part]) -> Page:
    """Return the page about these attacks."""
    return Page(
        file=ROOT / "docs" / "reliability.md",
        kept=Path(__file__).parent / "found.json",
        introduction=_INTRODUCTION,
        columns=("attack", "verdict"),
        parts=attacks,
        verdict=verdict,
        lines=_lines,
        summary=lambda _: [_HOW],
    )


def content(found: Verdicts) -> dict[str, Any]:
    """Return what is kept of an attack's findings."""
    return {
        "figures": found.figures,
        "not_tried": found.not_tried,
        "promises": [asdict(promise) for promise in found.promises],
    }


def verdict(kept: Mapping[str, Any]) -> str:
    """Return what became of the promises, in words."""
    promises = [Promise(**promise) for promise in kept["promises"]]
    good = sum(promise.kept for promise in promises)
    if good < len(promises):
        return f"**{len(promises) - good} of {len(promises)} promises broken**"
    return f"{good} of {good} promises kept" if good else "not tried"


def _lines(kept: Mapping[str, Any]) -> list[str]:
    return [
        *(f"- {text}" for text in kept["figures"]),
        *(f"- not tried here: {text}" for text in kept["not_tried"]),
        *(f"- {Promise(**promise).line}" for promise in kept["promises"]),
    ]
