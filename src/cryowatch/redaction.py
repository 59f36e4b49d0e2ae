"""Secrets taken out of text that somebody else wrote: a server may repeat what it was sent.

A secret is found as it stands, in base64 (also where it is only a part of what was encoded, as in `user:password`), in
hexadecimal digits, and escaped for an address, JSON or HTML.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "…"

SHORT = 4
"""A secret of fewer characters is only hidden where it stands as a word: it is part of too many others."""

_FEWEST = 8
"""Characters of a piece of base64 that tell enough to be a secret's."""


class Redaction:
    """Takes some secrets out of texts; empty ones are none."""

    def __init__(self, *secrets: str) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Also hide these."""
        self._secrets.update(filter(None, secrets))
        forms = sorted({form for secret in self._secrets for form in _forms(secret)}, key=len, reverse=True)
        self._pattern = re.compile("|".join(forms)) if forms else None

    def __call__(self, text: str) -> str:
        """Return a text without the secrets."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)


def _forms(secret: str) -> Iterator[str]:
    """Yield a pattern for each form in which a secret may stand in a text."""
    if len(secret) < SHORT:
        yield rf"(?<!\w){re.escape(secret)}(?!\w)"
        return
    plain = {secret, unquote(secret), json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    plain |= {html.escape(secret), html.escape(secret, quote=False), repr(secret)[1:-1]}
    plain |= {form.replace("+", " ") for form in plain}  # as what is decoded as a form, and is none
    yield from map(re.escape, plain)
    folded = {secret.encode().hex(), quote(secret, safe=""), quote(secret), quote_plus(secret)}
    yield from (f"(?i:{re.escape(form)})" for form in folded)
    yield from map(re.escape, _encoded(secret.encode()))


def _encoded(secret: bytes) -> Iterable[str]:
    """Return what base64 makes of a secret in the middle of something, wherever that begins in its groups of three."""
    found = set()
    for before in range(3):
        whole = base64.b64encode(bytes(before) + secret + bytes(-(before + len(secret)) % 3)).decode()
        first, left = (before * 8 + 5) // 6, (before + len(secret)) * 8 // 6
        middle = whole[first:left]
        if len(middle) >= min(_FEWEST, len(secret)):
            found |= {middle, middle.replace("+", "-").replace("/", "_")}
    return found
