"""What an image is made of: what the project names, else what can stand in; never something else in its place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryowatch.errors import ImageMissing, ImageUnreadable
from cryowatch.images.subject import Shifts, Subject, from_json, subject, to_json
from cryowatch.records import ImageKind

SHIFTS: Shifts = ((0.0, 1.5), (0.0, -2.0))


def row(project: Path, **paths: str) -> dict[str, Any]:
    named = {"micrograph_path": "", "power_spectrum_path": "", "shift_plot_path": ""}
    return {"name": "mic1", "session_path": str(project), **named, **paths}


def unasked() -> Shifts | None:
    pytest.fail("the shifts were looked up")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("mic.mrc", "psd.mrc", "stack.mrcs", "3@mic.mrc", "plot.png"):
        (tmp_path / name).write_bytes(b"image")
    return tmp_path


def test_what_the_project_names_is_shown(project: Path) -> None:
    named = row(project, micrograph_path="mic.mrc", power_spectrum_path="psd.mrc", shift_plot_path="plot.png")
    for kind, name in zip(ImageKind, ("mic.mrc", "psd.mrc", "plot.png"), strict=True):
        assert subject(named, kind, unasked) == Subject(kind=kind, path=project / name)


def test_a_spectrum_that_is_not_named_is_computed_and_a_plot_is_drawn(project: Path) -> None:
    named = row(project, micrograph_path="mic.mrc")
    kind = ImageKind.POWER_SPECTRUM
    assert subject(named, kind, unasked) == Subject(kind=kind, path=project / "mic.mrc", computed=True)
    plot = subject(named, ImageKind.SHIFT_PLOT, lambda: SHIFTS)
    assert plot == Subject(kind=ImageKind.SHIFT_PLOT, shifts=SHIFTS)


def test_a_plot_that_is_named_and_was_cleaned_up_is_missing_and_nothing_stands_in(project: Path) -> None:
    named = row(project, micrograph_path="mic.mrc", shift_plot_path="gone.png")
    with pytest.raises(ImageMissing, match=r"gone\.png: is not there.*were they cleaned up"):
        subject(named, ImageKind.SHIFT_PLOT, lambda: SHIFTS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("gone.mrc", "gone.mrc: is not there"),
        ("/data/other/psd.mrc", "lies outside the project"),
        ("../psd.mrc", "lies outside the project"),
        ("psd.dat", "is not called like an image"),
    ],
)
def test_a_spectrum_that_is_named_and_not_to_be_had_is_computed_and_says_why(
    project: Path, text: str, reason: str
) -> None:
    (project / "psd.dat").write_bytes(b"image")
    found = subject(
        row(project, micrograph_path="mic.mrc", power_spectrum_path=text), ImageKind.POWER_SPECTRUM, unasked
    )
    assert (found.path, found.computed) == (project / "mic.mrc", True)
    assert reason in found.reason


def test_without_its_micrograph_a_spectrum_that_is_gone_is_missing(project: Path) -> None:
    named = row(project, micrograph_path="gone-too.mrc", power_spectrum_path="gone.mrc")
    for paths in (named, {**named, "micrograph_path": ""}):
        with pytest.raises(ImageMissing, match=r"^gone\.mrc: is not there"):
            subject(paths, ImageKind.POWER_SPECTRUM, unasked)


def test_what_nobody_names_is_missing(project: Path) -> None:
    with pytest.raises(ImageMissing, match="names no shift plot for mic1"):
        subject(row(project, micrograph_path="mic.mrc"), ImageKind.SHIFT_PLOT, lambda: None)
    with pytest.raises(ImageMissing, match="names no power spectrum for mic1"):
        subject(row(project), ImageKind.POWER_SPECTRUM, unasked)


def test_a_number_before_a_name_is_that_of_an_image_in_a_stack(project: Path) -> None:
    for text, index in (("3@stack.mrcs", 2), ("1@stack.mrcs", 0), ("0@stack.mrcs", 0), ("stack.mrcs", 0)):
        found = subject(row(project, micrograph_path=text), ImageKind.MICROGRAPH, unasked)
        assert (found.path, found.index) == (project / "stack.mrcs", index)
    computed = subject(row(project, micrograph_path="3@stack.mrcs"), ImageKind.POWER_SPECTRUM, unasked)
    assert (computed.index, computed.computed) == (2, True)


def test_a_file_that_is_called_so_is_that_file(project: Path) -> None:
    found = subject(row(project, micrograph_path="3@mic.mrc"), ImageKind.MICROGRAPH, unasked)
    assert (found.path, found.index) == (project / "3@mic.mrc", 0)


@pytest.mark.parametrize("text", ["3@../x.mrc", "3@/etc/passwd", "3@stack.mrcs/../../x.mrc"])
def test_a_number_opens_no_way_out_of_the_project(project: Path, text: str) -> None:
    with pytest.raises((ImageUnreadable, ImageMissing)):
        subject(row(project, micrograph_path=text), ImageKind.MICROGRAPH, unasked)


@pytest.mark.parametrize(
    "text", ["3@gone.mrc", "x@stack.mrcs", "@stack.mrcs", "3@", "-1@stack.mrcs", f"{'9' * 5000}@stack.mrcs"]
)
def test_what_is_no_image_of_a_stack_is_missing(project: Path, text: str) -> None:
    with pytest.raises((ImageMissing, ImageUnreadable)):
        subject(row(project, micrograph_path=text), ImageKind.MICROGRAPH, unasked)


numbers = st.floats(allow_nan=False)


@given(
    kind=st.sampled_from(list(ImageKind)),
    path=st.one_of(st.none(), st.binary(min_size=1).filter(lambda name: b"\0" not in name).map(os.fsdecode).map(Path)),
    index=st.integers(0, 10**9),
    computed=st.booleans(),
    shifts=st.one_of(st.none(), st.tuples(st.lists(numbers).map(tuple), st.lists(numbers).map(tuple))),
)
def test_a_subject_comes_back_from_json_as_it_was(
    *, kind: ImageKind, path: Path | None, index: int, computed: bool, shifts: Shifts | None
) -> None:
    made = Subject(kind=kind, path=path, index=index, computed=computed, shifts=shifts)
    text = json.dumps(to_json(made))
    assert "\n" not in text
    assert from_json(json.loads(text)) == made
    assert json.dumps(to_json(made)) == text
