"""Reports as the settings want them: made once for the command line, or again and again while sessions run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from cryowatch.agent.build.appearance import dashboards_of, logo_of
from cryowatch.errors import ConfigError
from cryowatch.images import ImageServer
from cryowatch.notices.apprise import addresses
from cryowatch.report.after import Command
from cryowatch.report.maker import Made, Maker
from cryowatch.report.pictures import Progress
from cryowatch.report.schedule import Reports
from cryowatch.settings.config import Settings
from cryowatch.settings.section import at_home
from cryowatch.store import Reader, Store
from cryowatch.store.status import open_reader
from cryowatch.system import redaction


def make(
    chosen: Settings,
    images: ImageServer,
    session: str,
    out: Path,
    *,
    size_mb: float | None = None,
    force: bool = False,
    progress: Progress,
) -> Made:
    """Write the report of a session (by key, name or path); raises a `CryowatchError`."""
    reader = open_reader(chosen.data_dir)
    with closing(images):
        return _maker(chosen, reader, images).make(
            session.encode(errors="backslashreplace").decode(),
            at_home(out),
            size_mb=chosen.report.size_mb if size_mb is None else size_mb,
            force=force,
            progress=progress,
        )


def reports(chosen: Settings, store: Store, images: ImageServer) -> Reports:
    """Return what writes reports of live sessions, and of runs that are named even if they ended before.

    Raises `ConfigError`.
    """
    said = chosen.report
    command = Command(
        arguments=said.command, timeout=said.timeout, environment=os.environ, secrets=tuple(_secrets(chosen))
    )
    folder = (said.folder or chosen.data_dir / "reports").absolute()
    maker = _maker(chosen, store.reader(), images)
    return Reports(
        store,
        maker,
        folder=folder,
        minutes=said.minutes,
        size_mb=said.size_mb,
        command=command,
        ended_too=chosen.scipion.runs is not None,
    )


def _secrets(chosen: Settings) -> Iterator[str]:
    """Yield what the settings keep secret; what cannot be read, whoever needs it complains of."""
    for read in (chosen.images.secret, chosen.mail.secret, chosen.web.metrics_token):
        with suppress(ConfigError):
            yield read()
    with suppress(ConfigError):
        yield from chosen.influx.secret()
    for name, webhook in chosen.webhooks.items():
        with suppress(ConfigError):
            yield from redaction.of_address(webhook.secret(name))
    with suppress(ConfigError):
        for _, address in addresses(chosen.apprise.urls_file) if chosen.apprise.urls_file else ():
            yield from redaction.of_address(address)


def _maker(chosen: Settings, reader: Reader, images: ImageServer) -> Maker:
    return Maker(
        reader=reader,
        images=images,
        dashboards=dashboards_of(chosen),
        clock=time.time_ns,
        facility=chosen.facility.name,
        logo=logo_of(chosen),
    )
