"""`cryowatch demo`: a made-up session that grows."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    micrographs: Annotated[
        int, typer.Option(min=1, max=100_000, help="Number of micrographs in the session.", metavar="N")
    ] = 500,
    every: Annotated[
        float, typer.Option(min=0.01, max=3600, help="Seconds between two micrographs.", metavar="SECONDS")
    ] = 4.0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the pages; 0 for any free one.")] = 8420,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
) -> None:
    """Show a simulated live session; nothing else has to be installed."""
    from cryowatch.agent import run  # noqa: PLC0415

    raise typer.Exit(run.demo(micrographs=micrographs, every=every, port=port, browser=not no_browser))
