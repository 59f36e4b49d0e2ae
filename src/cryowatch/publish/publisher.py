"""Publishing images: what was read newly is rendered and put where Grafana's readers find it, newest first.

What lies at the target is recorded in the store once it is there; only then do the sinks write of it.  What is not
recorded is still to do, so nothing is lost by a cut, and a target whose folder was deleted gets everything again.  The
newest comes first, so that a backlog never hides what happens now.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any, TypeVar

from cryowatch.errors import ImageAway, ImageError, ImageUnsupported, SinkError
from cryowatch.follow.running import Follower
from cryowatch.follow.status import Standing, Status
from cryowatch.images import ImageServer, Shifts, available, can_be_reached, subject
from cryowatch.images.subject import COLUMNS
from cryowatch.publish.queue import NewestFirst, Waiting
from cryowatch.publish.retraction import Retraction
from cryowatch.publish.target import Target
from cryowatch.records import ImageKind
from cryowatch.store import Publication, Store
from cryowatch.store.changes import Changes
from cryowatch.store.reader import Row
from cryowatch.times import DAY, SECOND

log = logging.getLogger(__name__)

SIZE = 512
AT_ONCE = 16
MOST_PUTS = 32
MOST_CHANGES = 10_000
"""How many changes of the store are looked at in one go: their rows are in memory together."""

IDLE_SECONDS = 5.0
SEEN_SECONDS = 30
FRESH_SECONDS = 600
RETRY_SECONDS = (5.0, 30.0, 120.0)
"""When a fresh image that cannot be rendered is tried again: its file may still be being written."""

RETRY_AWAY_SECONDS = (30.0, 120.0, 600.0, 3600.0, 6 * 3600.0)
"""When any is whose disk does not answer, or on which the process that renders ended."""

T = TypeVar("T")

_SHORT = {ImageKind.MICROGRAPH: "mic", ImageKind.POWER_SPECTRUM: "psd", ImageKind.SHIFT_PLOT: "shifts"}
_SUFFIXES = {"image/jpeg": "jpg", "image/png": "png"}


class Publisher(Follower):
    """Carries images of CTF items to one target; `clock` gives UTC ns, `chance` numbers from 0 to 1.

    `days` is how old a micrograph may be, 0 for any age.  `told` is called after images were recorded.
    """

    def __init__(
        self,
        store: Store,
        images: ImageServer,
        target: Target,
        *,
        days: float = 0,
        told: Callable[[], object] = lambda: None,
        clock: Callable[[], int] = time.time_ns,
        chance: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(f"images {target.where}")
        self.state = Standing(target.where, chance)
        self._store = store
        self._images = images
        self._target = target
        self._age = round(days * DAY)
        self._told = told
        self._clock = clock
        self._reader = store.reader()
        self._changes = Changes(self._reader)
        self._retraction = Retraction(store, target)
        self._said: tuple[str, bool] | None = None
        self._seen = 0
        self._begin()

    def _begin(self) -> None:
        self._upto = 0
        self._queue = NewestFirst()
        self._in_flight = asyncio.Semaphore(MOST_PUTS)

    @property
    def where(self) -> str:
        """Where it publishes to."""
        return self._target.where

    @property
    def behind(self) -> int:
        """How many micrographs have images that are not published yet, as far as it knows, or files that are to go."""
        return len(self._queue) + self._retraction.left

    def status(self) -> Status:
        return self.state.status(what="images", waiting="micrographs", behind=self.behind)

    def in_trouble(self) -> bool:
        return bool(self.state.problem)

    def run(self) -> None:
        with self.working():
            super().run()

    def step(self) -> float:
        """Publish the images of the newest few micrographs; returns the seconds after which to come again."""
        return self._loop.run(self._round())

    def finish(self, *, tries: int = 5) -> bool:
        """Publish what can be, giving up after some tries without success; returns whether nothing is left."""
        self._stopped.clear()
        with self.working():
            return self._loop.run(self._finish(tries))

    @contextmanager
    def working(self) -> Iterator[None]:
        """Have a loop for what speaks with the target, and a thread for what speaks with the store."""
        self._begin()
        with asyncio.Runner() as self._loop, ThreadPoolExecutor(1, "publishing: store") as self._threads:
            try:
                yield
            finally:
                self._loop.run(self._target.close())

    async def _in_thread(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Return what work in the one thread returns that speaks with the store."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(work, *arguments, **named))

    async def _finish(self, tries: int) -> bool:
        failures = 0
        while failures < tries:
            before = self.state.accepted + self.state.rejected
            wait = await self._round()
            await self._in_thread(self._look)
            done = not self._queue.ready(self._clock()) and not await self._in_thread(lambda: self._retraction.left)
            if self.state.needs_person or (not self.state.problem and done):
                break
            if self.state.problem and self.state.accepted + self.state.rejected == before:
                failures += 1
                await asyncio.sleep(min(wait, 5.0))
        await self._in_thread(self._record)
        return not self.behind

    async def _round(self) -> float:
        await self._in_thread(self._look)
        await self._in_thread(self._record)
        try:
            retracted = await self._retraction.step(self._in_thread)
        except SinkError as error:
            return self.state.failed(error)
        now = self._clock()
        chosen = self._queue.take(now, AT_ONCE)
        if not chosen and retracted:
            self.state.succeeded(now)
            return 0.0
        if not chosen:
            due = self._queue.due()
            return IDLE_SECONDS if due is None else min(IDLE_SECONDS, max(0.1, (due - now) / SECOND))
        there = await self._there(chosen)
        try:
            await self._check_folders(row for _, row in there)
        except SinkError as error:
            self._queue.put(*(one for one, _ in there))
            return self.state.failed(error)
        results = await asyncio.gather(*(self._one(row) for _, row in there), return_exceptions=True)
        problem: SinkError | None = None
        publications = []
        for (one, row), result in zip(there, results, strict=True):
            if isinstance(result, SinkError):
                problem = result
                self._queue.put(one)
            elif isinstance(result, BaseException):
                raise result
            elif result.reasons and (wait := await self._retry(one, row, result.reasons)) is not None:
                self._queue.put_off(replace(one, tries=one.tries + 1), due=now + round(wait * SECOND))
                if wait > max(RETRY_SECONDS) and result.publication.shows:  # what is there need not wait so long
                    publications.append(result.publication)
            else:
                publications.append(result.publication)
        if publications:
            await self._in_thread(self._keep, publications)
        if problem is not None:
            return self.state.failed(problem)
        self.state.succeeded(self._clock())
        return 0.0

    async def _there(self, chosen: Sequence[Waiting]) -> list[tuple[Waiting, Row]]:
        """Return those that are still there, with their rows; one whose time changed meanwhile gets its present place.

        It may be there already, and is not published twice at a time.
        """
        rows = {row["id"]: row for row in await self._in_thread(self._changes.to_publish, [one.id for one in chosen])}
        found = [(one, rows[one.id]) for one in chosen if one.id in rows]
        self._queue.put(*(replace(one, time=row["time"]) for one, row in found if row["time"] != one.time))
        return [(one, row) for one, row in found if row["time"] == one.time]

    def _keep(self, publications: Sequence[Publication]) -> None:
        self._store.publish(publications, target=self.where, now=self._clock())
        shown = sum(p.shows for p in publications)
        self.state.accepted += shown
        self.state.rejected += len(publications) - shown
        self._told()

    async def _retry(self, one: Waiting, row: Row, reasons: Sequence[ImageError]) -> float | None:
        """Return the seconds until an image that cannot be rendered now is tried again; None for never.

        The files of an old micrograph will not come back, unless the whole project is out of reach just now, or they
        cannot be had for another reason than their own.
        """
        if self.stopped or not await self._reached(row):
            return RETRY_SECONDS[-1]
        if all(isinstance(error, ImageUnsupported) for error in reasons):
            return None
        away = any(isinstance(error, ImageAway) for error in reasons)
        fresh = self._clock() - row["time"] < FRESH_SECONDS * SECOND
        waits = RETRY_AWAY_SECONDS if away else RETRY_SECONDS if fresh else ()
        return waits[one.tries] if one.tries < len(waits) else None

    async def _reached(self, row: Row) -> bool:
        """Return whether a micrograph's project can be looked into."""
        try:
            place = row["session_path"]
            return await self._images.look(lambda: can_be_reached(Path(place)), place, place)
        except ImageError:
            return False

    def _look(self) -> None:
        """Put what changed since the last look into the queue."""
        head = self._changes.head()
        since = self._clock() - self._age if self._age else 0
        while self._upto < head:
            upto = min(head, self._upto + MOST_CHANGES)
            found = self._changes.unpublished(self.where, self._upto, upto, since=since)
            self._queue.put(*(Waiting(time, number) for number, time in found))
            self._upto = upto

    async def _check_folders(self, rows: Iterable[Row]) -> None:
        """Begin anew for a session whose folder is gone from the target."""
        for session, folder in {(row["session_id"], row["key"]) for row in rows}:
            if await self._target.holds(folder):
                continue
            if await self._in_thread(self._store.unpublish, session, target=self.where):
                log.warning("%s: the folder %s is gone; its images are published anew", self.where, folder)
                self._upto = 0
                await self._in_thread(self._look)

    async def _one(self, row: Row) -> _Done:
        """Render and put the images of one micrograph; raises a `SinkError`."""
        names: dict[str, str] = {}
        reasons: dict[ImageKind, ImageError] = {}
        for kind in ImageKind:
            try:
                names[kind.name.lower()] = await self._image(row, kind)
            except ImageError as error:
                reasons[kind] = error
        problem = "; ".join(f"{kind.replace('-', ' ')}: {error}" for kind, error in reasons.items())
        publication = Publication(micrograph_id=row["id"], seq=row["seq"], **names, problem=problem)
        return _Done(publication, list(reasons.values()))

    async def _image(self, row: Row, kind: ImageKind) -> str:
        """Return the name under which an image was published, empty where there is none to make; may raise."""

        shifts: Shifts | None = None
        if kind is ImageKind.SHIFT_PLOT and not row["shift_plot_path"]:
            shifts = await self._in_thread(self._reader.shifts, row["session_id"], row)
        if not available(row, kind, shifted=shifts is not None):
            return ""
        made_of = await self._images.look(lambda: subject(row, kind, lambda: shifts), row["name"], row["session_path"])
        rendered = await self._images.image(made_of, SIZE, ahead=True)
        name = f"{row['key']}/{file_name(row, kind, rendered.media_type)}"
        async with self._in_flight:
            await self._target.put(name, rendered.data)
        return name

    def _record(self) -> None:
        """Store how publishing fares: at once where that changed, else now and then."""
        now = self._clock()
        said = (self.state.problem, self.behind > 0)
        if said == self._said and now - self._seen < SEEN_SECONDS * SECOND:
            return
        self._said, self._seen = said, now
        self._store.advance(self.name, self._upto, now=now, problem=self.state.problem, waiting=self.behind)


def file_name(row: Row, kind: ImageKind, media_type: str) -> str:
    """Return the name of a published image: plain characters, and as unique as its project, host and source are."""
    made_of = (row["host"], row["session_path"], row[COLUMNS[kind]] or row["micrograph_path"], row["name"], kind.value)
    digest = hashlib.sha256("\0".join(made_of).encode(errors="surrogateescape")).hexdigest()
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", PurePath(row["name"]).stem).strip("-.")[:80] or "micrograph"
    return f"{stem}-{digest[:16]}-{_SHORT[kind]}.{_SUFFIXES[media_type]}"


@dataclass(frozen=True, slots=True)
class _Done:
    """What lies at the target of a micrograph, and why some of it does not."""

    publication: Publication
    reasons: Sequence[ImageError]
