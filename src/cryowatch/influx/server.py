"""What an administrator says to an InfluxDB 1.x: its `/ping` and `/query`, and its answers as errors of one line.

Statements go in the body of a POST, never in an address, where logs would keep them.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any, Literal, Self

import httpx2
from pydantic import SecretStr

from cryowatch.errors import ConfigError, ServerError
from cryowatch.settings.web import is_loopback
from cryowatch.system.certificate_faults import https_fault
from cryowatch.system.http import AnswerTooLong, asked, parsed
from cryowatch.system.redaction import Redaction

_TIMEOUT = httpx2.Timeout(30, connect=10)
_LONGEST = 300
_PASSWORD = re.compile(r"PASSWORD (?:FOR [^=]* = )?'((?:[^'\\]|\\.)*)'")
"""A password in a statement, which a server may repeat."""

"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""


def quote_identifier(name: str) -> str:
    """Return the name as InfluxQL wants that of a database, policy or user."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def quote_string(text: str) -> str:
    """Return the text as InfluxQL wants a string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


class Server:
    """A server's `/ping` and `/query`, as one user or, where it asks for none, as nobody."""

    def __init__(self, url: str, *, ca_file: Path | None = None) -> None:
        """Raise `ConfigError` for an address or a certificate file that is none."""
        try:
            self._url = httpx2.URL(url)
        except httpx2.InvalidURL:
            self._url = httpx2.URL("")
        if self._url.scheme not in {"http", "https"} or not self._url.host or self._url.userinfo:
            raise ConfigError("is not a server's address", where="--url", remedy="Write https://HOST:8086, no password")
        self._ca_file = ca_file
        self._account: tuple[str, str] | None = None
        self._hidden = Redaction()
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            what = "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read: {error.strerror}"
            raise ConfigError(what, where=ca_file, remedy="--ca-file is the authority's certificate") from None
        self._client = httpx2.Client(base_url=self._url, verify=context, timeout=_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def __str__(self) -> str:
        return str(self._url)

    @property
    def encrypted(self) -> bool:
        """Whether nobody between can read along."""
        return self._url.scheme == "https"

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self._url.host)

    def refuse_other_than_1(self) -> None:
        """Raise `ServerError` unless this is InfluxDB 1.x, or says of itself that it is."""
        answer = self._send("GET", "ping")
        version = answer.headers.get("x-influxdb-version")
        found = re.match(r"v?([0-9]{1,4})\b", version or "")
        major = int(found[1]) if found else None
        if major == 2:
            remedy = (
                "Make a bucket (influx bucket create), map the database to it (influx v1 dbrp create), and tokens "
                "(influx auth create): to write for the agent's token_file, to read for Grafana"
            )
            raise self._error(f"is InfluxDB {version}, whose accounts are tokens", remedy)
        if (major or 0) >= 3 or (version is None and answer.status_code == 401):
            remedy = (
                "Make the database (influxdb3 create database) and a token (influxdb3 create token), for token_file"
            )
            raise self._error(f"is InfluxDB {version or 3}, whose accounts are tokens", remedy)
        if version is None:
            self._refuse_http(answer)
            raise self._error("does not answer as InfluxDB does", "Check --url: host, port, and no path")

    def accounts(self) -> Literal["on", "off", "nobody yet"]:
        """Return whether the server asks who one is, or would but has no administrator yet."""
        answer = self._query("SHOW USERS", None)
        if answer.status_code == 403 and "create admin user" in answer.text:
            return "nobody yet"
        if answer.status_code == 401:
            return "on"
        self._results(answer)
        return "off"

    def accepts(self, user: str, password: SecretStr) -> bool:
        """Return whether this is the user's password; only a server that asks for one knows."""
        answer = self._query("SHOW DATABASES", (user, password.get_secret_value()))
        if answer.status_code == 401:
            return False
        self._results(answer)
        return True

    def log_in(self, user: str, password: SecretStr) -> None:
        """Send this account from now on."""
        self._account = (user, password.get_secret_value())

    def run(self, statement: str) -> None:
        """Run one statement; raises `ServerError`."""
        self.rows(statement)

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """Return the rows of one statement; raises `ServerError`."""
        found = []
        for result in self._results(self._query(statement, self._account)):
            for series in result.get("series", []):
                found += [dict(zip(series["columns"], row, strict=True)) for row in series.get("values", [])]
        return found

    def _query(self, statement: str, account: tuple[str, str] | None) -> httpx2.Response:
        for escaped in _PASSWORD.findall(statement):
            self._hidden.add(escaped, re.sub(r"\\(.)", r"\1", escaped))
        if account is not None:
            self._hidden.add(account[1])
        return self._send("POST", "query", {"q": statement}, account)

    def _send(
        self, method: str, path: str, data: dict[str, str] | None = None, account: tuple[str, str] | None = None
    ) -> httpx2.Response:
        try:
            return asked(self._client, method, path, data=data, auth=account)
        except AnswerTooLong as error:
            raise self._error(str(error), "Check --url") from None
        except httpx2.TimeoutException:
            raise self._error("does not answer", "Is its port open to this machine?") from None
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None

    def _results(self, answer: httpx2.Response) -> list[dict[str, Any]]:
        """Return what the statements gave; raises `ServerError` with what the server says instead."""
        try:
            body = parsed(answer)
            said = body.get("error") or next((r["error"] for r in body.get("results", []) if "error" in r), None)
        except (ValueError, AttributeError):
            body, said = {}, None
        said = None if said is None else self._hidden(str(said))[:_LONGEST]
        user = self._account[0] if self._account else None
        if answer.status_code == 401:
            raise self._error(f"refuses the password of {user}", "Check --admin and --password-file")
        if answer.status_code == 403:
            raise self._error(f"{user} may not do that: {said}", "--admin has to be an administrator")
        if said is not None:
            raise self._error(f"refuses: {said}")
        self._refuse_http(answer)
        if answer.status_code != 200 or "results" not in body:
            raise self._error(f"answers HTTP {answer.status_code}, not as InfluxDB does", "Check --url")
        results: list[dict[str, Any]] = body["results"]
        return results

    def _refuse_http(self, answer: httpx2.Response) -> None:
        """Raise where a server of https got http: Go's says so in plain text."""
        if answer.status_code == 400 and "HTTPS" in answer.text:
            raise self._error("is served over https", "Write --url https://…")

    def _unreachable(self, error: httpx2.HTTPError) -> ServerError:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                what, remedy = https_fault(cause, str(self._url), ca_file=self._ca_file, key="--ca-file")
                return self._error(what, remedy)
            if isinstance(cause, ssl.SSLError):
                return self._error(
                    "does not speak TLS", "Is it served over http://? For a certificate see `cryowatch tls create`"
                )
            if isinstance(cause, OSError):
                return self._error(f"cannot be reached: {cause.strerror}", "Is InfluxDB running there, its port open?")
            cause = cause.__cause__ or cause.__context__
        return self._error(f"cannot be reached: {error}", "Check --url")

    def _error(self, what: str, remedy: str | None = None) -> ServerError:
        return ServerError(self._hidden(what), where=self, remedy=remedy)
