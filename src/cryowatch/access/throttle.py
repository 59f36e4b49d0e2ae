"""How often somebody may try a password: a bucket for each account and each address, which refills with time.

A try takes one token, a right password gives the account's bucket back.  Nothing is ever locked: who waits may try
again.  So that a stranger who keeps an account's bucket empty locks nobody out, a browser in which that account was
logged in before has a bucket of its own (`known`), by a mark that is signed and tells nothing.  The addresses of one
IPv6 network of 64 bits count as one: whoever has one of them has them all.
"""

from __future__ import annotations

import ipaddress
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Rate:
    """How many tries at once, and after how many seconds there is one more."""

    burst: int
    seconds: float


ACCOUNT = Rate(10, 30)
ADDRESS = Rate(20, 6)
KNOWN = Rate(10, 30)


class Throttle:
    """Buckets, of which the ones used longest ago are forgotten; `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entry = threading.Lock()
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, account: str, address: str, known: str | None) -> int:
        """Take a token for a try and return 0; or take none, and return the seconds after which there is one."""
        keys = _keys(account, address, known)
        with self._entry:
            waiting = math.ceil(max(self._missing(key, rate) for key, rate in keys))
            if not waiting:
                for key, rate in keys:
                    self._put(key, self._level(key, rate) - 1)
        return waiting

    def returned(self, account: str, address: str, known: str | None) -> None:
        """Give back what one try cost that was not made."""
        with self._entry:
            for key, rate in _keys(account, address, known):
                self._put(key, min(float(rate.burst), self._level(key, rate) + 1))

    def succeeded(self, account: str, address: str, known: str | None) -> None:
        """Give back what tries cost the account; to the address this one's token alone."""
        with self._entry:
            for key, rate in _keys(account, address, known):
                if key[0] == "address":
                    self._put(key, self._level(key, rate) + 1)
                else:
                    self._buckets.pop(key, None)

    def _missing(self, key: tuple[str, str], rate: Rate) -> float:
        return max(0.0, (1 - self._level(key, rate)) * rate.seconds)

    def _level(self, key: tuple[str, str], rate: Rate) -> float:
        level, since = self._buckets.get(key, (float(rate.burst), 0.0))
        return min(float(rate.burst), level + (self._clock() - since) / rate.seconds)

    def _put(self, key: tuple[str, str], level: float) -> None:
        self._buckets[key] = (max(0.0, level), self._clock())
        self._buckets.move_to_end(key)
        while len(self._buckets) > MOST_KEPT:
            self._buckets.popitem(last=False)


def _keys(account: str, address: str, known: str | None) -> list[tuple[tuple[str, str], Rate]]:
    named = (("account", account), ACCOUNT) if known is None else (("known", f"{known} {account}"), KNOWN)
    return [named, (("address", network_of(address)), ADDRESS)]


def network_of(address: str) -> str:
    """Return what stands for an address: an IPv4 address also where it comes as IPv6, else its network of 64 bits."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((int(found), 64), strict=False))
