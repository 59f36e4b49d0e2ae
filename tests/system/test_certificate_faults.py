"""A certificate that is not right is explained in the same words, whatever is reached over TLS."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cryowatch.doctor import certificates
from cryowatch.errors import CryowatchError
from cryowatch.grafana.push import Grafana
from cryowatch.influx.client import Access, Influx
from cryowatch.influx.server import Server
from cryowatch.notices.webhook import Webhook
from tests.support.smtp import server_context

HOST = "127.0.0.2"


class Elsewhere:
    """A server of https at an address that its certificate does not name."""

    def __init__(self, folder: Path, *, now: datetime | None = None, name: str = "em.example.org") -> None:
        context, self.authority = server_context(folder, name=name, now=now)
        self._server = ThreadingHTTPServer((HOST, 0), BaseHTTPRequestHandler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"https://{HOST}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    server = Elsewhere(tmp_path / "tls")
    yield server
    server.close()


def influx(url: str, ca_file: Path | None) -> None:
    Influx(Access(url=url, database="scipion", ca_file=ca_file)).query("SHOW DATABASES")


def grafana(url: str, ca_file: Path | None) -> None:
    with Grafana(url, "token", ca_file=ca_file) as client:
        client.get("api/folders")


def init(url: str, ca_file: Path | None) -> None:
    Server(url, ca_file=ca_file).accounts()


def webhook(url: str, ca_file: Path | None) -> None:
    Webhook("chat", url, ca_file=ca_file).reach()


def doctor(url: str, ca_file: Path | None) -> None:
    for finding in certificates.served("TLS", url, ca_file, "influx.ca_file"):
        raise CryowatchError(finding.text)


CLIENTS: list[Callable[[str, Path | None], None]] = [influx, grafana, init, webhook, doctor]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_certificate_for_another_name_says_which_names_are_in_it(
    elsewhere: Elsewhere, client: Callable[[str, Path | None], None]
) -> None:
    said = (
        f"its certificate is not for the name {HOST}; it is for em.example.org, localhost, 127.0.0.1. Use a name that"
        f" stands in it, or make one with this name: `cryowatch tls create`"
    )
    with pytest.raises(CryowatchError) as raised:
        client(elsewhere.url, elsewhere.authority)
    assert said in str(raised.value)
    assert "ca_file" not in str(raised.value)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_certificate_of_an_unknown_authority_asks_for_its_file(
    elsewhere: Elsewhere, client: Callable[[str, Path | None], None]
) -> None:
    with pytest.raises(CryowatchError, match=r"cannot be verified: .*authority that signed it as \S*ca[_-]file"):
        client(elsewhere.url, None)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_certificate_that_has_expired_asks_for_a_new_one(
    tmp_path: Path, client: Callable[[str, Path | None], None]
) -> None:
    server = Elsewhere(tmp_path / "old", now=datetime(2001, 1, 1, tzinfo=UTC), name=HOST)
    try:
        with pytest.raises(CryowatchError, match=r"certificate has expired\. Make a new one for the server"):
            client(server.url, server.authority)
    finally:
        server.close()
