"""Host keys: whether the known_hosts file trusts the one that a server shows, and adding one that a person trusts.

The file has OpenSSH's format, so that `ssh` and cryowatch trust the same hosts.  A key is only ever added, never
replaced: one that changed may mean that somebody else answers in the server's place.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import asyncssh

from cryowatch.errors import ConfigError, ServerError

SECONDS = 15.0


class Trust(StrEnum):
    """What the known_hosts file says of a host's key."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """The key that a server shows: its kind, its fingerprint as `ssh` prints it, and as known_hosts holds it."""

    kind: str
    fingerprint: str
    line: str


def known(file: Path) -> asyncssh.SSHKnownHosts:
    """Return what a known_hosts file holds, nothing where there is none; raises `ConfigError`."""
    try:
        return asyncssh.read_known_hosts(str(file))
    except FileNotFoundError:
        return asyncssh.import_known_hosts("")
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", where=file, remedy="It is named as images.known_hosts") from None


def matched(
    hosts: asyncssh.SSHKnownHosts, host: str, port: int
) -> tuple[Sequence[asyncssh.SSHKey], Sequence[asyncssh.SSHKey]]:
    """Return the keys of a host that are trusted, and those that were revoked.

    Asked for a port, the library forgets what was revoked for it where nothing is trusted.
    """
    trusted, _, _, *_ = hosts.match(host, "", None if port == 22 else port)
    _, _, revoked, *_ = hosts.match(_name(host, port), "", None)
    return trusted, revoked


def _name(host: str, port: int) -> str:
    return host if port == 22 else f"[{host}]:{port}"


async def fetch(host: str, port: int) -> HostKey:
    """Return the key that a server shows; raises `ServerError`."""
    try:
        async with asyncio.timeout(SECONDS):
            key = await asyncssh.get_server_host_key(host, port)
    except (OSError, TimeoutError, asyncssh.Error) as error:
        raise ServerError(f"cannot be reached: {error or 'no answer'}", where=f"{host}:{port}") from None
    if key is None:
        raise ServerError("shows no host key", where=f"{host}:{port}")
    line = key.export_public_key().decode().strip()
    return HostKey(kind=line.split()[0], fingerprint=key.get_fingerprint(), line=" ".join(line.split()[:2]))


def trust(file: Path, host: str, port: int, shown: HostKey) -> Trust:
    """Return what a known_hosts file says of the key that a host shows."""
    key = asyncssh.import_public_key(shown.line)
    trusted, revoked = matched(known(file), host, port)
    if key in revoked:
        return Trust.REVOKED
    if key in trusted:
        return Trust.TRUSTED
    return Trust.CHANGED if trusted else Trust.UNKNOWN


def add(file: Path, host: str, port: int, shown: HostKey) -> None:
    """Add a key to a known_hosts file, which is made where there is none; raises `ConfigError`."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+", encoding="utf-8", errors="surrogateescape") as out:
            before = out.read()
            out.write(("" if not before or before.endswith("\n") else "\n") + f"{_name(host, port)} {shown.line}\n")
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=file) from None
