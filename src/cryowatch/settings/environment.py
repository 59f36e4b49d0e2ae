"""What other processes get of the environment: everything but cryowatch's settings, as passwords may be among them."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

PREFIX = "CRYOWATCH_"
"""With which the names of all settings begin."""


def handed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a process that is started from here gets."""
    return {name: value for name, value in environment.items() if not name.startswith(PREFIX)}


def forget(environment: MutableMapping[str, str]) -> None:
    """Take the settings out of an environment, once they are read.

    A library that starts a process hands its own environment on: the SSH client with `ProxyCommand`, a browser.
    """
    for name in [name for name in environment if name.startswith(PREFIX)]:
        del environment[name]
