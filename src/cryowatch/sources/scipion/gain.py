"""What runs of XmippProtMovieGain say of each movie's gain, in `summaryForMonitor.txt`: one line a movie.

`movie_000001_residual: 0.016680 0.976350 1.028174 17.423561` is a name, then of the residual gain the standard
deviation, the 2.5 and the 97.5 percentile, and the maximum.

Lines are only appended, so the file is read on from where the last reading ended; a last line without its end is left
for the next one.  A file that is another one, is shorter, or does not hold before that place what it held, was
rewritten and is read anew.  The lines have no times: a movie's is that of the residual's own image beside it
(`extra/…_residual_gain.xmp`), which is written just before the line, or else the run's start: whoever reads them, and
whenever, finds the same.
"""

from __future__ import annotations

import math
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cryowatch.errors import SourceGone, SourceMalformed
from cryowatch.records import GainResidual, Run
from cryowatch.sources.scipion.database import inside, own_file
from cryowatch.sources.scipion.files import SETTLED_NS, denied_or_gone
from cryowatch.system.reach import Held

PROTOCOL = "XmippProtMovieGain"
FILE = "summaryForMonitor.txt"
MOST_BYTES = 1 << 18
"""How much of one file is read at a time."""

MOST_OF_A_FILE = 1 << 26
"""A line has some 70 bytes, so that is a million movies; a file may be a hole without end."""

_TAIL = 80
_NUMBER = rb"([+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|nan|inf))"  # no digit can be part of it in two ways
_LINE = re.compile(rb"\s*([^\s:\0-\x1f][^:\0-\x1f]{0,199}):\s+" + rb"\s+".join([_NUMBER] * 4) + rb"\s*")
_PLAIN = re.compile(r"[\w-][\w.-]*", re.ASCII)
_SUFFIX = "_residual"


@dataclass(frozen=True, slots=True)
class GainProgress:
    """How far a file was read: up to byte `at`, after line number `line`; `tail` is a checksum of what lies before.

    `strange` says which line was none, in words.
    """

    inode: int = 0
    at: int = 0
    line: int = 0
    tail: int = 0
    strange: str = ""


Seen = tuple[int, int, int]
"""A file's inode, size and time, where nothing more is to come without a change of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GainNews:
    """What is new in a file; `anew` where it was read from its beginning, `finished` where there is no more now."""

    progress: GainProgress
    residuals: tuple[GainResidual, ...] = ()
    anew: bool = False
    finished: bool = True
    seen: Seen | None = None


def has_gains(run: Run) -> bool:
    """Return whether a run is one that writes such a file."""
    return run.class_name == PROTOCOL and bool(run.working_dir)


def read_gains(
    project: Path, run: Run, known: GainProgress, seen: Seen | None, now: int, *, most: int = MOST_OF_A_FILE
) -> GainNews:
    """Return what is new in a run's file; raises a `SourceError`.  A file that was never there is no error."""
    path = inside(project, run.working_dir) / FILE
    if seen is not None and seen == _seen(path):
        return GainNews(progress=known, seen=seen)
    try:
        place = own_file(path, project)
    except SourceGone as error:
        if path.is_symlink() or not isinstance(error.__cause__, FileNotFoundError):
            raise
        if known.line:
            raise SourceGone("is not there any more", where=path, remedy="What was read before is kept") from None
        return GainNews(progress=known)
    with place:
        found = place.status
        anew = not known.at
        with _opened(place, path) as descriptor:
            if not anew and (known.inode != found.st_ino or known.tail != _checksum(descriptor, known.at)):
                known, anew = GainProgress(), True
            known = replace(known, inode=found.st_ino)
            present = (found.st_ino, found.st_size, found.st_mtime_ns)
            if known.at >= most:
                strange = known.strange or f"is longer than {most / 1e6:,.0f} MB, and the rest is left out"
                return GainNews(progress=replace(known, strange=strange), anew=anew, seen=present)
            progress, lines, finished = _lines(descriptor, known)
    residuals, strange = _residuals(run, lines, place.path.parent, found.st_mtime_ns)
    settled = finished and now - found.st_mtime_ns > SETTLED_NS
    return GainNews(
        progress=replace(progress, strange=progress.strange or strange),
        residuals=residuals,
        anew=anew,
        finished=finished,
        seen=present if settled else None,
    )


def _seen(path: Path) -> Seen | None:
    """Return by what a file is known again; of a link what no file is known by."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def _opened(place: Held, path: Path) -> Iterator[int]:
    """Open a regular file; yields its descriptor."""
    if not stat.S_ISREG(place.status.st_mode):
        raise SourceMalformed("is not a file", where=path)
    try:
        descriptor = place.open()
    except OSError as error:
        raise denied_or_gone(path, error) from error
    try:
        yield descriptor
    except OSError as error:
        raise denied_or_gone(path, error) from error
    finally:
        os.close(descriptor)


def _checksum(descriptor: int, at: int) -> int:
    """Return a checksum of the last bytes before a place."""
    start = max(0, at - _TAIL)
    return zlib.crc32(os.pread(descriptor, at - start, start))


def _lines(descriptor: int, known: GainProgress) -> tuple[GainProgress, list[tuple[int, bytes]], bool]:
    """Return the progress after the next complete lines, these with their numbers, and whether there is no more.

    What is too long for a line, as the hole that a crash left in a file, is passed over up to its end.
    """
    data = os.pread(descriptor, MOST_BYTES, known.at)
    full = len(data) == MOST_BYTES
    end = data.find(b"\n") + 1
    if known.at and os.pread(descriptor, 1, known.at - 1) != b"\n":  # in the midst of such a one
        passed = end or len(data)
        known = replace(known, at=known.at + passed, line=known.line + (1 if end else 0))
        data = data[passed:]
    elif full and not end:
        strange = known.strange or f"line {known.line + 1} is too long to be one of {PROTOCOL}"
        known = replace(known, at=known.at + len(data), strange=strange)
        data = b""
    whole = data[: data.rfind(b"\n") + 1]
    lines = list(enumerate(whole.split(b"\n")[:-1], known.line + 1))
    at = known.at + len(whole)
    line = lines[-1][0] if lines else known.line
    return replace(known, at=at, line=line, tail=_checksum(descriptor, at)), lines, not full


def _residuals(
    run: Run, lines: Iterable[tuple[int, bytes]], folder: Path, modified: int
) -> tuple[tuple[GainResidual, ...], str]:
    """Return what the lines say, and which of them says nothing, in words; empty lines are left out."""
    found = []
    strange = ""
    for number, line in lines:
        matched = _LINE.fullmatch(line)
        if matched is None:
            if line.strip() and not strange:
                strange = f"line {number} is not as {PROTOCOL} writes it and is left out"
            continue
        name = matched[1].decode("utf-8", "replace").strip()
        stddev, low, high, most = (float(value) for value in matched.groups()[1:])
        found.append(
            GainResidual(
                run=run.run,
                item=number,
                movie=name.removesuffix(_SUFFIX),
                time=_time(folder, name, modified, modified if run.started is None else run.started),
                stddev=stddev if math.isfinite(stddev) and stddev >= 0 else None,
                ratio1=_ratio(high, low),
                ratio2=_ratio(most, high),
            )
        )
    return tuple(found), strange


def _ratio(above: float, below: float) -> float | None:
    """Return a ratio of two gains; None where one is no number, or where the lower is not above zero."""
    if not (math.isfinite(above) and math.isfinite(below)) or below <= 0:
        return None
    ratio = above / below
    return ratio if math.isfinite(ratio) else None


def _time(folder: Path, name: str, modified: int, otherwise: int) -> int:
    """Return when a movie's residual was written, or another time; `modified` is that of the file that names it."""
    if _PLAIN.fullmatch(name):
        try:
            image = (folder / "extra" / f"{name}_gain.xmp").lstat()
        except OSError:
            return otherwise
        if stat.S_ISREG(image.st_mode):
            return min(image.st_mtime_ns, modified)
    return otherwise
