"""Runs and outputs of a Scipion project, from `project.sqlite` and from the runs' own `run.db`.

`project.sqlite` is what the GUI stored last; a run's process writes `<workingDir>/logs/run.db`.  As in Scipion
(`Project._updateProtocol`), run.db counts where it changed after the `lastUpdateTimeStamp` that project.sqlite holds
for the run; but a run that project.sqlite calls ended, and that wrote nothing since, stays ended: its process was
stopped and could not say so itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cryowatch.errors import SourceError, SourceGone, SourceMalformed
from cryowatch.model import Output, OutputKind, Run, RunStatus, Session
from cryowatch.reading import Trouble
from cryowatch.sources.scipion.database import Database, Stamp, reading, stamp

_ENDED = (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.ABORTED)
_ACQUISITION = {
    "voltage": "_voltage",
    "spherical_aberration": "_sphericalAberration",
    "amplitude_contrast": "_amplitudeContrast",
    "magnification": "_magnification",
    "dose_per_frame": "_dosePerFrame",
}
_PARAMETERS = {
    "voltage": "voltage",
    "spherical_aberration": "sphericalAberration",
    "amplitude_contrast": "amplitudeContrast",
    "magnification": "magnification",
    "pixel_size": "samplingRate",
    "dose_per_frame": "dosePerFrame",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One row of the table `Objects`: an attribute, a run, an output."""

    id: int
    parent: int | None
    name: str
    class_name: str
    value: str | None
    label: str


@dataclass(frozen=True, slots=True)
class Tree:
    """All objects of a database, by id and by parent."""

    roots: tuple[Node, ...]
    children: Mapping[int, tuple[Node, ...]]

    def values(self, parent: int) -> dict[str, str | None]:
        """Return the attributes of an object by their last name."""
        return {n.name.rpartition(".")[2]: n.value for n in self.children.get(parent, ())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project at one time."""

    session: Session
    runs: tuple[Run, ...]
    outputs: tuple[Output, ...]
    troubles: tuple[Trouble, ...]
    run_files: tuple[Path, ...]
    """The run.db files whose change may change the rest."""


RunTrees = dict[Path, tuple[Stamp, Tree]]
"""The contents of run.db files that have not changed since."""


def read_project(folder: Path, *, host: str, zone: ZoneInfo | None, known: RunTrees, now: int) -> Project:
    """Return the project in a folder; raises a `SourceError` where project.sqlite cannot be read.

    `known` keeps what the runs' own files said, from one call to the next; `now` is the time in ns.
    """
    path = folder / "project.sqlite"
    with reading(path) as database:
        tree = _tree(database, path)
    stored = path.stat().st_mtime
    created = None
    runs: list[Run] = []
    outputs: list[Output] = []
    troubles: list[Trouble] = []
    files: list[Path] = []
    acquisition: dict[str, float | None] = {}
    for root in tree.roots:
        if root.name == "CreationTime":
            created = local_time(root.value, zone)
            continue
        if root.name and root.parent is None and not tree.children.get(root.id):
            continue
        own_tree, own_root = tree, root
        values = tree.values(root.id)
        if "status" not in values:
            continue
        working_dir = values.get("workingDir") or ""
        file = folder / working_dir / "logs" / "run.db"
        files.append(file)
        try:
            newer = _newer(file, root, values, stored, known, now)
        except SourceError as error:
            troubles.append(Trouble(where=_below(folder, file), state=error.state, text=error.what))
            newer = None
        if newer is not None:
            own_tree, own_root = newer
        run = _run(root, own_tree.values(own_root.id), working_dir, zone)
        runs.append(run)
        outputs.extend(_outputs(run, own_tree, own_root))
        for name, value in _acquisition(own_tree, own_root).items():
            acquisition.setdefault(name, value)
    return Project(
        session=Session(
            name=folder.name,
            path=str(folder),
            host=host,
            created=created,
            status=_status(runs),
            **acquisition,  # type: ignore[arg-type]
        ),
        runs=tuple(runs),
        outputs=tuple(outputs),
        troubles=tuple(troubles),
        run_files=tuple(files),
    )


def _tree(database: Database, path: Path) -> Tree:
    if "Objects" not in database.tables():
        if path.stat().st_size == 0 or not database.tables():
            return Tree((), {})
        raise SourceMalformed("holds no table Objects", where=path, remedy="Is this a Scipion project?")
    rows = database.rows("SELECT id, parent_id, name, classname, value, label FROM Objects ORDER BY id")
    children: dict[int, list[Node]] = defaultdict(list)
    roots = []
    for number, parent, name, class_name, value, label in rows:
        text = None if value is None else str(value)
        node = Node(number, parent, str(name or ""), str(class_name or ""), text, str(label or ""))
        if parent is None:
            roots.append(node)
        else:
            children[parent].append(node)
    return Tree(tuple(roots), {k: tuple(v) for k, v in children.items()})


def _newer(
    file: Path, root: Node, values: Mapping[str, str | None], stored: float, known: RunTrees, now: int
) -> tuple[Tree, Node] | None:
    """Return the run as its own process wrote it, where that is newer; None where project.sqlite is up to date."""
    try:
        found = stamp(file, now)
    except SourceGone:
        return None
    changed = found.changed / 1e9
    seen = local_time(values.get("lastUpdateTimeStamp"), None)
    if seen is not None and changed <= seen / 1e9:
        return None
    kept = known.get(file)
    if kept is not None and kept[0] == found:
        tree = kept[1]
    else:
        with reading(file) as database:
            tree = _tree(database, file)
        known.pop(file, None)
        if found.settled:
            known[file] = (found, tree)
    own = next((n for n in tree.roots if n.id == root.id), None)
    if own is None:
        return None
    ended_here = status_of(values.get("status")) in _ENDED
    ended_there = status_of(tree.values(own.id).get("status")) in _ENDED
    if ended_here and not ended_there and changed <= stored:
        return None
    return tree, own


def _run(root: Node, values: Mapping[str, str | None], working_dir: str, zone: ZoneInfo | None) -> Run:
    return Run(
        run=str(root.id),
        label=root.label or root.class_name,
        class_name=root.class_name,
        status=values.get("status") or RunStatus.SAVED,
        started=local_time(values.get("initTime"), zone),
        ended=local_time(values.get("endTime"), zone),
        error=values.get("_error") or "",
        working_dir=working_dir,
    )


def _outputs(run: Run, tree: Tree, root: Node) -> Iterable[Output]:
    """Yield the outputs of a run: what its list `_outputs` names, and every set."""
    listed = {name.strip() for name in (tree.values(root.id).get("_outputs") or "").split(",")}
    active = status_of(run.status).active
    for node in tree.children.get(root.id, ()):
        name = node.name.rpartition(".")[2]
        if name not in listed and not node.class_name.startswith("SetOf"):
            continue
        children = tree.children.get(node.id, ())
        if not children:
            continue
        values = {n.name.rpartition(".")[2]: n.value for n in children}
        is_set = "_size" in values
        stream = values.get("_streamState")
        yield Output(
            run=run.run,
            name=name,
            class_name=node.class_name,
            kind=kind_of(node.class_name),
            size=_whole(values.get("_size")) if is_set else 1,
            stream_open=(stream == "1" and active) if is_set and stream else None,
            path=set_file(values.get("_mapperPath")),
        )


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


def set_file(mapper_path: str | None) -> str:
    """Return the file of a `_mapperPath` ("Runs/…/ctfs.sqlite, " is a file and a prefix of its tables)."""
    return (mapper_path or "").rpartition(",")[0].strip() if "," in (mapper_path or "") else (mapper_path or "").strip()


def _acquisition(tree: Tree, root: Node) -> dict[str, float | None]:
    """Return the acquisition as the run's movies or micrographs have it, else as an import was told."""
    found: dict[str, float | None] = {}
    for node in tree.children.get(root.id, ()):
        if kind_of(node.class_name) not in (OutputKind.MOVIES, OutputKind.MICROGRAPHS):
            continue
        for child in tree.children.get(node.id, ()):
            name = child.name.rpartition(".")[2]
            if name == "_samplingRate":
                found.setdefault("pixel_size", positive(child.value))
            elif name == "_acquisition":
                values = tree.values(child.id)
                for field, attribute in _ACQUISITION.items():
                    found.setdefault(field, positive(values.get(attribute)))
    parameters = tree.values(root.id)
    if root.class_name.startswith("ProtImport"):
        for field, attribute in _PARAMETERS.items():
            if found.get(field) is None:
                found[field] = positive(parameters.get(attribute))
    return {k: v for k, v in found.items() if v is not None}


def _status(runs: Iterable[Run]) -> str:
    """Return `running` while a run is at work, else `failed` if one failed, else `finished`; `empty` without runs."""
    found = {status_of(run.status) for run in runs}
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


def local_time(text: str | None, zone: ZoneInfo | None) -> int | None:
    """Return Scipion's local time ("2026-11-23 20:29:31.404693") as UTC nanoseconds; None for no time."""
    try:
        naive = datetime.fromisoformat((text or "").strip())
    except ValueError:
        return None
    aware = naive if naive.tzinfo else naive.replace(tzinfo=zone) if zone else naive.astimezone()
    whole = aware.astimezone(UTC)
    return int(whole.replace(microsecond=0).timestamp()) * 10**9 + whole.microsecond * 1_000


def positive(value: object) -> float | None:
    """Return a finite number above zero, else None."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if 0 < number < float("inf") else None


def _whole(text: str | None) -> int | None:
    try:
        return int(float(text or ""))
    except (ValueError, OverflowError):
        return None


def _below(folder: Path, file: Path) -> str:
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file)


def with_sizes(outputs: Iterable[Output], counts: Mapping[tuple[str, str], int]) -> tuple[Output, ...]:
    """Return the outputs with the sizes of those whose items were counted in their own files."""
    return tuple(replace(o, size=counts[o.run, o.name]) if (o.run, o.name) in counts else o for o in outputs)
