"""Addresses in settings: each function returns one as it is used, or raises ValueError with how to write it."""

from __future__ import annotations

import re
from email.utils import parseaddr
from urllib.parse import urlsplit

from cryowatch.numbers import whole
from cryowatch.settings.section import shorten


def listening(text: str) -> str:
    """Return an address and port to listen at."""
    host, _, port = text.rpartition(":")
    if not host or len(port) > 5 or whole(port, most=65535) is None:
        raise ValueError(f"{shorten(text)!r} is not an address and port; write it like 127.0.0.1:8420")
    return text


def server(text: str) -> str:
    """Return the address of an HTTP server, which holds no account."""
    scheme, _, rest = text.partition("://")
    if "@" in rest:
        raise ValueError("an account does not belong into the address; give username and password_file instead")
    if text and (scheme not in ("http", "https") or not rest):
        raise ValueError("it is not an address; write it like https://influx.example.org:8086")
    return text.rstrip("/")


def pages(text: str) -> str:
    """Return the address of the pages, which only work at the root of one."""
    parts = urlsplit(server(text))
    if parts.path or parts.query or parts.fragment:
        raise ValueError(
            "the pages do not work below a path; give them a name or a port of their own, like"
            " https://cryowatch.example.org"
        )
    return server(text)


def target(text: str) -> str:
    """Return a place that files can be copied to."""
    parts = urlsplit(text)
    if text and (parts.scheme not in ("file", "sftp") or not parts.path.strip("/") or parts.query or parts.fragment):
        raise ValueError("it is no place to publish to; write sftp://user@host/folder or file:///folder")
    if parts.password is not None:
        raise ValueError("a password does not belong into the address; give password_file instead")
    if parts.scheme == "sftp" and not parts.hostname:
        raise ValueError("it names no host; write sftp://user@host/folder")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("its port is no number up to 65535; write sftp://user@host:22/folder") from None
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise ValueError("a folder here has three slashes; write file:///folder")
    return text.rstrip("/")


def mailbox(text: str) -> str:
    """Return an address of mail, with a name before it or without."""
    address = parseaddr(text)[1]
    if not text.isprintable() or not re.fullmatch(r"[!-?A-~]+@[!-?A-~]*[A-Za-z0-9]", address) or "," in address:
        raise ValueError("it is no mail address; write it like someone@example.org")
    return text


def mailbox_or_none(text: str) -> str:
    """Return an address of mail, or nothing."""
    return mailbox(text) if text else text
