"""Telling systemd how the service is: ready, still alive, ending; by the datagrams that sd_notify(3) describes.

Outside a service, where `NOTIFY_SOCKET` is not set, nothing is told and nothing happens.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from cryowatch.numbers import whole

BEAT_SECONDS = 10.0


class Systemd:
    """The manager that started this process, if it is one that wants to be told."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        limit = whole(environment.get("WATCHDOG_USEC", ""), most=2**64) if mine else None
        self.beat_seconds = min(BEAT_SECONDS, limit / 3e6) if limit else BEAT_SECONDS
        """How often `alive` is to be told; a third of what the manager waits."""

    def ready(self, status: str) -> None:
        """Tell that all has begun."""
        self._tell(f"READY=1\nSTATUS={status}")

    def alive(self, status: str) -> None:
        """Tell that work goes on, and on what."""
        self._tell(f"WATCHDOG=1\nSTATUS={status}")

    def ending(self) -> None:
        """Tell that the process ends because it was asked to."""
        self._tell("STOPPING=1")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.settimeout(1)
                line.sendto(text.encode(), address)
        except OSError:
            return  # a manager that cannot be told is no reason to end
