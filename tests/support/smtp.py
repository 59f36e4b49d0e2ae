"""A real SMTP server for tests, on a free loopback port: with STARTTLS, TLS and accounts where asked."""

from __future__ import annotations

import email
import email.policy
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from cryowatch.system import certificates as tls
from tests.support.ports import free_port

ACCOUNT = ("watcher", "Ein-geheimes-Wort")


def server_context(
    folder: Path, *, name: str = "localhost", now: datetime | None = None
) -> tuple[ssl.SSLContext, Path]:
    """Return what a server of this name shows, made at a time, and the certificate of the authority that signed it."""
    made = tls.create(folder, [name], now=now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    return context, made.ca_certificate


@dataclass
class Answers:
    """What comes in, and what the server says to it: an empty answer takes it."""

    taken: list[EmailMessage] = field(default_factory=list)
    tries: int = 0
    to: Callable[[str], str] = lambda _: ""
    greeting: Callable[[str], str] = lambda _: ""
    data: Callable[[EmailMessage], str] = lambda _: ""
    recipients: list[list[str]] = field(default_factory=list)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        refusal = self.greeting(hostname)
        if refusal:
            return [refusal]
        session.host_name = hostname
        return responses

    async def handle_HELO(self, server: SMTP, session: Session, envelope: Envelope, hostname: str) -> str:
        session.host_name = hostname
        return self.greeting(hostname) or f"250 {server.hostname}"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = self.to(address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.tries += 1
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        refusal = self.data(message)
        if refusal:
            return refusal
        self.taken.append(message)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"


class MailServer:
    """One server; `stop` and `start` keep its port."""

    def __init__(
        self,
        *,
        starttls: ssl.SSLContext | None = None,
        tls: ssl.SSLContext | None = None,
        account: bool = False,
        size: int = 33_554_432,
        host: str = "127.0.0.1",
        port: int = 0,
        known: tuple[str, str] = ACCOUNT,
    ) -> None:
        self.answers = Answers()
        self.logins: list[tuple[str, str]] = []
        self._options: dict[str, Any] = {"data_size_limit": size, "loop": None}
        if starttls is not None:
            self._options |= {"tls_context": starttls, "require_starttls": True}
        if account:
            self._options |= {
                "authenticator": self._known,
                "auth_required": True,
                "auth_require_tls": starttls is not None,
            }
        self._tls = tls
        self._host = host
        self.port = port
        self._login = known
        self.start()

    def start(self) -> None:
        """Listen, at the same port as before."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a loop of its own, and of accounts on an open line
            self._controller = Controller(
                self.answers,
                hostname=self._host,
                port=self.port or free_port(),
                ssl_context=self._tls,
                **self._options,
            )
            self.port = self._controller.port
            self._controller.start()

    def stop(self) -> None:
        """Listen no more."""
        self._controller.stop()

    def _known(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        said = (data.login.decode(), data.password.decode())
        self.logins.append(said)
        return AuthResult(success=said == self._login, handled=False)
