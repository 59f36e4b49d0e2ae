"""Scipion's plugin for cryowatch.

What Scipion asks for is imported when it does: the rest of the package needs no Scipion, and can be used and tested
without.
"""

from __future__ import annotations

from typing import Any

from emcryowatch.constants import VERSION

__version__ = VERSION
_logo = ""
_references: list[str] = []
_url = ""


def __getattr__(name: str) -> Any:
    """Return Scipion's `Plugin` class where somebody asks for it."""
    if name == "Plugin":
        from emcryowatch.plugin import Plugin  # noqa: PLC0415

        return Plugin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
