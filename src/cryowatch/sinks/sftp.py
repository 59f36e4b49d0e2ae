"""Publishing by SFTP: many files in flight over one connection, each whole or not there.

A file is written as `NAME.part` and then renamed over its place, so a cut leaves no half image; the next attempt writes
the same `.part` again.  The host's key must be in the known_hosts file, always.  What the user's ~/.ssh/config says of
the host (port, real name, jump host) holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncssh
from asyncssh.public_key import get_default_public_key_algs

from cryowatch.config import Images
from cryowatch.errors import ConfigError, SinkAway, SinkError, SinkRefused
from cryowatch.sinks.host_keys import known, matched
from cryowatch.sinks.targets import Put, checked

CONNECT_SECONDS = 15.0
PUT_SECONDS = 60.0
KEEP_ALIVE_SECONDS = 15.0

_MODE = asyncssh.SFTPAttrs(permissions=0o644)
_TRUST = "Look at its key with `cryowatch images trust`"
_FULL = (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded)
_REFUSED = (
    asyncssh.SFTPPermissionDenied,
    asyncssh.SFTPWriteProtect,
    asyncssh.SFTPNoSuchFile,
    asyncssh.SFTPNoSuchPath,
)

logging.getLogger("asyncssh").setLevel(logging.WARNING)


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
    """Return the place that an address names."""
    parts = urlsplit(url)
    user, path = unquote(parts.username or ""), unquote(parts.path).rstrip("/")
    return Place(host=parts.hostname or "", path=path, user=user, port=parts.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What opens the door: a private key, a password (or that of the key), and the hosts that are trusted."""

    key_file: Path | None = None
    password: str = ""
    known_hosts: Path


def target_of(images: Images) -> Sftp:
    """Return the place that the settings name; raises `ConfigError`."""
    access = Access(key_file=images.key_file, password=images.secret(), known_hosts=images.known_hosts)
    return Sftp(place_of(images.publish), access)


class Sftp:
    """A folder on another machine, over one connection that is made at the first need, and anew after a cut."""

    def __init__(
        self,
        place: Place,
        access: Access,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        put_seconds: float = PUT_SECONDS,
    ) -> None:
        self._place = place
        self._access = access
        self._connect_seconds = connect_seconds
        self._put_seconds = put_seconds
        self._connecting = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._folders: set[str] = set()

    @property
    def where(self) -> str:
        return self._place.address

    async def put(self, name: str, data: bytes) -> Put:
        """Write a file; see `Target`."""
        path = f"{self._place.path}/{checked(name)}"
        async with self._session() as client:
            if await _size(client, path) == len(data):
                return Put.THERE
            await self._make(client, path.rpartition("/")[0])
            try:
                await _write(client, path, data)
            except asyncssh.SFTPNoSuchFile:  # somebody deleted the folder
                self._folders.clear()
                await self._make(client, path.rpartition("/")[0])
                await _write(client, path, data)
        return Put.SENT

    async def holds(self, folder: str) -> bool:
        """Return whether a folder is there."""
        async with self._session() as client:
            return await client.isdir(f"{self._place.path}/{folder}")

    async def remove(self, name: str) -> None:
        """Remove a file that was put, and its folder where that is empty then."""
        path = f"{self._place.path}/{checked(name)}"
        async with self._session() as client:
            await client.remove(path)
            with contextlib.suppress(asyncssh.SFTPError):
                await client.rmdir(path.rpartition("/")[0])
        self._folders.clear()

    async def close(self) -> None:
        """End the connection."""
        connection = self._forget()
        if connection is not None:
            connection.close()
            with contextlib.suppress(OSError, asyncssh.Error, TimeoutError):
                async with asyncio.timeout(2):
                    await connection.wait_closed()
        self._connecting = asyncio.Lock()

    def _forget(self) -> asyncssh.SSHClientConnection | None:
        connection, self._connection, self._client = self._connection, None, None
        self._folders.clear()
        return connection

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[asyncssh.SFTPClient]:
        """Give a client to work with, in time; foreign errors become ours, and after a cut the next one is new."""
        client = await self._connected()
        try:
            async with asyncio.timeout(self._put_seconds):
                yield client
        except TimeoutError:
            self._drop(client)
            raise SinkAway(f"did not answer for {self._put_seconds:g} s", where=self.where) from None
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.DisconnectError, OSError) as error:
            self._drop(client)
            raise SinkAway(f"the connection was cut: {error}", where=self.where) from None
        except asyncssh.SFTPError as error:
            raise await self._explained(client, error) from None

    def _drop(self, client: asyncssh.SFTPClient) -> None:
        if client is self._client and (connection := self._forget()) is not None:
            connection.abort()

    async def _connected(self) -> asyncssh.SFTPClient:
        async with self._connecting:
            if self._client is None or self._connection is None or self._connection.is_closed():
                self._forget()
                self._connection = await self._connect()
                try:
                    async with asyncio.timeout(self._connect_seconds):
                        self._client = await self._connection.start_sftp_client()
                except (asyncssh.Error, OSError, TimeoutError) as error:
                    connection = self._forget()
                    if connection is not None:
                        connection.abort()
                    what = f"lets {self._place.user or 'us'} in, but offers no SFTP: {error or 'no answer'}"
                    remedy = "sshd_config needs a line `Subsystem sftp internal-sftp`"
                    raise SinkRefused(what, where=self.where, remedy=remedy) from None
            return self._client

    async def _connect(self) -> asyncssh.SSHClientConnection:
        place, access = self._place, self._access
        known_hosts = self._known_hosts()
        options: dict[str, Any] = {"known_hosts": known_hosts}
        trusted, authorities, *_ = known_hosts.match(place.host, "", place.port)
        if trusted and not authorities:
            options["server_host_key_algs"] = _trusted_first(trusted)
        if place.port is not None:
            options["port"] = place.port
        if place.user:
            options["username"] = place.user
        if access.password:
            options["password"] = access.password
        if access.key_file is not None:
            key = await asyncio.to_thread(_private_key, access.key_file, access.password)
            options |= {"client_keys": [key], "agent_path": None}
        try:
            return await asyncssh.connect(
                place.host,
                connect_timeout=self._connect_seconds,
                login_timeout=self._connect_seconds,
                keepalive_interval=KEEP_ALIVE_SECONDS,
                **options,
            )
        except asyncssh.HostKeyNotVerifiable:
            raise self._untrusted() from None
        except asyncssh.KeyExchangeFailed as error:
            what = f"shows no host key of a kind that is trusted: {error.reason}"
            raise SinkRefused(what, where=self.where, remedy=_TRUST) from None
        except asyncssh.PermissionDenied:
            with_key = f"the key {access.key_file}" if access.key_file else "the keys of ~/.ssh and of the agent"
            tried = f"{with_key} and the password" if access.password else with_key
            remedy = "Add the public key to the account's authorized_keys there"
            raise SinkRefused(f"does not let us in with {tried}", where=self.where, remedy=remedy) from None
        except (OSError, TimeoutError, asyncssh.Error) as error:
            raise SinkAway(f"cannot be reached: {_reason(error)}", where=self.where) from None

    def _known_hosts(self) -> asyncssh.SSHKnownHosts:
        try:
            return known(self._access.known_hosts)
        except ConfigError as error:
            raise SinkRefused(error.what, where=error.where, remedy=error.remedy) from None

    def _untrusted(self) -> SinkRefused:
        """Return what is wrong with the host's key: revoked, changed or not known yet."""
        place = self._place
        trusted, revoked = matched(self._known_hosts(), place.host, place.port or 22)
        if revoked and not trusted:
            return SinkRefused("shows a host key that was revoked", where=self.where, remedy="Ask its administrator")
        if trusted:
            what = f"shows another host key than {self._access.known_hosts} holds: it was set up anew, or is not it"
            return SinkRefused(what, where=self.where, remedy=f"Ask its administrator. {_TRUST}")
        return SinkRefused("its host key is not known yet", where=self.where, remedy=_TRUST)

    async def _make(self, client: asyncssh.SFTPClient, folder: str) -> None:
        if folder not in self._folders:
            await client.makedirs(folder, attrs=asyncssh.SFTPAttrs(permissions=0o755), exist_ok=True)
            self._folders.add(folder)

    async def _explained(self, client: asyncssh.SFTPClient, error: asyncssh.SFTPError) -> SinkError:
        reason = error.reason or type(error).__name__
        if isinstance(error, _FULL) or await self._full(client):
            return SinkRefused(f"takes no more: {reason}", where=self.where, remedy="Free some space there")
        if isinstance(error, _REFUSED):
            remedy = "Check owner and mode of the folder there"
            return SinkRefused(f"cannot be written: {reason}", where=self.where, remedy=remedy)
        if isinstance(error, asyncssh.SFTPFailure):
            remedy = "The server does not say more: is a quota exceeded, or a file where a folder should be?"
            return SinkRefused(f"cannot be written: {reason}", where=self.where, remedy=remedy)
        return SinkAway(f"cannot be written: {reason}", where=self.where)

    async def _full(self, client: asyncssh.SFTPClient) -> bool:
        """Return whether the disk there is full: servers of old protocols only say "failure"."""
        try:
            async with asyncio.timeout(5):
                disk = await client.statvfs(self._place.path)
        except (asyncssh.Error, OSError, TimeoutError):
            return False
        return bool(disk.blocks and not disk.bavail)


async def _size(client: asyncssh.SFTPClient, path: str) -> int | None:
    try:
        return (await client.lstat(path)).size
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        return None


async def _write(client: asyncssh.SFTPClient, path: str, data: bytes) -> None:
    part = f"{path}.part"
    async with client.open(part, "wb", _MODE) as file:
        await file.write(data)
    try:
        await client.posix_rename(part, path)
    except asyncssh.SFTPOpUnsupported:
        with contextlib.suppress(asyncssh.SFTPNoSuchFile):
            await client.remove(path)
        await client.rename(part, path)


def _trusted_first(keys: Sequence[asyncssh.SSHKey]) -> list[str]:
    """Return the kinds of host key to ask for: those that are trusted, then all others, as `ssh` does.

    Asked for the trusted ones alone, a server that has none of them only hangs up.
    """
    kinds = [kind for key in keys for kind in key.sig_algorithms] + get_default_public_key_algs()
    return list(dict.fromkeys(kind.decode() for kind in kinds))


def _private_key(file: Path, password: str) -> asyncssh.SSHKey:
    """Return a private key; raises `SinkRefused`."""
    try:
        key = asyncssh.read_private_key(str(file), password or None)
    except OSError as error:
        what = f"the private key cannot be read: {error.strerror}"
        raise SinkRefused(what, where=file, remedy="It is named as images.key_file") from None
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
        said = str(error).lower()
        if "passphrase" in said or isinstance(error, asyncssh.KeyEncryptionError):
            what = (
                "the private key wants a passphrase" if not password else "the passphrase does not open the private key"
            )
            raise SinkRefused(what, where=file, remedy="Put it into the file images.password_file") from None
        remedy = "OpenSSH's and PEM formats are known; not PuTTY's"
        raise SinkRefused("is no private key that can be read", where=file, remedy=remedy) from None
    if key.algorithm == b"ssh-dss":
        remedy = "Make a new one with `ssh-keygen -t ed25519`, and add its public part there"
        raise SinkRefused("is a DSA key, which servers no longer accept", where=file, remedy=remedy)
    return key


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or getattr(error, "reason", None) or error)
