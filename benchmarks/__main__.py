"""`python -m benchmarks [SUBJECT …]`: run the given benchmarks, or all, and write docs/benchmarks.md.

With --quick each benchmark runs in its smallest form, to see that it works; the results are neither kept nor written.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.documentation import content, page
from tools.findings import Part

HERE = Path(__file__).parent
LONGEST = 1_200
_ONE = ("--rounds", "1")

_FEW = ("--micrographs", "300")


@dataclass(frozen=True, slots=True)
class Subject(Part):
    """A benchmark: the name of its program, its heading, and what it is told for a full and for a quick run."""

    full: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()


SUBJECTS = (
    Subject(
        "backlog",
        "A backlog into the store and to InfluxDB",
        quick=("--micrographs", "200", "400", *_ONE, "--compared", "1"),
    ),
    Subject("influx", "InfluxDB: lines, bulk, outages", quick=(*_FEW, *_ONE, "--points", "2000")),
    Subject("fleet", "50 agents to one InfluxDB", quick=("--agents", "2", "--micrographs", "50", "--arrivals", "2")),
    Subject("arrival", "From Scipion's commit to the page and to InfluxDB", quick=(*_FEW, "--arrivals", "2")),
    Subject("listeners", "200 listeners", quick=(*_FEW, "--listeners", "20", "--changes", "2")),
    Subject("tabs", "Eight tabs, and a connection that dies", quick=(*_FEW, "--tabs", "2", "--changes", "1")),
    Subject("writer", "What Scipion's writer notices", full=("--seconds", "30"), quick=(*_FEW, "--seconds", "3")),
    Subject(
        "idle",
        "Watching when nothing happens",
        full=("--projects", "1", "10", "50", "--seconds", "12"),
        quick=(*_FEW, "--projects", "2", "--seconds", "3"),
    ),
    Subject(
        "years",
        "A folder of finished projects",
        quick=("--finished", "20", "--live", "2", "--micrographs", "20", "--seconds", "3", "--rest", "3"),
    ),
    Subject("day", "Memory over a day", quick=("--micrographs", "200", "--seconds", "3")),
    Subject("host", "A sample of the machine", quick=(*_ONE, "--times", "3")),
    Subject("images", "Rendering images", quick=_ONE),
    Subject(
        "publishing",
        "Publishing images",
        full=("--rounds", "2"),
        quick=("--micrographs", "3", "--size", "512", "512", *_ONE),
    ),
    Subject("sftp", "Many images over a slow connection", quick=("--files", "30", *_ONE)),
    Subject("gallery", "The gallery", quick=(*_FEW, *_ONE)),
    Subject(
        "pages",
        "The pages",
        full=("--micrographs", "1000", "50000", "500000", "--rounds", "3", "--updates", "5"),
        quick=(*_FEW, *_ONE, "--updates", "1"),
    ),
    Subject("attacked", "One reader's worst requests", quick=("--micrographs", "400", "--rounds", "2")),
    Subject("report", "The static report", full=_ONE, quick=("--micrographs", "1200", *_ONE)),
    Subject("demo", "The demo", quick=_ONE),
)


def run(subject: Subject, *, quick: bool) -> tuple[str, str]:
    """Run one benchmark and print what it prints; returns that, and why it ended early ("" where it did not)."""
    print(f"== {subject.name}", flush=True)
    told = subject.quick if quick else subject.full
    failed = ""
    command = [sys.executable, "-u", str(HERE / f"{subject.name}.py"), *told]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, err = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            process.terminate()
            out, err = process.communicate()
            failed = f"it took more than {LONGEST} s"
    if process.returncode and not failed:
        failed = (err.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
    print(out, end="")
    if failed:
        print(f"  ended early: {failed}", flush=True)
    return out, failed


def main() -> int:
    """Run benchmarks, keep what they found and write the page; returns 1 where one of them ended early."""
    names = {subject.name: subject for subject in SUBJECTS}
    p = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    p.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"one of {', '.join(names)}")
    p.add_argument("--quick", action="store_true", help="in the smallest form, and neither kept nor on the page")
    p.add_argument("--page", action="store_true", help="write the page from what was found before, and measure nothing")
    a = p.parse_args()
    if strange := [name for name in a.subjects if name not in names]:
        p.error(f"{strange[0]} is none of {', '.join(names)}")
    told = page(SUBJECTS)
    ended_early = False
    for name in [] if a.page else a.subjects or names:
        began = time.monotonic()
        out, failed = run(names[name], quick=a.quick)
        ended_early = ended_early or bool(failed)
        if not a.quick:
            told.keep(name, content(out, failed), began=began)
            told.write()
    if a.page:
        told.write()
    return int(ended_early)


if __name__ == "__main__":
    sys.exit(main())
