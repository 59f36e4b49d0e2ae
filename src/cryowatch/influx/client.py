"""InfluxDB over HTTP: `/write` and `/query`, which 1.x, 2.x (with its DBRP mapping) and 3 Core share.

What each answer means is decided here and nowhere else, by what it says before what its number is:

- 204 (200): accepted.
- "points beyond retention policy", whatever the number: the oldest ones are too old, and the server says how many.
  They are counted, the rest is accepted.  The server is asked how long it keeps points, and what is older is not sent.
- 400, 422, and "partial write" of any number: something in the batch is wrong.  The batch is halved until the wrong
  lines stand alone; those are rejected with the server's words, the rest is accepted.  Writing a line twice changes
  nothing, so halves may be sent again.
- A whole number where the server has a fraction: it is written as one.
- 413: too large.  The batch is halved; a single line that is too large is rejected.
- 401, 403, 404, redirects, a certificate that cannot be verified: a person is needed.  Nothing is dropped.
- 408, 429, 5xx, time-outs, refused and reset connections: away for now, with `Retry-After` where the server says so.

Redirects are never followed: they would carry the password elsewhere.  What goes to another machine is compressed; for
a server on this one that would only take time of both.
"""

from __future__ import annotations

import gzip
import re
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from cryowatch import __version__
from cryowatch.errors import ConfigError, SinkAway, SinkError, SinkRefused
from cryowatch.influx.batches import Deletions, Receipt, Removal
from cryowatch.influx.deletions import Eraser
from cryowatch.influx.lines import measurement
from cryowatch.influx.retention import Retention, split
from cryowatch.influx.server import quote_identifier
from cryowatch.numbers import whole
from cryowatch.settings.config import Influx as InfluxSettings
from cryowatch.settings.web import is_loopback
from cryowatch.system.certificate_faults import https_fault
from cryowatch.system.http import AnswerTooLong, asked, parsed
from cryowatch.system.redaction import Redaction

TIMEOUT = httpx2.Timeout(20.0, connect=10.0)
_RETENTION = re.compile(r"beyond retention policy|outside retention policy(?!.*Upper Bound)")
_DROPPED = re.compile(r"dropped=(\d+)")
_WHOLE = re.compile(r'input field "([^"]+)" on measurement "(.+)" is type integer, already exists as type float')
MOST_FAILURES = 5
"""So often a server may fail at a query; then it is one that does not answer such."""
_LONGEST = 300
_LONGEST_WAIT = 99_999

_NOBODYS = "cryowatch checks that points can be deleted"
"""A measurement that nobody writes."""


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

    def __init__(self, access: Access, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._access = access
        self._clock = clock
        self._failures = 0
        self._hidden = Redaction(access.password, access.token)
        self._retention = Retention(access.database, self._rows, clock)
        self._eraser = Eraser(self.query, clock)
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

    @property
    def open_line(self) -> str:
        """What to say of a password or token that goes over the network for everybody to read; else ""."""
        secret = self._access.password or self._access.token
        if not secret or not self._travels or self._access.url.startswith("https:"):
            return ""
        return f"{self.where}: password and data go over the net for everybody to read. Use https"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(self, lines: Sequence[str]) -> Receipt:
        """Write lines; raises `SinkAway` or `SinkRefused`, after which all of them are to be sent again."""
        young, old = self._retention.split(lines)
        receipt = self._written(young)
        if not old:
            return receipt
        outdated = receipt.outdated + len(old)
        return Receipt(receipt.accepted, receipt.rejected, outdated, self._retention.words)

    def remove(self, deletions: Deletions) -> Removal:
        """Take points away; raises `SinkAway` or `SinkRefused`, after which all of them are to be taken away again."""
        return self._eraser.remove(deletions)

    def _written(self, lines: Sequence[str]) -> Receipt:
        if not lines:
            return Receipt(0)
        answer = self._post(lines)
        if answer.status_code in (200, 204):
            return Receipt(len(lines))
        reason = self._said(answer)
        dropped = int(found[1]) if (found := _DROPPED.search(reason)) else 0
        if _RETENTION.search(reason) and 0 < dropped <= len(lines):
            self._retention.ask_again()
            young, _ = split(lines, dropped)
            receipt = self._written(young)
            outdated = receipt.outdated + dropped
            return Receipt(receipt.accepted, receipt.rejected, outdated, self._retention.words)
        if answer.status_code not in (400, 413, 422) and "partial write" not in reason:
            raise self._explained(answer, reason)
        if (fractions := _as_fractions(lines, reason)) is not None and self._takes(fractions):
            return Receipt(len(lines))
        if len(lines) == 1 or dropped == len(lines):
            return Receipt(0, tuple((line, reason) for line in lines))
        middle = len(lines) // 2
        first, second = self._written(lines[:middle]), self._written(lines[middle:])
        return Receipt(
            first.accepted + second.accepted,
            first.rejected + second.rejected,
            first.outdated + second.outdated,
            first.old or second.old,
        )

    def _takes(self, lines: Sequence[str]) -> bool:
        return self._post(lines).status_code in (200, 204)

    def check(self) -> str:
        """Write a comment, which needs every right and stores nothing; returns the server's `Date`, "" for none.

        Raises `SinkAway` or `SinkRefused`.
        """
        answer = self._post(["#"])
        if answer.status_code in (200, 204, 400):
            return str(answer.headers.get("date", ""))
        raise self._explained(answer, self._said(answer))

    def keeps(self) -> str:
        """Return what the server says against deleting points, empty where it deletes; takes no point away.

        Raises `SinkAway` or `SinkRefused`.
        """
        return self.query(f"DELETE FROM {quote_identifier(_NOBODYS)} WHERE time = 0")[1]

    def query(self, statements: str) -> tuple[list[dict[str, Any]], str]:
        """Return the results of InfluxQL statements, and what the server says against them, empty where nothing.

        Raises `SinkAway`, or `SinkRefused` where it does not know who asks.
        """
        try:
            answer = asked(
                self._client, "POST", "/query", params={"db": self._access.database, "epoch": "ns"},
                data={"q": statements},
            )  # fmt: skip
        except httpx2.TransportError as error:
            raise self._unreached(error) from error
        reason = self._said(answer)
        status = answer.status_code
        self._failures = self._failures + 1 if status == 500 else 0
        broken = status == 501 or self._failures >= MOST_FAILURES
        if not broken and (status in (401, 408, 429) or status >= 500 or answer.is_redirect):
            raise self._explained(answer, reason)
        try:
            results: list[dict[str, Any]] = parsed(answer)["results"]
            refused = self._hidden(next((str(result["error"]) for result in results if "error" in result), ""))[
                :_LONGEST
            ]
        except (AttributeError, KeyError, TypeError, ValueError):
            return [], reason or f"answers {answer.status_code}"
        return results, refused

    def _said(self, answer: httpx2.Response) -> str:
        """Return the server's own words, without the secrets that it was sent."""
        try:
            said = parsed(answer)
            text = said.get("error") or said.get("message") or answer.text
        except (ValueError, AttributeError):
            text = answer.headers.get("x-influxdb-error") or answer.text or answer.reason_phrase
        return self._hidden(str(text).strip())[:_LONGEST]

    def _rows(self, statement: str) -> list[dict[str, Any]]:
        """Return the rows of one statement; none where the server does not tell, whatever the reason."""
        try:
            results, _ = self.query(statement)
        except SinkError:
            return []
        every = (series for result in results for series in result.get("series", ()))
        return [dict(zip(series["columns"], row, strict=True)) for series in every for row in series.get("values", ())]

    def _post(self, lines: Sequence[str]) -> httpx2.Response:
        body = "\n".join(lines).encode()
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._travels:
            body = gzip.compress(body, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        try:
            return asked(
                self._client,
                "POST",
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
                ca_file = self._access.ca_file
                what, remedy = https_fault(cause, self._access.url, ca_file=ca_file, key="influx.ca_file")
                return SinkRefused(what, where=self.where, remedy=remedy)
            if isinstance(cause, ssl.SSLError):
                return SinkRefused(
                    f"speaks no TLS that fits: {cause.reason}", where=self.where, remedy="Check influx.url"
                )
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, AnswerTooLong):
            return SinkAway(str(error), where=self.where)
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
            place = self._hidden(answer.headers.get("location", "elsewhere"))[:_LONGEST]
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


def _as_fractions(lines: Sequence[str], reason: str) -> list[str] | None:
    """Return the lines with a field as a fraction where the server has one and they have a whole number; else None.

    Whole numbers stand first in a line.
    """
    conflict = _WHOLE.search(reason)
    if conflict is None:
        return None
    start = re.compile(rf"({re.escape(measurement(conflict[2]))},\S* {re.escape(conflict[1])}=-?\d+)i")
    return [start.sub(r"\1", line, count=1) if start.match(line) else line for line in lines]


def _retry_after(answer: httpx2.Response) -> float | None:
    return whole(answer.headers.get("retry-after", ""), most=_LONGEST_WAIT)
