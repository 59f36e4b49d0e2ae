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

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo

from cryowatch.errors import SourceError, SourceMalformed
from cryowatch.reading import Reading, Span, Trouble
from cryowatch.records import GainResidual, Output, OutputKind, Run
from cryowatch.sources.scipion.cursor import Key, Progress, parsed, written
from cryowatch.sources.scipion.database import inside, own_stamp, reading
from cryowatch.sources.scipion.files import Stamp, stamp
from cryowatch.sources.scipion.gain import FILE, GainProgress, Seen, has_gains, read_gains
from cryowatch.sources.scipion.project import Project, RunTrees, read_project, with_sizes
from cryowatch.sources.scipion.sets import ItemSet, tables_of
from cryowatch.sources.scipion.spans import Look, new_spans, without_tables
from cryowatch.system.reach import MARK

MOST_ITEMS = 2_000
MOST_TROUBLES = 20
MOST_SAID = 500
"""Characters of where and what a trouble is."""

SWEEP_NS = 60 * 10**9
_ORDER = (OutputKind.CTF, OutputKind.MICROGRAPHS, OutputKind.MOVIES)

_Place = tuple[int, int, str]
"""Where a set lies: device and inode of its file, and what the names of its tables begin with."""


@dataclass(slots=True)
class _Memory:
    """What is known of the files besides the cursor."""

    project: Project | None = None
    looks: dict[Key, Look] = field(default_factory=dict)
    troubles: dict[Key, Trouble] = field(default_factory=dict)
    refused: dict[Key, tuple[Stamp, Output]] = field(default_factory=dict)
    """What was malformed; it is not read again before its file or its output changes."""
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
        self._refused: tuple[Stamp, SourceMalformed] | None = None

    def read(self, cursor: str) -> Reading:
        """Return what is new since a cursor; raises a `SourceError` where the project itself cannot be read.

        A set that cannot be read is a trouble of the reading; what was read of it before stays as it is.
        """
        try:
            return self._read(cursor)
        except MemoryError as error:
            raise SourceMalformed("takes more memory than there is", where=self._path) from error

    def is_whole(self, cursor: str) -> bool:
        """Return whether each set that there was had been read to its end at a cursor."""
        number, sets, _ = parsed(cursor)
        return number > 0 and all(known.ended for known in sets.values())

    def rest(self) -> None:
        """Let go of what is known besides the cursor."""
        self._cursor, self._memory = None, _Memory()

    def _read(self, cursor: str) -> Reading:
        memory = self._memory if cursor == self._cursor else _Memory()
        number, progress, gain_progress = parsed(cursor)
        now = self._clock()
        project, news = self._project(memory, now)
        self._cursor, self._memory = None, memory
        sets = [o for kind in _ORDER for o in project.outputs if o.kind is kind and o.path]
        keys = [(o.run, o.name) for o in sets]
        progress = {key: progress.get(key, Progress()) for key in keys}
        memory.troubles = {key: trouble for key, trouble in memory.troubles.items() if key in progress}
        memory.looks = {key: look for key, look in memory.looks.items() if key in progress}
        memory.refused = {key: refused for key, refused in memory.refused.items() if key in progress}
        spans: list[Span] = []
        places: dict[_Place, Key] = {}
        finished = True
        left = MOST_ITEMS
        for key, output in zip(keys, sets, strict=True):
            if left <= 0:
                finished = False
                break
            prefix = project.prefixes.get(key, "")
            progress[key], found = self._read_set(memory, places, output, prefix, progress[key], left, now)
            spans += found
            left -= sum(len(s.items) for s in found)
            finished = finished and (progress[key].ended or key in memory.troubles)
        gains = self._read_gains(memory, project.runs, gain_progress, now)
        finished = finished and gains.finished
        said = news or bool(spans) or gains.progress != gain_progress
        counts = {key: known.count for key, known in progress.items() if known.ended}
        done = sum(known.count for known in progress.values())
        result = Reading(
            cursor=written(number + 1, progress, gains.progress) if said else cursor,
            session=project.session if said else None,
            runs=project.runs if said else None,
            outputs=with_sizes(project.outputs, counts) if said else None,
            spans=tuple(spans),
            gains=tuple(gains.residuals),
            gains_anew=frozenset(gains.anew),
            troubles=_shown((*project.troubles, *memory.troubles.values(), *_strange(sets, progress), *gains.troubles)),
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
        seen = stamp(self._path / MARK, now)
        self._refuse_again(seen)
        try:
            project = read_project(
                self._path, host=self._host, zone=self._zone, known=memory.run_trees, now=now, only=self._runs
            )
        except SourceMalformed as error:
            self._refused = (seen, error)
            raise
        memory.project = project
        if before is None:
            return project, True
        return project, (before.session, before.runs, before.outputs) != (
            project.session,
            project.runs,
            project.outputs,
        )

    def _refuse_again(self, seen: Stamp) -> None:
        """Raise what was wrong with the project's database where that has not changed since."""
        if self._refused is not None and self._refused[0] == seen and seen.settled:
            error = self._refused[1]
            raise SourceMalformed(error.what, where=error.where, remedy=error.remedy)
        self._refused = None

    def _read_gains(self, memory: _Memory, runs: Iterable[Run], known: Mapping[str, GainProgress], now: int) -> _Gains:
        """Return what is new in every file of gain residuals."""
        found = _Gains()
        for run in filter(has_gains, runs):
            before = known.get(run.run, GainProgress())
            if len(found.residuals) >= MOST_ITEMS:
                found.progress[run.run] = before
                found.finished = False
                continue
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
        self,
        memory: _Memory,
        places: dict[_Place, Key],
        output: Output,
        prefix: str,
        known: Progress,
        most: int,
        now: int,
    ) -> tuple[Progress, list[Span]]:
        """Return how far a set has been read, and the spans that are new in it; `places` are those of the sets before.

        A set that two outputs name is read for the first of them.
        """
        key = (output.run, output.name)
        before, look = known, memory.looks.get(key, Look())
        seen = None
        try:
            path = inside(self._path, output.path)
            seen = own_stamp(path, self._path, now)
            if seen.settled and memory.refused.get(key) == (seen, output):
                return known, []
            first = places.setdefault((seen.device, seen.inode, prefix), key)
            if first != key:
                raise SourceMalformed(f"is the set of {first[1]} of run {first[0]} as well, and shown as that")
            closed_and_still = seen.settled and not output.stream_open
            waited = now - look.swept_at > SWEEP_NS
            due = known.ended and known.swept != seen.changed and (waited or closed_and_still)
            same = known.inode == seen.inode and known.prefix == prefix
            if same and known.ended and not due and look.seen == seen:
                return known, []
            known, look, doubt = replace(known), replace(look, ids=look.ids[:]), ""
            with reading(path, project=self._path) as database:
                tables = tables_of(database, prefix)
                if tables.whole:
                    items = ItemSet(
                        database, tables, output.kind, run=output.run, output=output.name, changed=seen.changed
                    )
                    sweep = due or not same or items.last() < known.at
                    spans = new_spans(items, known, look, seen, now, most=most, sweep=sweep)
                    if closed_and_still and known.ended and items.counts_itself:
                        doubt = _doubt(items.size(), known.count)
                else:
                    spans = without_tables(output, path, tables, known, look, seen, now, same=same)
                known.prefix = prefix
        except SourceError as error:
            memory.troubles[key] = Trouble(where=_where(output.path, prefix), state=error.state, text=_said(error))
            if seen is not None and isinstance(error, SourceMalformed):
                memory.refused[key] = (seen, output)
            return before, []
        memory.troubles.pop(key, None)
        memory.refused.pop(key, None)
        if doubt:
            memory.troubles[key] = Trouble(where=_where(output.path, prefix), state=SourceMalformed.state, text=doubt)
        look.seen = seen if seen.settled and known.ended else None
        memory.looks[key] = look
        return known, spans


def _doubt(said: int | None, held: int) -> str:
    """Return what is wrong with a set that nobody writes any more, by the number of items that it says it has."""
    if said is None or said == held:
        return ""
    return f"says that it holds {said:,} items, and {held:,} are there. Was it damaged? Check the disk and the copy"


def _shown(troubles: Sequence[Trouble], *, most: int = MOST_TROUBLES) -> tuple[Trouble, ...]:
    """Return the first troubles, in words that fit on a page, and how many more there are."""
    short = [replace(t, where=t.where[:MOST_SAID], text=t.text[:MOST_SAID]) for t in troubles[:most]]
    if len(troubles) > most:
        text = f"holds {len(troubles) - most:,} more files with troubles"
        short.append(Trouble(where=MARK, state=troubles[most].state, text=text))
    return tuple(short)


def _said(error: SourceError) -> str:
    return error.what if error.remedy is None else f"{error.what}. {error.remedy}"


def _unchanged(path: Path, found: Stamp | None, now: int) -> bool:
    if found is not None and not found.settled:
        return False
    try:
        return stamp(path, now) == found
    except SourceError:
        return found is None


def _where(path: str, prefix: str) -> str:
    """Return how a set is named to people: its file, and the prefix of its tables where it has one."""
    return f"{path}, {prefix.removesuffix('_')}" if prefix else path


def _strange(sets: Sequence[Output], progress: dict[Key, Progress]) -> list[Trouble]:
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
