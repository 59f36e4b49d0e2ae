"""Runs and outputs of a Scipion project, from `project.sqlite` and from the runs' own `run.db`.

`project.sqlite` is what the GUI stored last; a run's process writes `<workingDir>/logs/run.db`.  As in Scipion
(`Project.getRuns`, `Project._updateProtocol`), run.db counts for a run that project.sqlite calls active, where it
changed after project.sqlite took it over.  When that was, project.sqlite keeps as `lastUpdateTimeStamp`: the time of
run.db itself, in local time.  So run.db counts unless that is its own time still; in a wrong zone it counts in any
case, which does no harm, as the two agree then.  A run that project.sqlite calls ended is ended, whatever its run.db
says: its process was stopped and could not say so itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from cryowatch.errors import SourceBusy, SourceError, SourceGone, SourceMalformed
from cryowatch.reading import Origin, Trouble
from cryowatch.records import Output, Run, RunStatus, Session
from cryowatch.sources.scipion.acquisition import acquisition_of, first_said, kind_of, status_of
from cryowatch.sources.scipion.copies import NoRoom, Room
from cryowatch.sources.scipion.database import inside, own_file, own_stamp, reading
from cryowatch.sources.scipion.files import Stamp, stamp
from cryowatch.sources.scipion.objects import Node, Tree, tree_of
from cryowatch.sources.scipion.scalars import MOST_TEXT, count_of, local_time, text_of
from cryowatch.sources.scipion.zone import LocalTimes, local_times
from cryowatch.system.reach import MARK

RUN_FILE = "logs/run.db"
"""What a run's own process writes, below its folder."""

CREATION = "CreationTime"
"""The name of the row that says when a project was made."""

MOST_ORIGIN = 100
"""Characters of that time which count."""

_LIVE = (RunStatus.LAUNCHED, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.SCHEDULED, RunStatus.INTERACTIVE)
_MONITOR = re.compile(r"(Prot|Cryowatch)Monitor(Summary|CTF|MovieGain|System)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project at one time."""

    origin: Origin | None
    session: Session
    runs: tuple[Run, ...]
    outputs: tuple[Output, ...]
    prefixes: Mapping[tuple[str, str], str]
    """What the names of a set's tables begin with, by run and name of the output; only where that is not nothing."""
    troubles: tuple[Trouble, ...]
    stamps: Mapping[Path, Stamp | None]
    """The files whose change may change the rest, as they were before they were read.

    None stands for one that was not there; one that is not settled has to be read again in any case.
    """


MOST_RUNS = 1_000
MOST_OUTPUTS = 2_000
"""Of one project, which are those that count; their names have `MOST_NAME` characters at most."""

MOST_NAME = 300

READ_AT_ONCE = Room(2**24)
"""Bytes of projects' databases that are read at a time: what they hold takes a few times as much memory."""

WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RunFile:
    """What a run.db said when it had a stamp, or the last time before that it could be read, and why it cannot be."""

    seen: Stamp
    tree: Tree | None = None
    error: SourceMalformed | None = None


RunTrees = dict[Path, RunFile]


def read_project(
    folder: Path,
    *,
    host: str,
    zone: ZoneInfo | None,
    known: RunTrees,
    now: int,
    only: Container[str] | None = None,
    most_runs: int = MOST_RUNS,
    most_outputs: int = MOST_OUTPUTS,
) -> Project:
    """Return the project in a folder; raises a `SourceError` where it cannot be told what the runs' outputs are.

    `only` are the ids of the runs that count; None: all.  Runs and outputs beyond the first so many are left out, and
    that is said.
    `known` keeps what the runs' own files said, from one call to the next; `now` is the time in ns.
    """
    path = folder / MARK
    stamps: dict[Path, Stamp | None] = {path: (found := own_stamp(path, folder, now))}
    tree = _tree(folder, path, found)
    made = next((root for root in tree.roots if root.name == CREATION), None)
    times = local_times(
        zone, made.value if made else None, made.creation if made else None, latest=min(found.changed, now)
    )
    runs: list[Run] = []
    outputs: list[Output] = []
    prefixes: dict[tuple[str, str], str] = {}
    troubles: list[Trouble] = []
    acquisitions: list[tuple[int, str, float]] = []
    chosen = [
        root for root in tree.roots if "status" in tree.values(root.id) and (only is None or str(root.id) in only)
    ]
    for root in chosen[:most_runs]:
        working_dir = tree.values(root.id).get("workingDir") or ""
        try:
            newer, changed = _newer(folder, tree, root, times, known, stamps, now)
        except SourceBusy:
            raise
        except SourceError as error:
            newer, changed = [], 0
            troubles.append(Trouble(where=f"{working_dir}/logs/run.db", state=error.state, text=error.what))
        versions = [*newer, (tree, root)]
        latest = max(found.changed, changed)
        run = _run(root, versions[0][0].values(root.id), working_dir, times, min(latest, now), _inputs(tree, root))
        runs.append(run)
        for output, prefix in islice(_outputs(run, versions), most_outputs + 1 - len(outputs)):
            outputs.append(output)
            if prefix:
                prefixes[output.run, output.name] = prefix
        acquisitions += acquisition_of(*versions[0])
    for what, count, most in (("runs", len(chosen), most_runs), ("outputs", len(outputs), most_outputs)):
        if count > most:
            text = f"holds more than {most:,} {what}; the first {most:,} are shown"
            troubles.append(Trouble(where=MARK, state=SourceMalformed.state, text=text))
    doubt = times.trouble(MARK)
    if doubt is not None:
        troubles.append(doubt)
    for file in known.keys() - stamps.keys():
        del known[file]
    session = Session(
        name=folder.name,
        path=str(folder),
        host=host,
        created=times.created,
        status=_status(runs),
        **first_said(acquisitions),  # type: ignore[arg-type]
    )
    return Project(
        origin=Origin(made.value[:MOST_ORIGIN], found.inode) if made and made.value else None,
        session=session,
        runs=tuple(runs),
        outputs=tuple(outputs[:most_outputs]),
        prefixes=prefixes,
        troubles=tuple(troubles),
        stamps=stamps,
    )


def origin_of(folder: Path) -> str:
    """Return when the project in a folder was made, as it says itself, "" where it does not; raises a `SourceError`."""
    with reading(folder / MARK, project=folder) as database:
        rows = database.rows("SELECT value FROM Objects NOT INDEXED WHERE name = ? AND parent_id IS NULL", (CREATION,))
    return text_of(rows[0][0])[:MOST_ORIGIN] if rows else ""


def has_left(folder: Path, inode: int | None, created: str, *, now_at: int) -> bool:
    """Return whether a project, made at a time, lies in a folder no more, as it has another one by now.

    `inode` is that which its database had, `now_at` the one it has.  An empty place where nothing is mounted is no sign
    that something has left it, unless the file is the very same.
    """
    try:
        (folder / MARK).stat()
    except FileNotFoundError:
        return inode == now_at or _holds_something(folder.parent)
    except OSError:
        return False
    try:
        return origin_of(folder) != created
    except SourceError:
        return False


def _holds_something(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def _newer(
    folder: Path,
    project: Tree,
    root: Node,
    times: LocalTimes,
    known: RunTrees,
    stamps: dict[Path, Stamp | None],
    now: int,
) -> tuple[list[tuple[Tree, Node]], int]:
    """Return a run at work as its own process wrote it, where that is newer than what the project says, and when.

    That is the time of the run's file, 0 without one.
    """
    values = project.values(root.id)
    if status_of(values["status"]) not in _LIVE or not values.get("workingDir"):
        return [], 0
    file = inside(folder, values["workingDir"] or "") / RUN_FILE
    stamps[file] = None
    try:
        own_file(file, folder).close()
        stamps[file] = found = stamp(file, now)
    except SourceGone:
        return [], 0
    if times.is_that_of(values.get("lastUpdateTimeStamp"), found.changed):
        return [], found.changed
    kept = known.get(file)
    if kept is None or kept.seen != found or not found.settled:
        earlier = kept.tree if kept is not None and kept.seen.inode == found.inode else None
        try:
            kept = RunFile(found, _tree(folder, file, found).of(root.id))
        except SourceMalformed as error:
            kept = RunFile(found, earlier, error)
        except SourceError:
            stamps[file] = replace(found, settled=False)
            if kept is None or earlier is None:
                raise
        known[file] = kept
    if kept.tree is not None:
        return [(kept.tree, node) for node in kept.tree.roots], found.changed
    if kept.error is not None:
        raise SourceMalformed(kept.error.what, where=file, remedy=kept.error.remedy)
    return [], found.changed


def _tree(folder: Path, path: Path, found: Stamp) -> Tree:
    """Return the objects of a database of a project, when it is its turn; raises a `SourceError`."""
    with ExitStack() as opened:
        try:
            opened.enter_context(READ_AT_ONCE.of(found.size, patience=WAIT_SECONDS))
        except NoRoom as error:
            raise SourceBusy("others are being read", where=path) from error
        with reading(path, project=folder) as database:
            return tree_of(database, path, found)


def _run(
    root: Node, values: Mapping[str, str | None], working_dir: str, times: LocalTimes, latest: int, inputs: str
) -> Run:
    """Return a run; a start or an end that lies after the last change of the files (`latest`, UTC ns) is none."""
    started = times.utc(values.get("initTime"), latest=latest, earliest=local_time(root.creation, UTC))
    return Run(
        run=str(root.id),
        label=(root.label or root.class_name)[:MOST_NAME],
        class_name=root.class_name[:MOST_NAME],
        status=(values.get("status") or RunStatus.SAVED)[:MOST_NAME],
        started=started,
        ended=times.utc(values.get("endTime"), latest=latest, earliest=started),
        error=values.get("_error") or "",
        working_dir=working_dir,
        files=_files(values),
        inputs=inputs,
    )


def _inputs(tree: Tree, root: Node) -> str:
    """Return what a run was made from, as its parameters point to it: RUN.OUTPUT, between commas, each once.

    A pointer holds the id of a run, and the output's name beside it (`_extended`); older ones hold the id of the output
    itself.  One in a list stands a level lower.  One that points to a run and names no output says no set.
    """
    found: dict[str, None] = {}
    for node in tree.children.get(root.id, ()):
        pointers = [node, *tree.children.get(node.id, ())] if node.class_name.startswith("Pointer") else []
        for pointer in pointers:
            if pointer.class_name != "Pointer" or not (pointer.value or "").strip():
                continue
            number = (pointer.value or "").strip()
            name = (tree.values(pointer.id).get("_extended") or "").partition(".")[0]
            if name:
                found[f"{number}.{name}"] = None
            elif number in tree.outputs:
                found[tree.outputs[number]] = None
    return ",".join(found)[:MOST_TEXT]


def _files(values: Mapping[str, str | None]) -> str:
    """Return where an import looks for files, as Scipion puts folder and pattern together; empty for other runs."""
    folder, pattern = (values.get("filesPath") or "").strip(), (values.get("filesPattern") or "").strip()
    return f"{folder.rstrip('/')}/{pattern}" if folder and pattern else folder


def _outputs(run: Run, versions: Sequence[tuple[Tree, Node]]) -> Iterable[tuple[Output, str]]:
    """Yield the outputs of a run, what its list `_outputs` names and every set, each with the prefix of its tables.

    An output that the GUI added is in project.sqlite alone; Scipion merges them likewise.
    """
    active = status_of(run.status).active
    done: set[str] = set()
    for tree, root in versions:
        listed = {name.strip() for name in (tree.values(root.id).get("_outputs") or "").split(",")}
        for node in tree.children.get(root.id, ()):
            name = node.name.rpartition(".")[2][:MOST_NAME]
            values = tree.values(node.id)
            if name in done or not values or not (name in listed or node.class_name.startswith("SetOf")):
                continue
            done.add(name)
            stream = values.get("_streamState")
            path, prefix = set_place(values.get("_mapperPath"))
            output = Output(
                run=run.run,
                name=name,
                class_name=node.class_name[:MOST_NAME],
                kind=kind_of(node.class_name),
                size=count_of(values.get("_size")) if "_size" in values else 1,
                stream_open=None if stream is None else stream == "1" and active,
                path=path,
            )
            yield output, prefix


def set_place(mapper_path: str | None) -> tuple[str, str]:
    """Return the file of a `_mapperPath` and what the names of the set's tables begin with.

    "Runs/…/ctfs.sqlite, Bad" is a set in the tables `Bad_Classes` and `Bad_Objects`, and "Runs/…/ctfs.sqlite, " one
    without a prefix.  As in Scipion (`SqliteFlatDb`), an underscore is added where the prefix does not end with one.
    """
    path, comma, prefix = (mapper_path or "").rpartition(",")
    if not comma:
        return prefix.strip(), ""
    prefix = prefix.strip()
    return path.strip(), prefix if not prefix or prefix.endswith("_") else f"{prefix}_"


def _status(runs: Iterable[Run]) -> str:
    """Return `running` while a run is at work, else `failed` if one failed, else `finished`; `empty` without runs.

    Monitors do not count where there are others: one may go on for weeks after the last movie.
    """
    every = list(runs)
    found = {status_of(run.status) for run in every if not _MONITOR.fullmatch(run.class_name)}
    found = found or {status_of(run.status) for run in every}
    if not found:
        return "empty"
    if any(status.active for status in found):
        return "running"
    return "failed" if RunStatus.FAILED in found else "finished"


def with_sizes(outputs: Iterable[Output], counts: Mapping[tuple[str, str], int]) -> tuple[Output, ...]:
    """Return the outputs with the sizes of those whose items were counted in their own files."""
    return tuple(replace(o, size=counts[o.run, o.name]) if (o.run, o.name) in counts else o for o in outputs)
