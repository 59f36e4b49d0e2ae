"""Scipion's projects: whether this account can read those that are named, or that were watched before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cryowatch.doctor.finding import Finding, absent, bad, look, well
from cryowatch.errors import CryowatchError, StoreError
from cryowatch.reading import ZONE, Trouble
from cryowatch.settings.config import Settings
from cryowatch.sources.discovery import find_projects
from cryowatch.sources.names import readable
from cryowatch.sources.scipion import ScipionSource
from cryowatch.sources.scipion.locks import LOCKS, gives_locks
from cryowatch.store import glance
from cryowatch.store.forgotten import passed_over
from cryowatch.store.reader import Reader
from cryowatch.store.writer import FILE_NAME
from cryowatch.system.reach import MARK

MOST_NAMED = 20


def projects(chosen: Settings, paths: Sequence[Path]) -> Iterator[Finding]:
    """Read the beginning of each project, as the agent would, and name those that it passes over."""
    what = "projects"
    yield from _forgotten(chosen)
    if not paths:
        yield from _watched(chosen)
        return
    for path in paths:
        try:
            found = find_projects(path.expanduser().absolute())
        except CryowatchError as error:
            yield bad(what, error)
            continue
        yield from (bad(what, f"{trouble.where}: {trouble.text}") for trouble in found.troubles)
        for link, project in found.doubles.items():
            yield look(what, f"{readable(link)}: leads to {readable(project)}, which counts by its own path")
        looks = [_looked_into(project, chosen) for project in found.projects]
        unreadable = [look for look in looks if isinstance(look, CryowatchError)]
        yield from (bad(what, problem) for problem in unreadable)
        yield from _zones(zip(found.projects, looks, strict=True))
        yield from _locks(found.projects)
        if not found.projects and not found.troubles:
            yield look(what, f"{path}: no Scipion project is there yet. A project is a folder with project.sqlite")
        elif found.projects:
            number = len(found.projects) - len(unreadable)
            yield well(what, f"{path}: {number:,} of {len(found.projects):,} can be read")


def _forgotten(chosen: Settings) -> Iterator[Finding]:
    """Name the projects whose sessions were forgotten."""
    file = chosen.data_dir / FILE_NAME
    try:
        paths = [note.path for note in passed_over(Reader(file))] if file.exists() else []
    except StoreError:
        return  # what is wrong with the store has been said
    if paths:
        remedy = "`cryowatch forget --undo FOLDER` has one read again"
        yield well("forgotten projects", f"{len(paths):,} passed over. {remedy}: {', '.join(paths[:MOST_NAMED])}")


def _watched(chosen: Settings) -> Iterator[Finding]:
    """Look at the projects that the store knows; one that is over may have been moved away."""
    what = "projects"
    file = chosen.data_dir / FILE_NAME
    known: list[tuple[str, str]] = []
    if file.exists():
        try:
            known = [(row["path"], row["status"]) for row in glance.sessions(file) if row.get("replaced") is None]
        except sqlite3.Error:
            return  # what is wrong with the store has been said
    if not known:
        yield absent(what, "none was watched yet. Name those to look at: cryowatch doctor PATH…")
        return
    looks = []
    readable = 0
    for path, status in known:
        found = _looked_into(Path(path), chosen)
        looks.append((Path(path), found))
        readable += not isinstance(found, CryowatchError)
        if isinstance(found, CryowatchError):
            yield bad(what, found) if status == "running" else look(what, str(found))
    yield from _zones(looks)
    yield from _locks([Path(path) for path, _ in known])
    yield well(what, f"{readable:,} of the {len(known):,} that were watched can be read")


def _looked_into(project: Path, chosen: Settings) -> CryowatchError | Sequence[Trouble]:
    """Return what keeps a project from being read, else what is strange in it."""
    try:
        return ScipionSource(project, time_zone=chosen.zone).read("").troubles
    except CryowatchError as error:
        return error


def _zones(looks: Iterable[tuple[Path, CryowatchError | Sequence[Trouble]]]) -> Iterator[Finding]:
    """Say which projects seem to have times of another zone: each reason once, with the number of projects."""
    projects: dict[str, list[Path]] = {}
    for project, found in looks:
        for trouble in () if isinstance(found, CryowatchError) else found:
            if trouble.state == ZONE:
                projects.setdefault(trouble.text, []).append(project)
    for text, those in projects.items():
        more = "" if len(those) == 1 else f" and {len(those) - 1:,} more"
        yield look("time zone", f"{those[0]}{more}: {text}")


def _locks(projects: Sequence[Path]) -> Iterator[Finding]:
    """Say which projects lie on a file system without locks: their databases are read from copies."""
    without = [project for project in projects if not gives_locks(project / MARK)]
    if without:
        more = "" if len(without) == 1 else f" and {len(without) - 1:,} more"
        text = "its file system has no locks, so its databases are read from copies"
        yield look("locks", f"{without[0]}{more}: {text}. {LOCKS}")
