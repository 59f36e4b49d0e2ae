"""A command as a list of arguments with places to fill in; no shell is ever involved.

Each value goes into its own argument, once, and is never looked at again: whatever it holds, it can neither become an
argument of its own nor bring in other values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_PLACE = re.compile(r"\{([a-z_]+)\}")
"""A place; other braces are what they are."""


def checked(command: object, known: Sequence[str]) -> list[str]:
    """Return a command that names a program and no other places than the known ones; raises ValueError."""
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise ValueError('no shell reads it: write a list of texts, like ["rsync", "-a", "{folder}/", "web:reports/"]')
    if command and (not command[0] or "{" in command[0] or ("/" in command[0] and not command[0].startswith("/"))):
        raise ValueError("it must begin with a program: a name to look up, or a whole path")
    for word in command:
        wrong = next((name for name in _PLACE.findall(word) if name not in known), None)
        if wrong is not None:
            raise ValueError(f"there is no {{{wrong}}} to fill in, only {', '.join(f'{{{name}}}' for name in known)}")
        if "\0" in word:
            raise ValueError("an argument cannot hold a null character")
    return command


def filled(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return the arguments with these values in their places."""
    return [_PLACE.sub(lambda found: values[found[1]], word) for word in command]
