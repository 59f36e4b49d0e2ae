"""Host keys: what the known_hosts file says of the one that a server shows, and adding one that a person trusts.

The file has OpenSSH's format and is read as `ssh` reads it: a host goes by its name, with its port where that is not
22; a line that cannot be understood counts for nothing.  A key is only ever added, never replaced: one that changed may
mean that somebody else answers in the server's place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import asyncssh
from asyncssh.public_key import get_default_certificate_algs, get_default_public_key_algs

from cryowatch.errors import ConfigError, remedy_of

PORT = 22


class Trust(StrEnum):
    """What the known_hosts file says of a host's key."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(slots=True)
class Keys:
    """What a known_hosts file holds of one host, by which name; `lines` are the numbers of those that trust a key."""

    name: str
    trusted: list[asyncssh.SSHKey] = field(default_factory=list)
    authorities: list[asyncssh.SSHKey] = field(default_factory=list)
    revoked: list[asyncssh.SSHKey] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def verdict(self, key: asyncssh.SSHKey) -> Trust:
        """Return what to think of a key that the host shows."""
        if key in self.revoked:
            return Trust.REVOKED
        if key in self.trusted:
            return Trust.TRUSTED
        return Trust.CHANGED if self.trusted else Trust.UNKNOWN

    @property
    def kinds(self) -> list[str]:
        """The kinds of host key to ask for: those that are trusted, then all others, as `ssh` does.

        Asked for the trusted ones alone, a server that has none of them only hangs up; asked in any other order, one
        that has a trusted key shows another.
        """
        kinds = get_default_certificate_algs() if self.authorities else []
        kinds += [kind for key in self.trusted for kind in key.sig_algorithms] + get_default_public_key_algs()
        return list(dict.fromkeys(kind.decode() for kind in kinds))


class KnownHosts:
    """The contents of a known_hosts file."""

    def __init__(self, text: str) -> None:
        self._lines = list(_understood(text))

    def of(self, host: str, port: int) -> Keys:
        """Return what is said of a host; what is said of it without a port holds for those of no other word."""
        named = self._find(name_of(host, port))
        if port != PORT:
            plain = self._find(host)
            named.revoked += plain.revoked
            if not named.trusted and not named.authorities:
                plain.revoked = named.revoked
                return plain
        return named

    def _find(self, name: str) -> Keys:
        found = Keys(name)
        for number, line in self._lines:
            trusted, authorities, revoked, *_ = line.match(name, "", None)
            found.trusted += trusted
            found.authorities += authorities
            found.revoked += revoked
            if trusted:
                found.lines.append(number)
        return found


def _understood(text: str) -> Iterator[tuple[int, asyncssh.SSHKnownHosts]]:
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            yield number, asyncssh.import_known_hosts(line)
        except ValueError:
            continue


def read(file: Path) -> KnownHosts:
    """Return what a known_hosts file holds, nothing where there is none; raises `ConfigError`."""
    try:
        return KnownHosts(file.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return KnownHosts("")
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise ConfigError(what, where=file, remedy="It is named as images.known_hosts") from None


def name_of(host: str, port: int) -> str:
    """Return how a known_hosts file names a host."""
    return host if port == PORT else f"[{host}]:{port}"


def counted(lines: list[int]) -> str:
    """Return numbers of lines in words."""
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"


def shown(key: asyncssh.SSHKey) -> str:
    """Return a key's kind and its fingerprint, as `ssh` prints them."""
    return f"{key.algorithm.decode()} {key.get_fingerprint()}"


def add(file: Path, host: str, port: int, key: asyncssh.SSHKey) -> None:
    """Add a key to a known_hosts file, which is made where there is none; raises `ConfigError`."""
    kind, data, *_ = key.export_public_key().decode().split()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+", encoding="utf-8", errors="surrogateescape") as out:
            before = out.read()
            out.write(("" if not before or before.endswith("\n") else "\n") + f"{name_of(host, port)} {kind} {data}\n")
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=file, remedy=remedy_of(error)) from None


class Watcher(asyncssh.SSHClient):
    """Takes note of a host key that is not trusted, so that what is wrong with it can be said."""

    def __init__(self, note: Callable[[asyncssh.SSHKey], None]) -> None:
        self._note = note

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Trust no key that the known_hosts file does not."""
        del host, addr, port
        self._note(key)
        return False
