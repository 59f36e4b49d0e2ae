"""The agent: reads every session at its own pace, commits what is new, and tells those who follow.

What happens after an error is here, what one session is read for and when in `watch`.  The sessions take turns in a few
threads, and a hung file system under one holds up no other (`looks`); they only meet at the store's one writer.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cryowatch.agent.looks import Looks
from cryowatch.agent.session import Clock, Listener, Progress, Watch
from cryowatch.errors import SourceError, SourceGone, StoreError
from cryowatch.follow.running import Follower, Problem, finished
from cryowatch.sources.discovery import Finder
from cryowatch.sources.host import EVERYTHING, FileSystems, HostSource, Parts
from cryowatch.sources.names import readable
from cryowatch.sources.scipion import ScipionSource
from cryowatch.sources.scipion.files import denied_or_gone
from cryowatch.store import Change, Store
from cryowatch.times import SECOND

if TYPE_CHECKING:
    from cryowatch.web.ahead import Ahead

log = logging.getLogger(__name__)


DISCOVERY_SECONDS = 5.0
MOST_DISCOVERY_SECONDS = 15.0
DISCOVERY_REST = 200
"""New projects are looked for at most every so many times as long as that takes: a folder may hold thousands."""

FORGET_SECONDS = 600
RETRY_SECONDS = 5.0


def _run(endless: Follower | Ahead) -> float:
    endless.run()
    return 0.0


def _place(watch: Watch) -> object:
    """Return what a project shares with others that do not answer when it does not."""
    return watch.path.parent if watch.device is None else watch.device


def _is_live(watch: Watch) -> bool:
    """Return whether a run is known to be at work in a project."""
    return watch.active and watch.last_read is not None


def guarded(step: Callable[[], float], what: str) -> Callable[[], float]:
    """Return a step that raises nothing: what goes wrong is said, and it asks to be tried again."""
    said = ""

    def tried() -> float:
        nonlocal said
        try:
            wait = step()
            said = ""
        except StoreError as error:
            if str(error) != said:
                said = str(error)
                log.error("%s", said)  # noqa: TRY400  a person needs the line, not the trace
        except Exception:
            log.exception("%s: unexpected; it is tried again", what)
        else:
            return wait
        return RETRY_SECONDS

    return tried


def repeat(step: Callable[[], float], stop: threading.Event, what: str) -> None:
    """Call `step` until `stop`, waiting as many seconds as it returns; nothing that goes wrong in it ends this."""
    tried = guarded(step, what)
    while not stop.is_set():
        stop.wait(tried())


class Agent:
    """All sessions below some paths, the host's own samples, and those who listen for changes."""

    def __init__(
        self,
        store: Store,
        paths: Sequence[Path],
        *,
        interval: float = 1.0,
        host_interval: float = 10.0,
        keep_days: int = 30,
        keep_mb: float = 1000,
        zone: ZoneInfo | None = None,
        runs: Collection[int] | None = None,
        host: str | None = None,
        parts: Parts = EVERYTHING,
        clock: Clock = time.time_ns,
        followers: Sequence[Follower] = (),
        ahead: Ahead | None = None,
    ) -> None:
        self._ahead = ahead
        self.followers = tuple(followers)
        self.host = host or socket.gethostname()
        self.paths = tuple(Path(p).expanduser().absolute() for p in paths)
        self.finders = {path: Finder(path, clock=clock) for path in self.paths}
        self.watches: dict[Path, Watch] = {}
        self.problems: dict[str, str] = {}
        self.looked = False
        """Whether the paths have been looked through once."""
        self._listed: set[Path] = set()
        self._doubles: dict[Path, Path] = {}
        self._crowd = 1
        """Projects without a run at work that do not rest."""
        self._missing_noted = False
        self._store = store
        self._interval = interval
        self._host_interval = host_interval
        self._keep = keep_days * 86_400 * SECOND
        self._keep_bytes = round(keep_mb * 1e6)
        self._zone = zone
        self._runs = runs
        self._clock = clock
        self._stop = threading.Event()
        self._looks = Looks(self._stop)
        self._threads: list[threading.Thread] = []
        self._listeners: list[Listener] = []
        self._companions: list[tuple[str, Callable[[], float]]] = []
        self._last: list[Callable[[], float]] = []
        file_systems = FileSystems()
        file_systems.recall(store.reader().free_space(self.host, since=clock() - 3600 * SECOND))
        self._host_source = HostSource(self.host, clock=clock, file_systems=file_systems, parts=parts)
        self._forgotten = 0

    def listen(self, listener: Listener) -> None:
        """Call `listener` after each commit, from the thread that made it; it must not wait."""
        self._listeners.append(listener)

    def discover(self) -> list[Watch]:
        """Look for projects below the paths; returns those that are new, and keeps what was in the way."""
        problems: dict[str, str] = {}
        listed = set()
        doubles: dict[Path, Path] = {}
        new = []
        for path in self.paths:
            try:
                found = self.finders[path].find()
            except SourceError as error:
                problems[str(path)] = str(error)
                continue
            problems.update((t.where, f"{t.where}: {t.text}") for t in found.troubles)
            doubles.update(found.doubles)
            if found.folder is not None and not found.troubles:
                listed.add(found.folder)
            for project in found.projects:
                if project not in self.watches:
                    watch = self._watch(project, found.links.get(project, ()))
                    self.watches[project] = watch
                    new.append(watch)
        for where, text in problems.items():
            if self.problems.get(where) != text:
                log.warning("%s", text)
        for link, project in doubles.items():
            if self._doubles.get(link) != project:
                log.info("%s: leads to %s, which is watched by its own path", readable(link), readable(project))
        self.problems, self._listed, self._doubles = problems, listed, doubles
        self.looked = True
        return new

    def _watch(self, project: Path, links: Sequence[Path]) -> Watch:
        source = ScipionSource(project, time_zone=self._zone, runs=self._runs, host=self.host, clock=self._clock)
        return Watch(
            project, source, self._store, host=self.host, clock=self._clock, also=links, settled=self._has_settled
        )

    def _has_settled(self, watch: Watch, changes: Sequence[Change]) -> None:
        """Leave a session to the one who watches its project where it has moved to, and tell of what changed."""
        for other in list(self.watches.values()):
            if other is not watch and other.session == watch.session:
                other.over = True
                self.watches.pop(other.path, None)
                log.info("%s: has moved to %s", other.path, watch.path)
        for change in changes:
            self.tell(change)

    def once(self, progress: Progress) -> list[Problem]:
        """Read everything there is, deliver it, and return what stood in the way."""
        self.discover()
        problems = self.read(progress)
        self._note_missing()
        return [*problems, *self.deliver()]

    def read(self, progress: Progress = lambda *_: None) -> list[Problem]:
        """Read every project to its end, while nothing else reads, and return what stood in the way."""
        problems = [Problem(where=where, text=text) for where, text in self.problems.items()]
        problems += [problem for watch in list(self.watches.values()) if (problem := watch.once(progress))]
        return problems

    def deliver(self) -> list[Problem]:
        """Deliver all that is stored, while no follower runs, and return what stood in the way."""
        return [problem for follower in self.followers if (problem := finished(follower)) is not None]

    def start(self) -> None:
        """Begin to watch, in threads of their own."""
        self._spawn("looking for projects", self._look_for_projects)
        self._spawn("the host's load", self._sample_host)
        for what, step in self._companions:
            self._spawn(what, step)
        if self._ahead is not None:
            self.listen(self._ahead.heard)
            self._spawn("rendering ahead", partial(_run, self._ahead))
        for follower in self.followers:
            self.listen(lambda _, f=follower: f.wake())  # type: ignore[misc]
            self._spawn(follower.name, partial(_run, follower))

    def stop(self, *, patience: float = 5.0) -> bool:
        """Ask all threads to end and wait a little; one that hangs on a dead file system is left behind.

        Returns whether all have ended.
        """
        self._stop.set()
        for follower in self.followers:
            follower.stop()
        if self._ahead is not None:
            self._ahead.stop()
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return self._looks.end(deadline) and not any(thread.is_alive() for thread in self._threads)

    def last_read(self, session: int) -> int | None:
        """Return when a session could be read last, as of this moment."""
        return next((w.last_read for w in list(self.watches.values()) if w.session == session), None)

    def read_at(self, session: int) -> int | None:
        """Return as of when a session is known whole; None where it is still being read."""
        watch = next((w for w in list(self.watches.values()) if w.session == session), None)
        return watch.last_read if watch is not None and watch.whole else None

    def unread(self, session: int) -> int | None:
        """Return since when a session that lives could not be read even once (UTC ns); None where that is not so."""
        return next((w.unread() for w in list(self.watches.values()) if w.session == session), None)

    def tell(self, change: Change) -> None:
        """Tell the listeners of a change."""
        for listener in self._listeners:
            listener(change)

    def accompany(self, what: str, step: Callable[[], float], *, also_last: bool = False) -> None:
        """Also do this from `start` on, again and again, after as many seconds as it returns; and in `look_last`."""
        self._companions.append((what, step))
        if also_last:
            self._last.append(step)

    def look_last(self) -> None:
        """Do once more what may show something to deliver, after `stop`."""
        for step in self._last:
            step()

    def _spawn(self, what: str, step: Callable[[], float]) -> None:
        thread = threading.Thread(target=repeat, args=(step, self._stop, what), name=what, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _note_missing(self) -> None:
        """Store which sessions were in the folders that are watched and are there no more, since before the start."""
        searched = {folder for path in self._listed for folder in (path, path / "projects")}
        reader = self._store.reader()
        for row in reader.sessions():
            path = Path(row["path"])
            if row["host"] != self.host or row["replaced"] or row["state"] == SourceGone.state:
                continue
            if path not in self.watches and path.parent in searched:
                gone = denied_or_gone(path, FileNotFoundError())
                change = self._store.note(row["id"], state=gone.state, text=str(gone), last_read=None)
                if change is not None:
                    self.tell(change)

    def _look_for_projects(self) -> float:
        again = self.looked
        began = time.monotonic()
        new = self.discover()
        rest = DISCOVERY_REST * (time.monotonic() - began)
        for watch in new:
            log.info("watching %s", watch.path)
            name = str(watch.path)
            self._looks.add(
                name,
                guarded(partial(watch.look, self._interval, self.tell, lambda: self._crowd), name),
                place=partial(_place, watch),
                urgent=partial(_is_live, watch),
                over=partial(getattr, watch, "over"),
            )
        self._crowd = sum(not (watch.active or watch.rests) for watch in self.watches.values())
        for watch in list(self.watches.values()):
            change = watch.silence(held_since=self._looks.held_since(str(watch.path)))
            if change is not None:
                self.tell(change)
        if again and not self._missing_noted:
            self._note_missing()
            self._missing_noted = True
        return max(DISCOVERY_SECONDS, min(rest, MOST_DISCOVERY_SECONDS))

    def _sample_host(self) -> float:
        self._store.add_host_sample(self._host_source.sample((self._store.data_dir, *self._folders())))
        now = self._clock()
        if now - self._forgotten > FORGET_SECONDS * SECOND:
            self._forget_samples(now)
            self._forgotten = now
        return self._host_interval

    def _forget_samples(self, now: int) -> None:
        """Keep the host's samples within their days and megabytes; what a delivery misses by that is counted."""
        self._store.forget_host_samples(
            before=now - self._keep,
            most_bytes=self._keep_bytes,
            now=now,
            followers=[follower.name for follower in self.followers if follower.carries_samples],
        )

    def _folders(self) -> Iterable[Path]:
        return list(self.watches)
