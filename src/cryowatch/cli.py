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
    forget,
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
from cryowatch.commands.exit_codes import PROBLEM, USAGE
from cryowatch.commands.helping import without_types
from cryowatch.errors import CryowatchError, one_line

app = typer.Typer(
    name="cryowatch",
    help="Watch cryo-EM sessions while they run.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: cryowatch demo",
)
_WATCHING, _SESSIONS, _SETTING_UP, _SERVERS = "Watch", "Sessions", "Set up", "Servers"

for command, panel, example in (
    (watch.watch, _WATCHING, "cryowatch watch /data/ScipionUserData/projects"),
    (demo.demo, _WATCHING, "cryowatch demo --every 1"),
    (status.status, _SESSIONS, "cryowatch status"),
    (export.export, _SESSIONS, "cryowatch export 20261130_krios1 > session.csv"),
    (report.report, _SESSIONS, "cryowatch report 20261130_krios1 --out session.html"),
    (forget.forget, _SESSIONS, "cryowatch forget 20261130_krios1 --dry-run"),
    (doctor.doctor, _SETTING_UP, "cryowatch doctor --quiet"),
    (backup.backup, _SETTING_UP, "cryowatch backup /backup/cryowatch.sqlite"),
):
    app.command(rich_help_panel=panel, epilog=f"Example: {example}")(command)
for group, panel, example in (
    (share.app, _SESSIONS, "cryowatch share create 20261130_krios1 --days 7"),
    (service.app, _SETTING_UP, "cryowatch service install --run-as cryowatch /data/ScipionUserData/projects"),
    (accounts.app, _SETTING_UP, "cryowatch accounts add ada --role operator"),
    (alerts.app, _SETTING_UP, "cryowatch alerts test"),
    (tls.app, _SETTING_UP, "cryowatch tls create --out tls --name cryo.example.org"),
    (influx.app, _SERVERS, "cryowatch influx init --create-admin"),
    (grafana.app, _SERVERS, "cryowatch grafana provision --out grafana"),
    (images.app, _SERVERS, "cryowatch images trust"),
    (secrets.app, _SERVERS, "cryowatch secrets check secrets.cfg"),
    (scipion.app, _SERVERS, "cryowatch scipion template workflow.json --out with-cryowatch.json"),
):
    app.add_typer(group, rich_help_panel=panel, epilog=f"Example: {example}")


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
        command = typer.main.get_command(app)
        without_types(command)
        code = command(prog_name="cryowatch", standalone_mode=False)
    except typer.TyperException as error:
        text = _mistyped(error)
        if text:
            _complain(text)
        sys.exit(USAGE)
    except typer.Abort:
        _complain("cryowatch: given up")
        sys.exit(PROBLEM)
    except CryowatchError as error:
        _complain(f"cryowatch: {error}")
        sys.exit(USAGE)
    sys.exit(code or 0)


def _mistyped(error: typer.TyperException) -> str:
    """Return what is wrong with the words of a command, and where help is; empty where the help was printed."""
    said = error.format_message()
    if not said.strip():
        return ""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "cryowatch"
    text = " ".join(said.replace("Value error, ", "").split()).rstrip(".")
    stop = "" if text.endswith("?") else "."
    return one_line(f"{command}: {text[:1].lower()}{text[1:]}{stop} `{command} --help` tells more")


def _complain(text: str) -> None:
    typer.secho(text, err=True, fg=typer.colors.RED)
