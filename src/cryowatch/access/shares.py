"""Share links: each opens one session, until a day, for whoever has it; in `shares.json`.

::

    {"shares": {ID: {"session": KEY, "path": PATH, "origin": TEXT, "until": UTC ms, "created": UTC ms, "by": ACCOUNT,
                     "label": TEXT}}}

A link's token is `ID.SIGNATURE`, signed over all of that but `by` and `label` with the key of the data directory: the
file alone opens nothing, and what somebody changes in it neither.  The session is known by when its project was made,
and by its key or its folder: so a link follows a project that is moved, and never opens another one that gets the same
name or the same folder.  The label says for whom the link is, and may be empty.  Links of earlier versions have no
`origin`; they open a session of the same key and folder, and only one whose project was made before the link.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryowatch.access.key import Key
from cryowatch.access.private_file import Kept
from cryowatch.errors import AccessError, ConfigError
from cryowatch.times import milliseconds

FILE_NAME = "shares.json"
MOST = 1000
MOST_DAYS = 366
MOST_LABEL = 80
"""Characters of a label."""

DAY = 24 * 3600 * 1000
_NS = 10**6
"""Of a millisecond."""

_PURPOSE = "share"
_TOKEN = re.compile(r"([0-9a-f]{12})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One link; `session` is the session's key, `path` its folder, `origin` when its project was made, as that says.

    The two are as they were when the link was made; times are UTC ms.
    """

    id: str
    session: str
    path: str
    until: int
    created: int
    by: str
    origin: str = ""
    label: str = ""

    def opens(self, session: Mapping[str, Any]) -> bool:
        """Return whether a session, a row of the store, is the one that the link was made for."""
        keyed, there = session["key"] == self.session, session["path"] == self.path
        if not self.origin:
            made = session["created"]
            return bool(keyed and there and made is not None and made < self.created * _NS)
        return bool(session["origin"] == self.origin and (keyed or there))


class Shares:
    """The share links of a data directory; `clock` is UTC ns.  May be used from any thread and several processes."""

    def __init__(self, folder: Path, key: Key, *, clock: Callable[[], int]) -> None:
        self._kept = Kept(folder / FILE_NAME)
        self._key = key
        self._clock = clock

    def create(self, *, session: str, path: str, origin: str, days: int, by: str, label: str = "") -> tuple[Share, str]:
        """Make a link; returns it and its token, which is shown this once.  Raises `ConfigError`."""
        if not origin:
            what = "its project has not said yet when it was made; a link could open another one made in its folder"
            raise ConfigError(what, where=session, remedy="Try again once the session has been read")
        if not 1 <= days <= MOST_DAYS:
            raise ConfigError(f"a link lasts from 1 to {MOST_DAYS} days")
        label = label.strip()
        if len(label) > MOST_LABEL or not label.isprintable():
            raise ConfigError(f"a label is one line of at most {MOST_LABEL} characters")
        now = milliseconds(self._clock())
        share = Share(
            id=secrets.token_hex(6), session=session, path=path, origin=origin, until=now + days * DAY, created=now,
            by=by, label=label,
        )  # fmt: skip
        with self._kept.change() as content:
            kept = {known: said for known, said in content.get("shares", {}).items() if said.get("until", 0) > now}
            if len(kept) >= MOST:
                raise ConfigError(f"there are {MOST} links already", remedy="Revoke some: `cryowatch share revoke ID`")
            said = {
                "session": session, "path": path, "origin": origin, "until": share.until, "created": now, "by": by,
                "label": label,
            }  # fmt: skip
            content["shares"] = {**kept, share.id: said}
        return share, f"{share.id}.{self._signature(share)}"

    def listed(self) -> Sequence[Share]:
        """Return the links that open something still, the newest first; raises `AccessError`."""
        now = milliseconds(self._clock())
        found = [self._share(known, said) for known, said in self._all().items()]
        return sorted((one for one in found if one.until > now), key=lambda one: -one.created)

    def revoke(self, id: str) -> Share:  # noqa: A002  that is what it is called in the file and on the page
        """End a link at once; raises `ConfigError` where there is none."""
        with self._kept.change() as content:
            said = content.get("shares", {}).pop(id, None)
        if said is None:
            raise ConfigError("there is no such link", where=id, remedy="`cryowatch share list` names them")
        return self._share(id, said)

    def find(self, token: str) -> Share | None:
        """Return the link of a token; None where it is forged, over or revoked.  Raises `AccessError`."""
        parts = _TOKEN.fullmatch(token)
        said = self._all().get(parts[1]) if parts else None
        if parts is None or said is None:
            return None
        share = self._share(parts[1], said)
        good = self._key.signed(parts[2], _PURPOSE, *_signed(share))
        return share if good and share.until > milliseconds(self._clock()) else None

    def _signature(self, share: Share) -> str:
        return self._key.signature(_PURPOSE, *_signed(share))

    def _all(self) -> dict[str, Any]:
        found = self._kept.read().get("shares", {})
        if not isinstance(found, dict):
            raise AccessError("is not as cryowatch writes it", where=self._kept.path)
        return found

    def _share(self, id: str, said: Any) -> Share:  # noqa: A002
        try:
            return Share(
                id=id,
                session=str(said["session"]),
                path=str(said["path"]),
                until=int(said["until"]),
                created=int(said["created"]),
                by=str(said["by"]),
                origin=str(said.get("origin", "")),
                label=str(said.get("label", "")),
            )
        except (KeyError, ValueError, TypeError):
            raise AccessError("is not as cryowatch writes it", where=f"{self._kept.path}: {id}") from None


def _signed(share: Share) -> tuple[str, ...]:
    """Return what a link is signed over; one of an earlier version is signed without an origin."""
    origin = (share.origin,) if share.origin else ()
    return share.id, share.session, share.path, str(share.until), str(share.created), *origin
