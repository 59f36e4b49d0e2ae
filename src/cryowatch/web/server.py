"""Serving the application until told to stop."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from cryowatch.errors import ConfigError, remedy_of
from cryowatch.web.connection import Connection, Loop, most, widen
from cryowatch.web.events import Hub
from cryowatch.web.places import Places

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0


def bind(address: str, *, option: str = "--listen") -> socket.socket:
    """Return a listening socket for HOST:PORT (port 0: any free one); raises `ConfigError`, which names the option."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY only then
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, int(port)))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(
            f"cannot listen there: {reason}", where=address, remedy=f"Choose another port with {option}"
        ) from error
    return listener


def address_of(listener: socket.socket, *, tls: bool = False) -> str:
    """Return the address of the pages behind a socket."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"


@dataclass(frozen=True, slots=True)
class Identity:
    """The files of a certificate, with those of the authorities between it and the root, and of its key."""

    certificate: Path
    key: Path

    def load(self, context: ssl.SSLContext) -> None:
        """Let a context be this; raises `ConfigError`."""

        def locked() -> str:
            raise ConfigError("needs a passphrase, and nobody is there to type it", where=self.key)

        for path in (self.certificate, self.key):
            try:
                path.open("rb").close()
            except OSError as error:
                raise ConfigError(f"cannot be read: {error.strerror}", where=path, remedy=remedy_of(error)) from None
        try:
            context.load_cert_chain(self.certificate, self.key, password=locked)
        except ssl.SSLError as error:
            reason = "its key is another one" if error.reason == "KEY_VALUES_MISMATCH" else "no certificate and its key"
            remedy = "Both have to be PEM; `cryowatch tls create` makes such a pair"
            raise ConfigError(f"cannot be used: {reason}", where=self.certificate, remedy=remedy) from None

    def stamp(self) -> tuple[int, int]:
        """Return another value after each change of the files; raises OSError."""
        return self.certificate.stat().st_mtime_ns, self.key.stat().st_mtime_ns


class Server(uvicorn.Server):
    """uvicorn, which ends the event streams first, as they would never end by themselves.

    `identity` makes it speak TLS; `proxies` are the addresses that are believed who asks, and how they were asked;
    `most_connections` are as many as file descriptors allow where it is not given.  Raises `ConfigError` for an
    identity that cannot be used.
    """

    def __init__(
        self,
        app: Starlette,
        hub: Hub,
        *,
        started: Callable[[], None],
        identity: Identity | None = None,
        proxies: Sequence[str] = (),
        most_connections: int | None = None,
    ) -> None:
        widen()
        self._places = Places(most_connections or most(), proxies=proxies)
        config = uvicorn.Config(
            app,
            http=partial(Connection, places=self._places),  # type: ignore[arg-type]
            loop=f"{Loop.__module__}:{Loop.__name__}",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=3,
            server_header=False,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
        )
        config.load()
        super().__init__(config)
        self._hub = hub
        self._started = started
        self._identity = identity
        if identity is not None:
            config.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._stamp = identity.stamp()
            identity.load(config.ssl)

    def renew(self) -> float:
        """Take the certificate anew where its files were changed; returns after how many seconds to look again.

        One that cannot be used is told in the log, and the one in use stays.
        """
        if self._identity is not None and self.config.ssl is not None:
            try:
                stamp = self._identity.stamp()
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._identity.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
                    self._identity.load(self.config.ssl)
                    log.info("%s: the new certificate is in use", self._identity.certificate)
            except (ConfigError, OSError) as error:
                log.warning("%s; the certificate that is in use stays", error)
        return LOOK_SECONDS

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(loop, Loop):
            loop.places = self._places
        await super().startup(sockets)
        if not self.should_exit:
            self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.close()
        await super().shutdown(sockets)
