"""Reports as the settings want them: made once for the command line, or again and again while sessions run."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

from cryowatch.config import Settings
from cryowatch.facility import dashboards_of, logo_of
from cryowatch.images import ImageServer
from cryowatch.report.making import Made, Maker
from cryowatch.report.pictures import Progress
from cryowatch.report.publish import Command
from cryowatch.report.schedule import Reports
from cryowatch.reports import open_reader
from cryowatch.section import at_home
from cryowatch.store import Reader, Store


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
    command = Command(arguments=said.command, timeout=said.timeout, environment=os.environ)
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


def _maker(chosen: Settings, reader: Reader, images: ImageServer) -> Maker:
    return Maker(
        reader=reader,
        images=images,
        dashboards=dashboards_of(chosen),
        clock=time.time_ns,
        facility=chosen.facility.name,
        logo=logo_of(chosen),
    )
