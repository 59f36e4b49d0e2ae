"""The key that signs share links and marks of known browsers: 32 random bytes in a file of mode 0600, made once.

Who may read it can make links; without it, the file of the links opens nothing.  A new key ends all links.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryowatch.access.private_file import owned_like_folder
from cryowatch.errors import AccessError, remedy_of

NAME = "access.key"
_BYTES = 32


class Key:
    """Signs texts, each for a purpose."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def signature(self, purpose: str, *parts: str) -> str:
        """Return the signature of some texts as 43 characters that an address takes as they are."""
        said = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in (purpose, *parts))
        return _base64(hmac.new(self._secret, said, hashlib.sha256).digest())

    def signed(self, given: str, purpose: str, *parts: str) -> bool:
        """Return whether a signature is right, in the same time whichever it is."""
        return hmac.compare_digest(given.encode(), self.signature(purpose, *parts).encode())

    def derived(self, purpose: str) -> bytes:
        """Return 32 bytes for a purpose, which tell nothing of the key."""
        return hmac.new(self._secret, purpose.encode(), hashlib.sha256).digest()


def key_of(folder: Path) -> Key:
    """Return the key of a data directory, made where there is none; raises `AccessError`."""
    path = folder / NAME
    try:
        try:
            secret = path.read_bytes()
        except FileNotFoundError:
            secret = _made(path)
        others = path.stat().st_mode & 0o077
    except OSError as error:
        raise AccessError(f"cannot be read or made: {error.strerror}", where=path, remedy=remedy_of(error)) from None
    if len(secret) != _BYTES:
        raise AccessError("is no key", where=path, remedy="Delete it: a new one is made, and all share links end")
    if others:
        remedy = f"Others may have copied it: delete it, and all share links end; or chmod 600 {path}"
        raise AccessError("may be read by others", where=path, remedy=remedy)
    return Key(secret)


def _made(path: Path) -> bytes:
    """Make the file; of two processes that do so at once, both return what the first one wrote."""
    part = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(_BYTES))
        file.flush()
        os.fsync(descriptor)
    owned_like_folder(part)
    try:
        path.hardlink_to(part)
    except FileExistsError:
        pass
    finally:
        part.unlink()
    return path.read_bytes()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
