"""A Scipion project as a source: what is new since a cursor, read beside Scipion while it writes.

Stat first, open only on change.  Items are read by id, yet ids are not an order in time: streaming protocols append
results as they finish, under the id of their input, and people disable items later.  So a set is *swept*, read again
from its beginning, when its count does not agree with what was read, when its file was replaced, and a minute after
it last changed.

The cursor is JSON: a number that grows with each reading that says anything, and for each set its file's inode and
time, the id up to which it was read, and the number of items below that.  Other time stamps are only kept in memory,
for the cursor that was returned last: another cursor (after a restart, or when a reading could not be stored) means to
look at every file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from cryowatch.errors import SourceBusy, SourceError, SourceMalformed
from cryowatch.model import Output, OutputKind
from cryowatch.reading import Reading, Span, Trouble
from cryowatch.sources.scipion.database import Stamp, reading, stamp
from cryowatch.sources.scipion.project import Project, RunTrees, read_project, with_sizes
from cryowatch.sources.scipion.sets import ItemSet, has_tables

MOST_ITEMS = 10_000
SWEEP_NS = 60 * 10**9
_VERSION = 1
_ORDER = (OutputKind.CTF, OutputKind.MICROGRAPHS, OutputKind.MOVIES)

Key = tuple[str, str]


@dataclass(slots=True)
class _Progress:
    """How far one set has been read: up to id `at`, with `count` items; its file was `inode`, changed at `changed`."""

    inode: int = 0
    changed: int = 0
    at: int = 0
    count: int = 0
    ended: bool = False


@dataclass(slots=True)
class _Memory:
    """What is known of the files besides the cursor."""

    project: Project | None = None
    stamps: dict[Path, Stamp] = field(default_factory=dict)
    swept: dict[Key, int] = field(default_factory=dict)
    dirty: set[Key] = field(default_factory=set)
    troubles: dict[Key, Trouble] = field(default_factory=dict)
    run_trees: RunTrees = field(default_factory=dict)


class ScipionSource:
    """Reads the project in `path`; `time_zone` is that of its local times (None: this machine's)."""

    def __init__(
        self,
        path: Path,
        *,
        time_zone: ZoneInfo | None = None,
        host: str = "",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._path = path
        self._zone = time_zone
        self._host = host
        self._clock = clock
        self._cursor: str | None = None
        self._memory = _Memory()

    def read(self, cursor: str) -> Reading:
        """Return what is new since a cursor; raises a `SourceError` where the project itself cannot be read."""
        if cursor != self._cursor:
            self._memory = _Memory()
        memory = self._memory
        number, progress = _parsed(cursor)
        now = self._clock()
        fresh = self._project_changed(memory, now)
        if fresh:
            memory.project = read_project(self._path, host=self._host, zone=self._zone, known=memory.run_trees, now=now)
            for path in (self._path / "project.sqlite", *memory.project.run_files):
                self._remember(memory, path, now)
        project = memory.project
        if project is None:
            raise SourceBusy("has not been read yet", where=self._path)
        sets = [o for kind in _ORDER for o in project.outputs if o.kind is kind and o.path]
        keys = {(o.run, o.name) for o in sets}
        progress = {key: known for key, known in progress.items() if key in keys}
        spans: list[Span] = []
        finished = True
        left = MOST_ITEMS
        for output in sets:
            if left <= 0:
                finished = False
                break
            known = progress.setdefault((output.run, output.name), _Progress())
            found, complete = self._read_set(memory, output, known, left, now)
            spans += found
            left -= sum(len(s.items) for s in found)
            finished = finished and complete
        said = fresh or bool(spans)
        counts = {key: known.count for key, known in progress.items() if known.ended}
        outputs = with_sizes(project.outputs, counts) if said else None
        result = Reading(
            cursor=_written(number + 1, progress) if said else cursor,
            session=project.session if said else None,
            runs=project.runs if said else None,
            outputs=outputs,
            spans=tuple(spans),
            troubles=(*project.troubles, *memory.troubles.values()),
            finished=finished,
            done=sum(known.count for known in progress.values()),
            total=max(
                sum(known.count for known in progress.values()),
                sum(o.size or 0 for o in sets),
            ),
        )
        self._cursor = result.cursor
        return result

    def _project_changed(self, memory: _Memory, now: int) -> bool:
        main = self._path / "project.sqlite"
        if memory.stamps.get(main) != stamp(main, now) or memory.project is None:
            return True
        return any(self._changed(memory, file, now) for file in memory.project.run_files)

    def _changed(self, memory: _Memory, path: Path, now: int) -> bool:
        try:
            return memory.stamps.get(path) != stamp(path, now)
        except SourceError:
            return path in memory.stamps

    def _remember(self, memory: _Memory, path: Path, now: int) -> None:
        """Keep a file's stamp, taken after `now`; one that is not settled is looked at again."""
        memory.stamps.pop(path, None)
        try:
            found = stamp(path, now)
        except SourceError:
            return
        if found.settled:
            memory.stamps[path] = found

    def _read_set(
        self, memory: _Memory, output: Output, known: _Progress, most: int, now: int
    ) -> tuple[list[Span], bool]:
        """Return the spans that are new in a set, and whether all of it has been read."""
        key = (output.run, output.name)
        path = self._path / output.path
        try:
            seen = stamp(path, now)
            unchanged = memory.stamps.get(path) == seen
            overdue = key in memory.dirty and now - memory.swept.get(key, 0) > SWEEP_NS
            if unchanged and known.ended and not overdue:
                return [], True
            with reading(path) as database:
                if not has_tables(database):
                    return self._without_tables(memory, output)
                items = ItemSet(database, output.kind, run=output.run, output=output.name, changed=seen.changed)
                spans = self._new_spans(memory, items, key, known, seen, most, overdue=overdue, now=now)
        except SourceError as error:
            text = error.what if error.remedy is None else f"{error.what}. {error.remedy}"
            memory.troubles[key] = Trouble(where=output.path, state=error.state, text=text)
            memory.stamps.pop(path, None)
            return [], True
        memory.troubles.pop(key, None)
        memory.stamps.pop(path, None)
        if seen.settled and known.ended:
            memory.stamps[path] = seen
        return spans, known.ended

    def _without_tables(self, memory: _Memory, output: Output) -> tuple[list[Span], bool]:
        """Scipion makes a set's file before its tables: of a run at work that is an empty set, else a broken one."""
        key = (output.run, output.name)
        memory.troubles.pop(key, None)
        if not output.stream_open:
            text = "holds no tables. The run ended before it wrote any item"
            memory.troubles[key] = Trouble(where=output.path, state=SourceMalformed.state, text=text)
        return [], True

    def _new_spans(
        self,
        memory: _Memory,
        items: ItemSet,
        key: Key,
        known: _Progress,
        seen: Stamp,
        most: int,
        *,
        overdue: bool,
        now: int,
    ) -> list[Span]:
        replaced = known.inode not in (0, seen.inode)
        changed_meanwhile = key not in memory.swept and known.ended and known.changed != seen.changed
        if replaced or changed_meanwhile or (known.ended and overdue) or items.last() < known.at:
            self._sweep(memory, key, known, now)
        elif known.ended and known.changed != seen.changed:
            memory.dirty.add(key)
        known.inode, known.changed = seen.inode, seen.changed
        memory.swept.setdefault(key, now)
        spans = self._pages(items, key, known, most)
        if known.ended and spans and known.at and items.size() != known.count and items.count()[0] != known.count:
            self._sweep(memory, key, known, now)
            spans += self._pages(items, key, known, most)
        return spans

    def _sweep(self, memory: _Memory, key: Key, known: _Progress, now: int) -> None:
        known.at = known.count = 0
        known.ended = False
        memory.swept[key] = now
        memory.dirty.discard(key)

    def _pages(self, items: ItemSet, key: Key, known: _Progress, most: int) -> list[Span]:
        spans: list[Span] = []
        left = most
        was_ended, known.ended = known.ended, False
        while left > 0 and not known.ended:
            page = items.page(known.at)
            upto = None if page.complete else page.last
            if page.items or not was_ended:
                spans.append(Span(run=key[0], output=key[1], after=known.at, upto=upto, items=page.items))
            if page.last is not None:
                known.at = page.last
            known.count += len(page.items)
            known.ended = page.complete
            left -= len(page.items)
        return spans


def _parsed(cursor: str) -> tuple[int, dict[Key, _Progress]]:
    """Return the number and the progress in a cursor; of one that cannot be understood, the beginning."""
    try:
        data = json.loads(cursor) if cursor else {}
        if data.get("version") != _VERSION:
            return 0, {}
        sets = {(run, name): _Progress(*values) for run, name, *values in data["sets"]}
        return int(data["number"]), sets
    except (AttributeError, KeyError, TypeError, ValueError):
        return 0, {}


def _written(number: int, progress: dict[Key, _Progress]) -> str:
    sets = [[*key, known.inode, known.changed, known.at, known.count, known.ended] for key, known in progress.items()]
    return json.dumps({"version": _VERSION, "number": number, "sets": sets}, separators=(",", ":"))
