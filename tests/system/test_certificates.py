"""Certificates: what is in them, their files, and a real influxd that is served with them."""

from __future__ import annotations

import grp
import ipaddress
import os
import shutil
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography import x509

from cryowatch.errors import ConfigError
from cryowatch.system import certificates
from tests.support.influxd import InfluxServer

NAMES = ["influx.example.org", "*.example.net", "10.0.0.5", "fd00::5"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> certificates.Created:
    return certificates.create(tmp_path_factory.mktemp("tls") / "new", NAMES)


@pytest.fixture(scope="module")
def server(made: certificates.Created, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    served = InfluxServer(tmp_path_factory.mktemp("influx"), certificate=made.certificate, key=made.key)
    yield served
    served.stop()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def strict(ca_file: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "influx.example.org", "a.example.net", "10.0.0.5", "fd00::5"]
)
def test_influxd_is_believed_with_the_authority(server: InfluxServer, made: certificates.Created, host: str) -> None:
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain,
        strict(made.ca_certificate).wrap_socket(plain, server_hostname=host) as secure,
    ):
        assert secure.version() in {"TLSv1.2", "TLSv1.3"}


def test_influxd_answers_over_https(server: InfluxServer, made: certificates.Created) -> None:
    assert httpx2.get(f"{server.url}/ping", verify=strict(made.ca_certificate)).status_code == 204


def test_influxd_is_refused_without_the_authority(server: InfluxServer) -> None:
    with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx2.get(f"{server.url}/ping")


@pytest.mark.parametrize("host", ["example.org", "a.b.example.net", "10.0.0.6"])
def test_influxd_is_refused_under_another_name(server: InfluxServer, made: certificates.Created, host: str) -> None:
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        strict(made.ca_certificate).wrap_socket(plain, server_hostname=host)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_openssl_verifies_strictly(made: certificates.Created) -> None:
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", NAMES[0]]
    subprocess.run([*command, "-CAfile", made.ca_certificate, made.certificate], check=True, capture_output=True)


def test_names_and_addresses_are_told_apart(made: certificates.Created) -> None:
    certificate = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["influx.example.org", "*.example.net", "localhost"]
    addresses = [ipaddress.ip_address(a) for a in ("10.0.0.5", "fd00::5", "127.0.0.1")]
    assert names.get_values_for_type(x509.IPAddress) == addresses


def test_authority_can_vouch_for_these_names_alone(made: certificates.Created) -> None:
    authority = x509.load_pem_x509_certificate(made.ca_certificate.read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert x509.DNSName("influx.example.org") in (constraints.value.permitted_subtrees or [])
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_certificates_are_valid_from_a_little_earlier_for_the_days_given(tmp_path: Path) -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    made = certificates.create(tmp_path, ["a.example.org"], 30, now=now)
    for path in (made.certificate, made.ca_certificate):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        assert certificate.not_valid_before_utc == now - timedelta(hours=1)
        assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=30)


def test_modes(made: certificates.Created) -> None:
    assert [mode(made.ca_key), mode(made.key)] == [0o600, 0o600]
    assert [mode(made.ca_certificate), mode(made.certificate)] == [0o644, 0o644]


def test_modes_hold_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        made = certificates.create(tmp_path, ["a.example.org"])
    finally:
        os.umask(before)
    assert [mode(made.certificate), mode(made.key)] == [0o644, 0o600]


def test_group_may_read_the_server_s_key_alone(tmp_path: Path) -> None:
    made = certificates.create(tmp_path, ["a.example.org"], group=grp.getgrgid(os.getgid()).gr_name)
    assert mode(made.key) == 0o640
    assert made.key.stat().st_gid == os.getgid()
    assert mode(made.ca_key) == 0o600


@pytest.mark.parametrize("there", ["ca-cert.pem", "ca-key.pem", "server-cert.pem", "server-key.pem"])
def test_nothing_is_overwritten_and_nothing_is_left_half_done(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(ConfigError, match=rf"{there}: is there already, and nothing is overwritten\. Give another"):
        certificates.create(tmp_path, ["a.example.org"])
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


def test_link_to_nowhere_counts_as_there(tmp_path: Path) -> None:
    (tmp_path / "server-key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"server-key\.pem: is there already"):
        certificates.create(tmp_path, ["a.example.org"])
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "name",
    ["https://influx.example.org", "influx:8086", "", "a..b", "-a", "a b", "10.0.0.256", "fe80::1%eth0", "ñ.org"],
)
def test_what_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is not a host's name or address"):
        certificates.create(tmp_path / "new", [name])
    assert not (tmp_path / "new").exists()


def test_name_given_twice_stands_once(tmp_path: Path) -> None:
    made = certificates.create(tmp_path, ["A.example.org", "a.example.org.", "localhost", "0:0::1", "::1"])
    assert made.names == ("a.example.org", "localhost", "::1", "127.0.0.1")


def test_no_name_and_no_group_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a name"):
        certificates.create(tmp_path, [])
    with pytest.raises(ConfigError, match="there is no such group"):
        certificates.create(tmp_path, ["a.example.org"], group="no such group")


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file/new: cannot be written: Not a directory"):
        certificates.create(tmp_path / "file/new", ["a.example.org"])


def test_placement_names_every_file_and_owner(made: certificates.Created) -> None:
    text = certificates.placement(made)
    for path in (made.certificate, made.key, made.ca_certificate):
        assert str(path) in text
    for owner in ("install -o influxdb", "install -g grafana", "install -o scipion", "[influx]\n  ca_file = "):
        assert owner in text


def test_two_authorities_have_two_names(tmp_path: Path) -> None:
    subjects = set()
    for folder in ("one", "two"):
        made = certificates.create(tmp_path / folder, ["a.example.org"])
        subjects.add(x509.load_pem_x509_certificate(made.ca_certificate.read_bytes()).subject)
    assert len(subjects) == 2
