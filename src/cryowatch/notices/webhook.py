"""A POST of JSON to an address that holds a secret: neither errors nor logs show more of it than its host.

What each answer means is decided here and nowhere else:

- 2xx: accepted.
- 400, 413, 422: this message is refused, another may be taken.
- Other 4xx, redirects (which are never followed), a certificate that cannot be verified: a person is needed.
- 408, 425, 429, 5xx, time-outs, refused and reset connections: away for now, with `Retry-After` where it says so.

The proxy that `HTTPS_PROXY` names is used, as `curl` does.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from cryowatch import __version__
from cryowatch.errors import ConfigError, MessageRefused, SinkAway, SinkError, SinkRefused
from cryowatch.images import Rendered
from cryowatch.notices import chat
from cryowatch.notices.message import Message, cut
from cryowatch.numbers import whole
from cryowatch.records import Severity
from cryowatch.settings.web import is_loopback
from cryowatch.system.certificate_faults import https_fault
from cryowatch.system.http import asked
from cryowatch.system.redaction import Redaction, of_address

TIMEOUT = httpx2.Timeout(20.0, connect=10.0)
_PASSES = frozenset({408, 425, 429})
_OF_THIS_MESSAGE = frozenset({400, 413, 422})
_MOST_READ = 2000
_LONGEST = 200
_LONGEST_WAIT = 99_999


class Webhook:
    """Posts messages to one address; `key` is the name of its section in the settings."""

    pictured = False

    def __init__(
        self,
        key: str,
        url: str,
        *,
        shape: str = "json",
        severity: Severity = Severity.WARNING,
        ca_file: Path | None = None,
        timeout: httpx2.Timeout = TIMEOUT,
    ) -> None:
        self.name = f"webhook {key}"
        self.severity = severity
        self._key = key
        self._url = url
        self._ca_file = ca_file
        self._shape = shape
        self._host = _host(url, key)
        self._hidden = Redaction(*of_address(url))
        for name in ("httpx2", "httpcore2"):  # they log every address
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = httpx2.Client(
            headers={"User-Agent": f"cryowatch/{__version__}"},
            verify=_verification(ca_file, key),
            timeout=timeout,
            follow_redirects=False,
        )

    @property
    def where(self) -> str:
        """Its name and host, for people."""
        return f"{self.name} ({self._host})"

    @property
    def open_line(self) -> str:
        """What to say of an address, which is the secret, that goes over the network for everybody to read; else ""."""
        parts = urlsplit(self._url)
        if parts.scheme == "https" or is_loopback(parts.hostname or ""):
            return ""
        return f"{self.where}: its address goes over the net for everybody to read, and opens it. Use https"

    def send(self, message: Message, pictures: Mapping[int, Rendered]) -> str:
        """Post a message; see `Channel`."""
        del pictures
        body = chat.body(self._shape, message)
        headers = {"Idempotency-Key": message.id}
        try:
            answer = asked(self._client, "POST", self._url, most=_MOST_READ, cut=True, json=body, headers=headers)
        except httpx2.TransportError as error:
            raise self._unreached(error) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise SinkAway(f"answers what is no HTTP: {type(error).__name__}", where=self.where) from None
        if not answer.is_success:
            raise self._explained(answer, self._said(answer))
        return ""

    def reach(self) -> None:
        """Ask the host for its top, without the address that is the secret, and post nothing; raises a `SinkError`.

        Any answer will do: that the host is there, and shows a certificate that is trusted.
        """
        parts = urlsplit(self._url)
        try:
            self._client.head(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/")
        except httpx2.TransportError as error:
            raise self._unreached(error) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise SinkAway(f"answers what is no HTTP: {type(error).__name__}", where=self.where) from None

    def _said(self, answer: httpx2.Response) -> str:
        """Return the beginning of the server's own words, without anything of the address."""
        text = " ".join(answer.content[:_MOST_READ].decode("utf-8", "replace").split()) or answer.reason_phrase
        return cut(self._hidden(text), _LONGEST)

    def _explained(self, answer: httpx2.Response, reason: str) -> SinkError:
        status = answer.status_code
        if status in _PASSES or status >= 500:
            return SinkAway(f"answers {status}: {reason}", where=self.where, after=_retry_after(answer))
        if status in _OF_THIS_MESSAGE:
            return MessageRefused(f"answers {status}: {reason}", where=self.where)
        if answer.is_redirect:
            return SinkRefused("redirects, which is not followed", where=self.where, remedy=self._check)
        return SinkRefused(f"answers {status}: {reason}", where=self.where, remedy=self._check)

    @property
    def _check(self) -> str:
        return f"Check the address of webhooks.{self._key}"

    def _unreached(self, error: httpx2.TransportError) -> SinkError:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                setting = f"webhooks.{self._key}.ca_file"
                what, remedy = https_fault(cause, self._url, ca_file=self._ca_file, key=setting)
                return SinkRefused(what, where=self.where, remedy=remedy)
            if isinstance(cause, ssl.SSLError):
                return SinkRefused(f"speaks no TLS that fits: {cause.reason}", where=self.where, remedy=self._check)
            if isinstance(cause, OSError) and cause.strerror:
                return SinkAway(f"cannot be reached: {cause.strerror}", where=self.where)
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, httpx2.TimeoutException):
            return SinkAway("does not answer in time", where=self.where)
        return SinkAway(f"cannot be reached: {type(error).__name__}", where=self.where)


def _host(url: str, key: str) -> str:
    """Return the host of an address; raises `ConfigError` where it is none, without showing it."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        parts, port = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise ConfigError("is no address", where=f"webhooks.{key}", remedy="It begins with https:// and is one line")
    return f"{parts.hostname}{port}"


def _verification(ca_file: Path | None, key: str) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        remedy = f"See webhooks.{key}.ca_file"
        raise ConfigError(f"is no readable certificate: {reason}", where=ca_file, remedy=remedy) from None


def _retry_after(answer: httpx2.Response) -> float | None:
    """Return the seconds that a server asks to wait, given as such or as a date."""
    text = answer.headers.get("retry-after", "")
    seconds = whole(text, most=_LONGEST_WAIT)
    if seconds is not None:
        return float(seconds)
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (then - datetime.now(UTC)).total_seconds()) if then.tzinfo else None
