"""Which files may be shown.

The paths come out of a project's databases, which whoever may write the project may change.  So a path counts only
inside its project, after its own `..` and absolute parts are looked at (`within`).  Symbolic links are followed, as
Scipion links movies and micrographs that lie on other disks, but only to a file that is called an image, and that the
project's people could read themselves (`reach`).  All of that is asked again of the very file that is opened.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from pathlib import Path

from cryowatch.errors import ImageAway, ImageError, ImageMissing, ImageUnreadable
from cryowatch.system.reach import Held, OutOfReach, hold
from cryowatch.system.within import within

MRC_SUFFIXES = (".mrc", ".mrcs", ".map", ".st", ".ctf")
"""`.ctf` is what Gctf calls its diagnostic images, which are MRC files."""

SPIDER_SUFFIXES = (".psd", ".xmp", ".spi", ".stk")
"""What SPIDER and Xmipp call their images, stacks and power spectra."""

COMPRESSIONS = (".gz", ".bz2")

SUFFIXES = (
    *MRC_SUFFIXES,
    *(f"{suffix}{compression}" for suffix in MRC_SUFFIXES for compression in COMPRESSIONS),
    *SPIDER_SUFFIXES,
    *(".tif", ".tiff", ".png", ".jpg", ".jpeg"),
)

_NOT_NOW = {
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EREMOTEIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
}
"""What may be otherwise when it is tried again: a disk that comes back, rights that somebody gives."""

_NUMBERED = re.compile(r"([0-9]{1,9})@(.+)", re.DOTALL)


def located(project: Path, relative: str) -> tuple[Path, int]:
    """Return the file that a project's database names, and which of its images, from 0; raises as `confined` does.

    `3@stack.mrcs` is the third image of a stack, unless a file is called so.
    """
    try:
        return confined(project, relative), 0
    except ImageMissing:
        numbered = _NUMBERED.fullmatch(relative)
        if numbered is None:
            raise
    return confined(project, numbered[2]), max(0, int(numbered[1]) - 1)


def confined(project: Path, relative: str) -> Path:
    """Return the file that a project's database names; raises `ImageMissing`, `ImageUnreadable` or `ImageAway`."""
    root = Path(os.path.normpath(project))
    path = within(root, relative)
    if path is None or root not in path.parents:
        raise ImageUnreadable("lies outside the project and is not shown", where=relative)
    with _held(root, path, relative):
        return path


def opened(project: Path, path: Path) -> io.FileIO:
    """Open an image of a project; raises as `confined` does.  Nothing that is put into its place meanwhile is read."""
    with _held(project, path, path.name) as place:
        try:
            return io.FileIO(place.open())
        except OSError as error:
            raise unreachable(error, path.name) from error


def _held(project: Path, path: Path, name: str) -> Held:
    """Hold an image of a project, which is called `name` in what is said of it."""
    try:
        place = hold(project, path)
    except OutOfReach as error:
        raise ImageUnreadable(f"{error.what} and is not shown", where=name, remedy=error.remedy) from error
    except FileNotFoundError:
        remedy = "Was the project copied without its images, or were they cleaned up?"
        raise ImageMissing("is not there", where=name, remedy=remedy) from None
    except OSError as error:
        raise unreachable(error, name) from error
    try:
        _refuse_what_is_no_image(path, place, name)
    except ImageError:
        place.close()
        raise
    return place


def _refuse_what_is_no_image(path: Path, place: Held, name: str) -> None:
    if not stat.S_ISREG(place.status.st_mode):
        raise ImageMissing("is no file", where=name)
    if not (_called_an_image(path.name) and _called_an_image(place.path.name)):
        raise ImageUnreadable("is not called like an image that can be shown", where=name)


def can_be_reached(project: Path) -> bool:
    """Return whether a project's folder is there and may be looked into."""
    try:
        return stat.S_ISDIR(project.stat().st_mode)
    except OSError:
        return False


def unreachable(error: OSError, where: str) -> ImageError:
    """Return what is wrong with a file that the system does not give, and whether another try may help.

    Other errors (of a decompressor) may quote bytes of the file, and are not told.
    """
    if isinstance(error, FileNotFoundError):
        return ImageMissing("is not there", where=where)
    kind = ImageAway if error.errno in _NOT_NOW else ImageUnreadable
    return kind(f"cannot be read: {error.strerror or 'it is damaged'}", where=where)


def _called_an_image(name: str) -> bool:
    return any(name.lower().endswith(suffix) and len(name) > len(suffix) for suffix in SUFFIXES)
