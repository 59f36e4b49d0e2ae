"""Finding projects below a folder.

A project is a folder that holds `project.sqlite`.  A path is one itself, or holds projects one level below it, as
Scipion's `projects` folder does; of ScipionUserData, its `projects` folder counts.  Deeper is not looked: a folder
of movies may hold a hundred thousand entries, and is listed every few seconds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryowatch.errors import SourceDenied, SourceMalformed
from cryowatch.reading import Trouble
from cryowatch.sources.scipion.database import denied_or_gone
from cryowatch.sources.scipion.project import MARK


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The projects found below a path, and the folders that could not be looked into."""

    projects: tuple[Path, ...] = ()
    troubles: tuple[Trouble, ...] = ()


def find_projects(path: Path) -> Discovery:
    """Return the projects at or below a path, each once; raises `SourceGone`, `SourceMalformed` or `SourceDenied`.

    A path with `..` is resolved first: a session is known by its folder's name.
    """
    try:
        str(path).encode()
        if ".." in path.parts:
            path = Path(os.path.realpath(path))
        if (path / MARK).is_file():
            return Discovery(projects=(path,))
        if not path.is_dir():
            path.stat()
            raise SourceMalformed("is a file", where=path, remedy="Give the project's folder, or the one above it")
        folders = _folders(path)
        inner = path / "projects"
        if inner in folders and not (inner / MARK).exists():
            folders += _folders(inner)
    except OSError as error:
        raise denied_or_gone(path, error) from error
    except UnicodeEncodeError as error:
        raise SourceMalformed("its name is not UTF-8", where=path, remedy="Rename the folder") from error
    except ValueError as error:
        raise SourceMalformed("is not the name of a folder", where=path) from error
    return _projects(folders)


def _folders(path: Path) -> list[Path]:
    with os.scandir(path) as entries:
        return sorted(Path(e.path) for e in entries if not e.name.startswith(".") and _may_be_folder(e))


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    """Return False for what is none; of a link that cannot be followed the look for a project will tell."""
    try:
        return entry.is_dir()
    except OSError:
        return True


def _projects(folders: list[Path]) -> Discovery:
    projects: list[Path] = []
    troubles: list[Trouble] = []
    seen: set[tuple[int, int]] = set()
    for folder in folders:
        try:
            mark = os.stat(folder / MARK)  # noqa: PTH116
            str(folder).encode()
        except PermissionError as error:
            denied = denied_or_gone(folder, error)
            text = f"{denied.what}. {denied.remedy}"
            troubles.append(Trouble(where=_printable(folder), state=SourceDenied.state, text=text))
            continue
        except OSError:
            continue
        except UnicodeEncodeError:
            text = "its name is not UTF-8. Rename the folder"
            troubles.append(Trouble(where=_printable(folder), state=SourceMalformed.state, text=text))
            continue
        place = (mark.st_dev, mark.st_ino)
        if place not in seen:
            seen.add(place)
            projects.append(folder)
    return Discovery(projects=tuple(projects), troubles=tuple(troubles))


def _printable(folder: Path) -> str:
    return os.fsencode(folder).decode(errors="backslashreplace")
