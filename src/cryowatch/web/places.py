"""The places for connections at this server, and who gives one up where there are too few.

A newcomer always gets a place.  Where its owner has more than a share of all, or all are taken, another connection is
hung up on: one of that owner, or of whoever holds the most; there the idlest, and among equals the one that has stood
so for longest.  So whoever holds many connections takes places from nobody but oneself.

A connection belongs to the address that it comes from, until a request on it brings a login or a link: then it belongs
to these, so that people behind one address with accounts are not taken for one.  The addresses of one IPv6 network of
64 bits are one.  Connections of a reverse proxy belong to whoever it names, and before it has named anybody no share
holds for them.  One that is being answered counts, and is only given up where all places are taken.

Used by the event loop's thread alone.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol

from cryowatch.access.throttle import network_of

log = logging.getLogger(__name__)

SHARES = 4
"""An owner holds one of so many equal parts of all places."""

NOTE_SECONDS = 60.0

_PROXY = "a reverse proxy"


class Standing(IntEnum):
    """What a connection is at, the idlest first."""

    WAITED_FOR = 0
    """Its handshake or its next request is not there whole."""
    UNREAD = 1
    """Its answer is not taken."""
    LISTENING = 2
    """It gets events."""
    ANSWERED = 3


class Line(Protocol):
    """A connection that has a place."""

    def hang_up(self) -> None:
        """End it now; it may leave its place then or later."""


_Lines = dict[Line, None]


class Places:
    """`most` places; `proxies` are the addresses and networks of reverse proxies, `clock` is in seconds."""

    def __init__(
        self,
        most: int,
        *,
        shares: int = SHARES,
        proxies: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        note_seconds: float = NOTE_SECONDS,
    ) -> None:
        self._most = most
        self._share = max(1, most // shares)
        self._proxies = [ipaddress.ip_network(proxy) for proxy in proxies]
        self._clock = clock
        self._note_seconds = note_seconds
        self._next_note = clock()
        self._lines: dict[Line, tuple[str, Standing]] = {}
        self._owners: dict[str, list[_Lines]] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def owner_of(self, address: str) -> str:
        """Return whose a connection from an address is, as long as nobody has logged in on it."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return address
        found = getattr(found, "ipv4_mapped", None) or found
        return _PROXY if any(found in network for network in self._proxies) else network_of(address)

    def take(self, line: Line, owner: str) -> None:
        """Give a place to a newcomer."""
        self._put(line, owner, Standing.WAITED_FOR)
        self._hold_to_share(owner, line)
        if len(self._lines) > self._most:
            largest = max(self._counts, key=self._counts.__getitem__)
            self._note(largest, f"all {self._most} are taken")
            self._give_up(largest, line, tuple(Standing))

    def belongs(self, line: Line, owner: str) -> None:
        """Take note whose a connection is now."""
        was = self._lines.get(line)
        if was is not None and was[0] != owner:
            self.leave(line)
            self._put(line, owner, was[1])
            self._hold_to_share(owner, line)

    def stands(self, line: Line, standing: Standing) -> None:
        """Take note what a connection is at now."""
        was = self._lines.get(line)
        if was is not None and was[1] is not standing:
            self.leave(line)
            self._put(line, was[0], standing)

    def leave(self, line: Line) -> None:
        """Give a connection's place back, if it has one."""
        was = self._lines.pop(line, None)
        if was is None:
            return
        owner, standing = was
        del self._owners[owner][standing][line]
        self._counts[owner] -= 1
        if not self._counts[owner]:
            del self._owners[owner], self._counts[owner]

    def _put(self, line: Line, owner: str, standing: Standing) -> None:
        self._lines[line] = (owner, standing)
        self._owners.setdefault(owner, [{} for _ in Standing])[standing][line] = None
        self._counts[owner] = self._counts.get(owner, 0) + 1

    def _hold_to_share(self, owner: str, newcomer: Line) -> None:
        if owner != _PROXY and self._counts[owner] > self._share:
            self._note(owner, f"the share of one is {self._share}")
            self._give_up(owner, newcomer, (Standing.WAITED_FOR, Standing.UNREAD, Standing.LISTENING))

    def _give_up(self, owner: str, newcomer: Line, standings: Sequence[Standing]) -> None:
        for standing in standings:
            for line in self._owners[owner][standing]:
                if line is not newcomer:
                    self.leave(line)
                    line.hang_up()
                    return

    def _note(self, owner: str, why: str) -> None:
        now = self._clock()
        if now >= self._next_note:
            self._next_note = now + self._note_seconds
            log.warning(
                "%s holds %d connections to the pages, and %s: its idlest are ended", owner, self._counts[owner], why
            )
