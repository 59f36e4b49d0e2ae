"""Secrets taken out of text that somebody else wrote: a server may repeat what it was sent.

A secret is found as it stands and as programs write it: in base64 (also where it is only a part of what was encoded, as
in `user:password`), in hexadecimal digits, with some or all of its characters escaped as in addresses, HTML, JSON,
Python or quoted-printable, also twice, and in capital or small letters.  Only the words of others go through here: a
gap among words that are known would tell what was taken out.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from html import unescape
from html.entities import codepoint2name
from urllib.parse import unquote, unquote_plus, urlsplit

HIDDEN = "…"

SHORT = 4
"""A secret of fewer characters is only hidden where it stands as a word: it is part of too many others."""

_FEWEST = 4
"""Characters of a piece of base64 that tell enough to be a secret's."""

_TWINS = {"+": "+-", "-": "+-", "/": "/_", "_": "/_"}
"""Base64 has two alphabets."""

_BEFORE = re.compile(r"[A-Za-z0-9+/_-]*")
_AFTER = re.compile(r"[A-Za-z0-9+/_-]*(?:=|%3D)*", re.IGNORECASE)
_PERCENT = "%(?:25){0,3}"
_AND = "&(?:amp;){0,3}"
_BACKSLASHES = r"\\{1,4}"
_CONTROLS = {"\n": "n", "\r": "r", "\t": "t"}

_NAMES_SECRET = re.compile(
    r"-u|-p|(?:--?)?(?:[\w-]*[_-])?(?:user|pass(?:word|wd|phrase)?|token|secret|auth|credentials?|(?:api-?)?key|bearer)",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(?:-H)?[\w-]*(?:auth|token|key|secret)[\w-]*:\s*(.+)", re.IGNORECASE)


class Redaction:
    """Takes some secrets out of texts; empty ones are none."""

    def __init__(self, *secrets: str) -> None:
        self._secrets: set[str] = set()
        self._forms: list[_Form] = []
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Also hide these."""
        self._secrets.update(filter(None, secrets))
        self._forms = []

    def __call__(self, text: str) -> str:
        """Return a text without the secrets."""
        self._forms = self._forms or [form for secret in sorted(self._secrets) for form in _forms(secret)]
        for start, end in _apart(span for form in self._forms for span in form.spans(text)):
            text = text[:start] + HIDDEN + text[end:]
        return text


def of_arguments(arguments: Iterable[str]) -> Iterator[str]:
    """Yield what may be secret of the arguments of a command: accounts, passwords, tokens and addresses with such."""
    named = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if named and not argument.startswith("-"):
            yield from _with_password(argument)
        named = not equals and bool(_NAMES_SECRET.fullmatch(name))
        if equals and _NAMES_SECRET.fullmatch(name):
            yield from _with_password(value)
        if header := _HEADER.fullmatch(argument):
            yield from (header[1], header[1].rpartition(" ")[2])
        if "://" in argument:
            account = argument.partition("://")[2].partition("/")[0].rpartition("@")[0]
            yield from _with_password(account) if ":" in account else ()


def of_address(url: str) -> Iterator[str]:
    """Yield everything of an address that may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        yield url
        return
    whole = [url, url.partition("://")[2], parts.path, parts.query, parts.netloc.rpartition("@")[0]]
    pieces = [*parts.path.split("/"), *parts.query.replace("=", "&").split("&"), parts.username, parts.password]
    yield from (text for text in (*whole, *pieces) if text and len(text) >= SHORT)


def _with_password(text: str) -> tuple[str, str]:
    """Return a text, and its part behind a colon: `user:password`."""
    return text, text.partition(":")[2]


class _Form:
    """One way in which a secret may be written: patterns that follow one another.

    Of an `encoded` one the letters beside it belong to the same code, and tell of the secret or of what stands by it.
    """

    def __init__(self, parts: Iterable[str], *, encoded: bool = False, alone: bool = False) -> None:
        whole = "".join(parts)
        self._pattern = re.compile(rf"(?<!\w){whole}(?!\w)" if alone else whole, re.IGNORECASE)
        self._encoded = encoded

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where it stands in a text."""
        reached = 0
        for found in self._pattern.finditer(text):
            start, end = found.span()
            if end <= reached:
                continue
            if self._encoded:
                before, after = _BEFORE.match(text[reached:start][::-1]), _AFTER.match(text, end)
                start, end = start - (before.end() if before else 0), after.end() if after else end
            reached = end
            yield start, end


def _forms(secret: str) -> Iterator[_Form]:
    """Yield the ways in which a secret may be written."""
    alone = len(secret) < SHORT
    for way in {secret, unquote(secret), unquote_plus(secret), unescape(secret)} - {""}:
        yield _Form(map(_character, way), alone=alone)
    for data in {secret.encode("utf-8", "surrogateescape"), secret.encode("latin-1", "replace")}:
        if len(data) < SHORT:
            continue
        first, *others = (f"{byte:02x}" for byte in data)
        yield _Form([first, *(rf"(?:\\x|[:\s-])?{pair}" for pair in others)])
        for before in range(3):
            text = base64.b64encode(bytes(before) + data).decode()
            middle = text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
            if len(middle) >= _FEWEST:
                yield _Form(map(_letter, middle), encoded=True)


def _letter(letter: str) -> str:
    """Return a pattern of a letter of base64, which may stand in an address."""
    twins = _TWINS.get(letter)
    return f"(?:{'|'.join(map(_character, twins))})" if twins else letter


def _character(c: str) -> str:
    """Return a pattern of a character in whichever way a program writes it."""
    code = ord(c)
    data = c.encode("utf-8", "surrogateescape")
    ways = [
        rf"\\{{0,4}}{re.escape(c)}",
        "".join(f"{_PERCENT}{byte:02x}" for byte in data),
        "".join(f"={byte:02x}" for byte in data),
        rf"{_AND}#0{{0,6}}{code}(?:;|(?!\d))",
        rf"{_AND}#x0{{0,6}}{code:x}(?:;|(?![0-9a-f]))",
        "".join(rf"{_BACKSLASHES}x{byte:02x}" for byte in data),
        "".join(rf"{_BACKSLASHES}{byte:03o}" for byte in data),
        rf"{_BACKSLASHES}(?:u|U0000|x){code:04x}" if code > 0xFF else rf"{_BACKSLASHES}(?:u00|U000000|x){code:02x}",
    ]
    if code > 0xFFFF:
        pair = c.encode("utf-16-be")
        ways.append(rf"{_BACKSLASHES}u{pair[:2].hex()}{_BACKSLASHES}u{pair[2:].hex()}")
    if name := {0x27: "apos"}.get(code) or codepoint2name.get(code):
        ways.append(f"{_AND}{name};?")
    if c in _CONTROLS:
        ways.append(_BACKSLASHES + _CONTROLS[c])
    if c == " ":
        ways.append(r"[\s+]{1,9}")
    if c == "+":  # as what is decoded as a form, and is none
        ways.append(" ")
    if code > 0x7F:  # read in another encoding than it was written in
        ways += ["".join(re.escape(chr(byte)) for byte in data), "[\ufffd?]{1,4}"]
    return f"(?:{'|'.join(ways)})"


def _apart(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans of which none overlaps another, the last first."""
    apart: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if apart and start < apart[-1][1]:
            apart[-1] = apart[-1][0], max(end, apart[-1][1])
        else:
            apart.append((start, end))
    return apart[::-1]
