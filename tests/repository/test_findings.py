"""The pages of figures: written from what programs found, of which one part can be found again alone."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import documentation as of_benchmarks
from benchmarks.__main__ import SUBJECTS
from faults import documentation as of_faults
from faults.__main__ import ATTACKS
from faults.verdicts import Verdicts
from tools.findings import Page

BENCHMARKS = of_benchmarks.page(SUBJECTS)
RELIABILITY = of_faults.page(list(ATTACKS))


def _copied(page: Page, folder: Path) -> Page:
    shutil.copy(page.kept, folder / "found.json")
    return replace(page, kept=folder / "found.json", file=folder / page.file.name)


@pytest.mark.parametrize("page", [BENCHMARKS, RELIABILITY], ids=["benchmarks", "reliability"])
def test_a_page_says_what_was_found_and_nothing_else(page: Page) -> None:
    assert page.file.read_text(encoding="utf-8") == page.text()


def test_a_benchmark_that_is_run_again_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    page = _copied(BENCHMARKS, tmp_path)
    before = page.found()
    out = "host: one sample  [2 CPUs, load 0.1]\n  sample: 7.5 ms; goal 5 ms: MISSED\n"
    out += "    2.5 times the 3 ms of plain calls\n"
    page.keep("host", of_benchmarks.content(out, ""), began=time.monotonic() - 90)
    page.write()
    after = page.found()
    assert {**after, "host": None} == {**before, "host": None}
    assert after["host"].seconds == pytest.approx(90, abs=5)
    written = page.file.read_text(encoding="utf-8")
    assert "- host: one sample: sample: 7.5 ms; goal 5 ms: MISSED\n" in written
    assert (
        "**host: one sample**\n\n- sample: 7.5 ms; goal 5 ms: MISSED\n    - 2.5 times the 3 ms of plain calls\n"
        in written
    )
    assert "(#a-sample-of-the-machine) | 0 of 1 | " in written


def test_an_attack_that_is_tried_again_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    page = _copied(RELIABILITY, tmp_path)
    before = page.found()
    found = Verdicts("soak", quiet=True)
    found.promise("memory is flat", kept=False, otherwise="it grew by 7 MB")
    found.promise("descriptors are flat", kept=True)
    page.keep("soak", of_faults.content(found), began=found.began)
    page.write()
    assert {**page.found(), "soak": None} == {**before, "soak": None}
    written = page.file.read_text(encoding="utf-8")
    assert "- **BROKEN**: memory is flat: it grew by 7 MB\n- **kept**: descriptors are flat\n" in written
    assert "| **1 of 2 promises broken** | " in written


def test_what_was_never_run_and_what_ended_early_is_said(tmp_path: Path) -> None:
    page = replace(BENCHMARKS, kept=tmp_path / "found.json", file=tmp_path / "page.md")
    page.keep("idle", of_benchmarks.content("idle: 1 project\n", "it took more than 600 s"), began=time.monotonic())
    written = page.text()
    assert "(#watching-when-nothing-happens) | none set, ended early: it took more than 600 s | " in written
    assert "(#the-gallery) | not run yet | " in written


def test_the_machines_are_told_apart_where_there_are_several(tmp_path: Path) -> None:
    page = replace(RELIABILITY, kept=tmp_path / "found.json", file=tmp_path / "page.md")
    for name in ("killed", "soak", "away"):
        page.keep(name, of_faults.content(Verdicts(name, quiet=True)), began=time.monotonic())
    assert page.text().count("The machine: ") == 1
    text = page.kept.read_text(encoding="utf-8")
    page.kept.write_text(text.replace(page.found()["soak"].machine, "64 cores", 1), encoding="utf-8")
    assert "The machine of killed: 64 cores." in page.text()
    assert "The machine of away, soak: " in page.text()
