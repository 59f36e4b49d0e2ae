"""The dashboards into a running Grafana 10 to 13, over its HTTP API, with a service account's token.

Only what is ours is overwritten: a dashboard whose newest version was saved by cryowatch, which says so in the
version's message, with a digest of what it pushed: Grafana may store the JSON in another way.  One that a person saved,
or that somebody else made at the same address, is left alone unless `overwrite`.  A dashboard that is the same already
gets no new version.  Between looking and writing nobody else's change is lost: the version that was looked at goes
along, and Grafana refuses where it has moved on.

What a person saves in Grafana 13 has a schema that this API does not show: it answers 406.  With `overwrite` such a
dashboard is replaced, whatever its version.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import httpx2

from cryowatch import __version__
from cryowatch.errors import ConfigError, ServerError, one_line
from cryowatch.grafana.provision import FOLDER, DataSource
from cryowatch.system.certificate_faults import https_fault
from cryowatch.system.http import asked, parsed
from cryowatch.system.redaction import Redaction

TIMEOUT = httpx2.Timeout(30.0, connect=10.0)
_LONGEST = 300
MESSAGE = f"cryowatch {__version__}"

_REMEDIES = {
    400: "Grafana does not take it; is it Grafana 10 or newer?",
    401: "Check the token: is it whole, of this Grafana, and not expired?",
    403: "The service account needs the role Editor, and Admin for the data source",
    404: "Is --url the address of a Grafana, with its path if it has one?",
    409: "Something of this name is there already, with another uid: rename or remove it in Grafana",
    412: "Somebody saved it meanwhile, or its title is taken in the folder: look at it in Grafana, then push again",
    413: "A server before Grafana limits the size of requests: raise its limit",
    422: "Grafana does not take it; is it Grafana 10 or newer?",
    429: "Grafana is busy: try again later",
}


@dataclass(frozen=True, slots=True)
class Step:
    """What was pushed, and what became of it; `kept` needs a person."""

    what: str
    state: Literal["made", "changed", "same", "kept", "note"]
    reason: str = ""


class Grafana:
    """Grafana's HTTP API as one service account; the token is never shown, and redirects are not followed with it."""

    def __init__(self, url: str, token: str, *, ca_file: Path | None = None) -> None:
        """Raise `ConfigError` for an address, a token or a certificate file that is none."""
        self._url = _address(url)
        self._ca_file = ca_file
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigError("is not a service account's token", where="--token-file")
        self._hidden = Redaction(token)
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            what = "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read: {error.strerror}"
            raise ConfigError(what, where=ca_file, remedy="--ca-file is the authority's certificate") from None
        self._client = httpx2.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {token}", "User-Agent": f"cryowatch/{__version__}"},
            verify=context,
            timeout=TIMEOUT,
            follow_redirects=False,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def encrypted(self) -> bool:
        """Whether nobody between can read the token."""
        return self._url.scheme == "https"

    def health(self) -> tuple[str, str]:
        """Return Grafana's version, and the `Date` of its answer, "" for none; raises `ServerError`."""
        try:
            answer = asked(self._client, "GET", "/api/health")
            version = self._hidden(str(parsed(answer)["version"]))[:_LONGEST] if answer.is_success else ""
        except httpx2.TransportError as error:
            raise self._unreached(error) from None
        except (ValueError, KeyError, TypeError):
            version = ""
        if not version:
            raise ServerError("does not answer as a Grafana", where=self._url, remedy=_REMEDIES[404])
        return version, answer.headers.get("date", "")

    def get(self, path: str) -> Any | None:
        """Return what is there, None for 404, {} for 406: there in a form that this API lacks; raises `ServerError`."""
        return self._ask("GET", path, absent=True)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Create or change; raises `ServerError`."""
        return self._ask("POST", path, body)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Replace; raises `ServerError`."""
        return self._ask("PUT", path, body)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, absent: bool = False) -> Any:
        self._hidden.add(str((body or {}).get("secureJsonData", {}).get("password", "")))
        try:
            answer = asked(self._client, method, path, json=body)
        except httpx2.TransportError as error:
            raise self._unreached(error) from None
        if absent and answer.status_code == 404 and _said(answer):
            return None
        if absent and answer.status_code == 406 and _said(answer):
            return {}
        if answer.is_redirect:
            where = one_line(self._hidden(answer.headers.get("location", "elsewhere")))
            raise ServerError(f"sends elsewhere, to {where}", where=self._url, remedy="Give that address as --url")
        if not answer.is_success:
            raise self._refused(answer, path)
        try:
            return parsed(answer)
        except ValueError:
            raise ServerError("does not answer as a Grafana", where=self._url, remedy=_REMEDIES[404]) from None

    def _refused(self, answer: httpx2.Response, path: str) -> ServerError:
        status = answer.status_code
        said = self._hidden(_said(answer) or answer.reason_phrase)[:_LONGEST] or "no reason given"
        remedy = _REMEDIES.get(status, "Look at Grafana's log" if status >= 500 else None)
        return ServerError(f"answers {status} ({said.rstrip('.')})", where=self._url.join(path), remedy=remedy)

    def _unreached(self, error: httpx2.TransportError) -> ServerError:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                what, remedy = https_fault(cause, str(self._url), ca_file=self._ca_file, key="--ca-file")
                return ServerError(what, where=self._url, remedy=remedy)
            if isinstance(cause, ssl.SSLError):
                return ServerError("speaks no TLS that fits", where=self._url, remedy="Is it http, not https?")
            cause = cause.__cause__ or cause.__context__
        said = self._hidden(str(error)) or type(error).__name__  # what is no HTTP is repeated there
        return ServerError(f"cannot be reached: {said}", where=self._url)


def _address(url: str) -> httpx2.URL:
    try:
        found = httpx2.URL(url.rstrip("/") + "/")
    except httpx2.InvalidURL:
        found = httpx2.URL("")
    host = found.host
    if found.scheme not in ("http", "https") or not host or "%" in host or found.userinfo or found.query:
        remedy = "Write it like https://grafana.example.org:3000"
        raise ConfigError("is not Grafana's address", where="--url", remedy=remedy)
    return found


def _said(answer: httpx2.Response) -> str:
    """Return Grafana's message of an error; "" where it is not Grafana that answered."""
    try:
        found = parsed(answer)
    except ValueError:
        return ""
    return str(found.get("message") or "") if isinstance(found, dict) else ""


def push(
    grafana: Grafana,
    compiled: Sequence[Mapping[str, Any]],
    *,
    source: DataSource | None = None,
    overwrite: bool = False,
) -> Iterator[Step]:
    """Push the folder, the data source where one is given, and the dashboards; raises `ServerError` at the first wrong.

    What came before stays, and pushing again goes on from there.
    """
    if not grafana.encrypted:
        yield Step("token", "note", "http sends it for everybody between to read: see `cryowatch tls create`")
    yield _folder(grafana)
    if source is not None:
        yield _data_source(grafana, source)
    for dashboard in compiled:
        yield _dashboard(grafana, dashboard, overwrite=overwrite)


def _folder(grafana: Grafana) -> Step:
    what = f"folder {FOLDER}"
    if grafana.get(f"api/folders/{FOLDER}") is not None:
        return Step(what, "same")
    grafana.post("api/folders", {"uid": FOLDER, "title": FOLDER})
    return Step(what, "made")


def _data_source(grafana: Grafana, source: DataSource) -> Step:
    """Make or set the data source of our uid; Grafana never tells its password, so it is set each time."""
    settings = source.settings()
    what = f"data source {settings['name']}"
    found = grafana.get(f"api/datasources/uid/{settings['uid']}")
    if found is None:
        grafana.post("api/datasources", settings)
        return Step(what, "made")
    if found.get("readOnly"):
        return Step(what, "kept", "it is provisioned from Grafana's own files")
    grafana.put(f"api/datasources/uid/{settings['uid']}", {**settings, "isDefault": bool(found.get("isDefault"))})
    return Step(what, "changed")


def _dashboard(grafana: Grafana, dashboard: Mapping[str, Any], *, overwrite: bool) -> Step:
    what = f"dashboard {dashboard['title']}"
    found = grafana.get(f"api/dashboards/uid/{dashboard['uid']}")
    if found is None:
        grafana.post("api/dashboards/db", _saved(dashboard, version=0))
        return Step(what, "made")
    there, meta = found.get("dashboard", {}), found.get("meta", {})
    if meta.get("provisioned"):
        return Step(what, "kept", "it is provisioned from Grafana's own files")
    newest = _newest_message(grafana, str(dashboard["uid"])) if found else ""
    same = newest == _message(dashboard) or _plain(there) == _plain(dashboard)
    if same and meta.get("folderUid") == FOLDER:
        return Step(what, "same")
    if not overwrite and (whose := _of_others(newest, shown=bool(found))):
        return Step(what, "kept", f"{whose}: --overwrite replaces it")
    version = int(there.get("version", 0))
    grafana.post("api/dashboards/db", _saved(dashboard, version=version, overwrite=not found))
    return Step(what, "changed")


def _of_others(newest: str, *, shown: bool) -> str:
    """Return why a dashboard is not ours to replace, "" where it is, by the message of its newest version."""
    if not shown:
        return "a person saved it in Grafana 13 or newer"
    return "" if newest.startswith("cryowatch ") else "a person saved it, or it is somebody else's"


def _saved(dashboard: Mapping[str, Any], *, version: int, overwrite: bool = False) -> dict[str, Any]:
    body = {**dashboard, "id": None, "version": version}
    return {"dashboard": body, "folderUid": FOLDER, "overwrite": overwrite, "message": _message(dashboard)}


def _plain(dashboard: Mapping[str, Any]) -> str:
    """Return a dashboard without what Grafana adds."""
    return json.dumps({k: v for k, v in dashboard.items() if k not in ("id", "version")}, sort_keys=True)


def _message(dashboard: Mapping[str, Any]) -> str:
    """Return the message of a version that holds this dashboard; its digest tells it from all others."""
    return f"{MESSAGE} ({hashlib.sha256(_plain(dashboard).encode()).hexdigest()[:16]})"


def _newest_message(grafana: Grafana, uid: str) -> str:
    """Return the message of the newest version; Grafana 12 wraps the list of versions."""
    found = grafana.get(f"api/dashboards/uid/{uid}/versions?limit=1")
    versions = found.get("versions") if isinstance(found, dict) else found
    newest = versions[0] if versions else {}
    return str(newest.get("message") or "")
