"""Apprise's services get what the others get; their addresses stay secret."""

from __future__ import annotations

import contextlib
import logging
import resource
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cryowatch.errors import ConfigError, MessageRefused, SinkAway, SinkError, SinkRefused
from cryowatch.notices.apprise import Apprise, addresses
from cryowatch.records import Severity
from tests.notices.told import House, message, notifier, run
from tests.support.receiver import Receiver

Start = Callable[..., Receiver]

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # what Apprise imports


def service(port: int) -> Apprise:
    return Apprise("apprise json", f"json://user:GEHEIM1@127.0.0.1:{port}/GEHEIM2", Severity.WARNING)


def test_a_service_gets_the_message_and_no_name_calls_anybody(receiving: Start, house: House) -> None:
    house.raise_(Severity.CRITICAL, "Defocus: low @everyone <!here>")
    server = receiving()
    assert service(server.port).send(message(house), {}) == ""
    (body,) = server.bodies
    assert body["title"].startswith("Critical: Defocus: low")
    assert "since" in body["message"]
    assert "@everyone" not in body["message"] + body["title"]
    assert "<!" not in body["message"] + body["title"]


@pytest.mark.parametrize(
    ("status", "kind"), [(400, MessageRefused), (403, SinkRefused), (429, SinkAway), (500, SinkAway)]
)
def test_what_each_answer_means(receiving: Start, house: House, status: int, kind: type[SinkError]) -> None:
    house.raise_()
    server = receiving(status=status, said="GEHEIM")
    with pytest.raises(kind, match=f"^apprise json: .*answers {status}") as raised:
        service(server.port).send(message(house), {})
    assert "GEHEIM" not in str(raised.value)


def test_a_service_that_is_away_is_told_later_and_its_address_is_shown_nowhere(
    receiving: Start, house: House, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    server = receiving()
    server.close()
    channel = service(server.port)
    told = notifier(house, channel)
    house.raise_()
    with caplog.at_level(logging.DEBUG, logger="cryowatch"):
        run(told, house.time, 60)
    assert told.status().problem.startswith("apprise json: did not take the message")
    shown = [caplog.text, str(told.status()), *capfd.readouterr()]
    assert not [text for text in shown if "GEHEIM" in text]


@pytest.fixture
def endless() -> Iterator[int]:
    """The port of a server that goes on answering: as much as is read, or a byte now and then where that is asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def answer(line: socket.socket) -> None:
        with contextlib.suppress(OSError), line:
            slowly = b"slowly" in line.recv(100_000)
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
            while not over.is_set():
                line.sendall(b"." if slowly else b"." * 2**20)
                if slowly:
                    over.wait(0.05)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    over.set()
    listener.close()


@pytest.mark.parametrize(
    ("path", "seconds", "text"), [("much", 30, "did not take the message"), ("slowly", 4, "within 4 s")]
)
def test_a_service_that_answers_without_an_end_takes_neither_the_agents_memory_nor_its_time(
    endless: int, house: House, path: str, seconds: float, text: str
) -> None:
    house.raise_()
    channel = Apprise("apprise json", f"json://127.0.0.1:{endless}/{path}", Severity.WARNING, seconds=seconds)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SinkAway, match=text):
        channel.send(message(house), {})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_each_line_is_a_channel(tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text("# ours\nslack://GEHEIM/a/b\n\n  slack://GEHEIM/c/d\nmailto://me:GEHEIM@example.org\n")
    assert [name for name, _ in addresses(file)] == ["apprise slack", "apprise slack 2", "apprise mailto"]
    file.write_text("# none\n")
    with pytest.raises(ConfigError, match="holds no address"):
        addresses(file)
    with pytest.raises(ConfigError, match=r"cannot be read: No such file.*apprise\.urls_file"):
        addresses(tmp_path / "none")


def test_an_address_that_apprise_does_not_know(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="Apprise does not know such an address") as raised:
        Apprise("apprise nonsense", "nonsense://GEHEIM@host", Severity.WARNING)
    assert "GEHEIM" not in str(raised.value) + "".join(capfd.readouterr())


def test_without_the_package_it_is_one_line_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"is not installed. pip install 'cryowatch\[apprise\]'"):
        service(1)
