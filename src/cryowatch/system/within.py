"""Where in a project a file lies that its databases name.

Whoever may write a project may name anything in them, and must not be shown by it what only cryowatch may read.
"""

from __future__ import annotations

import os
from pathlib import Path


def within(project: Path, named: str) -> Path | None:
    """Return the path below a project's folder that a name stands for; None where it leads out of the folder.

    A relative name is taken from the project's folder.  An absolute one counts where one of the folders above it *is*
    the project's: a project may be watched through a symbolic link, or have been made through one.  A name with `..`
    leads out.  What is a link below the project's folder is for the caller to look at.
    """
    if "\0" in named or ".." in named.split("/"):
        return None
    if not named.startswith("/"):
        return project / named
    path = Path(named)
    if project in path.parents:
        return path
    try:
        home = project.stat()
        for folder in reversed(path.parents):
            if os.path.samestat(folder.stat(), home):
                return project / path.relative_to(folder)
    except OSError:
        pass
    return None
