"""`cryowatch status`: how every session is."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cryowatch.commands.options import Config, DataDir


def status(
    data_dir: DataDir = None,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    whole: Annotated[bool, typer.Option("--all", help="Also list all sessions that are over and fine.")] = False,
) -> None:
    """Show the state of every session; exit code 1 if anything needs attention."""
    from cryowatch.agent.build.appearance import dashboards_of  # noqa: PLC0415
    from cryowatch.settings import effective  # noqa: PLC0415
    from cryowatch.store.panels.good import bounds_of_good  # noqa: PLC0415
    from cryowatch.store.status import status as write  # noqa: PLC0415

    settings = effective.settings(config, data_dir=data_dir)
    bounds = bounds_of_good(dashboards_of(settings))
    code = write(settings.data_dir, bounds=bounds, as_json=json, out=sys.stdout, whole=whole)
    sys.stdout.flush()  # here, where Typer knows what to do about a closed pipe
    raise typer.Exit(code)
