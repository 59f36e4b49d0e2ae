"""Looking over everything that is configured, and saying how to mend what is not well.

Every check is given its time, after which the next one begins: neither a server nor a file system that does not answer
holds up the others.  No finding holds a secret.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from cryowatch.doctor import access, clock, grafana, here, influx, notices, projects, servers
from cryowatch.doctor.finding import Check, Finding, Verdict, bad
from cryowatch.doctor.grafana import GrafanaAt
from cryowatch.settings.config import Settings

SECONDS = 40.0
"""What a check may take; longer than the time-outs within it, which tell more."""


def checks(paths: Sequence[Path], at: GrafanaAt) -> Sequence[tuple[str, Check]]:
    """Return what is looked at, in the order in which one thing needs another."""
    return (
        ("configuration", here.configuration),
        ("secrets", here.secrets),
        ("data directory", here.store),
        ("pages", here.pages),
        ("pages, protection", access.protection),
        ("projects", partial(projects.projects, paths=paths)),
        ("GPUs", here.gpus),
        ("clock", clock.synchronised),
        ("InfluxDB", influx.writer),
        ("InfluxDB, reader", influx.reader),
        ("images", servers.images),
        ("Grafana", partial(grafana.server, at=at)),
        ("Grafana, files", partial(grafana.files, at=at)),
        ("notices", notices.channels_of),
    )


def findings(
    chosen: Settings, *, paths: Sequence[Path] = (), at: GrafanaAt | None = None, seconds: float = SECONDS
) -> Iterator[Finding]:
    """Yield everything that there is to say, as it is found."""
    for what, check in checks(paths, at or GrafanaAt()):
        yield from _in_time(what, check, chosen, seconds)


def _in_time(what: str, check: Check, chosen: Settings, seconds: float) -> Iterator[Finding]:
    """Yield what a check finds, each finding within some time; a check that hangs is left behind."""
    found: queue.SimpleQueue[Finding | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            for finding in check(chosen):
                found.put(finding)
        except BaseException as error:  # noqa: BLE001  raised again below, where it is seen
            found.put(error)
        found.put(None)

    threading.Thread(target=work, name=what, daemon=True).start()
    while True:
        try:
            finding = found.get(timeout=seconds)
        except queue.Empty:
            yield bad(what, f"does not answer within {seconds:g} s. Is a server or a file system away?")
            return
        if finding is None:
            return
        if isinstance(finding, BaseException):
            raise finding
        yield finding


__all__ = ["Finding", "GrafanaAt", "Verdict", "findings"]
