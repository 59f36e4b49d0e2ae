"""The command line.  Heavy modules are imported inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import io
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cryowatch import __version__
from cryowatch.commands import alerts as alerts_commands
from cryowatch.commands import grafana as grafana_commands
from cryowatch.commands import images as images_commands
from cryowatch.commands import influx as influx_commands
from cryowatch.commands import secrets as secrets_commands
from cryowatch.commands import tls as tls_commands
from cryowatch.commands.doctor import doctor
from cryowatch.commands.options import Config, DataDir, Secrets
from cryowatch.errors import CryowatchError

USAGE = 2
PROBLEMS = 1

app = typer.Typer(
    name="cryowatch",
    help="Watch cryo-EM sessions while they run.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(doctor)
app.add_typer(alerts_commands.app)
app.add_typer(grafana_commands.app)
app.add_typer(images_commands.app)
app.add_typer(influx_commands.app)
app.add_typer(secrets_commands.app)
app.add_typer(tls_commands.app)


class Format(StrEnum):
    """What `export` can write."""

    CSV = "csv"
    JSON = "json"


class Kind(StrEnum):
    """What `export` can write of."""

    MICROGRAPHS = "micrographs"
    RUNS = "runs"
    GAIN = "gain"
    HOST = "host"
    ALERTS = "alerts"


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


@app.command()
def watch(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Scipion projects, or folders of them.", metavar="PATH…", show_default=False, readable=False
        ),
    ],
    once: Annotated[
        bool, typer.Option("--once", help="Read all there is, and exit: 0, or 1 with what is left.")
    ] = False,
    data_dir: DataDir = None,
    config: Config = None,
    listen: Annotated[
        str | None,
        typer.Option(help="Address and port of the pages.", show_default="127.0.0.1:8420", metavar="HOST:PORT"),
    ] = None,
    secrets: Secrets = None,
    no_web: Annotated[bool, typer.Option("--no-web", help="Serve no pages.")] = False,
) -> None:
    """Watch projects: read them as they grow, and show them."""
    from cryowatch import watching  # noqa: PLC0415

    settings = watching.settings(config, data_dir=data_dir, listen=listen, secrets=secrets)
    raise typer.Exit(watching.once(settings, paths) if once else watching.serve(settings, paths, web=not no_web))


@app.command()
def demo(
    micrographs: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many the session will have.", metavar="N")
    ] = 500,
    every: Annotated[
        float, typer.Option(min=0.01, max=3600, help="Seconds between two micrographs.", metavar="SECONDS")
    ] = 4.0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the pages; 0 for any free one.")] = 8420,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
) -> None:
    """Show a made-up session that grows, on a machine that has nothing."""
    from cryowatch import watching  # noqa: PLC0415

    raise typer.Exit(watching.demo(micrographs=micrographs, every=every, port=port, browser=not no_browser))


@app.command()
def status(
    data_dir: DataDir = None,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how every session is: exit 0 when all is well, 1 when something needs a person."""
    from cryowatch import reports, watching  # noqa: PLC0415

    settings = watching.settings(config, data_dir=data_dir)
    code = reports.status(settings.data_dir, as_json=json, out=sys.stdout)
    sys.stdout.flush()  # here, where Typer knows what to do about a closed pipe
    raise typer.Exit(code)


@app.command()
def report(
    session: Annotated[str, typer.Argument(help="The session's id, name or folder.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="The file to write.", metavar="FILE.html", show_default=False, readable=False)
    ],
    size_mb: Annotated[
        float | None,
        typer.Option(min=1, max=500, help="Megabytes that it may have.", show_default="20", metavar="N"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is no report.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Write a session as one HTML file that opens anywhere: its dashboards, its numbers, as many images as fit."""
    from cryowatch import watching  # noqa: PLC0415

    settings = watching.settings(config, data_dir=data_dir)
    watching.report(settings, session, out, size_mb=size_mb, force=force)


@app.command()
def export(
    session: Annotated[str, typer.Argument(help="The session's id, name or folder.", show_default=False)],
    format: Annotated[Format, typer.Option(help="What to write.", show_default=False)],  # noqa: A002  the option's name
    data_dir: DataDir = None,
    config: Config = None,
    kind: Annotated[Kind, typer.Option(help="What to write of.")] = Kind.MICROGRAPHS,
) -> None:
    """Print what the store holds of a session, in stored units, empty where there is no value."""
    from cryowatch import reports, watching  # noqa: PLC0415

    settings = watching.settings(config, data_dir=data_dir)
    reports.export(settings.data_dir, session, kind=kind.value, as_json=format is Format.JSON, out=sys.stdout)
    sys.stdout.flush()


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
