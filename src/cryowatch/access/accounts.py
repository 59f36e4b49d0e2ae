"""Accounts: names with a role and a password's argon2id hash, in `accounts.json`.

::

    {"accounts": {NAME: {"role": "viewer|operator", "hash": "$argon2id$…", "stamp": TEXT, "changed": UTC ms}}}

`stamp` is another one after each change of the account, so that logins from before it end.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cryowatch.access.private_file import Kept
from cryowatch.access.role import Role
from cryowatch.errors import AccessError, ConfigError

FILE_NAME = "accounts.json"
SHORTEST, LONGEST = 10, 1024
"""Characters of a password."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account, without its password."""

    name: str
    role: Role
    stamp: str
    changed: int


class Accounts:
    """The accounts of a data directory; may be used from any thread and by several processes."""

    def __init__(self, folder: Path, *, hasher: PasswordHasher | None = None) -> None:
        self._kept = Kept(folder / FILE_NAME)
        self._hasher = hasher or PasswordHasher()
        self._entry = threading.Lock()
        self._nobody = ""

    def any(self) -> bool:
        """Return whether there is an account; raises `AccessError`."""
        return bool(self._all())

    def listed(self) -> Sequence[Account]:
        """Return the accounts in order of their names; raises `AccessError`."""
        return [found for name in sorted(self._all()) if (found := self.find(name)) is not None]

    def find(self, name: str) -> Account | None:
        """Return an account; raises `AccessError`."""
        found = self._all().get(name)
        return None if found is None else self._account(name, found)

    def add(self, name: str, role: Role, password: str, *, now: int) -> None:
        """Make an account (`now`: UTC ms); raises `ConfigError` for a bad name or password, or one that is there."""
        if not _NAME.fullmatch(name):
            remedy = "Take small letters, digits and . _ @ -, beginning with a letter or digit"
            raise ConfigError("is no name for an account", where=name, remedy=remedy)
        made = self._hashed(name, password)
        with self._kept.change() as content:
            accounts = content.setdefault("accounts", {})
            if name in accounts:
                remedy = f"`cryowatch accounts password {name}` changes its password"
                raise ConfigError("there is such an account already", where=name, remedy=remedy)
            accounts[name] = {"role": role.value, "hash": made, "stamp": _stamp(), "changed": now}

    def set_password(self, name: str, password: str, *, now: int) -> None:
        """Change a password, and end the account's logins; raises `ConfigError`."""
        self._known(name)
        made = self._hashed(name, password)
        with self._kept.change() as content:
            self._of(content, name).update(hash=made, stamp=_stamp(), changed=now)

    def set_role(self, name: str, role: Role, *, now: int) -> None:
        """Change what an account may do, and end its logins; raises `ConfigError`."""
        with self._kept.change() as content:
            self._of(content, name).update(role=role.value, stamp=_stamp(), changed=now)

    def remove(self, name: str) -> None:
        """Remove an account, and end its logins; raises `ConfigError`."""
        with self._kept.change() as content:
            self._of(content, name)
            del content["accounts"][name]

    def verified(self, name: str, password: str) -> Account | None:
        """Return the account where the password is right; takes as long for one that is not there."""
        found, spare = self._all().get(name), self._spare()
        if len(password) > LONGEST:
            password, found = "", None
        try:
            right = self._hasher.verify(spare if found is None else found["hash"], password)
        except (VerificationError, InvalidHashError):
            return None
        return self._account(name, found) if right and found is not None else None

    def _hashed(self, name: str, password: str) -> str:
        if not SHORTEST <= len(password) <= LONGEST:
            what = f"the password must have {SHORTEST} characters or more"
            raise ConfigError(what, remedy="A few random words are easy to type and hard to guess")
        if name in password.lower() and len(password) < len(name) + SHORTEST:
            raise ConfigError("the password must not be made of the account's name")
        return self._hasher.hash(password)

    def _spare(self) -> str:
        """Return the hash of a password that nobody has."""
        with self._entry:
            self._nobody = self._nobody or self._hasher.hash(secrets.token_hex(32))
            return self._nobody

    def _all(self) -> dict[str, Any]:
        found = self._kept.read().get("accounts", {})
        if not isinstance(found, dict):
            raise AccessError("is not as cryowatch writes it", where=self._kept.path)
        return found

    def _known(self, name: str) -> None:
        if self.find(name) is None:
            raise _unknown(name)

    @staticmethod
    def _of(content: dict[str, Any], name: str) -> dict[str, Any]:
        found: dict[str, Any] | None = content.get("accounts", {}).get(name)
        if found is None:
            raise _unknown(name)
        return found

    def _account(self, name: str, found: dict[str, Any]) -> Account:
        try:
            return Account(
                name=name, role=Role(found["role"]), stamp=str(found["stamp"]), changed=int(found.get("changed", 0))
            )
        except (KeyError, ValueError, TypeError):
            raise AccessError("is not as cryowatch writes it", where=f"{self._kept.path}: {name}") from None


def _unknown(name: str) -> ConfigError:
    return ConfigError("there is no such account", where=name, remedy="`cryowatch accounts list` names them")


def _stamp() -> str:
    return secrets.token_hex(8)
