"""Forgetting a session: what goes with it, and how that is done beside an agent at work.

It vanishes at once, in one transaction: from the pages, from every command, from alerts and links.  Its rows go after,
some hundred at a time, so that what is read of other sessions waits for some hundredths of a second at most; then the
rendered images.  All that is done again after a crash until nothing is left.  What lies in an InfluxDB or where images
are published to is taken away by those who follow the store, where that is wanted, whenever their server is there.

The project itself is never touched.  It is passed over from then on, until somebody has it remembered.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryowatch.access.shares import FILE_NAME as SHARES
from cryowatch.access.shares import Share, Shares
from cryowatch.errors import AccessError, ConfigError, NotFoundError
from cryowatch.forgetting.errands import Errand, Errands
from cryowatch.images.cache import kept_of
from cryowatch.store import Change, Reader, Store
from cryowatch.store.belongings import Belongings, belongings_of
from cryowatch.store.forgotten import Note
from cryowatch.store.reader import Row

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
PAUSE_SECONDS = 0.01
"""Between two transactions, for those who wait to write."""

COMMAND = "command line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What goes with a session: what the store holds, links that open it, and rendered images with their bytes."""

    belongings: Belongings
    links: int
    images: int
    image_bytes: int

    def shown(self) -> dict[str, Any]:
        """Return it as the interface answers it."""
        own = self.belongings
        return {
            "runs": own.runs,
            "outputs": own.outputs,
            "items": dict(own.items),
            "gains": own.gains,
            "alerts": own.alerts,
            "acknowledged": own.acknowledged,
            "muted": own.muted,
            "bytes": own.bytes,
            "waiting": own.waiting,
            "links": self.links,
            "images": self.images,
            "image_bytes": self.image_bytes,
            "influxdb": [{"where": place_of(name), "points": count} for name, count in own.points.items()],
            "published": [{"where": target, "files": count} for target, count in own.files.items()],
        }


def place_of(follower: str) -> str:
    """Return where a follower of the store delivers to, as people know it: its name tells its kind and layout too."""
    return follower.split(" ", 2)[-1]


def figures_of(reader: Reader, data_dir: Path, session: Row, *, now: int) -> Figures:
    """Return what goes with a row of the session table; `now` is in UTC ns.

    It looks at every item and at the beginning of every rendered image: a second for large ones.
    """
    sizes = [size for _, size in kept_of(data_dir / "images", Path(session["path"]))]
    return Figures(
        belongings=belongings_of(reader, session, now=now),
        links=len(_links(data_dir, session)),
        images=len(sizes),
        image_bytes=sum(sizes),
    )


class Forgetter:
    """Forgets sessions of a store and clears what is left of them; `clock` gives UTC ns.

    `tell` is told of a session that has vanished, from whatever thread `forget` is called.  `step` is called from one
    thread, again and again.
    """

    def __init__(
        self,
        store: Store,
        *,
        tell: Callable[[Change], object] = lambda _: None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._data_dir = store.data_dir
        self._reader = store.reader()
        self._forgotten = store.forgotten()
        self._tell = tell
        self._clock = clock
        self._errands = Errands(store.data_dir, self._do)
        self._left = deque(self._forgotten.uncleared())

    def figures(self, session: Row) -> Figures:
        """Return what goes with a row of the session table."""
        return figures_of(self._reader, self._data_dir, session, now=self._clock())

    def forget(self, session: Row, *, author: str, influxdb: bool, images: bool) -> Note:
        """Let a session vanish, a row of the session table; raises `NotFoundError` where it is not there any more.

        `influxdb` and `images` say that its points and published files go too.
        """
        done = self._forgotten.forget(session["id"], author=author, influxdb=influxdb, images=images, now=self._clock())
        if done is None:
            raise NotFoundError(f"there is no session {session['key']} any more")
        note, seq = done
        log.info("%s: its session %s is forgotten (%s)", note.path, note.key, author)
        self._end_links(note)
        self._left.append(note)
        self._tell(Change(session=note.session, key=note.key, seq=seq, generation=0, forgotten=True))
        return note

    def remember(self, session: int) -> None:
        """Let the project of a forgotten session be read again; raises `NotFoundError` where none is passed over."""
        if not self._forgotten.remember(session):
            raise NotFoundError("its project is not passed over any more")

    def step(self) -> float:
        """Do what commands ask for, and clear a little; returns the seconds after which to go on."""
        self._errands.step()
        return self._clear() if self._left else LOOK_SECONDS

    def finish(self) -> None:
        """Clear all that is left."""
        while self._left:
            self._clear()

    def _clear(self) -> float:
        note = self._left[0]
        if self._forgotten.clear(note):
            return PAUSE_SECONDS
        self._end_links(note)
        for file, _ in kept_of(self._data_dir / "images", Path(note.path)):
            file.unlink(missing_ok=True)
        self._forgotten.cleared(note)
        self._left.popleft()
        log.info("%s: all that was stored of its session %s is gone", note.path, note.key)
        return PAUSE_SECONDS

    def _end_links(self, note: Note) -> None:
        """End the links that open a session; where they cannot be read, they open nothing while it is forgotten."""
        try:
            known = {"key": note.key, "path": note.path, "origin": note.origin, "created": 0}  # before any link
            for link in _links(self._data_dir, known):
                _shares(self._data_dir).revoke(link.id)
        except (AccessError, ConfigError) as error:
            log.warning("links to %s could not be ended: %s", note.key, error)

    def _do(self, errand: Errand) -> Mapping[str, Any]:
        """Do what a command asks for."""
        match errand:
            case {"what": "forget", "session": int(session), "influxdb": bool(influxdb), "images": bool(images)}:
                for row in self._reader.sessions():
                    if row["id"] == session:
                        note = self.forget(row, author=COMMAND, influxdb=influxdb, images=images)
                        return {"session": note.session}
                raise NotFoundError("the session is not there any more")
            case {"what": "remember", "session": int(session)}:
                self.remember(session)
                return {}
            case _:
                raise ConfigError("this agent does not know what it is asked for", remedy="Is it of another version?")


def _links(data_dir: Path, session: Mapping[str, Any]) -> list[Share]:
    """Return the links that open a session; raises `AccessError`."""
    if not (data_dir / SHARES).exists():
        return []
    return [link for link in _shares(data_dir).listed() if link.opens(session)]


def _shares(data_dir: Path) -> Shares:
    from cryowatch.access.key import key_of  # noqa: PLC0415

    return Shares(data_dir, key_of(data_dir), clock=time.time_ns)
