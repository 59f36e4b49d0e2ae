"""A Scipion project as a source: what is new since a cursor, read beside Scipion while it writes.

Stat first, open only on change.  Items are read by id, yet ids are not an order in time: streaming protocols append
results as they finish, under the id of their input, and people disable items later.  So where a set's count does not
agree with what was read, it is read again from the first id that differs.  And it is *swept*, read again from its
beginning, when its file was replaced, and after it changed: at most once a minute while its stream is open, else as
soon as it lies still.

The cursor is JSON: a number that grows with each reading that says anything; for each set its file's inode, the time
of the file that the last sweep saw, the id up to which it was read, and the number of items below that; and for each
file of gain residuals its inode and the place up to which it was read.  What else is known of the files is only kept
in memory, for the cursor that was returned last: another cursor (after a restart, or when a reading could not be
stored) means to look at every file.
"""

from __future__ import annotations

import json
import time
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cryowatch.errors import SourceError, SourceMalformed
from cryowatch.model import GainResidual, Output, OutputKind, Run
from cryowatch.reading import Reading, Span, Trouble
from cryowatch.sources.scipion.database import Stamp, inside, own_stamp, reading, stamp
from cryowatch.sources.scipion.gain import FILE, GainProgress, Seen, has_gains, read_gains
from cryowatch.sources.scipion.project import Project, RunTrees, read_project, with_sizes
from cryowatch.sources.scipion.sets import ItemSet, Tables, tables_of

MOST_ITEMS = 2_000
SWEEP_NS = 60 * 10**9
_VERSION = 2
_BEFORE = 1
"""What cursors of this version say of sets does not count: some values were read otherwise, and all are read anew."""

_ORDER = (OutputKind.CTF, OutputKind.MICROGRAPHS, OutputKind.MOVIES)

Key = tuple[str, str]


@dataclass(slots=True)
class _Progress:
    """How far one set has been read: up to id `at`, with `count` items, and to its end where `ended`.

    `swept` is the time of the file when the last sweep began; 0 where that was too fresh to tell a later change.
    `prefix` is what the names of its tables begin with.
    """

    inode: int = 0
    swept: int = 0
    at: int = 0
    count: int = 0
    ended: bool = False
    strange: str = ""
    prefix: str = ""


@dataclass(slots=True)
class _Look:
    """What the last look at a set showed besides its progress.

    `seen` is the file's stamp where nothing more is to come without a change of it, `swept_at` the time of the last
    sweep, and `ids` those of the items that were read.
    """

    seen: Stamp | None = None
    swept_at: int = 0
    ids: array[int] = field(default_factory=lambda: array("q"))


@dataclass(slots=True)
class _Memory:
    """What is known of the files besides the cursor."""

    project: Project | None = None
    looks: dict[Key, _Look] = field(default_factory=dict)
    troubles: dict[Key, Trouble] = field(default_factory=dict)
    gains_seen: dict[str, Seen | None] = field(default_factory=dict)
    run_trees: RunTrees = field(default_factory=dict)


@dataclass(slots=True)
class _Gains:
    """What is new in the files of gain residuals, and how far each was read, by run."""

    progress: dict[str, GainProgress] = field(default_factory=dict)
    residuals: list[GainResidual] = field(default_factory=list)
    anew: set[str] = field(default_factory=set)
    troubles: list[Trouble] = field(default_factory=list)
    finished: bool = True


class ScipionSource:
    """Reads the project in `path`; `time_zone` is that of its local times (None: this machine's).

    `runs` are the ids of those that are read (None: all); the session is then theirs, and ends when they have.
    `host` is the name of the machine that reads, for the session's record; `clock` gives UTC nanoseconds.
    """

    def __init__(
        self,
        path: Path,
        *,
        time_zone: ZoneInfo | None = None,
        runs: Collection[int] | None = None,
        host: str = "",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._path = path
        self._zone = time_zone
        self._runs = None if runs is None else frozenset(str(run) for run in runs)
        self._host = host
        self._clock = clock
        self._cursor: str | None = None
        self._memory = _Memory()

    def read(self, cursor: str) -> Reading:
        """Return what is new since a cursor; raises a `SourceError` where the project itself cannot be read.

        A set that cannot be read is a trouble of the reading; what was read of it before stays as it is.
        """
        memory = self._memory if cursor == self._cursor else _Memory()
        number, progress, gain_progress = _parsed(cursor)
        now = self._clock()
        project, news = self._project(memory, now)
        self._cursor, self._memory = None, memory
        sets = [o for kind in _ORDER for o in project.outputs if o.kind is kind and o.path]
        keys = [(o.run, o.name) for o in sets]
        progress = {key: progress.get(key, _Progress()) for key in keys}
        memory.troubles = {key: trouble for key, trouble in memory.troubles.items() if key in progress}
        memory.looks = {key: look for key, look in memory.looks.items() if key in progress}
        spans: list[Span] = []
        finished = True
        left = MOST_ITEMS
        for key, output in zip(keys, sets, strict=True):
            if left <= 0:
                finished = False
                break
            prefix = project.prefixes.get(key, "")
            progress[key], found = self._read_set(memory, output, prefix, progress[key], left, now)
            spans += found
            left -= sum(len(s.items) for s in found)
            finished = finished and (progress[key].ended or key in memory.troubles)
        gains = self._read_gains(memory, project.runs, gain_progress, now)
        finished = finished and gains.finished
        said = news or bool(spans) or gains.progress != gain_progress
        counts = {key: known.count for key, known in progress.items() if known.ended}
        done = sum(known.count for known in progress.values())
        result = Reading(
            cursor=_written(number + 1, progress, gains.progress) if said else cursor,
            session=project.session if said else None,
            runs=project.runs if said else None,
            outputs=with_sizes(project.outputs, counts) if said else None,
            spans=tuple(spans),
            gains=tuple(gains.residuals),
            gains_anew=frozenset(gains.anew),
            troubles=(*project.troubles, *memory.troubles.values(), *_strange(sets, progress), *gains.troubles),
            finished=finished,
            done=done,
            origin=project.origin,
            total=max(done, sum(max(o.size or 0, counts.get((o.run, o.name), 0)) for o in sets)),
        )
        self._cursor = result.cursor
        return result

    def _project(self, memory: _Memory, now: int) -> tuple[Project, bool]:
        """Return the project, and whether it says anything new."""
        before = memory.project
        if before is not None and all(_unchanged(path, found, now) for path, found in before.stamps.items()):
            return before, False
        project = read_project(
            self._path, host=self._host, zone=self._zone, known=memory.run_trees, now=now, only=self._runs
        )
        memory.project = project
        if before is None:
            return project, True
        return project, (before.session, before.runs, before.outputs) != (
            project.session,
            project.runs,
            project.outputs,
        )

    def _read_gains(self, memory: _Memory, runs: Iterable[Run], known: Mapping[str, GainProgress], now: int) -> _Gains:
        """Return what is new in every file of gain residuals."""
        found = _Gains()
        for run in filter(has_gains, runs):
            before = known.get(run.run, GainProgress())
            where = f"{run.working_dir}/{FILE}"
            try:
                news = read_gains(self._path, run, before, memory.gains_seen.get(run.run), now)
            except SourceError as error:
                found.progress[run.run] = before
                found.troubles.append(Trouble(where=where, state=error.state, text=_said(error)))
                continue
            memory.gains_seen[run.run] = news.seen
            if news.progress != GainProgress():
                found.progress[run.run] = news.progress
            found.residuals += news.residuals
            found.finished = found.finished and news.finished
            if news.anew:
                found.anew.add(run.run)
            if news.progress.strange:
                found.troubles.append(Trouble(where=where, state=SourceMalformed.state, text=news.progress.strange))
        return found

    def _read_set(
        self, memory: _Memory, output: Output, prefix: str, known: _Progress, most: int, now: int
    ) -> tuple[_Progress, list[Span]]:
        """Return how far a set has been read, and the spans that are new in it."""
        key = (output.run, output.name)
        before, look = known, memory.looks.get(key, _Look())
        try:
            path = inside(self._path, output.path)
            seen = own_stamp(path, self._path, now)
            closed_and_still = seen.settled and not output.stream_open
            waited = now - look.swept_at > SWEEP_NS
            due = known.ended and known.swept != seen.changed and (waited or closed_and_still)
            same = known.inode == seen.inode and known.prefix == prefix
            if same and known.ended and not due and look.seen == seen:
                return known, []
            known, look = replace(known), replace(look, ids=look.ids[:])
            with reading(path, project=self._path) as database:
                tables = tables_of(database, prefix)
                if tables.whole:
                    items = ItemSet(
                        database, tables, output.kind, run=output.run, output=output.name, changed=seen.changed
                    )
                    sweep = due or not same or items.last() < known.at
                    spans = _new_spans(items, known, look, seen, now, most=most, sweep=sweep)
                else:
                    spans = _without_tables(output, path, tables, known, look, seen, now, same=same)
                known.prefix = prefix
        except SourceError as error:
            memory.troubles[key] = Trouble(where=_where(output.path, prefix), state=error.state, text=_said(error))
            return before, []
        memory.troubles.pop(key, None)
        look.seen = seen if seen.settled and known.ended else None
        memory.looks[key] = look
        return known, spans


def _said(error: SourceError) -> str:
    return error.what if error.remedy is None else f"{error.what}. {error.remedy}"


def _unchanged(path: Path, found: Stamp | None, now: int) -> bool:
    if found is not None and not found.settled:
        return False
    try:
        return stamp(path, now) == found
    except SourceError:
        return found is None


def _new_spans(
    items: ItemSet, known: _Progress, look: _Look, seen: Stamp, now: int, *, most: int, sweep: bool
) -> list[Span]:
    """Return what is new in a set, and take `known` and `look` on."""
    if sweep:
        _begin(known, look, seen, now)
    spans = _pages(items, known, look, most)
    if not known.ended or items.size() == known.count:
        return spans
    present = items.ids()
    if len(present) == known.count:
        return spans
    if len(look.ids) == known.count:
        common = _common(look.ids, present)
        known.at = look.ids[common - 1] if common else 0
        known.count = common
        known.ended = False
        del look.ids[common:]
    else:
        _begin(known, look, seen, now)
    return spans + _pages(items, known, look, most - sum(len(s.items) for s in spans))


def _begin(known: _Progress, look: _Look, seen: Stamp, now: int) -> None:
    """Set out on a sweep."""
    known.inode = seen.inode
    known.swept = seen.changed if seen.settled else 0
    known.at = known.count = 0
    known.ended = False
    known.strange = ""
    look.swept_at = now
    look.ids = array("q")


def _pages(items: ItemSet, known: _Progress, look: _Look, most: int) -> list[Span]:
    """Return what follows, a span a page; none where the end was known already and nothing came after it."""
    spans: list[Span] = []
    left = most
    was_ended, known.ended = known.ended, False
    while left > 0 and not known.ended:
        page = items.page(known.at)
        if page.items or not was_ended:
            upto = None if page.complete else page.last
            spans.append(
                Span(
                    run=items.run,
                    output=items.output,
                    after=known.at,
                    upto=upto,
                    items=page.items,
                    shifts=page.shifts,
                )
            )
        if page.last is not None:
            known.at = page.last
        known.count += len(page.items)
        known.ended = page.complete
        look.ids.extend(page.items.column("item"))
        left -= len(page.items)
    known.strange = known.strange or items.strange
    return spans


def _without_tables(
    output: Output, path: Path, tables: Tables, known: _Progress, look: _Look, seen: Stamp, now: int, *, same: bool
) -> list[Span]:
    """Scipion makes a set's file before its tables: where a run is at work, or nothing was counted, it is empty.

    Raises `SourceMalformed` where it ought to hold something, or where it lies still with a part of its tables.
    `same` says that the set is the one whose progress is known.
    """
    lost = (same and known.count > 0) or (tables.begun and seen.settled)
    if lost or (not output.stream_open and output.size):
        what = "lacks a table" if tables.begun else "holds no tables"
        if tables.prefix:
            what += f" of those whose names begin with {tables.prefix!r}"
        raise SourceMalformed(what, where=path, remedy="Was it cut short? Check the disk and the copy")
    if same and known.ended:
        return []
    _begin(known, look, seen, now)
    known.ended = True
    return [Span(run=output.run, output=output.name, after=0, upto=None, items=())]


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the length of the beginning that two sequences share."""
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return index
    return min(len(first), len(second))


def _where(path: str, prefix: str) -> str:
    """Return how a set is named to people: its file, and the prefix of its tables where it has one."""
    return f"{path}, {prefix.removesuffix('_')}" if prefix else path


def _strange(sets: Sequence[Output], progress: dict[Key, _Progress]) -> list[Trouble]:
    found = [(o.path, progress[o.run, o.name]) for o in sets]
    return [
        Trouble(
            where=_where(path, known.prefix),
            state=SourceMalformed.state,
            text=f"{known.strange}. Such values count as none",
        )
        for path, known in found
        if known.strange
    ]


def _parsed(cursor: str) -> tuple[int, dict[Key, _Progress], dict[str, GainProgress]]:
    """Return the number and the progress in a cursor; of one that cannot be understood, the beginning.

    Of a cursor of an earlier version the gain residuals count, where it says anything of them.
    """
    try:
        data = json.loads(cursor) if cursor else {}
        if data.get("version") not in (_VERSION, _BEFORE):
            return 0, {}, {}
        sets = {}
        known = data["sets"] if data["version"] == _VERSION else ()
        for run, name, inode, swept, at, count, ended, strange, prefix in known:
            sets[str(run), str(name)] = _Progress(
                int(inode), int(swept), int(at), int(count), bool(ended), str(strange), str(prefix)
            )
        gains = {}
        for run, inode, at, line, tail, strange in data.get("gains", ()):
            gains[str(run)] = GainProgress(int(inode), int(at), int(line), int(tail), str(strange))
        return int(data["number"]), sets, gains
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return 0, {}, {}


def _written(number: int, progress: Mapping[Key, _Progress], gains: Mapping[str, GainProgress]) -> str:
    data: dict[str, Any] = {"version": _VERSION, "number": number}
    data["sets"] = [[*key, *astuple(known)] for key, known in progress.items()]
    if gains:
        data["gains"] = [[run, *astuple(known)] for run, known in gains.items()]
    return json.dumps(data, separators=(",", ":"))
