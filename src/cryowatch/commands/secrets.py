"""`cryowatch secrets`: the legacy secrets.cfg."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryowatch.commands.exit_codes import PROBLEM
from cryowatch.errors import ConfigError

if TYPE_CHECKING:
    from cryowatch.settings.secrets import Finding

app = typer.Typer(
    name="secrets", help="secrets.cfg of Scipion's monitor: check it, encode values.", no_args_is_help=True
)


@app.command()
def encode() -> None:
    """Ask for a value, or read it from standard input, and print it as secrets.cfg wants it: in base64.

    This hides a password from a glance, and from nobody else.
    """
    from cryowatch.settings import secrets  # noqa: PLC0415

    if sys.stdin.isatty():
        value = typer.prompt("Value", hide_input=True, confirmation_prompt=True, err=True)
    else:
        try:
            value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise ConfigError("is not text", where="standard input") from None
    if not value or not value.isprintable():
        raise ConfigError("is not one line of text", where="standard input")
    typer.echo(secrets.encode(value))


@app.command()
def check(
    file: Annotated[
        Path | None,
        typer.Argument(help="The file.", metavar="FILE", show_default="$EMFACILITIES_HOME/secrets.cfg", readable=False),
    ] = None,
) -> None:
    """Say of each key whether it is right; of passwords only whether they are set.  Exit 0, or 1 where one is wrong."""
    from cryowatch.settings import secrets  # noqa: PLC0415

    path = secrets.find(file, os.environ)
    if path is None:
        raise ConfigError("there is no secrets.cfg", remedy="Name the file, or the folder it is in: $EMFACILITIES_HOME")
    findings = secrets.inspect(path)
    for finding in findings:
        typer.echo(f"[{finding.section}] {finding.key:<18}{_state(finding)}")
    if not any(finding.section == "paramiko" or finding.key == "hostparamiko" for finding in findings):
        typer.echo("note: it says nothing about copying images")
    for name in secrets.unknown_keys(path):
        typer.echo(f"note: nobody reads {name}")
    if stat.S_IMODE(path.stat().st_mode) & stat.S_IROTH:
        typer.echo(f"note: everybody on this machine can read the passwords; mend it with: chmod 0600 {path}")
    raise typer.Exit(PROBLEM if any(finding.problem for finding in findings) else 0)


def _state(finding: Finding) -> str:
    problem = finding.problem
    if problem is not None:
        return problem.what if problem.remedy is None else f"{problem.what}. {problem.remedy}"
    if finding.secret:
        return "not set" if finding.value is None else "set"
    return f"not given, {finding.default}: ok" if finding.default else "ok"
