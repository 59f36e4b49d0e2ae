"""Host keys: what the known_hosts file says of the one that a server shows, and adding one that a person trusts.

The file has OpenSSH's format and is read as `ssh` reads it: a host goes by its name in small letters, with its port
where that is not 22, and names may be patterns or hashed.  A line that cannot be understood counts for nothing.  A key
is only ever added, never replaced: one that changed may mean that somebody else answers in the server's place.

A revocation counts wherever `ssh` would look for one: in the file, in the machine's /etc/ssh/ssh_known_hosts, and in
the `RevokedHostKeys` of ~/.ssh/config.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import asyncssh
from asyncssh.public_key import get_default_certificate_algs, get_default_public_key_algs

from cryowatch.errors import ConfigError, SinkRefused, remedy_of
from cryowatch.publish.ssh_patterns import matches_list

PORT = 22
SYSTEM = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
"""Files of the whole machine, of which only the revocations count."""

_REVOKED, _AUTHORITY = "@revoked", "@cert-authority"
_KRL = b"SSHKRL\n"


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


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a known_hosts file; `names` are patterns, or one hashed name."""

    number: int
    marker: str
    names: str
    key: asyncssh.SSHKey

    def means(self, name: str) -> bool:
        """Return whether it speaks of a host, whose name is in small letters."""
        if not self.names.startswith("|"):
            return matches_list(name, self.names.lower())
        try:
            _, version, salt, digest = self.names.split("|")
            expected = hmac.digest(base64.b64decode(salt, validate=True), name.encode(), "sha1")
            return version == "1" and hmac.compare_digest(expected, base64.b64decode(digest, validate=True))
        except (ValueError, binascii.Error):
            return False


class KnownHosts:
    """The contents of a known_hosts file; of `others` only what they revoke counts."""

    def __init__(self, text: str, *, others: Sequence[str] = ()) -> None:
        self._lines = list(_understood(text))
        for other in others:
            self._lines += [line for line in _understood(other) if line.marker == _REVOKED]

    def of(self, host: str, port: int) -> Keys:
        """Return what is said of a host; what is said of it without a port holds for those of no other word."""
        named = self._find(name_of(host, port))
        if port != PORT:
            plain = self._find(host.lower())
            named.revoked += plain.revoked
            if not named.trusted and not named.authorities:
                plain.revoked = named.revoked
                return plain
        return named

    def _find(self, name: str) -> Keys:
        found = Keys(name)
        for line in self._lines:
            if not line.means(name):
                continue
            if line.marker == _REVOKED:
                found.revoked.append(line.key)
            elif line.marker == _AUTHORITY:
                found.authorities.append(line.key)
            else:
                found.trusted.append(line.key)
                found.lines.append(line.number)
        return found


def _understood(text: str) -> Iterator[_Line]:
    for number, line in enumerate(text.split("\n"), start=1):
        marker, rest = "", line.strip()
        if rest.startswith("@"):
            marker, _, rest = rest.replace("\t", " ").partition(" ")
        words = rest.split(None, 1)
        if len(words) < 2 or rest.startswith("#") or marker not in ("", _REVOKED, _AUTHORITY):
            continue
        try:
            yield _Line(number, marker, words[0], asyncssh.import_public_key(words[1]))
        except ValueError:
            continue


def revoked_keys(file: Path) -> list[asyncssh.SSHKey]:
    """Return the keys of a `RevokedHostKeys` file, one a line; raises `SinkRefused` where they cannot be known.

    `ssh` trusts no host either where it cannot read the file.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        what = f"the revoked host keys cannot be read: {error.strerror}"
        raise SinkRefused(what, where=file, remedy="It is named as RevokedHostKeys in ~/.ssh/config") from None
    if data.startswith(_KRL):
        what, remedy = "is a binary list of revoked keys, which is not understood", "Name a file of public keys instead"
        raise SinkRefused(what, where=file, remedy=remedy)
    keys = []
    for line in data.decode(errors="replace").split("\n"):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                keys.append(asyncssh.import_public_key(line))
            except ValueError as error:
                raise SinkRefused(f"holds a line that is no public key: {error}", where=file) from None
    return keys


def read(file: Path, *, system: Sequence[Path] = SYSTEM) -> KnownHosts:
    """Return what a known_hosts file holds, and what the machine's revoke; raises `ConfigError`."""
    text = _text(file, "It is named as images.known_hosts")
    return KnownHosts(text, others=[_text(other, "Its revocations count") for other in system])


def _text(file: Path, remedy: str) -> str:
    """Return what a file holds, nothing where there is none; raises `ConfigError`."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=file, remedy=remedy) from None


def name_of(host: str, port: int) -> str:
    """Return how a known_hosts file names a host, in small letters as `ssh` does."""
    return (host if port == PORT else f"[{host}]:{port}").lower()


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
