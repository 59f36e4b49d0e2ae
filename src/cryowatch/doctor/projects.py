"""Scipion's projects: whether this account can read those that are named, or that were watched before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from cryowatch.config import Settings
from cryowatch.doctor.finding import Finding, absent, bad, look, well
from cryowatch.errors import CryowatchError
from cryowatch.sources.discovery import find_projects
from cryowatch.sources.scipion import ScipionSource
from cryowatch.store.writer import FILE_NAME


def projects(chosen: Settings, paths: Sequence[Path]) -> Iterator[Finding]:
    """Read the beginning of each project, as the agent would."""
    what = "projects"
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
        unreadable = [problem for problem in map(_unreadable, found.projects) if problem is not None]
        yield from (bad(what, problem) for problem in unreadable)
        if not found.projects and not found.troubles:
            yield look(what, f"{path}: no Scipion project is there yet. A project is a folder with project.sqlite")
        elif found.projects:
            number = len(found.projects) - len(unreadable)
            yield well(what, f"{path}: {number:,} of {len(found.projects):,} can be read")


def _watched(chosen: Settings) -> Iterator[Finding]:
    """Look at the projects that the store knows; one that is over may have been moved away."""
    what = "projects"
    file = chosen.data_dir / FILE_NAME
    known: list[tuple[str, str]] = []
    if file.exists():
        try:
            with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=10)) as database:
                known = database.execute("SELECT path, status FROM session ORDER BY id").fetchall()
        except sqlite3.Error:
            return  # what is wrong with the store has been said
    if not known:
        yield absent(what, "none was watched yet. Name those to look at: cryowatch doctor PATH…")
        return
    readable = 0
    for path, status in known:
        problem = _unreadable(Path(path))
        readable += problem is None
        if problem is not None:
            yield bad(what, problem) if status == "running" else look(what, str(problem))
    yield well(what, f"{readable:,} of the {len(known):,} that were watched can be read")


def _unreadable(project: Path) -> CryowatchError | None:
    """Return what keeps a project from being read, if anything does."""
    try:
        ScipionSource(project).read("")
    except CryowatchError as error:
        return error
    return None
