"""`cryowatch backup`: a copy of the store, while the agent goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowatch.commands.options import Config, DataDir


def backup(
    file: Annotated[
        Path, typer.Argument(help="The file to write.", metavar="FILE", show_default=False, readable=False)
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Copy the database to one file and check it, while cryowatch keeps running."""
    from cryowatch.settings import effective  # noqa: PLC0415
    from cryowatch.settings.section import at_home  # noqa: PLC0415
    from cryowatch.store import status  # noqa: PLC0415
    from cryowatch.store.backup import backup as copy  # noqa: PLC0415

    store = status.store_file(effective.settings(config, data_dir=data_dir).data_dir)
    made = copy(store, at_home(file).absolute(), force=force)
    typer.echo(
        f"{made.file}: {made.bytes / 1e6:,.1f} MB, sessions: {made.sessions:,}, micrographs: {made.micrographs:,}"
    )
