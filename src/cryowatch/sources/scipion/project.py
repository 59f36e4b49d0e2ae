"""Runs and outputs of a Scipion project, from `project.sqlite` and from the runs' own `run.db`.

`project.sqlite` is what the GUI stored last; a run's process writes `<workingDir>/logs/run.db`.  As in Scipion
(`Project.getRuns`, `Project._updateProtocol`), run.db counts for a run that project.sqlite calls active, where it
changed after project.sqlite took it over.  When that was, project.sqlite keeps as `lastUpdateTimeStamp`: the time of
run.db itself, in local time.  So run.db counts unless that is its own time still; in a wrong zone it counts in any
case, which does no harm, as the two agree then.  A run that project.sqlite calls ended is ended, whatever its run.db
says: its process was stopped and could not say so itself.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from operator import itemgetter
from pathlib import Path
from zoneinfo import ZoneInfo

from cryowatch.errors import SourceBusy, SourceError, SourceGone
from cryowatch.model import Output, OutputKind, Run, RunStatus, Session
from cryowatch.reach import MARK
from cryowatch.reading import Origin, Trouble
from cryowatch.sources.scipion.database import Stamp, inside, own_file, own_stamp, reading, stamp
from cryowatch.sources.scipion.objects import Node, Tree, tree_of
from cryowatch.sources.scipion.scalars import count_of, local_time, positive, text_of
from cryowatch.sources.scipion.zone import LocalTimes, local_times

_ACQUISITION = {
    "voltage": "_voltage",
    "spherical_aberration": "_sphericalAberration",
    "amplitude_contrast": "_amplitudeContrast",
    "magnification": "_magnification",
    "dose_per_frame": "_dosePerFrame",
}
CREATION = "CreationTime"
"""The name of the row that says when a project was made."""

MOST_ORIGIN = 100
"""Characters of that time which count."""

_LIVE = (RunStatus.LAUNCHED, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.SCHEDULED, RunStatus.INTERACTIVE)
_IMPORTS = ("ProtImportMovies", "ProtImportMicrographs")
_MONITOR = re.compile(r"(Prot|Cryowatch)Monitor(Summary|CTF|MovieGain|System)")
_PARAMETERS = {
    "voltage": "voltage",
    "spherical_aberration": "sphericalAberration",
    "amplitude_contrast": "amplitudeContrast",
    "magnification": "magnification",
    "pixel_size": "samplingRate",
    "dose_per_frame": "dosePerFrame",
}


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


RunTrees = dict[Path, tuple[Stamp, Tree]]
"""What run.db files said last."""


def read_project(
    folder: Path,
    *,
    host: str,
    zone: ZoneInfo | None,
    known: RunTrees,
    now: int,
    only: Container[str] | None = None,
) -> Project:
    """Return the project in a folder; raises a `SourceError` where it cannot be told what the runs' outputs are.

    `only` are the ids of the runs that count; None: all.
    `known` keeps what the runs' own files said, from one call to the next; `now` is the time in ns.
    """
    path = folder / MARK
    stamps: dict[Path, Stamp | None] = {path: (found := own_stamp(path, folder, now))}
    with reading(path, project=folder) as database:
        tree = tree_of(database, path, found)
    made = next((root for root in tree.roots if root.name == CREATION), None)
    times = local_times(
        zone, made.value if made else None, made.creation if made else None, latest=min(found.changed, now)
    )
    runs: list[Run] = []
    outputs: list[Output] = []
    prefixes: dict[tuple[str, str], str] = {}
    troubles: list[Trouble] = []
    acquisitions: list[tuple[int, str, float]] = []
    for root in tree.roots:
        values = tree.values(root.id)
        if "status" not in values or (only is not None and str(root.id) not in only):
            continue
        working_dir = values.get("workingDir") or ""
        versions = [(tree, root)]
        latest = found.changed
        if status_of(values["status"]) in _LIVE and working_dir:
            try:
                file = inside(folder, working_dir) / "logs" / "run.db"
                versions = [*_newer(folder, file, root, values, times, known, stamps, now), *versions]
                own = stamps[file]
                latest = max(found.changed, own.changed) if own else found.changed
            except SourceBusy:
                raise
            except SourceError as error:
                troubles.append(Trouble(where=f"{working_dir}/logs/run.db", state=error.state, text=error.what))
        said, inputs = versions[0][0].values(root.id), _inputs(tree, root)
        run = _run(root, said, working_dir, times, min(latest, now), inputs)
        runs.append(run)
        for output, prefix in _outputs(run, versions):
            outputs.append(output)
            if prefix:
                prefixes[output.run, output.name] = prefix
        acquisitions += _acquisition(*versions[0])
    doubt = times.trouble(MARK)
    if doubt is not None:
        troubles.append(doubt)
    for file in known.keys() - stamps.keys():
        del known[file]
    acquisition: dict[str, float] = {}
    for _, field, value in sorted(acquisitions, key=itemgetter(0)):
        acquisition.setdefault(field, value)
    session = Session(
        name=folder.name,
        path=str(folder),
        host=host,
        created=times.created,
        status=_status(runs),
        **acquisition,  # type: ignore[arg-type]
    )
    return Project(
        origin=Origin(made.value[:MOST_ORIGIN], found.inode) if made and made.value else None,
        session=session,
        runs=tuple(runs),
        outputs=tuple(outputs),
        prefixes=prefixes,
        troubles=tuple(troubles),
        stamps=stamps,
    )


def origin_of(folder: Path) -> str:
    """Return when the project in a folder was made, as it says itself, "" where it does not; raises a `SourceError`."""
    with reading(folder / MARK, project=folder) as database:
        rows = database.rows("SELECT value FROM Objects WHERE name = ? AND parent_id IS NULL ORDER BY id", (CREATION,))
    return text_of(rows[0][0])[:MOST_ORIGIN] if rows else ""


def _newer(
    folder: Path,
    file: Path,
    root: Node,
    values: Mapping[str, str | None],
    times: LocalTimes,
    known: RunTrees,
    stamps: dict[Path, Stamp | None],
    now: int,
) -> list[tuple[Tree, Node]]:
    """Return the run as its own process wrote it, where that is newer; nothing where project.sqlite is up to date."""
    stamps[file] = None
    try:
        own_file(file, folder).close()
        stamps[file] = found = stamp(file, now)
    except SourceGone:
        return []
    if times.is_that_of(values.get("lastUpdateTimeStamp"), found.changed):
        return []
    kept = known.get(file)
    if kept is None or kept[0] != found or not found.settled:
        try:
            with reading(file, project=folder) as database:
                kept = known[file] = (found, tree_of(database, file, found))
        except SourceError:
            stamps[file] = replace(found, settled=False)
            if kept is None or kept[0].inode != found.inode:
                raise
    tree = kept[1]
    return [(tree, node) for node in tree.roots if node.id == root.id]


def _run(
    root: Node, values: Mapping[str, str | None], working_dir: str, times: LocalTimes, latest: int, inputs: str
) -> Run:
    """Return a run; a start or an end that lies after the last change of the files (`latest`, UTC ns) is none."""
    started = times.utc(values.get("initTime"), latest=latest, earliest=local_time(root.creation, UTC))
    return Run(
        run=str(root.id),
        label=root.label or root.class_name,
        class_name=root.class_name,
        status=values.get("status") or RunStatus.SAVED,
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
    return ",".join(found)


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
            name = node.name.rpartition(".")[2]
            values = tree.values(node.id)
            if name in done or not values or not (name in listed or node.class_name.startswith("SetOf")):
                continue
            done.add(name)
            stream = values.get("_streamState")
            path, prefix = set_place(values.get("_mapperPath"))
            output = Output(
                run=run.run,
                name=name,
                class_name=node.class_name,
                kind=kind_of(node.class_name),
                size=count_of(values.get("_size")) if "_size" in values else 1,
                stream_open=None if stream is None else stream == "1" and active,
                path=path,
            )
            yield output, prefix


def kind_of(class_name: str) -> OutputKind:
    """Return what the items of a set are; by its class, as names vary with the plugin."""
    match class_name:
        case "SetOfCTF":
            return OutputKind.CTF
        case "SetOfMicrographs":
            return OutputKind.MICROGRAPHS
        case "SetOfMovies":
            return OutputKind.MOVIES
        case _:
            return OutputKind.OTHER


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


def _acquisition(tree: Tree, root: Node) -> Iterable[tuple[int, str, float]]:
    """Yield what a run says of the acquisition, with a rank: first movies, then what an import was told, then others.

    Micrographs may be binned, so their pixel size comes last.  A form that was only saved holds defaults, and one that
    was told the scanned pixel size computes the other.
    """
    for node in tree.children.get(root.id, ()):
        kind = kind_of(node.class_name)
        if kind not in (OutputKind.MOVIES, OutputKind.MICROGRAPHS):
            continue
        rank = 0 if kind is OutputKind.MOVIES else 2
        for child in tree.children.get(node.id, ()):
            name = child.name.rpartition(".")[2]
            if name == "_samplingRate":
                yield from _ranked(rank, {"pixel_size": child.value})
            elif name == "_acquisition":
                values = tree.values(child.id)
                yield from _ranked(rank, {field: values.get(name) for field, name in _ACQUISITION.items()})
    parameters = tree.values(root.id)
    if root.class_name.startswith(_IMPORTS) and status_of(parameters.get("status")) is not RunStatus.SAVED:
        told = {field: parameters.get(name) for field, name in _PARAMETERS.items()}
        if parameters.get("samplingRateMode") not in (None, "0"):
            del told["pixel_size"]
        yield from _ranked(1, told)


def _ranked(rank: int, texts: Mapping[str, str | None]) -> Iterable[tuple[int, str, float]]:
    for field, text in texts.items():
        value = positive(text)
        if value is not None:
            yield rank, field, value


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


def status_of(text: str | None) -> RunStatus:
    """Return a run's status; one that Scipion does not have counts as saved."""
    try:
        return RunStatus(text or "")
    except ValueError:
        return RunStatus.SAVED


def with_sizes(outputs: Iterable[Output], counts: Mapping[tuple[str, str], int]) -> tuple[Output, ...]:
    """Return the outputs with the sizes of those whose items were counted in their own files."""
    return tuple(replace(o, size=counts[o.run, o.name]) if (o.run, o.name) in counts else o for o in outputs)
