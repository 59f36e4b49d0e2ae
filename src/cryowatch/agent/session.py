"""One session that is watched: when it is looked at, what is noted of it, how long one waits for a busy file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from cryowatch.agent.rest import REST_AFTER, Outside, Rest, outside, pause
from cryowatch.errors import SessionForgotten, SourceBusy, SourceError, SourceGone
from cryowatch.follow.running import Problem
from cryowatch.reading import READABLE, ZONE, Origin, Reading, Source, Trouble
from cryowatch.records import Run, Session
from cryowatch.sources.discovery import SILENT, SILENT_REMEDY
from cryowatch.sources.scipion.project import has_left
from cryowatch.store import Change, Store
from cryowatch.system.reach import MARK
from cryowatch.times import SECOND

log = logging.getLogger(__name__)

Clock = Callable[[], int]
Listener = Callable[[Change], None]
Progress = Callable[[str, int, int], None]
Settled = Callable[["Watch", Sequence[Change]], None]

NOTE_SECONDS = 30.0
PROGRESS_SECONDS = 2.0
SILENT_SECONDS = 20.0
PASSED_SECONDS = 5.0
"""How often a project whose session was forgotten is looked at."""

JUDGED_SECONDS = 60.0
"""How often it is read, at most, to see whether it is another project by now."""

BUSY_TRIES = 50
BUSY_SECONDS = 10
"""For how long a file may be busy before anybody is told: its writer commits many times a minute."""

COSTLY = 20
"""A look that found something wrong is followed by a pause of so many times as long, any other by one as long."""

MOST_PAUSE = 600.0

_LIVES = 86_400


def _touched(project: Path) -> int | None:
    """Return when a project's file was last written (UTC ns); None where that cannot be told."""
    try:
        return (project / MARK).stat().st_mtime_ns
    except OSError:
        return None


def _stamp(project: Path) -> tuple[int, int, int] | None:
    """Return what changes with a project's file; None where it is not there."""
    try:
        found = (project / MARK).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class Watch:
    """Reads one session: once to the end, or again and again until told to stop.

    Which session the project is shows when it is first read, and may change later: `settled` is called then, with the
    changes in the store.  Until then, and until somebody has to be told of it, `session` is 0.  `also` are other paths
    of the project's folder.

    A project whose session was forgotten (`forgotten`) is passed over.  It is only read once its file has changed, to
    see whether it is still the same one, or somebody wants it remembered.
    """

    def __init__(
        self,
        path: Path,
        source: Source,
        store: Store,
        *,
        host: str,
        clock: Clock = time.time_ns,
        also: Sequence[Path] = (),
        settled: Settled = lambda *_: None,
    ) -> None:
        self.path = path
        self._source = source
        self._store = store
        self._host = host
        self._clock = clock
        self._also = tuple(str(other) for other in also)
        self._settled = settled
        known = store.known((str(path), *self._also))
        self.session, self.key, self._origin = known[:3] if known else (0, "", "")
        self._inode: int | None = known.inode if known else None
        self.over = False
        """Whether another one watches the session, since its project has moved there."""
        self.forgotten = False
        """Whether the project is passed over, since its session was forgotten."""
        self.device: int | None = None
        """Of the project's file, once that has been looked at."""
        self.last_read: int | None = None
        self.last_change = clock()
        self.active = True
        self.whole = False
        """Whether all that there was had been read at `last_read`."""
        self.problem: Problem | None = None
        self.rests = False
        """Whether the last look found that nothing has changed in it for long."""
        self._rest = Rest()
        self._outside = known.outside if known else ""
        self._passed: tuple[object, int] | None = None
        self._judged = 0
        self._busy_since: int | None = None
        self._busy_with = ""
        """Which file was busy last, and why, in words."""
        self._began: float | None = None
        self._tried: int | None = None
        self._touched: int | None = None
        self._progress_said = clock()
        self._cursor = store.cursor(self.session) if known else ""
        self._noted: tuple[str, str, tuple[Trouble, ...], int] = ("", "", (), 0)

    def step(self) -> tuple[Reading | None, Change | None]:
        """Read once and commit it; (None, …) where nothing could be read, or the project is passed over."""
        if self.session in self._store.forgotten_sessions:
            self._let_go()
        if self.forgotten and self._passes():
            return None, None
        try:
            read = self._step()
        except SessionForgotten:
            self._pass_over()
            return None, None
        self.forgotten = False
        return read

    def _let_go(self) -> None:
        """Know nothing any more of the session that was forgotten."""
        self.session, self.key, self._origin, self._inode, self._cursor = 0, "", "", None, ""
        self._noted = ("", "", (), 0)
        self.last_read, self.problem, self._busy_since = None, None, None

    def _passes(self) -> bool:
        """Return whether nothing is to be read: nothing has changed, or that has been looked into just now."""
        stamp, remembered = self._passed or (None, -1)
        if remembered != self._store.remembered:
            return False
        just_now = abs(self._clock() - self._judged) < JUDGED_SECONDS * SECOND
        return just_now or stamp == _stamp(self.path)

    def _pass_over(self) -> None:
        """Read nothing until something changes."""
        self._let_go()
        self.active, self.whole = False, False
        self._judged = self._clock()
        if not self.forgotten:
            remedy = f"`cryowatch forget --undo {self.path}` has it read again"
            log.info("%s: its session was forgotten, so it is passed over. %s", self.path, remedy)
        self.forgotten = True

    def _step(self) -> tuple[Reading | None, Change | None]:
        self._passed = (_stamp(self.path), self._store.remembered) if self.forgotten or not self.session else None
        self._began = time.monotonic()
        if self._tried is None:
            self._tried, self._touched = self._clock(), _touched(self.path)
        try:
            reading = self._source.read(self._cursor)
            if not self.session or self._is_another(reading):
                reading = self._settle(reading)
        except SourceError as error:
            if not self.session:
                self._register()
            return None, self._note(error.state, str(error), ())
        finally:
            self._began = None
        now = self._clock()
        change = None
        if reading.cursor != self._cursor or reading.gains:
            change = self._store.commit(self.session, reading, now=now)
            self._cursor = reading.cursor
        if reading.session is not None:
            self.active = reading.session.status == "running"
        if change is not None and self.whole:
            self.last_change = now
        self.last_read = now
        self.whole = reading.finished
        noted = self._note("ok", "", reading.troubles)
        return reading, noted or change

    def _is_another(self, reading: Reading) -> bool:
        """Return whether the project may be another one than the session is known for."""
        origin = reading.origin
        if origin is None or (origin.created, origin.inode) == (self._origin, self._inode):
            return False
        return origin.created != self._origin or (reading.session is not None and reading.runs is not None)

    def _settle(self, reading: Reading) -> Reading:
        """Find out which session the project is; returns what is new of it since that was stored last."""
        origin, session = reading.origin, reading.session
        if origin is not None and (session is None or reading.runs is None):
            reading = self._source.read("")
            origin, session = reading.origin, reading.session
        left: set[int] = set()
        if origin is not None:
            created = None if session is None else session.created
            left = {
                place.session
                for place in self._store.places_of(origin, created)
                if not place.replaced and self._has_left(Path(place.path), place.inode, origin)
            }
        self._register(origin, session, reading.runs or (), left)
        stored = self._store.cursor(self.session)
        if stored in (self._cursor, reading.cursor):  # the source takes the latter for one that it has been told of
            return reading
        self._cursor = stored
        return self._source.read(stored)

    def _has_left(self, folder: Path, inode: int | None, origin: Origin) -> bool:
        return folder != self.path and has_left(folder, inode, origin.created, now_at=origin.inode)

    def _register(
        self,
        origin: Origin | None = None,
        session: Session | None = None,
        runs: Sequence[Run] = (),
        left: Collection[int] = (),
    ) -> None:
        """Take the session that the store has for the project."""
        named = Session(
            name=self.path.name, path=str(self.path), host=self._host, created=session.created if session else None
        )
        changes = self._store.settle(named, origin, runs, also=self._also, left=left, now=self._clock())
        self.session, self.key = changes[0].session, changes[0].key
        self._origin, self._inode = ("", None) if origin is None else (origin.created, origin.inode)
        self._settled(self, changes)

    def unread(self) -> int | None:
        """Return when this session was first tried, where it has not been read since and lives (UTC ns).

        One whose file nobody has touched for a day is an old one; a facility's folder holds some that nothing reads.
        """
        if self.last_read is not None or self._tried is None or self._touched is None:
            return None
        return self._tried if self._tried - self._touched < _LIVES * SECOND else None

    def silence(self, *, held_since: float | None = None) -> Change | None:
        """Store that the source does not answer, where a look has not come back; called from another thread.

        `held_since` is since when a look is put off, as others beside it do not come back (monotonic).
        """
        began = self._began if self._began is not None else held_since
        if began is None or time.monotonic() - began < SILENT_SECONDS:
            return None
        error = SourceGone(SILENT, where=self.path, remedy=SILENT_REMEDY)
        return self._note(error.state, str(error), ())

    def _note(self, state: str, text: str, troubles: Sequence[Trouble]) -> Change | None:
        """Store the state where it changed, and the time of the last good read now and then."""
        if self.over:
            return None
        if not self._busy(state, troubles):
            self._busy_since = None
        else:
            self._busy_since = self._busy_since or self._clock()
            busy = (f"{t.where}: {t.text}" for t in troubles if t.state == SourceBusy.state)
            self._busy_with = next(busy, text)
            if self._clock() - self._busy_since < BUSY_SECONDS * SECOND:
                if state == SourceBusy.state:
                    return None
                troubles = tuple(t for t in troubles if t.state != SourceBusy.state)
        if state == "ok":
            worst = self._worst(troubles)
            state, text = ("ok", "") if worst is None else (worst.state, f"{worst.where}: {worst.text}")
        bad = state not in READABLE
        if (bad or state == ZONE) and self._noted[1] != text:
            log.warning("%s", text)
        elif self.problem is not None and not bad:
            log.info("%s: can be read again", self.path)
        self.problem = Problem(where=str(self.path), text=text) if bad else None
        noted = (state, text, tuple(troubles))
        now = self._clock()
        if noted == self._noted[:3] and now - self._noted[3] < NOTE_SECONDS * SECOND:
            return None
        self._noted = (*noted, now)
        if not self.session:
            self._register()
        return self._store.note(self.session, state=state, text=text, troubles=troubles, last_read=self.last_read)

    def _worst(self, troubles: Sequence[Trouble]) -> Trouble | None:
        """Return the trouble that the session's state tells; None where nobody has to know of any.

        What cannot be read comes first.  A zone that looks wrong is somebody's matter while a run is at work.
        """
        order = {ZONE: 1, SourceBusy.state: 2}
        found = [trouble for trouble in troubles if trouble.state != ZONE or self.active]
        return min(found, key=lambda trouble: order.get(trouble.state, 0), default=None)

    @staticmethod
    def _busy(state: str, troubles: Sequence[Trouble]) -> bool:
        return state == SourceBusy.state or any(t.state == SourceBusy.state for t in troubles)

    def once(self, progress: Progress, *, wait: Callable[[float], object] = time.sleep) -> Problem | None:
        """Read to the end; returns what stood in the way, if anything did."""
        busy = 0
        while True:
            reading, _ = self.step()
            if reading is not None:
                progress(self.path.name, reading.done, reading.total)
            if self._busy_since is None and (reading is None or reading.finished):
                return self.problem
            if reading is None or reading.finished:
                busy += 1
                if busy > BUSY_TRIES:
                    what = "its writer was at work all the time; what it holds now is not read yet"
                    text = f"{self.path}: {what} ({self._busy_with})"
                    return Problem(where=str(self.path), text=text)
                wait(0.1)

    def look(self, interval: float, tell: Listener, crowd: Callable[[], int] = lambda: 1) -> float:
        """Read once and tell of a change; returns the seconds to the next look, more where looking takes long.

        `crowd` says how many projects there are in which no run is at work, and which do not rest.
        """
        began = self._began = time.monotonic()
        seen = outside(self.path)
        self._began = None
        self.rests = self._rests(seen)
        if self.rests:
            return pause(interval, active=False, quiet=REST_AFTER)
        reading, change = self.step()
        took = time.monotonic() - began
        if self.forgotten:
            return PASSED_SECONDS
        if change is not None:
            tell(change)
        if reading is not None and not reading.finished:
            if self._clock() - self._progress_said > PROGRESS_SECONDS * SECOND:
                self._progress_said = self._clock()
                log.info("%s: %s of %s items read", self.path, f"{reading.done:,}", f"{reading.total:,}")
            return 0.0
        if reading is not None:
            self._lie_down(seen, reading.troubles)
        quiet = (self._clock() - self.last_change) / SECOND
        wait = pause(interval, active=self.active, quiet=quiet, took=took, crowd=crowd())
        return max(wait, min(took * (COSTLY if self.problem is not None else 1), MOST_PAUSE))

    def _rests(self, seen: Outside | None) -> bool:
        """Return whether nothing has changed in a project that rests: it is as good as read then."""
        now = self._clock()
        if seen is not None and self.device is None:
            self.last_change = min(now, seen.written)
        self.device = seen.device if seen is not None else self.device
        stamps, self._outside = self._outside, ""
        if seen is not None and seen.stamps == stamps and self._source.is_whole(self._cursor):
            self._rest.begin(seen, now=now, known_before=True)
            self.active, self.whole = False, True
        if self.forgotten or self.session in self._store.forgotten_sessions or not self._rest.lasts(seen, now=now):
            return False
        self.last_read = now
        return True

    def _lie_down(self, seen: Outside | None, troubles: Sequence[Trouble]) -> None:
        """Let a project rest that has been read whole since it was `seen`, and had no change for long."""
        now = self._clock()
        if seen is None or self.active or now - self.last_change < REST_AFTER * SECOND:
            return
        if self._busy("", troubles):
            return
        troubled = any(trouble.state != ZONE for trouble in troubles)
        self._rest.begin(seen, now=now, troubled=troubled)
        self._source.rest()
        if not troubled:
            self._store.rests(self.session, seen.stamps)
