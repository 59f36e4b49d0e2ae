"""InfluxDB over HTTP: `/write`, which 1.x, 2.x (with its DBRP mapping) and 3 Core share.

What each answer means is decided here and nowhere else:

- 204 (200): accepted.
- 400: something in the batch is wrong.  The batch is halved until the wrong lines stand alone; those are rejected with
  the server's words, the rest is accepted.  Writing a line twice changes nothing, so halves may be sent again.
- 413: too large.  The batch is halved; a single line that is too large is rejected.
- 401, 403, 404, redirects, a certificate that cannot be verified: a person is needed.  Nothing is dropped.
- 408, 429, 5xx, time-outs, refused and reset connections: away for now, with `Retry-After` where the server says so.

Redirects are never followed: they would carry the password elsewhere.  What goes to another machine is compressed; for
a server on this one that would only take time of both.
"""

from __future__ import annotations

import gzip
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from cryowatch import __version__
from cryowatch.config import Influx as InfluxSettings
from cryowatch.digits import whole
from cryowatch.errors import ConfigError, SinkAway, SinkRefused
from cryowatch.exposure import is_loopback
from cryowatch.sinks.batches import Receipt

TIMEOUT = httpx2.Timeout(20.0, connect=10.0)
_LONGEST = 300
_LONGEST_WAIT = 99_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where the server is and who asks: a user with a password, or a token; neither is ever shown."""

    url: str
    database: str
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    verify_tls: bool = True
    ca_file: Path | None = None


def access_of(told: InfluxSettings) -> Access:
    """Return what the settings say; raises `ConfigError` for a password file that cannot be read."""
    password, token = told.secret()
    return Access(
        url=told.url,
        database=told.database,
        username=told.username,
        password=password,
        token=token,
        verify_tls=told.verify_tls,
        ca_file=told.ca_file,
    )


class Influx:
    """Writes batches of lines to one database; used from one thread."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._travels = not is_loopback(httpx2.URL(access.url).host)
        headers = {"User-Agent": f"cryowatch/{__version__}"}
        if access.token:
            headers["Authorization"] = f"Token {access.token}"
        self._client = httpx2.Client(
            base_url=access.url.rstrip("/"),
            headers=headers,
            auth=None if access.token or not access.username else (access.username, access.password),
            verify=_verification(access),
            timeout=TIMEOUT,
            follow_redirects=False,
            trust_env=False,
        )

    @property
    def where(self) -> str:
        """The server and the database, for people."""
        return f"{self._access.url.rstrip('/')} ({self._access.database})"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(self, lines: Sequence[str]) -> Receipt:
        """Write lines; raises `SinkAway` or `SinkRefused`, after which all of them are to be sent again."""
        if not lines:
            return Receipt(0)
        answer = self._post(lines)
        if answer.status_code in (200, 204):
            return Receipt(len(lines))
        reason = _said(answer)
        if answer.status_code in (400, 413, 422):
            if len(lines) == 1:
                return Receipt(0, ((lines[0], reason),))
            middle = len(lines) // 2
            first, second = self.send(lines[:middle]), self.send(lines[middle:])
            return Receipt(first.accepted + second.accepted, first.rejected + second.rejected)
        raise self._explained(answer, reason)

    def check(self) -> str:
        """Write a comment, which needs every right and stores nothing; returns the server's `Date`, "" for none.

        Raises `SinkAway` or `SinkRefused`.
        """
        answer = self._post(["#"])
        if answer.status_code in (200, 204, 400):
            return str(answer.headers.get("date", ""))
        raise self._explained(answer, _said(answer))

    def _post(self, lines: Sequence[str]) -> httpx2.Response:
        body = "\n".join(lines).encode()
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._travels:
            body = gzip.compress(body, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        try:
            return self._client.post(
                "/write",
                params={"db": self._access.database, "precision": "ns"},
                content=body,
                headers=headers,
            )
        except httpx2.TransportError as error:
            raise self._unreached(error) from error

    def _unreached(self, error: httpx2.TransportError) -> SinkAway | SinkRefused:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return SinkRefused(
                    f"its certificate cannot be verified: {cause.verify_message}",
                    where=self.where,
                    remedy="Name the certificate of its CA as influx.ca_file",
                )
            if isinstance(cause, ssl.SSLError):
                return SinkRefused(
                    f"speaks no TLS that fits: {cause.reason}", where=self.where, remedy="Check influx.url"
                )
            cause = cause.__cause__ or cause.__context__
        return SinkAway(f"cannot be reached: {str(error) or type(error).__name__}", where=self.where)

    def _explained(self, answer: httpx2.Response, reason: str) -> SinkAway | SinkRefused:
        status = answer.status_code
        if status in (408, 429) or status >= 500:
            return SinkAway(f"answers {status}: {reason}", where=self.where, after=_retry_after(answer))
        remedies = {
            401: "Check influx.username and the password or token",
            403: "This user may not write there; grant it",
            404: "Does the database exist? `cryowatch influx init` makes it",
        }
        if answer.is_redirect:
            place = answer.headers.get("location", "elsewhere")[:_LONGEST]
            return SinkRefused(f"redirects to {place}", where=self.where, remedy="Set influx.url to the right address")
        remedy = remedies.get(status, "Is this the address of an InfluxDB?")
        return SinkRefused(f"answers {status}: {reason}", where=self.where, remedy=remedy)


def _verification(access: Access) -> ssl.SSLContext | bool:
    """Return how the server's certificate is checked; raises `ConfigError` for a CA file that cannot be read."""
    if not access.verify_tls:
        return False
    if access.ca_file is None:
        return access.url.startswith("https")
    try:
        return ssl.create_default_context(cafile=str(access.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"is no readable certificate: {error}", where=access.ca_file, remedy="See influx.ca_file"
        ) from error


def _said(answer: httpx2.Response) -> str:
    """Return the server's own words."""
    try:
        said = json.loads(answer.text)
        text = said.get("error") or said.get("message") or answer.text
    except (ValueError, AttributeError):
        text = answer.headers.get("x-influxdb-error") or answer.text or answer.reason_phrase
    return str(text).strip()[:_LONGEST]


def _retry_after(answer: httpx2.Response) -> float | None:
    return whole(answer.headers.get("retry-after", ""), most=_LONGEST_WAIT)
