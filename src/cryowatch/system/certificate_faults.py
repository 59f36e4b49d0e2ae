"""What is wrong with a server's certificate, and how to mend it: one text for every server that we talk to over TLS.

OpenSSL says that a name does not match, but not which names would: the server is asked once more for the certificate,
whose signature is checked as before, its name not; nothing else is sent.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryowatch.errors import one_line

SECONDS = 5.0
MOST_NAMES = 8

_NOT_YET, _EXPIRED = 9, 10
_NAMES = {62, 64}
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID, …_HAS_EXPIRED, …_HOSTNAME_MISMATCH and …_IP_ADDRESS_MISMATCH."""

Certificate = Mapping[str, Any]
"""A certificate as `ssl.SSLSocket.getpeercert` returns it."""


def fault(
    error: ssl.SSLCertVerificationError,
    *,
    host: str,
    shown: Callable[[ssl.SSLContext], Certificate | None],
    ca_file: Path | None,
    key: str,
) -> tuple[str, str]:
    """Return what is wrong with the certificate of a server, and the remedy.

    `shown` connects with a context and returns the certificate; `key` is the setting that names the authority's file.
    """
    if error.verify_code in _NAMES:
        names = _names(shown, ca_file)
        held = f"; it is for {names}" if names else ""
        return (
            f"its certificate is not for the name {host}{held}",
            "Use a name that stands in it, or make one with this name: `cryowatch tls create`",
        )
    what = f"its certificate cannot be verified: {error.verify_message}"
    if error.verify_code == _EXPIRED:
        return what, "Make a new one for the server, for example by `cryowatch tls create`"
    if error.verify_code == _NOT_YET:
        return what, "Is the clock of this machine, or of the one that made it, wrong?"
    return what, f"Name the certificate of the authority that signed it as {key}"


def https_fault(error: ssl.SSLCertVerificationError, url: str, *, ca_file: Path | None, key: str) -> tuple[str, str]:
    """Return what is wrong with the certificate of a server of https, and the remedy."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return fault(error, host=host, shown=over_tls(host, parts.port or 443), ca_file=ca_file, key=key)


def over_tls(host: str, port: int, *, seconds: float = SECONDS) -> Callable[[ssl.SSLContext], Certificate | None]:
    """Return a function that fetches the certificate of a server that speaks TLS from the beginning."""

    def shown(context: ssl.SSLContext) -> Certificate | None:
        with (
            socket.create_connection((host, port), seconds) as plain,
            context.wrap_socket(plain, server_hostname=host) as line,
        ):
            return line.getpeercert()

    return shown


def _names(shown: Callable[[ssl.SSLContext], Certificate | None], ca_file: Path | None) -> str:
    """Return the names in a certificate, as text; "" where they cannot be learned."""
    certificate: Certificate | None = None
    with contextlib.suppress(OSError, ValueError):
        context = ssl.create_default_context(cafile=ca_file)
        context.check_hostname = False
        certificate = shown(context)
    names = [str(name) for kind, name in (certificate or {}).get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    if certificate and not names:
        return "no name at all"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return one_line(", ".join(name[:80] for name in names[:MOST_NAMES]) + more)
