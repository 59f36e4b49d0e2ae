"""Certificates: whether a server's is trusted, and for how long it and its authority's are valid."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from cryowatch.doctor.finding import Finding, bad, look, well
from cryowatch.system.certificate_faults import https_fault

_SECONDS = 10.0
_DAYS = 30


def served(what: str, url: str, ca_file: Path | None, key: str) -> Iterator[Finding]:
    """Look at what a server shows, and at the authority's file that `key` names; a server that is away says nothing."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        reason = "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read: {error.strerror}"
        yield bad(what, f"{ca_file}: {reason}. It is named as {key}")
        return
    try:
        with (
            socket.create_connection((host, port), _SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as line,
        ):
            der = line.getpeercert(binary_form=True) or b""
    except ssl.SSLCertVerificationError as error:
        wrong, remedy = https_fault(error, url, ca_file=ca_file, key=key)
        yield bad(what, f"{host}: {wrong}. {remedy}")
        return
    except OSError:
        return  # who is away is told by whoever wants something there
    yield lasting(what, host, x509.load_der_x509_certificate(der))
    if ca_file is not None:
        yield from stored(what, ca_file, "the authority's certificate")


def stored(what: str, file: Path, whose: str) -> Iterator[Finding]:
    """Look at a certificate in a file, and say only what is not well."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no certificate"
        yield bad(what, f"{file}: cannot be read: {reason}")
        return
    finding = lasting(what, f"{file}: {whose}", certificate)
    if finding.text and not finding.is_well:
        yield finding


def lasting(what: str, whose: str, certificate: x509.Certificate) -> Finding:
    """Return for how long a certificate is valid."""
    days = (certificate.not_valid_after_utc - datetime.now(UTC)).days
    if days < 0:
        return bad(what, f"{whose}: has expired {-days} days ago. Make a new one: `cryowatch tls create`")
    said = f"{whose}: is valid for {days} days more"
    return look(what, f"{said}. Make a new one in time") if days < _DAYS else well(what, said)
