"""How the pages are reached, and what has to protect them there.

On loopback nothing has to: whoever is on this machine is let in, unless there are accounts.  Where others can reach the
pages, there must be accounts and TLS, or somebody must have said that it is to be without.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from cryowatch.errors import ConfigError
from cryowatch.settings.addresses import listening, pages
from cryowatch.settings.section import Directory, Section, contents

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_SHORTEST_TOKEN = 16


def _name(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("it is no host's name; write it like cryo.example.org, without https:// and port")
    return text.lower()


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError("it is no address; write it like 127.0.0.1 or 10.0.0.0/24") from None


class Web(Section):
    """The built-in pages."""

    listen: Annotated[str, AfterValidator(listening)] = Field(default="127.0.0.1:8420", description="Address and port.")
    url: Annotated[str, AfterValidator(pages)] = Field(
        default="", description="Address under which readers reach the pages, for links in messages."
    )
    certificate: Directory | None = Field(default=None, description="Certificate of the pages, for https.")
    key: Directory | None = Field(default=None, description="Key of that certificate.")
    insecure: bool = Field(default=False, description="Whether others may reach the pages without accounts or TLS.")
    hosts: list[Annotated[str, AfterValidator(_name)]] = Field(
        default=[], description="Further names under which readers reach the pages."
    )
    proxies: list[Annotated[str, AfterValidator(_network)]] = Field(
        default=[], description="Addresses of reverse proxies, which are believed who asks, and how."
    )
    login_days: float = Field(default=14, gt=0, le=366, description="Days after which a login ends.")
    idle_hours: float = Field(
        default=24, gt=0, le=8784, description="Hours after which it ends if nobody does anything."
    )
    metrics_token_file: Directory | None = Field(default=None, description="File with the token that opens /metrics.")

    def metrics_token(self) -> str:
        """Return the token that opens /metrics, empty where there is none; raises `ConfigError`."""
        if self.metrics_token_file is None:
            return ""
        token = contents(self.metrics_token_file, "web.metrics_token_file")
        if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
            what = f"must hold one token of at least {_SHORTEST_TOKEN} characters"
            remedy = f"openssl rand -hex 32 > {self.metrics_token_file}"
            raise ConfigError(what, where=self.metrics_token_file, remedy=remedy)
        return token


def host_of(listen: str) -> str:
    """Return the host of HOST:PORT, an IPv6 address without its brackets."""
    return listen.rpartition(":")[0].strip("[]")


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address is this machine's own, which no other reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Who reaches the pages: this machine alone (`local`), or others by a reverse proxy; under TLS or not."""

    local: bool = True
    proxied: bool = False
    tls: bool = False
    insecure: bool = False

    @property
    def open_without_accounts(self) -> bool:
        """Whether everybody who reaches the pages may see and do everything where there are no accounts."""
        return self.insecure or (self.local and not self.proxied)

    def lacks(self, *, accounts: bool) -> list[str]:
        """Return what protection there is not, though others reach the pages."""
        lacking = [] if accounts or (self.local and not self.proxied) else ["no accounts"]
        return lacking if self.tls or self.local else [*lacking, "no TLS"]


def exposure_of(web: Web) -> Exposure:
    """Return how the settings expose the pages; raises `ConfigError` for half a pair of certificate and key."""
    if (web.certificate is None) != (web.key is None):
        lone, other = ("certificate", "key") if web.key is None else ("key", "certificate")
        raise ConfigError(f"web.{lone} needs web.{other} beside it", remedy="`cryowatch tls create` makes both")
    return Exposure(
        local=is_loopback(host_of(web.listen)),
        proxied=bool(web.proxies),
        tls=web.certificate is not None,
        insecure=web.insecure,
    )


def refuse_unprotected(web: Web, exposure: Exposure, *, accounts: bool) -> None:
    """Raise `ConfigError` where others would reach the pages without protection, and nobody said that they may."""
    lacking = exposure.lacks(accounts=accounts)
    if not lacking or exposure.insecure:
        return
    means = {
        "no accounts": "add an account with `cryowatch accounts add NAME`",
        "no TLS": "set web.certificate and web.key (`cryowatch tls create` makes them)",
    }
    remedy = f"Please {' and '.join(means[one] for one in lacking)}, or say --insecure"
    verb = "is" if lacking == ["no TLS"] else "are"
    what = f"others can reach this address, and there {verb} {' and '.join(lacking)}"
    raise ConfigError(what, where=web.listen, remedy=remedy)
