"""Mail over SMTP: plain text and HTML, with pictures where there are any.

What each answer means is decided here and nowhere else:

- refused and reset connections, time-outs, names that are not found, 4xx: away for now.
- A certificate that cannot be verified, no STARTTLS where it was asked for, a refused account or sender, or every
  recipient refused: a person is needed.
- Some recipients refused: the others have it, and a line says who has not.
- 552, or 5xx after the text: this message is refused, another may be taken.

Where STARTTLS is asked for, nothing is said before the line is protected, and nothing at all where it cannot be.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, getaddresses, parseaddr
from pathlib import Path
from typing import IO, Any, Literal

from cryowatch import __version__
from cryowatch.errors import ConfigError, MessageRefused, SinkAway, SinkError, SinkRefused
from cryowatch.images import Rendered
from cryowatch.notices import html
from cryowatch.notices.message import Message, cut
from cryowatch.records import Severity
from cryowatch.system.certificate_faults import fault
from cryowatch.system.redaction import Redaction

TIMEOUT_SECONDS = 20.0
PORTS: Mapping[str, int] = {"starttls": 587, "tls": 465, "none": 25}
_TOO_LARGE = 552
_NEEDS_ACCOUNT = 530
_WELL = 250
_TAKES = (250, 251)
_LONGEST = 300
_NAMELESS = "localhost"
"""Stands for the name until the connection's own address is known, so that nobody looks names up twice."""
_DOMAIN = re.compile(
    r"(?=.{1,255}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
)
_REFUSES_NAMES = (501, 504, 550, 553, 554)
_OF_THE_NAME = re.compile(r"\b(helo|ehlo)\b", re.IGNORECASE)
MOST_REPLY_BYTES = 65_536
"""Of one answer, which may have any number of lines."""


_POLICY = SMTP.clone(max_line_length=400)
"""Lines as long as subjects are: a subject that is folded comes back with a space too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mail is handed over, and as whom; the password is never shown."""

    host: str
    port: int = 0
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    ehlo: str = ""
    """The name that is given in EHLO; empty for this machine's, or its address."""


def greeting(name: str, address: str) -> str:
    """Return what to give in EHLO: a full domain name, else the address; servers refuse `_` and names without a dot."""
    if _DOMAIN.fullmatch(name) and not name.lower().endswith((".localdomain", ".local")):
        return name
    return f"[IPv6:{address.partition('%')[0]}]" if ":" in address else f"[{address}]"


class Mail:
    """Sends messages to some addresses through one server; each in a connection of its own."""

    name = "mail"
    pictured = True

    def __init__(
        self,
        server: MailServer,
        *,
        sender: str,
        to: Sequence[str],
        severity: Severity = Severity.WARNING,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self.severity = severity
        self._server = server
        self._hidden = Redaction(server.password)
        self._sender = sender
        self._to = tuple(to)
        self._timeout = timeout
        self._port = server.port or PORTS[server.security]
        self._tls = _context(server) if server.security != "none" else None

    @property
    def where(self) -> str:
        """The server, for people."""
        return f"mail through {self._server.host}:{self._port}"

    def send(self, message: Message, pictures: Mapping[int, Rendered]) -> str:
        """Hand a message over; see `Channel`."""
        addresses = [address for _, address in getaddresses(self._to)]
        whole = self.written(message, pictures).as_bytes(policy=_POLICY)
        return self._partly(self._mapped(lambda: self._hand_over(addresses, whole)))

    def _partly(self, refused: Mapping[str, tuple[int, bytes]]) -> str:
        """Return who of the recipients was refused, as a line; "" for nobody."""
        if not refused:
            return ""
        answers = "; ".join(f"{address}: {self._said(code, text)}" for address, (code, text) in refused.items())
        return f"{self.where}: not everybody gets mail, the others do: {cut(answers, _LONGEST)}. Check mail.to"

    def written(self, message: Message, pictures: Mapping[int, Rendered]) -> EmailMessage:
        """Return a message as mail."""
        mail = EmailMessage(policy=_POLICY)
        domain = parseaddr(self._sender)[1].rpartition("@")[2]
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._to)
        mail["Subject"] = message.subject
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.time / 10**9, message.context.zone).astimezone())
        mail["Message-ID"] = f"<{message.id}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
        mail["X-Mailer"] = f"cryowatch {__version__}"
        if message.severity is Severity.CRITICAL:
            mail["Importance"] = "high"
            mail["X-Priority"] = "1"
        mail.set_content(message.plain)
        ids = {session: f"{message.id}.{session}@{domain}" for session in pictures}
        mail.add_alternative(html.render(message, ids), subtype="html")
        body: Any = mail.get_payload(1)
        for session, picture in pictures.items():
            main, _, sub = picture.media_type.partition("/")
            body.add_related(picture.data, main, sub, cid=f"<{ids[session]}>", disposition="inline")
        return mail

    def reach(self) -> str:
        """Connect, log in, name sender and recipients, and send nothing; see `send` for what it returns and raises."""
        addresses = [address for _, address in getaddresses(self._to)]
        return self._partly(self._mapped(lambda: self._rehearse(addresses)))

    def _rehearse(self, addresses: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Go as far as a message would before its text; returns who was refused, some were not."""
        with contextlib.closing(self._connected()) as connection:
            connection.ehlo_or_helo_if_needed()
            sender = parseaddr(self._sender)[1]
            code, text = connection.mail(sender)
            if code != _WELL:
                raise smtplib.SMTPSenderRefused(code, text, sender)
            answers = {address: connection.rcpt(address) for address in addresses}
            refused = {address: answer for address, answer in answers.items() if answer[0] not in _TAKES}
            connection.rset()
            if len(refused) == len(answers):
                raise smtplib.SMTPRecipientsRefused(refused)
            connection.quit()
        return refused

    def _connected(self) -> smtplib.SMTP:
        """Return a connection on which mail can be handed over."""
        server = self._server
        connection = self._greeted(self._tls)
        try:
            if server.security == "starttls":
                connection.starttls(context=self._tls)
            if server.username:
                connection.login(server.username, server.password)
        except BaseException:
            connection.close()
            raise
        return connection

    def _greeted(self, context: ssl.SSLContext | None) -> smtplib.SMTP:
        """Return a connection that knows which name to give in EHLO."""
        host, port = self._server.host, self._port
        connection: smtplib.SMTP
        if self._server.security == "tls":
            connection = _SealedLine(host, port, _NAMELESS, timeout=self._timeout, context=context)
        else:
            connection = _OpenLine(host, port, _NAMELESS, timeout=self._timeout)
        here = connection.sock.getsockname()[0] if connection.sock else "127.0.0.1"
        connection.local_hostname = self._server.ehlo or greeting(socket.getfqdn(), here)
        return connection

    def _certificate(self, context: ssl.SSLContext) -> Any:
        """Return the certificate that the server shows; nothing is said but what it takes to see it."""
        with contextlib.suppress(smtplib.SMTPException), contextlib.closing(self._greeted(context)) as connection:
            if self._server.security == "starttls":
                connection.starttls(context=context)
            return connection.sock.getpeercert() if isinstance(connection.sock, ssl.SSLSocket) else None
        return None

    def _hand_over(self, addresses: Sequence[str], whole: bytes) -> dict[str, tuple[int, bytes]]:
        """Return who was refused, with the server's answers; some were not."""
        with contextlib.closing(self._connected()) as connection:
            refused = connection.sendmail(parseaddr(self._sender)[1], addresses, whole)
            with contextlib.suppress(smtplib.SMTPException, OSError):  # it has been accepted already
                connection.quit()
        return refused

    def _mapped(self, work: Callable[[], dict[str, tuple[int, bytes]]]) -> dict[str, tuple[int, bytes]]:
        """Return what work returns; raises a `SinkError` where it does not come to that."""
        try:
            return work()
        except smtplib.SMTPRecipientsRefused as error:
            raise self._nobody(error.recipients) from None
        except smtplib.SMTPResponseException as error:
            raise self._answered(error) from None
        except smtplib.SMTPServerDisconnected as error:
            hung = isinstance(error.__context__, TimeoutError)
            raise self._silent() if hung else SinkAway("ended the connection", where=self.where) from None
        except smtplib.SMTPNotSupportedError as error:
            raise self._unable(error) from None
        except smtplib.SMTPException as error:
            what = f"offers no way to log in that fits: {self._hidden(str(error))}"
            raise SinkRefused(what, where=self.where) from None
        except ssl.SSLCertVerificationError as error:
            server = self._server
            what, remedy = fault(
                error, host=server.host, shown=self._certificate, ca_file=server.ca_file, key="mail.ca_file"
            )
            raise SinkRefused(what, where=self.where, remedy=remedy) from None
        except ssl.SSLError as error:
            raise SinkRefused(
                f"speaks no TLS that fits: {error.reason}",
                where=self.where,
                remedy="Check mail.port and mail.security",
            ) from None
        except TimeoutError:
            raise self._silent() from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or self._hidden(str(error))
            raise SinkAway(f"cannot be reached: {reason}", where=self.where) from None

    def _silent(self) -> SinkAway:
        what = f"does not answer within {self._timeout:g} s"
        return SinkAway(what, where=self.where, remedy="Do mail.port and mail.security belong together?")

    def _answered(self, error: smtplib.SMTPResponseException) -> SinkError:
        code, said = error.smtp_code, self._said(error.smtp_code, error.smtp_error)
        named = isinstance(error, smtplib.SMTPHeloError | smtplib.SMTPSenderRefused) and _OF_THE_NAME.search(said)
        if named or (isinstance(error, smtplib.SMTPHeloError) and code in _REFUSES_NAMES):
            return self._misnamed(code, said)
        if code < 500:
            return SinkAway(f"answers {said}", where=self.where)
        if code == _TOO_LARGE:
            return MessageRefused(f"the message is too large for it: {said}", where=self.where)
        if isinstance(error, smtplib.SMTPDataError):
            return MessageRefused(f"refuses the message: {said}", where=self.where)
        what, remedy = f"answers {said}", "Is this a mail server that takes mail?"
        if isinstance(error, smtplib.SMTPAuthenticationError):
            what, remedy = f"refuses the account: {said}", "Check mail.username and the password"
        elif code == _NEEDS_ACCOUNT:
            remedy = "It wants an account: set mail.username, or check mail.security"
        elif isinstance(error, smtplib.SMTPSenderRefused):
            what, remedy = f"refuses the sender: {said}", "Check mail.sender"
        return SinkRefused(what, where=self.where, remedy=remedy)

    def _misnamed(self, code: int, said: str) -> SinkError:
        """Return that the server does not take the name in EHLO, which many say only when they hear a recipient."""
        what = f"does not take the name that this machine gives in EHLO: {said}"
        kind = SinkAway if code < 500 else SinkRefused
        return kind(what, where=self.where, remedy="Set mail.ehlo to one it takes")

    def _unable(self, error: smtplib.SMTPNotSupportedError) -> SinkRefused:
        what, remedy = "offers no login on this line", "Check mail.security, or leave mail.username out"
        if "STARTTLS" in str(error):
            what = "offers no STARTTLS, and nothing is sent without"
            remedy = "Check mail.port, or whether it wants mail.security tls"
        return SinkRefused(what, where=self.where, remedy=remedy)

    def _nobody(self, recipients: Mapping[str, tuple[int, bytes]]) -> SinkError:
        answers = "; ".join(f"{address}: {self._said(code, text)}" for address, (code, text) in recipients.items())
        what = f"refuses every recipient: {cut(answers, _LONGEST)}"
        if _OF_THE_NAME.search(answers):
            return self._misnamed(min(code for code, _ in recipients.values()), cut(answers, _LONGEST))
        if any(code < 500 for code, _ in recipients.values()):
            return SinkAway(what, where=self.where)
        return SinkRefused(what, where=self.where, remedy="Check mail.to")

    def _said(self, code: int, text: bytes | str) -> str:
        """Return a server's answer without the password."""
        words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return cut(self._hidden(f"{code} {' '.join(words.split())}".strip()), _LONGEST)


class _Replies:
    """The lines that a server sends, of which one answer may have so many bytes."""

    def __init__(self, lines: IO[bytes]) -> None:
        self._lines = lines
        self._left = MOST_REPLY_BYTES

    def begin(self) -> None:
        """Expect another answer."""
        self._left = MOST_REPLY_BYTES

    def readline(self, most: int) -> bytes:
        """Return a line; raises `OSError` where the answer does not end."""
        line = self._lines.readline(most)
        self._left -= len(line)
        if self._left < 0:
            raise OSError("its answer does not end")
        return line

    def close(self) -> None:
        """Read no more."""
        self._lines.close()


class _OpenLine(smtplib.SMTP):
    """A connection on which every answer comes to an end."""

    def getreply(self) -> tuple[int, bytes]:
        """Return the server's answer."""
        if self.file is None and self.sock is not None:
            self.file = _Replies(self.sock.makefile("rb"))
        if self.file is not None:
            self.file.begin()
        return super().getreply()


class _SealedLine(_OpenLine, smtplib.SMTP_SSL):
    """The same under TLS from the beginning."""


def _context(server: MailServer) -> ssl.SSLContext:
    """Return how the server's certificate is checked; raises `ConfigError` for a CA file that cannot be read."""
    try:
        return ssl.create_default_context(cafile=None if server.ca_file is None else str(server.ca_file))
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"is no readable certificate: {reason}", where=server.ca_file, remedy="See mail.ca_file"
        ) from None
