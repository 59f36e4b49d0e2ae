"""`cryowatch influx`: setting up a database."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryowatch.commands.exit_codes import PROBLEM
from cryowatch.errors import ConfigError, remedy_of

if TYPE_CHECKING:
    from pydantic import SecretStr

    from cryowatch.influx.setup import Wanted

PASSWORD_VARIABLE = "INFLUX_ADMIN_PASSWORD"  # noqa: S105  the variable's name

app = typer.Typer(name="influx", help="InfluxDB: create database, retention, users and grants.", no_args_is_help=True)


@app.command()
def init(
    url: Annotated[str, typer.Option(help="The server's address.", metavar="URL")] = "http://localhost:8086",
    admin: Annotated[str, typer.Option(help="An administrator's name.", metavar="USER")] = "admin",
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="File that holds the administrator's password.",
            metavar="FILE",
            show_default="$INFLUX_ADMIN_PASSWORD, else DIR/USER.password, else asked for",
            readable=False,
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            help="Certificate of the authority that signed the server's.",
            metavar="FILE",
            show_default="the system's authorities",
            readable=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the users' password files.", metavar="DIR", readable=False)
    ] = Path("~/.config/cryowatch"),
    database: Annotated[str, typer.Option(help="The database's name.", metavar="NAME")] = "scipion",
    retention: Annotated[
        str, typer.Option(help="How long points are kept: 12w, 90d, INF for ever.", metavar="DURATION")
    ] = "12w",
    create_admin: Annotated[
        bool, typer.Option("--create-admin", help="Make the administrator where there is none yet.")
    ] = False,
    reset_passwords: Annotated[
        bool,
        typer.Option("--reset-passwords", help="Give users that are there the password of their file, or a new one."),
    ] = False,
    conf_fragment: Annotated[
        Path | None,
        typer.Option(
            help="Only write the section [http] of influxdb.conf to this file; - prints it.",
            metavar="FILE",
            readable=False,
            allow_dash=True,
        ),
    ] = None,
) -> None:
    """Make the database, its retention policy, the users scipion_writer and scipion_reader, and their grants.

    Only what is missing is made; run again, it changes nothing.  Exit 0, or 1 where something needs a person.
    """
    from cryowatch.influx import setup  # noqa: PLC0415

    if conf_fragment is not None:
        _write_fragment(conf_fragment, setup.port_of(url))
        typer.echo("With this in influxdb.conf restart InfluxDB; then run this without --conf-fragment.", err=True)
        return
    wanted = setup.Wanted(
        admin=admin,
        database=database,
        retention=retention,
        folder=out.expanduser().absolute(),
        create_admin=create_admin,
        reset_passwords=reset_passwords,
    )
    password = _password(wanted, password_file)
    ca_file = None if ca_file is None else ca_file.expanduser().absolute()
    steps = setup.init(url, wanted, password=password, ca_file=ca_file)
    for step in steps:
        typer.echo(f"{step.state:<7}{step.text}")
    if not any(step.state == "made" for step in steps):
        typer.echo("Nothing was changed.")
    typer.echo(f"\n{setup.settings(url, wanted, ca_file)}", nl=False)
    raise typer.Exit(PROBLEM if any(step.state == "wrong" for step in steps) else 0)


def _password(wanted: Wanted, file: Path | None) -> SecretStr | None:
    """Return the administrator's password, or None where `init` is to look in the folder or to do without."""
    from pydantic import SecretStr  # noqa: PLC0415

    from cryowatch.influx import setup  # noqa: PLC0415

    if file is not None:
        return setup.read_password(file.expanduser())
    if os.environ.get(PASSWORD_VARIABLE):
        return SecretStr(os.environ[PASSWORD_VARIABLE])
    if wanted.create_admin or wanted.password_file(wanted.admin).exists() or not sys.stdin.isatty():
        return None
    typed = typer.prompt(f"Password of {wanted.admin} (empty for none)", hide_input=True, err=True, default="")
    return SecretStr(typed) if typed else None


def _write_fragment(path: Path, port: int) -> None:
    """Write the section for influxdb.conf, or print it; what is in a file already is not overwritten."""
    from cryowatch.system import certificates  # noqa: PLC0415

    text = certificates.influx_fragment(port)
    if str(path) == "-":
        typer.echo(text)
        return
    try:
        with path.open("x", encoding="utf-8") as output:
            output.write(text)
    except FileExistsError:
        if path.read_text(encoding="utf-8", errors="replace") != text:
            raise ConfigError("is there already, and nothing is overwritten", where=path) from None
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=path, remedy=remedy_of(error)) from None
