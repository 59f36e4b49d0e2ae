"""Finding projects below a folder.

A project is a folder that holds `project.sqlite`.  A path is one itself, or holds projects one level below it, as
Scipion's `projects` folder does; of ScipionUserData, its `projects` folder counts.  Deeper is not looked: a folder
of movies may hold a hundred thousand entries, and is listed every few seconds.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryowatch.errors import SourceDenied, SourceError, SourceGone, SourceMalformed
from cryowatch.reading import Trouble
from cryowatch.sources.names import readable
from cryowatch.sources.scipion.files import denied_or_gone
from cryowatch.system.reach import MARK, OutOfReach, judge_project, way

LOOK_SECONDS = 3.0
MOST_SILENT = 8
LIVES_NS = 86_400 * 10**9
"""For how long after a change of its folder a project that cannot be looked into is somebody's matter."""

_ALONE_REMEDY = "Watch them by their own paths, or take project.sqlite away from there"

SILENT = "does not answer"
SILENT_REMEDY = "Is its disk or its server reachable?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The projects found below a path, and the folders that could not be looked into.

    `folder` is the folder that was looked into, by its own path, `links` are other paths of a project, and `doubles`
    are links that lead to what lies in the folder itself, with where they lead.  `own` are the projects' own paths.
    `touched` says of those in `troubles` when they were changed last (UTC ns), as far as that can be told.
    """

    projects: tuple[Path, ...] = ()
    folder: Path | None = None
    links: Mapping[Path, tuple[Path, ...]] = field(default_factory=dict)
    doubles: Mapping[Path, Path] = field(default_factory=dict)
    own: Mapping[Path, Path] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()
    touched: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shut:
    """A folder that cannot be looked into although it was changed lately: where, why, and since when (UTC ns)."""

    where: str
    text: str
    since: int


class Finder:
    """Finds the projects of one path again and again; a folder whose disk does not answer holds up no other.

    Each look has a thread of its own, for which nobody waits once it has stood at one folder for so many seconds.  That
    folder is left out until the thread comes back.
    """

    def __init__(self, path: Path, *, seconds: float = LOOK_SECONDS, clock: Callable[[], int] = time.time_ns) -> None:
        self.shut: tuple[Shut, ...] = ()
        """What could not be looked into at the last look, though it was changed within the last day."""
        self._path = path
        self._seconds = seconds
        self._clock = clock
        self._silent: dict[Path, threading.Thread] = {}

    def find(self) -> Discovery:
        """Return what `find_projects` does, with a trouble for each folder that does not answer."""
        self._silent = {folder: thread for folder, thread in self._silent.items() if thread.is_alive()}
        while self._path not in self._silent and len(self._silent) < MOST_SILENT:
            look = _Look(self._path, frozenset(self._silent))
            thread = threading.Thread(target=look.run, name=f"looking into {self._path}", daemon=True)
            thread.start()
            place = None
            while thread.is_alive() and place != look.place:
                place = look.place
                thread.join(self._seconds)
            if not thread.is_alive():
                found = look.result()
                self._take_note(found)
                silent = (_silence(folder) for folder in sorted(self._silent))
                return replace(found, troubles=(*found.troubles, *silent), touched={})
            self._silent[look.place] = thread
        raise SourceGone(SILENT, where=self._path, remedy=SILENT_REMEDY)

    def _take_note(self, found: Discovery) -> None:
        known = {shut.where: shut.since for shut in self.shut}
        now = self._clock()
        self.shut = tuple(
            Shut(where=trouble.where, text=trouble.text, since=known.get(trouble.where, now))
            for trouble in found.troubles
            if now - found.touched.get(trouble.where, 0) < LIVES_NS
        )


class _Look:
    """One look for projects, in a thread: the folder that it is at, and what came of it."""

    def __init__(self, path: Path, skip: frozenset[Path]) -> None:
        self.place = self._path = path
        self._skip = skip
        self._found: Discovery | SourceError = SourceGone("could not be looked into", where=path)

    def run(self) -> None:
        try:
            self._found = _resolved(self._path, find_projects(self._path, skip=self._skip, at=self._at), self._at)
        except SourceError as error:
            self._found = error

    def result(self) -> Discovery:
        if isinstance(self._found, SourceError):
            raise self._found
        return self._found

    def _at(self, place: Path) -> None:
        self.place = place


def _resolved(path: Path, found: Discovery, at: Callable[[Path], object]) -> Discovery:
    """Return the projects by their own folders, whatever links lead there, each once."""
    links: dict[Path, tuple[Path, ...]] = {}
    at(path)
    folder = _storable(path, Path(os.path.realpath(path)))
    for project in found.projects:
        own = found.own[project]
        links[own] = links.get(own, ()) + (() if own == project else (project,))
    others = {own: paths for own, paths in links.items() if paths}
    return replace(found, folder=folder, projects=tuple(links), links=others)


def _storable(folder: Path, own: Path) -> Path:
    """Return the own path of a folder; the one that leads there, where it is no text that can be stored."""
    return folder if readable(own) != str(own) else own


def _silence(folder: Path) -> Trouble:
    return Trouble(where=readable(folder), state=SourceGone.state, text=f"{SILENT}. {SILENT_REMEDY}")


def find_projects(
    path: Path, *, skip: Container[Path] = (), at: Callable[[Path], object] = lambda _: None
) -> Discovery:
    """Return the projects at or below a path; raises `SourceGone`, `SourceMalformed` or `SourceDenied`.

    Each folder counts once, however many links lead to it; a copy is another one, even if it is made of hard links.
    What lies in the folder counts by itself, and links to it do not.  A path with `..` is resolved first: a session is
    known by its folder's name.  The folders to `skip` are not looked into; `at` is told of each before it is.
    """
    try:
        str(path).encode()
        if ".." in path.parts:
            path = Path(os.path.realpath(path))
        if not path.is_dir():
            path.stat()
            raise SourceMalformed("is a file", where=path, remedy="Give the project's folder, or the one above it")
        top = _Entry(path, Path(os.path.realpath(path)))
        if (path / MARK).is_file():
            return _alone(top, skip, at)
        entries, homes = _entries(top, skip, at), [top.own]
        troubles: tuple[Trouble, ...] = ()
        inner = next((entry for entry in entries if entry.folder == path / "projects"), None)
        if inner is not None:
            at(inner.folder)
            if (inner.folder / MARK).exists():
                troubles = _alone(inner, skip, at).troubles
            else:
                entries += _entries(inner, skip, at)
                homes.append(inner.own)
    except OSError as error:
        raise denied_or_gone(path, error) from error
    except UnicodeEncodeError as error:
        raise SourceMalformed("its name is not UTF-8", where=path, remedy="Rename the folder") from error
    except ValueError as error:
        raise SourceMalformed("is not the name of a folder", where=path) from error
    found = _projects(entries, homes, at)
    return replace(found, troubles=(*troubles, *found.troubles))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A folder by the path that leads there, by its own one, and the owners of the links on the way.

    `linked` says whether it is a link itself.
    """

    folder: Path
    own: Path
    owners: frozenset[int] = frozenset()
    linked: bool = False


def _entries(above: _Entry, skip: Container[Path], at: Callable[[Path], object]) -> list[_Entry]:
    """Return the folders in a folder, in order, and those behind links after the others."""
    at(above.folder)
    with os.scandir(above.folder) as listed:
        named = [(Path(e.path), e) for e in listed if not e.name.startswith(".")]
    found = []
    for folder, entry in named:
        at(folder)
        if folder in skip or not _may_be_folder(entry):
            continue
        own, owners = above.own / entry.name, above.owners
        if entry.is_symlink():
            end, makers, _ = way(str(own))
            own, owners = Path(end), owners | makers
        found.append(_Entry(folder, own, owners, entry.is_symlink()))
    return sorted(found, key=lambda entry: (entry.linked, entry.folder))


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    """Return False for what is none; of a link that cannot be followed the look for a project will tell."""
    try:
        return entry.is_dir()
    except OSError:
        return True


def _alone(project: _Entry, skip: Container[Path], at: Callable[[Path], object]) -> Discovery:
    """Return a project alone, and a trouble where there are others in its folder: those are not looked at."""
    others = 0
    with contextlib.suppress(OSError):
        for entry in _entries(project, skip, at):
            at(entry.folder)
            others += not entry.linked and (entry.folder / MARK).exists()
    troubles: tuple[Trouble, ...] = ()
    if others:
        text = f"is a project itself, so {others:,} in it are not watched. {_ALONE_REMEDY}"
        troubles = (Trouble(where=readable(project.folder), state=SourceMalformed.state, text=text),)
    own = {project.folder: _storable(project.folder, project.own)}
    return Discovery(projects=(project.folder,), own=own, troubles=troubles)


def _projects(entries: list[_Entry], homes: Collection[Path], at: Callable[[Path], object]) -> Discovery:
    """Return the projects among folders; a link to what lies in one of `homes` is a double of that."""
    projects: dict[Path, Path] = {}
    troubles: list[Trouble] = []
    touched: dict[str, int] = {}
    doubles: dict[Path, Path] = {}
    seen: set[tuple[int, int]] = set()
    for entry in entries:
        folder = entry.folder
        at(folder)
        try:
            os.stat(folder / MARK)  # noqa: PTH116
            place = os.lstat(entry.own)
            if entry.linked and entry.own.parent in homes and not entry.own.name.startswith("."):
                doubles[folder] = entry.own
                continue
            str(folder).encode()
            if entry.owners:
                judge_project(str(entry.own), entry.owners)
        except PermissionError as error:
            denied = denied_or_gone(folder, error)
            text = f"{denied.what}. {denied.remedy}"
            troubles.append(Trouble(where=readable(folder), state=SourceDenied.state, text=text))
            touched.update(_touched(folder))
            continue
        except OSError:
            continue
        except UnicodeEncodeError:
            text = "its name is not UTF-8. Rename the folder"
            troubles.append(Trouble(where=readable(folder), state=SourceMalformed.state, text=text))
            touched.update(_touched(folder))
            continue
        except OutOfReach as error:
            text = f"{error.what}. {error.remedy}"
            troubles.append(Trouble(where=readable(folder), state=SourceDenied.state, text=text))
            continue
        if (place.st_dev, place.st_ino) not in seen and stat.S_ISDIR(place.st_mode):
            seen.add((place.st_dev, place.st_ino))
            projects[folder] = _storable(folder, entry.own)
    return Discovery(projects=tuple(projects), own=projects, doubles=doubles, troubles=tuple(troubles), touched=touched)


def _touched(folder: Path) -> dict[str, int]:
    try:
        return {readable(folder): folder.stat().st_mtime_ns}
    except OSError:
        return {}
