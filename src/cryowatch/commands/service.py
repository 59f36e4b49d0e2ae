"""`cryowatch service`: a unit for systemd."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cryowatch.commands.options import Listen, OwnConfig, Paths, Secrets
from cryowatch.errors import ConfigError

app = typer.Typer(name="service", help="Run cryowatch as a systemd service.", no_args_is_help=True)

User = Annotated[bool, typer.Option("--user/--system", help="A service of your own account, or of the machine.")]
RunAs = Annotated[
    str,
    typer.Option(
        "--run-as",
        help="Account of a system service; it may read the projects.",
        metavar="USER",
        show_default="$SUDO_USER",
    ),
]
Name = Annotated[
    str, typer.Option(help="Tells several agents on one machine apart: the unit is cryowatch-NAME.", metavar="NAME")
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the database, on a local disk.",
        show_default="/var/lib/cryowatch, or data_dir of the settings",
        metavar="DIR",
        readable=False,
    ),
]


SYSTEM_CONFIG = Path("/etc/cryowatch/cryowatch.toml")


@app.command()
def install(
    paths: Paths,
    user: User = False,
    run_as: RunAs = "",
    name: Name = "",
    data_dir: DataDir = None,
    config: OwnConfig = None,
    listen: Listen = None,
    secrets: Secrets = None,
    only_print: Annotated[bool, typer.Option("--print", help="Print the unit, and write nothing.")] = False,
) -> None:
    """Install a systemd unit and print the commands that start it."""
    from cryowatch.images.crew import SPARES  # noqa: PLC0415
    from cryowatch.settings import effective  # noqa: PLC0415
    from cryowatch.system import unit as services  # noqa: PLC0415

    if user and run_as:
        raise ConfigError("your own systemd runs services under your account", where="--run-as", remedy="Leave it out")
    invoker = os.environ.get("SUDO_USER", "")
    if config is None and not user and SYSTEM_CONFIG.exists():
        config = SYSTEM_CONFIG
    settings = effective.settings(config, listen=listen, secrets=secrets, own=True)
    service = services.checked(
        services.Service(
            paths=paths,
            manager=services.Manager.USER if user else services.Manager.SYSTEM,
            account="" if user else run_as or invoker,
            instance=name,
            config=settings.file if settings.file.exists() else None,
            secrets=secrets,
            data_dir=data_dir,
            listen=listen or "",
        )
    )
    version = services.systemd_version()
    text = services.unit(service, settings, renderers=settings.images.workers + SPARES, version=version)
    if only_print:
        typer.echo(text, nl=False)
        return
    services.refuse_stranger(service)
    folder = services.data_dir(service, settings)
    state = services.write(service, text)
    typer.echo(f"{state:<8}{service.unit_file}")
    if services.make_data_dir(service, folder):
        typer.echo(f"{'made':<8}{folder}")
    typer.echo()
    for warning in services.warnings(service, settings, version=version):
        typer.secho(f"  {warning}\n", fg=typer.colors.YELLOW)
    for step in services.next_steps(service, changed=state == "changed"):
        typer.echo(f"  {step}")
