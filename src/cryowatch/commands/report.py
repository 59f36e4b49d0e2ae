"""`cryowatch report`: a session as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowatch.commands.options import Config, DataDir, SessionName


def report(
    session: SessionName,
    out: Annotated[
        Path, typer.Option(help="The file to write.", metavar="FILE.html", show_default=False, readable=False)
    ],
    size_mb: Annotated[
        float | None,
        typer.Option(min=1, max=500, help="Largest size in megabytes.", show_default="20", metavar="N"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is no report.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Save a session as one HTML file: its dashboards, its numbers, and as many images as fit."""
    from cryowatch.agent import run  # noqa: PLC0415
    from cryowatch.settings import effective  # noqa: PLC0415

    settings = effective.settings(config, data_dir=data_dir)
    run.report(settings, session, out, size_mb=size_mb, force=force)
