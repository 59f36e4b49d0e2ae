"""What the server of the pages logs: in the one log, a line each, however much strangers make it say."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest

from cryowatch.system import certificates
from tests.support.projects import genuine
from tests.support.serving import until
from tests.system.test_logs import LINE
from tests.web.crowd import Agent, watching

TIMES = 30


@pytest.fixture(scope="module", params=["http", "https"])
def agent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    folder = tmp_path_factory.mktemp("server-log")
    log = f'[log]\nfile = "{folder}/log"\n'
    authority, settings = None, ""
    if request.param == "https":
        made = certificates.create(folder / "tls", ["127.0.0.1"])
        authority, settings = made.ca_certificate, f'certificate = "{made.certificate}"\nkey = "{made.key}"\n'
    with watching(folder, [genuine(folder)], settings=settings + log, authority=authority) as found:
        yield found


def lines_of(agent: Agent) -> tuple[list[str], list[str]]:
    """Return the lines of the log file, and those on standard error that are not said at every start."""
    errors = [line for line in agent.errors.read_text().splitlines() if "shows the sessions at" not in line]
    return (agent.data.parent / "log").read_text().splitlines(), errors


def send(agent: Agent, *parts: bytes, abort: bool) -> None:
    """Send bytes, and end the connection: in order, or by a reset."""
    line = agent.line()
    if abort:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wrapped = line if agent.context is None else agent.context.wrap_socket(line, server_hostname="127.0.0.1")
    with contextlib.suppress(OSError):
        for part in parts:
            wrapped.sendall(part)
    if not abort:
        wrapped.settimeout(0.2)
        with contextlib.suppress(OSError):
            wrapped.recv(1000)
    wrapped.close()


HEAD = (
    b"POST /%s HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\nContent-Type: %s\r\n"
    b"Content-Length: 900\r\n\r\n"
)
FORM, JSON = b"application/x-www-form-urlencoded", b"application/json"


def test_requests_that_are_given_up_are_no_lines(agent: Agent) -> None:
    for number in range(TIMES):
        send(agent, HEAD % (b"login", FORM), b"name=a", abort=number % 2 == 0)
        send(agent, HEAD % (b"api/alerts/1/mute", JSON), b"{", abort=number % 2 == 0)
        send(agent, b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", abort=True)
        send(agent, b"GET /s/small/summary HTTP/1.1\r\nHost: 127.0.0.1\r\n", abort=True)
    until(lambda: agent.ask("/healthz").status == 200)
    file, errors = lines_of(agent)
    assert [line for line in (*file, *errors) if "Traceback" in line or "Disconnect" in line] == []
    assert all(LINE.fullmatch(line) for line in file)
    assert len(errors) == len(file), "standard error says the same"


def test_what_is_no_http_is_one_line_in_the_log_file(agent: Agent) -> None:
    for number in range(TIMES):
        send(agent, b"\x00\x1b[31mno http\r\n\r\n", abort=False)
        if agent.context is not None:
            line = agent.line()
            line.sendall(b"GET / HTTP/1.1\r\n\r\n" if number % 2 else b"\x16\x03\x01\x00\x05hello")
            line.close()
    file = until(lambda: [line for line in lines_of(agent)[0] if "Invalid HTTP request" in line])
    assert len(file) == 1
    assert LINE.fullmatch(file[0])
    assert "WARNING uvicorn.error: " in file[0]
    both = [*lines_of(agent)[0], *lines_of(agent)[1]]
    assert sum("Invalid HTTP request" in line for line in both) == 2
    assert len(both) < 10
    assert all(line.isprintable() for line in both)
