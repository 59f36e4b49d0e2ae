"""Results of programs, kept in a file beside them, and the documentation page that is written from them.

No figure on such a page is typed.  A part can be measured again alone: the others stay as they were, each with its
date, its machine and its commit of cryowatch.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page: the name by which it is found out alone, its heading, and what is done in it."""

    name: str
    title: str
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one part found: when (UTC), on which machine, of which commit, in how many seconds.

    `content` is what its page makes its verdict and its lines of; it can be written as JSON.
    """

    date: str
    machine: str
    commit: str
    seconds: float
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the documentation, and the file that keeps what it is written from.

    `verdict` and `lines` tell in Markdown what a finding came to, in a few words and at length; `summary` tells of all
    of them, below the table.
    """

    file: Path
    kept: Path
    introduction: str
    columns: tuple[str, str]
    parts: Sequence[Part]
    verdict: Callable[[Mapping[str, Any]], str]
    lines: Callable[[Mapping[str, Any]], list[str]]
    summary: Callable[[Sequence[Mapping[str, Any]]], list[str]]

    def keep(self, name: str, content: Mapping[str, Any], *, began: float) -> Finding:
        """Keep what a part found that began at a monotonic time, in place of what it found before."""
        finding = Finding(
            date=time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
            machine=machine(),
            commit=commit(),
            seconds=round(time.monotonic() - began, 1),
            content=content,
        )
        found = {**self.found(), name: finding}
        ordered = {part.name: asdict(found[part.name]) for part in self.parts if part.name in found}
        self.kept.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return finding

    def found(self) -> dict[str, Finding]:
        """Return what each part found last."""
        if not self.kept.exists():
            return {}
        return {name: Finding(**read) for name, read in json.loads(self.kept.read_text(encoding="utf-8")).items()}

    def write(self) -> None:
        """Write the page."""
        self.file.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """Return the page."""
        found = self.found()
        lines = [
            self.introduction,
            f"| {self.columns[0]} | {self.columns[1]} | when (UTC) | commit | took |",
            "|---|---|---|---|---|",
        ]
        for part in self.parts:
            link = f"[{part.title}](#{_anchor(part.title)})"
            if part.name not in found:
                lines.append(f"| {link} | not run yet | | | |")
                continue
            one = found[part.name]
            lines.append(f"| {link} | {self.verdict(one.content)} | {one.date} | {one.commit} | {_took(one.seconds)} |")
        machines = sorted({one.machine for one in found.values()})
        for text in machines:
            those = [part.name for part in self.parts if part.name in found and found[part.name].machine == text]
            whose = "" if len(machines) == 1 else f" of {', '.join(those)}"
            lines += ["", f"The machine{whose}: {text}."]
        lines += ["", *self.summary([found[part.name].content for part in self.parts if part.name in found])]
        for part in self.parts:
            lines += ["", f"## {part.title}", "", f"`{part.name}`{f': {part.what}' if part.what else ''}", ""]
            lines += ["- not run yet"] if part.name not in found else self.lines(found[part.name].content)
        return "\n".join(lines) + "\n"


def machine() -> str:
    """Return in words on what this runs."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = names[0].partition(":")[2].strip() if names else platform.machine()
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    software = f"{system}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    return f"{os.cpu_count()} cores ({processor}), {memory:.0f} GiB, {software}"


def commit() -> str:
    """Return the commit that is checked out, with a + where files of the program differ; empty where there is none."""
    try:
        shown = _git("rev-parse", "--short", "HEAD")
        return shown + ("+" if _git("status", "--porcelain", "--", "src", "pyproject.toml") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _took(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _anchor(title: str) -> str:
    plain = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return plain.replace(" ", "-")
