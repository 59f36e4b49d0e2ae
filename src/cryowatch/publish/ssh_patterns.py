"""OpenSSH's patterns, lists of patterns, words and `%` tokens, as ~/.ssh/config and known_hosts have them."""

from __future__ import annotations

import re


class Unfollowable(Exception):
    """A line cannot be followed; the text says why."""


def matches_pattern(text: str, pattern: str) -> bool:
    """Return whether a text is what a pattern with `*` and `?` means; brackets stand for themselves."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in re.sub(r"\*+", "*", pattern))
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def matches_list(text: str, patterns: str) -> bool:
    """Return whether a list of patterns with commas between means a text; one with `!` that does excludes it."""
    found = False
    for pattern in patterns.split(","):
        if matches_pattern(text, pattern.removeprefix("!")):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def words(text: str) -> list[str]:
    """Return the words of a line up to a comment, by OpenSSH's rules of quoting; raises `Unfollowable`."""
    found, at = [], 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
            continue
        if text[at] == "#":
            break
        word, quote = "", ""
        while at < len(text):
            c, after = text[at], text[at + 1 : at + 2]
            if c == "\\" and after and (after in "\"'\\" or (after == " " and not quote)):
                word, at = word + after, at + 1
            elif not quote and c in " \t":
                break
            elif not quote and c in "\"'":
                quote = c
            elif quote and c == quote:
                quote = ""
            else:
                word += c
            at += 1
        if quote:
            raise Unfollowable("a quote has no end")
        found.append(word)
    return found


def expanded(text: str, tokens: dict[str, str]) -> str:
    """Return a text with its `%` tokens replaced; raises `Unfollowable` for one that is not known."""

    def value(matched: re.Match[str]) -> str:
        try:
            return {"%": "%", **tokens}[matched[1]]
        except KeyError:
            raise Unfollowable(f"%{matched[1]} means nothing here") from None

    return re.sub(r"%(.)", value, text)
