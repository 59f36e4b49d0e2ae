"""Connections by SSH: every host's key is checked, and every fault is one line that says how to mend it.

What the user's ~/.ssh/config says of a host holds: its real name, port, user, keys, jump hosts and the like; not
`UserKnownHostsFile` and `StrictHostKeyChecking`, since the keys of all hosts on the way have to be in one known_hosts
file, always.  The private key and the password of the settings are for the last host alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import asyncssh

from cryowatch.errors import ConfigError, SinkAway, SinkRefused
from cryowatch.publish.host_keys import Keys, KnownHosts, Trust, Watcher, counted, read, revoked_keys, shown
from cryowatch.publish.ssh_config import HostConfig, held, usable_config
from cryowatch.system.redaction import Redaction

KEEP_ALIVE_SECONDS = 15.0
CLOSE_SECONDS = 2.0
MOST_SAID = 300
"""Characters of what a server says that are shown."""

_TRUST = "Look at it with `cryowatch images trust`"
_USER_CONFIG = Path("~/.ssh/config")
_TOO_MANY = "too many authentication failures"

logging.getLogger("asyncssh").setLevel(logging.WARNING)
# After a cut asyncssh writes on for a moment, and asyncio would tell of each packet; the cut itself is told of once.
logging.getLogger("asyncio").addFilter(lambda record: record.msg != "socket.send() raised exception.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder on another machine, and who writes there; `user` and `port` may be left to ~/.ssh/config."""

    host: str
    path: str
    user: str = ""
    port: int | None = None

    @property
    def address(self) -> str:
        """The place as people write it."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"sftp://{user}{host}{f':{self.port}' if self.port else ''}{self.path}"


def place_of(url: str) -> Place:
    """Return the place that an address names, its host with the capitals that `Host` in ~/.ssh/config compares."""
    parts = urlsplit(url)
    user, path = unquote(parts.username or ""), unquote(parts.path).rstrip("/")
    return Place(host=_as_typed(parts), path=path, user=user, port=parts.port)


def _as_typed(parts: SplitResult) -> str:
    """Return an address's host with its capitals; `hostname` has none."""
    host = parts.hostname or ""
    start = parts.netloc.rpartition("@")[2].removeprefix("[")
    return start[: len(host)] if start[: len(host)].lower() == host else host


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What opens the door: a private key, a password (or that of the key), and the hosts that are trusted."""

    key_file: Path | None = None
    password: str = ""
    known_hosts: Path

    def hidden(self, text: str) -> str:
        """Return what a server said without the password, which it may have been sent."""
        return Redaction(self.password)(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """A host on the way: as it is asked for, and as ~/.ssh/config says; `known_as` is its name in known_hosts."""

    asked: str
    asked_port: int | None
    asked_user: str
    host: str
    port: int
    known_as: str
    where: str
    config: str = ""
    """What ~/.ssh/config says of it, as asyncssh reads it."""
    revoked: Path | None = None
    """A file of keys that `RevokedHostKeys` names."""


async def route(place: Place) -> list[Hop]:
    """Return the hosts on the way to a place, jump hosts first, itself last; raises `SinkRefused`."""
    return await asyncio.to_thread(lambda: list(_hops(place.host, place.port, place.user, place.address, set())))


def _hops(host: str, port: int | None, user: str, where: str, seen: set[str]) -> Iterator[Hop]:
    config = usable_config(_USER_CONFIG.expanduser(), host, user=user, port=port)
    with _config_explained(), held(config.text) as file:
        options = asyncssh.SSHClientConnectionOptions(
            host=host, port=port or (), username=user or (), client_keys=None, agent_path=None, config=[file]
        )
    seen.add(host)
    for jump in options.tunnel.split(",") if isinstance(options.tunnel, str) else ():
        name, port_there, user_there = _jump(jump)
        if name not in seen:  # `Host *` with a jump host names that for itself too
            yield from _hops(name, port_there, user_there, f"jump host {name}", seen)
    yield Hop(
        asked=host,
        asked_port=port,
        asked_user=user,
        host=options.host,
        port=options.port,
        known_as=options.host_key_alias or options.host,
        where=where,
        config=config.text,
        revoked=_revocations(config),
    )


def _revocations(config: HostConfig) -> Path | None:
    name = config.value("RevokedHostKeys")
    return None if name is None or name.lower() == "none" else Path(name).expanduser()


def _jump(text: str) -> tuple[str, int | None, str]:
    """Return host, port and user of a jump host, as `user@host:port` or as an address of ssh://."""
    parts = urlsplit(f"ssh://{text.strip().removeprefix('ssh://')}")
    with _config_explained():
        return _as_typed(parts), parts.port, parts.username or ""


class Connection:
    """An open connection, and those to the jump hosts that it goes over."""

    def __init__(self) -> None:
        self._all: list[asyncssh.SSHClientConnection] = []

    @property
    def last(self) -> asyncssh.SSHClientConnection:
        """The connection to the place itself."""
        return self._all[-1]

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return not self._all or self.last.is_closed()

    async def extend(self, hop: Hop, access: Access, *, seconds: float) -> None:
        """Go on to a host that is reached from the last; raises `SinkAway`, `SinkRefused`."""
        self._all.append(await _connected(hop, access, self._all[-1] if self._all else None, seconds=seconds))

    def abort(self) -> None:
        """Give it up at once."""
        for connection in reversed(self._all):
            connection.abort()

    async def close(self) -> None:
        """End it in order, or give it up."""
        for connection in reversed(self._all):
            connection.close()
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await connection.wait_closed()
            except (OSError, TimeoutError, asyncssh.Error):
                connection.abort()


async def opened(place: Place, access: Access, *, seconds: float) -> Connection:
    """Return an open connection; each host on the way has so many seconds.  Raises `SinkAway`, `SinkRefused`."""
    connection = Connection()
    try:
        for hop in await route(place):
            here = access if hop.where == place.address else Access(known_hosts=access.known_hosts)
            await connection.extend(hop, here, seconds=seconds)
    except BaseException:
        connection.abort()
        raise
    return connection


def keys_of(hosts: KnownHosts, hop: Hop) -> Keys:
    """Return what is known of a host's keys, those that `RevokedHostKeys` names included; raises `SinkRefused`."""
    keys = hosts.of(hop.known_as, hop.port)
    if hop.revoked is not None:
        keys.revoked += revoked_keys(hop.revoked)
    return keys


async def host_key(
    before: Sequence[Hop], hop: Hop, hosts: KnownHosts, access: Access, *, seconds: float
) -> asyncssh.SSHKey:
    """Return the key that a host shows, reached over those before it; raises `SinkAway`, `SinkRefused`."""
    connection = Connection()
    where = f"{hop.host} port {hop.port}"
    try:
        for one in before:
            await connection.extend(one, Access(known_hosts=access.known_hosts), seconds=seconds)
        async with asyncio.timeout(seconds):
            with held(hop.config) as file:
                key = await asyncssh.get_server_host_key(
                    hop.asked,
                    hop.asked_port or (),
                    tunnel=connection.last if before else None,
                    server_host_key_algs=hosts.of(hop.known_as, hop.port).kinds,
                    config=[file],
                )
    except (OSError, asyncssh.Error) as error:
        raise SinkAway(f"cannot be reached: {_reason(error)}", where=where) from None
    finally:
        connection.abort()
    if key is None:
        raise SinkAway("shows no host key", where=where)
    return key


async def _connected(
    hop: Hop, access: Access, tunnel: asyncssh.SSHClientConnection | None, *, seconds: float
) -> asyncssh.SSHClientConnection:
    seen: list[asyncssh.SSHKey] = []
    try:
        hosts = await asyncio.to_thread(read, access.known_hosts)
    except ConfigError as error:
        raise SinkRefused(error.what, where=error.where, remedy=error.remedy) from None
    keys = await asyncio.to_thread(keys_of, hosts, hop)
    options: dict[str, Any] = {"username": hop.asked_user} if hop.asked_user else {}
    if access.password:
        options["password"] = access.password
    if access.key_file is not None:
        key = await asyncio.to_thread(_private_key, access.key_file, access.password)
        options |= {"client_keys": [key], "agent_path": None}
    try:
        with _config_explained(), held(hop.config) as file:
            return await asyncssh.connect(
                hop.asked,
                hop.asked_port or (),
                tunnel=tunnel,
                known_hosts=lambda *_: (keys.trusted, keys.authorities, keys.revoked),
                server_host_key_algs=keys.kinds,
                client_factory=lambda: Watcher(seen.append),
                connect_timeout=seconds,
                login_timeout=seconds,
                keepalive_interval=KEEP_ALIVE_SECONDS,
                config=[file],
                **options,
            )
    except asyncssh.HostKeyNotVerifiable as error:
        raise _untrusted(hop, access, keys, seen, access.hidden(error.reason)) from None
    except asyncssh.KeyExchangeFailed as error:
        what = f"knows no way to talk safely that we know too: {access.hidden(error.reason)}"
        remedy = "Its SSH server is too old, or allows too little"
        raise SinkRefused(what, where=hop.where, remedy=remedy) from None
    except asyncssh.PermissionDenied:
        raise _kept_out(hop, access) from None
    except (OSError, TimeoutError, asyncssh.Error) as error:
        if _TOO_MANY in str(error).lower():
            what = "was offered too many keys before the right one"
            raise SinkRefused(what, where=hop.where, remedy="Name the right one as images.key_file") from None
        raise SinkAway(f"cannot be reached: {access.hidden(_reason(error))}", where=hop.where) from None


@contextlib.contextmanager
def _config_explained() -> Iterator[None]:
    """Turn what is wrong with ~/.ssh/config, or with a key that it names, into `SinkRefused`."""
    try:
        yield
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.filename is None:  # the network's, not a file's
            raise
        remedy = "What it says of the host holds here as for `ssh`"
        raise SinkRefused(f"cannot be followed: {error}", where=_USER_CONFIG.expanduser(), remedy=remedy) from None


def _untrusted(hop: Hop, access: Access, keys: Keys, seen: list[asyncssh.SSHKey], reason: str) -> SinkRefused:
    """Return what is wrong with the host's key: revoked, changed or not known yet."""
    file = access.known_hosts
    if not seen and keys.revoked:
        what = f"shows a host key that was revoked in {hop.revoked or file}"
        return SinkRefused(what, where=hop.where, remedy="Ask its administrator for the new one, and trust that")
    if not seen:
        return SinkRefused(f"shows a host key that does not hold: {reason}", where=hop.where, remedy=_TRUST)
    if keys.verdict(seen[-1]) is Trust.CHANGED:
        what = (
            f"shows another host key than {file} holds in {counted(keys.lines)}, so it was set up anew or somebody else"
            f" answers: {shown(seen[-1])}"
        )
        return SinkRefused(what, where=hop.where, remedy=f"Ask its administrator. {_TRUST}")
    return SinkRefused(f"its host key is not known yet: {shown(seen[-1])}", where=hop.where, remedy=_TRUST)


def _kept_out(hop: Hop, access: Access) -> SinkRefused:
    tried = f"the key {access.key_file}" if access.key_file else "the keys of ~/.ssh and of the agent"
    if access.password:
        tried += " and the password"
    remedy = "Add the public key to the account's authorized_keys there"
    return SinkRefused(f"does not let us in with {tried}", where=hop.where, remedy=remedy)


def _private_key(file: Path, password: str) -> asyncssh.SSHKey | tuple[asyncssh.SSHKey, str]:
    """Return a private key, with its certificate where one lies beside it; raises `SinkRefused`."""
    try:
        key = asyncssh.read_private_key(str(file), password or None)
    except OSError as error:
        what = f"the private key cannot be read: {error.strerror}"
        raise SinkRefused(what, where=file, remedy="It is named as images.key_file") from None
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
        if "passphrase" in str(error).lower() or isinstance(error, asyncssh.KeyEncryptionError):
            what = "the passphrase does not open the private key" if password else "the private key wants a passphrase"
            remedy = (
                "Put it into the file images.password_file; or let the SSH agent hold the key, and name no key_file"
            )
            raise SinkRefused(what, where=file, remedy=remedy) from None
        remedy = "OpenSSH's and PEM formats are known; not PuTTY's"
        if file.suffix == ".pub":
            remedy = "It is the public part; name the file without .pub"
        raise SinkRefused("is no private key that can be read", where=file, remedy=remedy) from None
    if key.algorithm == b"ssh-dss":
        remedy = "Make a new one with `ssh-keygen -t ed25519`, and add its public part there"
        raise SinkRefused("is a DSA key, which servers no longer accept", where=file, remedy=remedy)
    certificate = file.with_name(f"{file.name}-cert.pub")
    return (key, str(certificate)) if certificate.is_file() else key


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:  # below 0 are those of names
        return os.strerror(error.errno)
    return str(getattr(error, "strerror", None) or getattr(error, "reason", None) or error)[:MOST_SAID]
