"""What of the store somebody sees: all of it, or one session as if there were no other.

For who has a share link, another session's name, a deleted one's and one that never was are answered alike, without a
look into the store; ids and positions are veiled (`veil`), and what is of the machine or of the agent is left out: its
load, its alerts and its deliveries tell of the others.  Nor is told where on which machine the session lies: its folder
is called by the project's name, other folders are left out of texts, and the machine has no name.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Protocol, TypeVar, cast

from cryowatch.access.key import Key
from cryowatch.access.shares import Share
from cryowatch.dashboards import Dashboard
from cryowatch.errors import NotFoundError
from cryowatch.store.names import unmarked
from cryowatch.store.reader import Reader, Row
from cryowatch.web.gate import Who
from cryowatch.web.replies import LoginNeeded
from cryowatch.web.veil import LARGEST, Heads, Veil

T = TypeVar("T")

_OF_MACHINE = ("host", "device")
_MACHINE = "the machine"
_FOLDERS = re.compile(r"""(?<![\w.:/~-])/(?:[^/\s"'<>|:;,()=]+/)+""")
"""What leads to a file by its whole path; not what follows a relative path, or the server in an address."""


class Sight(Protocol):
    """What one who asks sees.  `confined`: one session, and nothing of the machine."""

    confined: bool

    def sessions(self) -> list[Row]:
        """Return the rows of the sessions."""

    def session(self, name: str) -> Row:
        """Return the session of this key, name or path; raises `NotFoundError`."""

    def micrograph(self, shown: int) -> Row:
        """Return the micrograph of an id as it is shown; raises `NotFoundError`."""

    def key(self, key: str) -> str:
        """Return the key of a session that is seen as it is shown."""

    def told(self, value: T) -> T:
        """Return a text, or what holds texts, as it is told."""

    def id(self, number: int) -> int:
        """Return an id as it is shown."""

    def number(self, shown: int) -> int:
        """Return the id that is shown so."""

    def head(self, seq: int) -> int:
        """Return a position in the order of changes as it is shown."""

    def position(self, head: int) -> int:
        """Return the position that is shown so."""

    def version(self, seq: int) -> int:
        """Return what stands for the state of a row: another number after each change."""

    def dashboards(self, all_: Sequence[Dashboard]) -> Sequence[Dashboard]:
        """Return the dashboards with the panels that are seen."""


class Whole:
    """The sight of who may see everything."""

    confined = False

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def sessions(self) -> list[Row]:
        return self._reader.sessions()

    def session(self, name: str) -> Row:
        return self._reader.session(name)

    def micrograph(self, shown: int) -> Row:
        if shown > LARGEST:
            raise NotFoundError("there is no such micrograph")
        return self._reader.micrograph(shown)

    def key(self, key: str) -> str:
        return key

    def told(self, value: T) -> T:
        return value

    def id(self, number: int) -> int:
        return number

    def number(self, shown: int) -> int:
        return shown

    def head(self, seq: int) -> int:
        return seq

    def position(self, head: int) -> int:
        return head

    def version(self, seq: int) -> int:
        return seq

    def dashboards(self, all_: Sequence[Dashboard]) -> Sequence[Dashboard]:
        return all_


class OneSession:
    """The sight of who has a link to a session."""

    confined = True

    def __init__(self, reader: Reader, share: Share, key: bytes) -> None:
        self._reader = reader
        self._share = share
        self._key = key
        self._veil = Veil(key)
        self._heads = Heads()
        self._secrets: Sequence[tuple[str, str]] = ((share.path, PurePath(share.path).name),)

    def sessions(self) -> list[Row]:
        found = self._reader.sessions_at(self._share.session, self._share.path)
        for row in found:
            if self._share.opens(row):
                name = row["name"]
                self._secrets = ((row["path"], name), (self._share.path, name), (row["host"], _MACHINE))
                told = {"state_text": self.told(row["state_text"]), "troubles": self._troubles(row["troubles"])}
                return [{**row, **told, "path": name, "host": ""}]
        return []

    def session(self, name: str) -> Row:
        own = self.sessions()
        if not own or name not in (own[0]["key"], self.key(own[0]["key"]), own[0]["name"]):
            raise NotFoundError("there is no such session")
        return own[0]

    def micrograph(self, shown: int) -> Row:
        if shown <= LARGEST:
            try:
                found = self._reader.micrograph(self._veil.reveal(shown))
            except NotFoundError:
                found = {}
            if found and [row["id"] for row in self.sessions()] == [found["session_id"]]:
                return found
        raise NotFoundError("there is no such micrograph")

    def key(self, key: str) -> str:
        return unmarked(key)

    def told(self, value: T) -> T:
        if isinstance(value, str):
            return cast("T", self._text(value))
        if isinstance(value, dict):
            return cast("T", {name: self.told(one) for name, one in value.items()})
        if isinstance(value, list | tuple):
            return cast("T", [self.told(one) for one in value])
        return value

    def _troubles(self, listed: str) -> str:
        return json.dumps(self.told(json.loads(listed)))

    def _text(self, text: str) -> str:
        for secret, instead in self._secrets:
            if secret and secret in text:
                text = instead.join(re.split(rf"(?<![\w.-]){re.escape(secret)}(?![\w-])", text))
        return _FOLDERS.sub("", text)

    def id(self, number: int) -> int:
        return self._veil.hide(number)

    def number(self, shown: int) -> int:
        return self._veil.reveal(min(shown, LARGEST))

    def head(self, seq: int) -> int:
        return self._heads.head(seq)

    def position(self, head: int) -> int:
        return self._heads.position(head)

    def version(self, seq: int) -> int:
        mixed = hashlib.blake2b(seq.to_bytes(8, "big"), key=self._key, person=b"version", digest_size=6)
        return int.from_bytes(mixed.digest(), "big")

    def dashboards(self, all_: Sequence[Dashboard]) -> Sequence[Dashboard]:
        seen = [replace(d, panels=tuple(p for p in d.panels if p.record not in _OF_MACHINE)) for d in all_]
        return [dashboard for dashboard in seen if dashboard.panels]


class Sights:
    """The sight of each who asks; that of one session is the same for all its links."""

    def __init__(self, reader: Reader, key: Key | None) -> None:
        self._reader = reader
        self._key = key
        self._whole = Whole(reader)
        self._entry = threading.Lock()
        self._single: dict[tuple[str, str, str], OneSession] = {}

    def of(self, asking: Who) -> Sight:
        """Return what somebody sees; raises `LoginNeeded` for nobody."""
        if asking.role is not None:
            return self._whole
        if asking.share is not None:
            return self.of_share(asking.share)
        raise LoginNeeded("log in first")

    def told(self, asking: Who, text: str) -> str:
        """Return a text as it is told to somebody, or to nobody."""
        return text if asking.share is None else self.of_share(asking.share).told(text)

    def of_share(self, share: Share) -> Sight:
        """Return what a link shows."""
        if self._key is None:
            raise NotFoundError("there is no such session")
        seen = (share.session, share.path, share.origin)
        with self._entry:
            if seen not in self._single:
                self._single[seen] = OneSession(self._reader, share, self._key.derived("veil " + "\0".join(seen)))
            return self._single[seen]
