"""Logins: who is logged in, by the hash of a random token that the browser alone holds, in `logins.json`.

::

    {"logins": {SHA-256 OF TOKEN: {"account", "stamp", "since": UTC ms, "seen": UTC ms}}}

A login ends when it is old, when nobody has done anything for too long (`seen` is when somebody last has), when
somebody logs out, and when its account changes or goes.  The agent alone writes the file; it outlives the agent, so
that a restart logs nobody out.
Where it cannot be read, everybody logs in again; where it cannot be written, as on a full disk, the logins hold until
the agent's end.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson

from cryowatch.access.accounts import Account, Accounts
from cryowatch.access.private_file import Kept
from cryowatch.access.private_file import replace as put
from cryowatch.errors import AccessError
from cryowatch.times import milliseconds

FILE_NAME = "logins.json"
MOST_OF_ACCOUNT = 100
_MINUTE = 60 * 1000
_SAVED = 10 * _MINUTE
"""How often the file is written because somebody did something."""


@dataclass(frozen=True, slots=True)
class _Login:
    account: str
    stamp: str
    since: int
    seen: int


class Logins:
    """The logins at one agent; `clock` is UTC ns.  May be used from any thread."""

    def __init__(
        self,
        folder: Path,
        accounts: Accounts,
        *,
        clock: Callable[[], int],
        days: float = 14,
        idle_hours: float = 24,
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._longest = int(days * 24 * 60 * _MINUTE)
        self._idle = int(idle_hours * 60 * _MINUTE)
        self._path = folder / FILE_NAME
        self._entry = threading.Lock()
        self._saved = 0
        self._logins: dict[str, _Login] = {}
        with contextlib.suppress(AccessError, TypeError, AttributeError):
            found = Kept(self._path).read().get("logins", {})
            self._logins = {key: _Login(**said) for key, said in found.items()}

    @property
    def seconds(self) -> int:
        """For how long a browser is to keep its token."""
        return self._longest // 1000

    def begin(self, account: Account) -> str:
        """Log an account in, and return the token."""
        token, now = secrets.token_urlsafe(32), self._now()
        with self._entry:
            self._logins = {key: login for key, login in self._logins.items() if self._lasts(login, now) is not None}
            own = sorted((key for key, one in self._logins.items() if one.account == account.name), key=self._seen)
            for key in own[: max(0, len(own) - MOST_OF_ACCOUNT + 1)]:
                del self._logins[key]
            self._logins[_hashed(token)] = _Login(account.name, account.stamp, now, now)
            self._save()
        return token

    def find(self, token: str) -> Account | None:
        """Return who is logged in with a token; raises `AccessError`."""
        key, now = _hashed(token), self._now()
        with self._entry:
            login = self._logins.get(key)
            if login is None:
                return None
            account = self._lasts(login, now)
            if account is None:
                del self._logins[key]
                self._save()
        return account

    def use(self, token: str, *, ago: int = 0) -> None:
        """Take note that whoever is logged in with a token did something so many seconds ago."""
        key, now = _hashed(token), self._now()
        with self._entry:
            login = self._logins.get(key)
            if login is None:
                return
            self._logins[key] = replace(login, seen=max(login.seen, now - ago * 1000))
            if now - self._saved > _SAVED:
                self._save()

    def end(self, token: str) -> None:
        """Log out."""
        with self._entry:
            if self._logins.pop(_hashed(token), None) is not None:
                self._save()

    def _lasts(self, login: _Login, now: int) -> Account | None:
        if now - login.since > self._longest or now - login.seen > self._idle:
            return None
        account = self._accounts.find(login.account)
        return account if account is not None and account.stamp == login.stamp else None

    def _save(self) -> None:
        self._saved = self._now()
        content = {"logins": {key: asdict(login) for key, login in self._logins.items()}}
        with contextlib.suppress(OSError):
            put(self._path, orjson.dumps(content, option=orjson.OPT_INDENT_2))

    def _seen(self, key: str) -> int:
        return self._logins[key].seen

    def _now(self) -> int:
        return milliseconds(self._clock())


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
