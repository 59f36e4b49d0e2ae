"""`cryowatch watch`: read projects as they grow, and show them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowatch.commands.options import Config, DataDir, Listen, Paths, Secrets


def watch(
    paths: Paths,
    once: Annotated[
        bool, typer.Option("--once", help="Read all there is, and exit: 0, or 1 with what is left.")
    ] = False,
    data_dir: DataDir = None,
    config: Config = None,
    listen: Listen = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let others reach the pages without accounts or TLS.")
    ] = False,
    secrets: Secrets = None,
    no_web: Annotated[bool, typer.Option("--no-web", help="Serve no pages.")] = False,
    until_ended: Annotated[
        bool,
        typer.Option("--until-ended", help="End when all runs have, and all is delivered: 0, or 1 with what is not."),
    ] = False,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--for", help="End after so many minutes, likewise.", metavar="MINUTES", min=0, show_default=False
        ),
    ] = None,
    patience: Annotated[
        float,
        typer.Option(help="Minutes for which servers that are away then are waited for.", metavar="MINUTES", min=0),
    ] = 10,
    leashed: Annotated[
        bool, typer.Option("--leashed", help="End when standard input ends, as it does with whoever started this.")
    ] = False,
    state_file: Annotated[
        Path | None,
        typer.Option(
            help="File in which it is written how everything is, as JSON.",
            metavar="FILE",
            show_default=False,
            readable=False,
        ),
    ] = None,
) -> None:
    """Watch projects: read them as they grow, and show them."""
    from cryowatch import resolved, watching  # noqa: PLC0415
    from cryowatch.ending import Until  # noqa: PLC0415

    settings = resolved.settings(config, data_dir=data_dir, listen=listen, insecure=insecure, secrets=secrets, own=True)
    if once:
        raise typer.Exit(watching.once(settings, paths))
    until = Until(ended=until_ended, minutes=minutes, patience=patience, leashed=leashed, state_file=state_file)
    raise typer.Exit(watching.serve(settings, paths, web=not no_web, until=until))
