"""`cryowatch accounts`: who may log in to the pages."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryowatch.access.role import Role
from cryowatch.commands.options import Config, DataDir
from cryowatch.errors import ConfigError, remedy_of
from cryowatch.times import milliseconds

if TYPE_CHECKING:
    from cryowatch.access.accounts import Accounts

app = typer.Typer(name="accounts", help="Accounts for the web pages.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The account's name.", metavar="NAME", show_default=False)]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        help="File whose first line is the password; - for standard input.  Else it is asked for.",
        metavar="FILE",
        readable=False,
        allow_dash=True,
    ),
]


RoleOption = Annotated[Role, typer.Option(help="A viewer looks; an operator also sees to alerts and shares sessions.")]


@app.command()
def add(
    name: Name,
    role: RoleOption = Role.VIEWER,
    password_file: PasswordFile = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Create an account.  Once there is one, everybody has to log in, also on this machine."""
    kept = _accounts(data_dir, config)
    first = not kept.any()
    kept.add(name, role, _password(password_file), now=_now())
    typer.echo(f"{name} may log in, as {role}.")
    if first:
        typer.echo(
            "It is the first account: the pages, /metrics too, need a login from now on, on this machine as well."
        )
    if first and role is Role.VIEWER:
        typer.echo("Nobody can see to alerts or share sessions yet; an operator could.")


@app.command("list")
def listed(data_dir: DataDir = None, config: Config = None) -> None:
    """List the accounts with their roles and last changes."""
    found = _accounts(data_dir, config).listed()
    for account in found:
        day = time.strftime("%Y-%m-%d", time.gmtime(account.changed / 1000))
        typer.echo(f"{account.name:<24} {account.role.value:<9} changed {day}")
    if not found:
        typer.echo("There are no accounts: whoever reaches the pages sees every session.", err=True)


@app.command()
def remove(name: Name, data_dir: DataDir = None, config: Config = None) -> None:
    """Remove an account and log it out everywhere."""
    kept = _accounts(data_dir, config)
    kept.remove(name)
    typer.echo(f"{name} is removed, and logged out.  Share links that it made still hold; see `cryowatch share list`.")
    if not kept.any():
        typer.echo("It was the last account: on this machine's own address the pages are open to everybody again.")


@app.command()
def password(name: Name, password_file: PasswordFile = None, data_dir: DataDir = None, config: Config = None) -> None:
    """Change an account's password and log it out everywhere."""
    kept = _accounts(data_dir, config)
    if kept.find(name) is None:
        raise ConfigError("there is no such account", where=name, remedy="`cryowatch accounts list` names them")
    kept.set_password(name, _password(password_file), now=_now())
    typer.echo(f"{name} has a new password, and is logged out.")


@app.command()
def role(
    name: Name,
    role: Annotated[Role, typer.Argument(help="viewer or operator.", show_default=False)],
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Change an account's role and log it out everywhere."""
    _accounts(data_dir, config).set_role(name, role, now=_now())
    typer.echo(f"{name} is {role} now, and logged out.")


def _accounts(data_dir: Path | None, config: Path | None) -> Accounts:
    from cryowatch.access.accounts import Accounts  # noqa: PLC0415
    from cryowatch.settings import effective  # noqa: PLC0415
    from cryowatch.store.lock import prepare  # noqa: PLC0415

    return Accounts(prepare(effective.settings(config, data_dir=data_dir).data_dir))


def _password(file: Path | None) -> str:
    """Return the password, asked for twice on a terminal; raises `ConfigError`."""
    if file is None and sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    if file is None:
        raise ConfigError(
            "there is no terminal to ask for the password", remedy="Give --password-file FILE, or - for standard input"
        )
    where = "standard input" if str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError):
            raise ConfigError(f"cannot be read: {error.strerror}", where=where, remedy=remedy_of(error)) from None
        raise ConfigError("is no text", where=where, remedy="Write the password on one line, as UTF-8") from None
    first, _, rest = text.partition("\n")
    if not first.strip() or rest.strip():
        raise ConfigError("does not hold one password, on one line", where=where)
    return first.removesuffix("\r")


def _now() -> int:
    return milliseconds(time.time_ns())
