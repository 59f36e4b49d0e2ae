"""The command line: puts the commands together, and turns errors into one line and an exit code."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from cryowatch import __version__
from cryowatch.commands import (
    accounts,
    alerts,
    backup,
    demo,
    doctor,
    export,
    grafana,
    images,
    influx,
    report,
    scipion,
    secrets,
    service,
    share,
    status,
    tls,
    watch,
)
from cryowatch.commands.ends import USAGE
from cryowatch.errors import CryowatchError

app = typer.Typer(
    name="cryowatch",
    help="Watch cryo-EM sessions while they run.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (watch.watch, demo.demo, status.status, export.export, report.report, backup.backup, doctor.doctor):
    app.command()(command)
for group in (
    accounts.app,
    alerts.app,
    grafana.app,
    images.app,
    influx.app,
    scipion.app,
    secrets.app,
    service.app,
    share.app,
    tls.app,
):
    app.add_typer(group)


def _version(wanted: bool) -> None:  # noqa: FBT001  Typer's callbacks get the option's value
    if wanted:
        typer.echo(f"cryowatch {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run the command line; an error that somebody can do something about is one line, and exit code 2.

    What it prints is UTF-8 whatever the locale: names of micrographs and folders may hold any character.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    try:
        app()
    except CryowatchError as error:
        typer.secho(f"cryowatch: {error}", err=True, fg=typer.colors.RED)
        sys.exit(USAGE)
