"""What an image is made of: the file that the project names, or what stands in where it names none.

Where no power spectrum is named, or the one that is named cannot be shown, one is computed from the micrograph; where
no shift plot is named and the shifts of the movie's frames are known, one is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryowatch.errors import ImageError, ImageMissing, ImageUnreadable
from cryowatch.images.paths import located
from cryowatch.records import ImageKind

COLUMNS: Mapping[ImageKind, str] = {
    ImageKind.MICROGRAPH: "micrograph_path",
    ImageKind.POWER_SPECTRUM: "power_spectrum_path",
    ImageKind.SHIFT_PLOT: "shift_plot_path",
}
"""Where a stored micrograph says which file shows it."""

Shifts = tuple[tuple[float, ...], tuple[float, ...]]
"""Where each frame of a movie was, in Å: x and y, of as many frames; nan of a frame without a shift."""


UNNAMED = "the project names no power spectrum"
"""Why one is computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One image to render: of `path`, or drawn from `shifts`.

    `index` counts the images of a stack from 0; `computed` says that `path` is a micrograph whose power spectrum is
    wanted, and `reason` why it is computed.  `micrograph` is the one, as the project names it, whose power spectrum is
    computed should `path` turn out to be nothing that can be shown.  `project` is the folder of the project that names
    `path`: what may be shown depends on it, and so does which disks are taken for dead.
    """

    kind: ImageKind
    path: Path | None = None
    index: int = 0
    computed: bool = False
    shifts: Shifts | None = None
    reason: str = field(default="", compare=False)
    micrograph: str = field(default="", compare=False)
    project: Path | None = field(default=None, compare=False)


def to_json(subject: Subject) -> dict[str, Any]:
    """Return a subject as what JSON can hold, all that is compared; equal subjects give equal values, in order."""
    return {
        "kind": subject.kind.value,
        "path": None if subject.path is None else str(subject.path),
        "index": subject.index,
        "computed": subject.computed,
        "shifts": None if subject.shifts is None else [list(axis) for axis in subject.shifts],
    }


def from_json(value: Mapping[str, Any]) -> Subject:
    """Return the subject that `to_json` made this of; the folder of its project may have been added as `project`."""
    shifts, project = value["shifts"], value.get("project")
    return Subject(
        kind=ImageKind(value["kind"]),
        path=None if value["path"] is None else Path(value["path"]),
        index=value["index"],
        computed=value["computed"],
        shifts=None if shifts is None else (tuple(shifts[0]), tuple(shifts[1])),
        project=None if project is None else Path(project),
    )


def available(row: Mapping[str, Any], kind: ImageKind, *, shifted: bool) -> bool:
    """Return whether there is anything to make an image of; `shifted`: the shifts of the frames are known."""
    return bool(
        row[COLUMNS[kind]]
        or (kind is ImageKind.POWER_SPECTRUM and row["micrograph_path"])
        or (kind is ImageKind.SHIFT_PLOT and shifted)
    )


def subject(row: Mapping[str, Any], kind: ImageKind, shifts: Callable[[], Shifts | None]) -> Subject:
    """Return what an image of a stored micrograph is made of; raises an `ImageError`.

    `row` holds `name`, `session_path` and the three paths; `shifts` is asked only where no shift plot is named.  A plot
    that is named and not there is missing: what cryowatch would draw is not what the project's program drew.
    """
    relative = row[COLUMNS[kind]]
    project = Path(row["session_path"])
    spare = row["micrograph_path"] if kind is ImageKind.POWER_SPECTRUM else ""
    if relative:
        try:
            path, index = located(project, relative)
        except (ImageMissing, ImageUnreadable) as error:
            if not spare:
                raise
            return stand_in(project, spare, error)
        return Subject(kind=kind, path=path, index=index, micrograph=spare, project=project)
    if spare:
        return _computed(project, spare, UNNAMED)
    if kind is ImageKind.SHIFT_PLOT and (found := shifts()):
        return Subject(kind=kind, shifts=found, project=project)
    raise ImageMissing(f"the project names no {kind.replace('-', ' ')} for {row['name']}")


def stand_in(project: Path, micrograph: str, error: ImageError) -> Subject:
    """Return the spectrum that is computed from a micrograph because the one that is named cannot be shown.

    Raises the error that says why, unless the micrograph is where the project names it.
    """
    try:
        return _computed(project, micrograph, str(error))
    except (ImageMissing, ImageUnreadable):
        raise error from None


def _computed(project: Path, micrograph: str, reason: str) -> Subject:
    path, index = located(project, micrograph)
    kind = ImageKind.POWER_SPECTRUM
    return Subject(kind=kind, path=path, index=index, computed=True, reason=reason, project=project)
