"""Looking over everything that is configured, and saying how to mend what is not well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryowatch.config import Settings
from cryowatch.doctor import here, servers
from cryowatch.doctor.finding import Check, Finding, Verdict

CHECKS: Sequence[Check] = (
    here.configuration,
    here.store,
    here.pages,
    here.gpus,
    servers.influx,
    servers.images,
    servers.notices,
)
"""What is looked at, in the order in which one thing needs another."""


def findings(chosen: Settings) -> Iterator[Finding]:
    """Yield everything that there is to say, as it is found."""
    for check in CHECKS:
        yield from check(chosen)


__all__ = ["Finding", "Verdict", "findings"]
