"""`cryowatch watch`: read projects as they grow, and show them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowatch.commands.options import Listen, OwnConfig, OwnDataDir, Paths, Secrets


def watch(
    paths: Paths,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Read everything once and exit; exit code 1 if something could not be read or delivered."
        ),
    ] = False,
    data_dir: OwnDataDir = None,
    config: OwnConfig = None,
    listen: Listen = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve the pages on the network without accounts or TLS.")
    ] = False,
    secrets: Secrets = None,
    no_web: Annotated[bool, typer.Option("--no-web", help="Do not serve web pages.")] = False,
    until_ended: Annotated[
        bool,
        typer.Option(
            "--until-ended",
            help="Exit once all runs have ended and all is delivered; code 1 if it is not.",
        ),
    ] = False,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--for", help="Exit after this many minutes, in the same way.", metavar="MINUTES", min=0, show_default=False
        ),
    ] = None,
    patience: Annotated[
        float,
        typer.Option(help="How long to wait at the end for unreachable servers.", metavar="MINUTES", min=0),
    ] = 10,
    leashed: Annotated[
        bool,
        typer.Option(
            "--leashed", help="Exit when standard input closes, that is, with the program that started cryowatch."
        ),
    ] = False,
    state_file: Annotated[
        Path | None,
        typer.Option(
            help="File to which the current state is written as JSON.",
            metavar="FILE",
            show_default=False,
            readable=False,
        ),
    ] = None,
) -> None:
    """Watch projects as they grow and show them on web pages."""
    from cryowatch.agent import run  # noqa: PLC0415
    from cryowatch.agent.until import Until  # noqa: PLC0415
    from cryowatch.settings import effective  # noqa: PLC0415

    settings = effective.settings(
        config, data_dir=data_dir, listen=listen, insecure=insecure, secrets=secrets, own=True
    )
    if once:
        raise typer.Exit(run.once(settings, paths))
    until = Until(ended=until_ended, minutes=minutes, patience=patience, leashed=leashed, state_file=state_file)
    raise typer.Exit(run.serve(settings, paths, web=not no_web, until=until))
