"""A private certificate authority, and one server certificate that it signed.

Keys are ECDSA on P-256: every TLS 1.2 and 1.3 client knows it (Go's since 2012, OpenSSL's, the browsers'), influxd
1.6.7 serves it, a handshake costs the server a fraction of RSA's, and 2048-bit RSA would be weaker.  Ed25519 would do
too, were it not for browsers, which Grafana needs and which do not take it.

The authority signs once.  Its certificate is what clients trust; it is constrained to the names of this one server, so
that whoever takes hold of its key cannot pose as anybody else.  After `create` its key may be deleted; to renew, make
both anew.  Serial numbers are random, and so is the authority's name: two authorities of one name confuse OpenSSL.

Four files in PEM are written, all or none: `ca-cert.pem`, `ca-key.pem`, `server-cert.pem`, `server-key.pem`.
"""

from __future__ import annotations

import contextlib
import grp
import ipaddress
import os
import re
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cryowatch.errors import ConfigError, remedy_of

DAYS = 825
"""As long as every browser takes a certificate of a private authority; Safari takes no longer one."""

INFLUX_FOLDER, GRAFANA_FOLDER, AGENT_FOLDER = "/etc/ssl/influxdb", "/etc/grafana/tls", "/etc/cryowatch"
INFLUX_SETTINGS = "/etc/default/influxdb"
"""What InfluxDB's unit takes settings from, in the packages of Debian, Ubuntu and InfluxData."""

INFLUX_ENVIRONMENT = f"""\
INFLUXDB_HTTP_AUTH_ENABLED=true
INFLUXDB_HTTP_HTTPS_ENABLED=true
INFLUXDB_HTTP_HTTPS_CERTIFICATE={INFLUX_FOLDER}/server-cert.pem
INFLUXDB_HTTP_HTTPS_PRIVATE_KEY={INFLUX_FOLDER}/server-key.pem
"""
ACCOUNT = "scipion"
"""The account that most facilities process under."""

ALWAYS = ("localhost", "127.0.0.1")
_SKEW = timedelta(hours=1)
"""A client whose clock is slow must not find a certificate that is not valid yet."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PUBLIC, _PRIVATE, _SHARED = 0o644, 0o600, 0o640


@dataclass(frozen=True)
class Created:
    """The files of one authority and its one server, and the names that the server may be reached by."""

    folder: Path
    names: tuple[str, ...]
    not_after: datetime

    @property
    def ca_certificate(self) -> Path:
        """What clients trust."""
        return self.folder / "ca-cert.pem"

    @property
    def ca_key(self) -> Path:
        """What has signed, and is not needed any more."""
        return self.folder / "ca-key.pem"

    @property
    def certificate(self) -> Path:
        """What the server shows."""
        return self.folder / "server-cert.pem"

    @property
    def key(self) -> Path:
        """What the server keeps to itself."""
        return self.folder / "server-key.pem"


def create(
    folder: Path, names: Sequence[str], days: int = DAYS, *, group: str | None = None, now: datetime | None = None
) -> Created:
    """Write an authority and a server certificate for the names, and return where they are.

    A name is a DNS name, one with a leading `*.`, or an IP address; localhost and 127.0.0.1 are added.  Keys have mode
    0600, with a group the server's has 0640 and that group; certificates 0644.  Raises `ConfigError` for a name that
    is none, for a group that is not there, where one of the files exists already, and where they cannot be written.
    """
    if not names:
        raise ConfigError("the server needs a name", remedy="Give the one that clients use with --name")
    server_names = list(dict.fromkeys(_general_name(name) for name in (*names, *ALWAYS)))
    start = (now or datetime.now(UTC)).replace(microsecond=0) - _SKEW
    end = start + timedelta(days=days)
    created = Created(folder, tuple(str(name.value) for name in server_names), end)
    group_id = _group_id(group)

    ca_key, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    authority = _authority(ca_key, server_names, start, end)
    certificate = _certificate(key, ca_key, authority, server_names, start, end)
    files = [
        _File(created.ca_certificate, authority.public_bytes(Encoding.PEM), _PUBLIC),
        _File(created.ca_key, _pem(ca_key), _PRIVATE),
        _File(created.certificate, certificate.public_bytes(Encoding.PEM), _PUBLIC),
        _File(created.key, _pem(key), _PRIVATE if group_id is None else _SHARED, group_id),
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(files)
    except FileExistsError as error:
        what = "is there already, and nothing is overwritten"
        raise ConfigError(what, where=error.filename2 or error.filename, remedy="Give another --out") from None
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror}", where=error.filename or folder, remedy=remedy_of(error)
        ) from None
    return created


def influx_fragment(port: int) -> str:
    """Return the section [http] of influxdb.conf: accounts, and https with the files where `placement` puts them."""
    return (
        "[http]\n"
        "  enabled = true\n"
        f'  bind-address = ":{port}"\n'
        "  auth-enabled = true\n"
        "  https-enabled = true\n"
        f'  https-certificate = "{INFLUX_FOLDER}/server-cert.pem"\n'
        f'  https-private-key = "{INFLUX_FOLDER}/server-key.pem"\n'
    )


def placement(created: Created, *, account: str = ACCOUNT) -> str:
    """Return, as commands and lines of configuration, where each file goes: the pages, InfluxDB, Grafana.

    `account` is the one that the service runs under.
    """
    certificate, key = shlex.quote(str(created.certificate)), shlex.quote(str(created.key))
    ca = shlex.quote(str(created.ca_certificate))
    return f"""\
Where they go.  The commands are for root.

The agent and its pages, on the machine that processes ({account} is the account of the service):
  install -d {AGENT_FOLDER}
  install -m 0644 {ca} {certificate} {AGENT_FOLDER}/
  install -o {shlex.quote(account)} -m 0600 {key} {AGENT_FOLDER}/
and in {AGENT_FOLDER}/cryowatch.toml
  [web]
  certificate = "{AGENT_FOLDER}/server-cert.pem"
  key = "{AGENT_FOLDER}/server-key.pem"
  [influx]
  ca_file = "{AGENT_FOLDER}/ca-cert.pem"

InfluxDB, on its machine:
  install -d {INFLUX_FOLDER}
  install -m 0644 {certificate} {INFLUX_FOLDER}/
  install -o influxdb -m 0600 {key} {INFLUX_FOLDER}/
and in {INFLUX_SETTINGS}, then: systemctl restart influxdb
{_indented(INFLUX_ENVIRONMENT)}
Grafana, on its machine:
  install -d {GRAFANA_FOLDER}
  install -m 0644 {ca} {certificate} {GRAFANA_FOLDER}/
  install -g grafana -m 0640 {key} {GRAFANA_FOLDER}/
The settings for it are those of `cryowatch grafana provision`.

Whoever opens the pages or Grafana needs ca-cert.pem in the browser.
ca-key.pem has done its work: keep it off these machines, or delete it.
"""


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


def _general_name(name: str) -> x509.DNSName | x509.IPAddress:
    # An address of one network interface (fe80::1%eth0) means nothing on another machine.
    if "%" not in name:
        with contextlib.suppress(ValueError):
            return x509.IPAddress(ipaddress.ip_address(name))
    host = name.lower().removesuffix(".")
    labels = host.removeprefix("*.").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdecimal():
        remedy = "Give it alone, without https:// and port, a name with other letters in its xn-- form"
        raise ConfigError("is not a host's name or address", where=name, remedy=remedy)
    return x509.DNSName(host)


def _constraint(name: x509.DNSName | x509.IPAddress) -> x509.DNSName | x509.IPAddress:
    """Return the smallest space that holds the name."""
    if isinstance(name, x509.DNSName):
        return x509.DNSName(name.value.removeprefix("*."))
    return x509.IPAddress(ipaddress.ip_network(str(name.value)))


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(
    key: EllipticCurvePrivateKey, names: Sequence[x509.DNSName | x509.IPAddress], start: datetime, end: datetime
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"cryowatch private CA {os.urandom(8).hex()}")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    constraints = x509.NameConstraints([_constraint(name) for name in names], None)
    return (
        _builder(name, name, key, start, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(constraints, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, SHA256())
    )


def _certificate(
    key: EllipticCurvePrivateKey,
    ca_key: EllipticCurvePrivateKey,
    authority: x509.Certificate,
    names: Sequence[x509.DNSName | x509.IPAddress],
    start: datetime,
    end: datetime,
) -> x509.Certificate:
    # The subject is for people, and has room for 64 characters; clients compare the alternative names alone.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(names[0].value)[:64])])
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(subject, authority.subject, key, start, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(ca_key, SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True)
class _File:
    path: Path
    content: bytes
    mode: int
    group: int | None = None


def _group_id(group: str | None) -> int | None:
    if group is None:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError("there is no such group here", where=group, remedy="Check --group") from None


def _write(files: Sequence[_File]) -> None:
    """Write all files whole, or none; raises FileExistsError where one of them is there."""
    with contextlib.ExitStack() as undo, tempfile.TemporaryDirectory(prefix=".tls-", dir=files[0].path.parent) as made:
        for file in files:
            whole = Path(made) / file.path.name
            descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
            with os.fdopen(descriptor, "wb") as output:
                output.write(file.content)
                if file.group is not None:
                    os.fchown(descriptor, -1, file.group)
                os.fchmod(descriptor, file.mode)
                os.fsync(descriptor)
        for file in files:
            # A link, unlike a rename, fails where something is there.
            os.link(Path(made) / file.path.name, file.path)
            undo.callback(file.path.unlink)
        undo.pop_all()
