"""The machine's network interfaces, in the order in which Scipion's monitors number them: the kernel's own."""

from __future__ import annotations

import socket


def names() -> list[str]:
    """Return the names of the interfaces; none where they cannot be told."""
    try:
        return [name for _, name in socket.if_nameindex()]
    except OSError:
        return []
