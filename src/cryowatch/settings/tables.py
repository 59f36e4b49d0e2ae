"""Tables of the configuration whose keys are taken one by one, and words that must be among known ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from cryowatch.errors import ConfigError

_KINDS = {str: "a text", list: "a list", dict: "a table", int: "a whole number", bool: "true or false"}


class TomlTable:
    """A TOML table whose keys are taken one by one; one that nobody takes is an error."""

    def __init__(self, values: Any, where: str, *, about: str) -> None:
        if not isinstance(values, Mapping):
            raise ConfigError("is not a table", where=where, remedy=f"See the documentation on {about}")
        self._values = dict(values)
        self._known: list[str] = []
        self.where = where

    def take(self, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        """Return the value of a key, which must be of a kind; `default` where it is not there."""
        self._known.append(key)
        if key not in self._values:
            return default
        value = self._values.pop(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            name = _KINDS.get(kind, "a number") if isinstance(kind, type) else "a number"
            raise ConfigError(f"must be {name}", where=f"{self.where}.{key}")
        return value

    def texts(self, key: str) -> list[str]:
        """Return a list of texts; empty where it is not there."""
        values: list[Any] = self.take(key, list, [])
        if not all(isinstance(value, str) for value in values):
            raise ConfigError("must be a list of texts", where=f"{self.where}.{key}")
        return values

    def end(self) -> None:
        """Refuse what is left."""
        for key in self._values:
            raise ConfigError("is not a setting", where=f"{self.where}.{key}", remedy=nearest(key, self._known))


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a question for the nearest known word, or all of them."""
    words = list(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"Did you mean {close[0]}?" if close else f"There are: {', '.join(words)}"


def one_of(word: str, known: Iterable[str], what: str, where: str) -> str:
    """Return a word that is known; raises `ConfigError` with the nearest one."""
    words = list(known)
    if word not in words:
        raise ConfigError(f"there is no {what} {word}", where=where, remedy=nearest(word, words))
    return word
