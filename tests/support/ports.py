"""Ports for servers that have to be told theirs before they listen."""

from __future__ import annotations

import random
import socket

LOWEST, HIGHEST = 10_000, 32_000
"""Below those that the system gives to whoever asks for any (`ip_local_port_range`): nobody is given them meanwhile."""

_chance = random.SystemRandom()


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    while True:
        port = _chance.randrange(LOWEST, HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
