"""Which files may be shown.

The paths come out of a project's databases, which whoever may write the project may change.  So a path counts only
inside its project, after its own `..` and absolute parts are looked at.  Symbolic links are followed, as Scipion links
movies and micrographs that lie on other disks, but only to a file that is called an image.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryowatch.errors import ImageMissing, ImageUnreadable

SUFFIXES = frozenset({".mrc", ".mrcs", ".map", ".st", ".tif", ".tiff", ".png", ".jpg", ".jpeg"})


def confined(project: Path, relative: str) -> Path:
    """Return the file that a project's database names; raises `ImageMissing` or `ImageUnreadable`."""
    root = os.path.normpath(project)
    joined = os.path.normpath(os.path.join(root, relative))  # noqa: PTH118  Path does not fold `..`
    if "\0" in relative or not joined.startswith(f"{root}{os.sep}") or ".." in Path(relative).parts:
        raise ImageUnreadable("lies outside the project and is not shown", where=relative)
    path = Path(joined)
    try:
        target = path.resolve(strict=True)
        is_file = target.is_file()
    except FileNotFoundError:
        remedy = "Was the project copied without its images, or were they cleaned up?"
        raise ImageMissing("is not there", where=relative, remedy=remedy) from None
    except (OSError, RuntimeError) as error:
        raise ImageUnreadable(f"cannot be reached: {error}", where=relative) from error
    if not is_file:
        raise ImageMissing("is no file", where=relative)
    if path.suffix.lower() not in SUFFIXES or target.suffix.lower() not in SUFFIXES:
        raise ImageUnreadable("is not called like an image that can be shown", where=relative)
    return path
