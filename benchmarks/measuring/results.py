"""Keeps what each benchmark printed, and writes the page about it: no figure on it is typed.

Results lie in `.bench/<name>.json`, one file each, so that one benchmark can be run again alone.  A line that begins
at the margin is a heading, what is indented below it are its figures.
"""

from __future__ import annotations

import json
import platform
import re
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from measuring.figures import cores
from measuring.projects import ROOT

FOLDER = ROOT / ".bench"
PAGE = ROOT / "docs" / "benchmarks.md"
_VERDICT = re.compile(r"\bgoal\b.*: (reached|MISSED)")
_LOAD = re.compile(r"  \[[^]]*\]$")

_INTRODUCTION = """# Benchmarks

How fast cryowatch is and what it takes, beside baselines of the same run: the least that the work can take (reading the
rows, one bulk write, one read of the file), the same work on a small session, and the *reference*, which is Scipion's
own summary monitor (scipion-em-facilities) on the same project with a server of its own.  Only ratios within one run
mean anything on another machine.  `make bench` runs all benchmarks and writes this page, `make bench SUBJECTS="backlog
idle"` some; each figure is the median, with the lowest and the highest of its rounds.
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """A benchmark: its script, its heading, and what it is told for a full and for a quick run."""

    name: str
    title: str
    full: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a benchmark printed, when (UTC), on which machine, how many seconds it took; `failed` says why it ended."""

    name: str
    date: str
    machine: str
    seconds: float
    quick: bool
    lines: list[str]
    failed: str = ""

    def verdicts(self, word: str) -> list[str]:
        """Return the lines whose goal is `reached` or `MISSED`, each with what it is about."""
        found, heading, figure = [], "", ""
        for text in self.lines:
            if not text.startswith(" "):
                heading = _plain(text).partition(";")[0]
            elif not _is_ratio(text):
                figure = text.strip()
            if (said := _VERDICT.search(text)) and said[1] == word:
                about = f"{figure.partition(':')[0]}: {text.strip()}" if _is_ratio(text) else text.strip()
                found.append(f"{heading}: {about}")
        return found


def keep(result: Result, *, folder: Path = FOLDER) -> None:
    """Write what a benchmark found into its file."""
    folder.mkdir(exist_ok=True)
    text = json.dumps(asdict(result), indent=1, ensure_ascii=False)
    (folder / f"{result.name}.json").write_text(text, encoding="utf-8")


def kept(name: str, *, folder: Path = FOLDER) -> Result | None:
    """Return what a benchmark found last; None where it was never run."""
    file = folder / f"{name}.json"
    return Result(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def machine() -> str:
    """Return in words on what this runs."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = names[0].partition(":")[2].strip() if names else platform.machine()
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    return f"{cores()}, {processor}, {system}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"


def now() -> str:
    """Return the time in UTC, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime())


def page(subjects: Sequence[Subject], *, folder: Path = FOLDER) -> str:
    """Return the page about what all benchmarks found."""
    found = [(subject, kept(subject.name, folder=folder)) for subject in subjects]
    lines = [_INTRODUCTION, "| benchmark | goals reached | when (UTC) | took |", "|---|---|---|---|"]
    missed: list[str] = []
    for subject, result in found:
        link = f"[{subject.title}](#{_anchor(subject.title)})"
        if result is None:
            lines.append(f"| {link} | not run yet | | |")
            continue
        reached, missing = len(result.verdicts("reached")), result.verdicts("MISSED")
        missed += missing
        told = f"{reached} of {reached + len(missing)}" if reached + len(missing) else "none set"
        told += ", quick run" if result.quick else ""
        told += f", ended early: {result.failed}" if result.failed else ""
        lines.append(f"| {link} | {told} | {result.date} | {_took(result.seconds)} |")
    machines = sorted({result.machine for _, result in found if result is not None})
    lines += ["", f"The machine: {'; '.join(machines)}.", ""] if machines else [""]
    lines += ["## Goals that are missed", "", *([f"- {text}" for text in missed] or ["- none of those measured"])]
    for subject, result in found:
        lines += ["", f"## {subject.title}", "", f"`{subject.name}`"]
        lines += ["", "- not run yet"] if result is None else _findings(result)
    return "\n".join(lines) + "\n"


def _findings(result: Result) -> list[str]:
    lines: list[str] = []
    for text in result.lines:
        if not text.startswith(" "):
            lines += ["", f"**{_plain(text)}**", ""]
        else:
            depth = "    " if _is_ratio(text) or text.startswith("    ") else ""
            lines.append(f"{depth}- {text.strip()}")
    return lines if lines and not lines[0] else ["", *lines]


def _plain(heading: str) -> str:
    return _LOAD.sub("", heading)


def _is_ratio(text: str) -> bool:
    return bool(re.match(r"\s+[\d.,e-]+ times ", text))


def _took(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _anchor(title: str) -> str:
    plain = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return plain.replace(" ", "-")
