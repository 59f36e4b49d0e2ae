"""Keeps what each attack found, and writes the page about it: no figure on it is typed.

Results lie in `.faults/<attack>.json`, one file each, so that one attack can be tried again alone.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from faults.verdicts import Promise, Verdicts

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".faults"
PAGE = ROOT / "docs" / "reliability.md"

_INTRODUCTION = """# Reliability

What cryowatch promises when things go wrong around it, and what came of attacking it: `make faults` runs each of the
attacks below and writes this page from what they found, `make test` runs a short part of each.

- **Nothing is lost.**  What a project holds comes into the store, and from there to InfluxDB, to the published folder
  and to the people who are to know, whenever the agent, a server, the network or the disk fails in between.
- **Nothing is doubled**, and no value is ever another one than the project's.
- **One fault stops one thing.**  The other projects, the pages and the other deliveries go on.
- **It is said.**  A fault is one line that names it and how to mend it, in `cryowatch status`, on the pages and in the
  log, and whatever has to be dropped is counted and shown.
- **Memory, descriptors, threads and disk are bounded**, however long something is away.
"""

_HOW = """One attack alone: `make faults ATTACKS=soak`; its name stands below each heading.  The exit status is 1
where a promise was broken."""


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack: the name by which it can be run alone, its heading, and what is done in it."""

    name: str
    title: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What an attack found, when (UTC), on which machine, and how many seconds it took."""

    name: str
    date: str
    machine: str
    seconds: float
    figures: list[str]
    promises: list[Promise]
    not_tried: list[str]

    @property
    def verdict(self) -> str:
        """What became of the promises, in words."""
        kept = sum(promise.kept for promise in self.promises)
        if kept < len(self.promises):
            return f"**{len(self.promises) - kept} of {len(self.promises)} promises broken**"
        if not kept:
            return "not tried"
        return f"{kept} of {kept} promises kept"


def keep(name: str, found: Verdicts, *, folder: Path = FOLDER) -> Result:
    """Write what an attack found into its file."""
    result = Result(
        name=name,
        date=time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        machine=machine(),
        seconds=round(time.monotonic() - found.began, 1),
        figures=found.figures,
        promises=found.promises,
        not_tried=found.not_tried,
    )
    folder.mkdir(exist_ok=True)
    text = json.dumps(asdict(result), indent=1, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text, encoding="utf-8")
    return result


def kept(name: str, *, folder: Path = FOLDER) -> Result | None:
    """Return what an attack found last; None where it was never run."""
    file = folder / f"{name}.json"
    if not file.exists():
        return None
    read: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return Result(**{**read, "promises": [Promise(**promise) for promise in read["promises"]]})


def machine() -> str:
    """Return in words on what this runs."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = names[0].partition(":")[2].strip() if names else platform.machine()
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    software = f"{system}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    return f"{os.cpu_count()} cores ({processor}), {memory:.0f} GiB, {software}"


def page(attacks: Sequence[Attack], *, folder: Path = FOLDER) -> str:
    """Return the page about what all attacks found."""
    found = [(attack, kept(attack.name, folder=folder)) for attack in attacks]
    lines = [_INTRODUCTION, "| attack | verdict | when (UTC) | took |", "|---|---|---|---|"]
    for attack, result in found:
        link = f"[{attack.title}](#{anchor(attack.title)})"
        if result is None:
            lines.append(f"| {link} | not run yet | | |")
        else:
            lines.append(f"| {link} | {result.verdict} | {result.date} | {_took(result.seconds)} |")
    machines = sorted({result.machine for _, result in found if result is not None})
    lines += ["", f"The machine: {'; '.join(machines)}.", ""] if machines else [""]
    lines += [_HOW]
    for attack, result in found:
        lines += ["", f"## {attack.title}", "", f"`{attack.name}`: {attack.what}", ""]
        lines += ["- not run yet"] if result is None else _findings(result)
    return "\n".join(lines) + "\n"


def _findings(result: Result) -> list[str]:
    return [
        *(f"- {text}" for text in result.figures),
        *(f"- not tried here: {text}" for text in result.not_tried),
        *(f"- {promise.line}" for promise in result.promises),
    ]


def _took(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def anchor(title: str) -> str:
    """Return the name by which a heading is linked to."""
    plain = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return plain.replace(" ", "-")
