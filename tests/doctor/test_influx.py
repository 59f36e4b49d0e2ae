"""The doctor looks at InfluxDB with the accounts, the certificate and the clock that agent and Grafana will meet."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from cryowatch.influx import setup
from tests.doctor.looking import looked
from tests.support.influxd import ADMIN, InfluxServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """An InfluxDB that `influx init` has set up."""
    folder = tmp_path_factory.mktemp("influx")
    made = InfluxServer(folder)
    wanted = setup.Wanted(admin=ADMIN[0], database="scipion", retention="12w", folder=folder)
    password = SecretStr(ADMIN[1])
    assert all(step.state != "wrong" for step in setup.init(made.url, wanted, password=password, ca_file=None))
    yield made
    made.stop()


def section(server: InfluxServer, **more: str) -> str:
    values = {
        "url": server.url,
        "username": "scipion_writer",
        "password_file": f"{server.folder}/scipion_writer.password",
        **more,
    }
    return "[influx]\n" + "".join(f'{key} = "{value}"\n' for key, value in values.items())


def test_what_influx_init_made_is_well(tmp_path: Path, server: InfluxServer) -> None:
    found = looked(tmp_path, section(server))
    assert found["InfluxDB"][0] == "well"
    assert found["InfluxDB, deleting"] == ("well", "points that are outdated can be deleted")
    assert found["InfluxDB, reader"] == ("well", "scipion_reader may read scipion, and not write")
    assert found["InfluxDB, retention"][0] == "well"
    assert found["influx.password_file"][0] == "well"


def test_a_server_that_deletes_no_points_is_told(tmp_path: Path) -> None:
    class Keeping(BaseHTTPRequestHandler):
        """Takes points, and knows no DELETE, as VictoriaMetrics."""

        def do_POST(self) -> None:
            deleting = self.path.startswith("/query")
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b"unsupported statement: DELETE" if deleting else b""
            self.send_response(400 if deleting else 204)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Keeping) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = looked(tmp_path, f'[influx]\nurl = "http://127.0.0.1:{server.server_port}"\n')
        server.shutdown()
    verdict, text = found["InfluxDB, deleting"]
    assert verdict == "look"
    assert "does not delete points: unsupported statement: DELETE" in text


def test_another_retention_is_told_with_what_to_do(tmp_path: Path, server: InfluxServer) -> None:
    verdict, text = looked(tmp_path, section(server, retention="52w"))["InfluxDB, retention"]
    assert verdict == "look"
    assert "points are kept for 84 days, and influx.retention says 52w" in text


def test_a_reader_that_may_write_or_not_read_is_told(tmp_path: Path, server: InfluxServer) -> None:
    server.query("GRANT ALL ON scipion TO scipion_reader")
    try:
        verdict, text = looked(tmp_path, section(server))["InfluxDB, reader"]
        assert (verdict, "may also write to scipion. Take that away" in text) == ("look", True)
        server.query("REVOKE ALL ON scipion FROM scipion_reader")
        verdict, text = looked(tmp_path, section(server))["InfluxDB, reader"]
        assert (verdict, "`cryowatch influx init` mends accounts and grants" in text) == ("bad", True)
    finally:
        server.query("GRANT READ ON scipion TO scipion_reader")


def test_a_readers_wrong_password_is_told_without_it(tmp_path: Path, server: InfluxServer) -> None:
    (tmp_path / "scipion_writer.password").write_text((server.folder / "scipion_writer.password").read_text())
    (tmp_path / "scipion_reader.password").write_text("wrong-hunter2")
    found = looked(tmp_path, section(server, password_file=f"{tmp_path}/scipion_writer.password"))
    assert found["InfluxDB, reader"][0] == "bad"
    assert "refuses the password of scipion_reader" in found["InfluxDB, reader"][1]
    assert "hunter2" not in str(found)


def test_a_password_that_everybody_can_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o644)
    config = f'[influx]\nurl = "http://127.0.0.1:9"\nusername = "w"\npassword_file = "{tmp_path}/secret"\n'
    found = looked(tmp_path, config)
    assert found["influx.password_file"] == (
        "look",
        f"{tmp_path}/secret: everybody on this machine may read it. chmod o-r {tmp_path}/secret",
    )
    assert "cannot be reached" in found["InfluxDB"][1]


@pytest.mark.parametrize(("hours", "way"), [(2, "behind"), (-2, "ahead of")])
def test_a_clock_that_disagrees_is_told(tmp_path: Path, hours: int, way: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response_only(204)
            self.send_header("Date", format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        found = looked(tmp_path, f'[influx]\nurl = "http://127.0.0.1:{server.server_port}"\nusername = "w"\n')
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    verdict, text = found["clock, InfluxDB"]
    assert verdict == "look"
    assert f" s {way} InfluxDB's. Does a time service run on both?" in text
    assert "7,200" in text or "7,199" in text or "7,201" in text


@pytest.mark.parametrize(
    ("does", "verdict"),
    [
        ('[ "$*" = "show --property=NTPSynchronized --value" ] && echo yes', "well"),
        ("echo no", "look"),
        ("echo 'Failed to connect to bus: Host is down' >&2; exit 1", "absent"),
        (None, "absent"),
    ],
)
def test_whether_a_time_service_keeps_the_clock_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str | None, verdict: str
) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    if does is not None:
        (commands / "timedatectl").write_text(f"#!/bin/sh\n{does}\n")
        (commands / "timedatectl").chmod(0o755)
    monkeypatch.setenv("PATH", str(commands))
    assert looked(tmp_path)["clock"][0] == verdict


def certificate(folder: Path, *, begins: int, days: int) -> Path:
    """Write a certificate for localhost, signed by itself, with its key; days count from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    begin = datetime.now(UTC) + timedelta(days=begins)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "pair.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


@pytest.mark.parametrize(
    ("begins", "days", "host", "text"),
    [
        (-20, 10, "localhost", "certificate has expired. Make a new one for the server"),
        (5, 10, "localhost", "not yet valid. Is the clock of this machine, or of the one that made it, wrong?"),
        (
            -5,
            100,
            "127.0.0.1",
            "not for the name 127.0.0.1; it is for localhost. Use a name that stands in it, or make one with this",
        ),
        (-5, 10, "localhost", "is valid for 4 days more. Make a new one in time"),
    ],
)
def test_a_certificate_that_is_not_right_is_told(tmp_path: Path, begins: int, days: int, host: str, text: str) -> None:
    pair = certificate(tmp_path, begins=begins, days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(line, server_side=True).close()
                except OSError:
                    line.close()

        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        found = looked(tmp_path, f'[influx]\nurl = "https://{host}:{port}"\nusername = "w"\nca_file = "{pair}"\n')
        listener.shutdown(socket.SHUT_RDWR)
    assert text in found["TLS"][1]
    assert found["TLS"][0] == ("look" if "in time" in text else "bad")
