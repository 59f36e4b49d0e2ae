"""What docs/benchmarks.md says about the benchmarks.

In their output, a line without indentation is a heading, and the indented lines below it are its figures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.findings import ROOT, Page, Part

_VERDICT = re.compile(r"\bgoal\b.*: (reached|MISSED)")
_LOAD = re.compile(r"  \[[^]]*\]$")

_INTRODUCTION = """# Benchmarks

How fast cryowatch is and how many resources it needs, with baselines from the same run: the minimum for the work
(reading the rows, one bulk write, one read of the file), the same work on a small session, and the *reference*:
Scipion's own summary monitor (scipion-em-facilities) on the same project with its own server.  Only ratios within one
run carry over to another machine.  `make bench` runs all benchmarks and writes this page; `make bench SUBJECTS="backlog
idle"` runs some.  Each figure is the median, with the lowest and the highest of its rounds.
"""


def page(subjects: Sequence[Part]) -> Page:
    """Return the page about these benchmarks."""
    return Page(
        file=ROOT / "docs" / "benchmarks.md",
        kept=Path(__file__).parent / "found.json",
        introduction=_INTRODUCTION,
        columns=("benchmark", "goals reached"),
        parts=subjects,
        verdict=_verdict,
        lines=_lines,
        summary=_summary,
    )


def content(out: str, failed: str) -> dict[str, Any]:
    """Return what is kept of what a benchmark printed, and of why it ended early ("" where it did not)."""
    return {"lines": [line for line in out.splitlines() if line.strip()], "failed": failed}


def _verdict(kept: Mapping[str, Any]) -> str:
    reached, missed = len(_goals(kept, "reached")), len(_goals(kept, "MISSED"))
    told = f"{reached} of {reached + missed}" if reached + missed else "none set"
    return told + (f", ended early: {kept['failed']}" if kept["failed"] else "")


def _summary(all_kept: Sequence[Mapping[str, Any]]) -> list[str]:
    missed = [text for kept in all_kept for text in _goals(kept, "MISSED")]
    return ["## Missed goals", "", *([f"- {text}" for text in missed] or ["- none of the measured goals"])]


def _goals(kept: Mapping[str, Any], word: str) -> list[str]:
    """Return the lines whose goal is `reached` or `MISSED`, each with what it is about."""
    found, heading, figure = [], "", ""
    for text in kept["lines"]:
        if not text.startswith(" "):
            heading = _plain(text).partition(";")[0]
        elif not _is_ratio(text):
            figure = text.strip()
        if (said := _VERDICT.search(text)) and said[1] == word:
            about = f"{figure.partition(':')[0]}: {text.strip()}" if _is_ratio(text) else text.strip()
            found.append(f"{heading}: {about}")
    return found


def _lines(kept: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for text in kept["lines"]:
        if not text.startswith(" "):
            lines += ["", f"**{_plain(text)}**", ""]
        else:
            depth = "    " if _is_ratio(text) or text.startswith("    ") else ""
            lines.append(f"{depth}- {text.strip()}")
    return lines[1:] if lines and not lines[0] else lines


def _plain(heading: str) -> str:
    return _LOAD.sub("", heading)


def _is_ratio(text: str) -> bool:
    return bool(re.match(r"\s+[\d.,e-]+ times ", text))
