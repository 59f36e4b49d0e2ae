"""`cryowatch watch`: read projects as they grow, and show them."""

from __future__ import annotations

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
) -> None:
    """Watch projects: read them as they grow, and show them."""
    from cryowatch import watching  # noqa: PLC0415

    settings = watching.settings(config, data_dir=data_dir, listen=listen, insecure=insecure, secrets=secrets)
    raise typer.Exit(watching.once(settings, paths) if once else watching.serve(settings, paths, web=not no_web))
