"""`cryowatch grafana`: the five dashboards for Grafana."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryowatch.commands.exit_codes import PROBLEM
from cryowatch.commands.options import Config
from cryowatch.errors import ConfigError, remedy_of

if TYPE_CHECKING:
    from cryowatch.dashboards import Dashboard
    from cryowatch.grafana.provision import Written

TOKEN_VARIABLE = "GRAFANA_TOKEN"  # noqa: S105  the variable's name
PASSWORD_VARIABLE = "INFLUX_READER_PASSWORD"  # noqa: S105  the variable's name

app = typer.Typer(name="grafana", help="Grafana: the five dashboards and their data source.", no_args_is_help=True)


class LayoutName(StrEnum):
    """How the data lie in InfluxDB."""

    CRYOWATCH = "cryowatch"
    SCIPION = "scipion"


LayoutOption = Annotated[LayoutName, typer.Option("--layout", help="How the data lie in InfluxDB: influx.layout.")]
OpenList = Annotated[bool, typer.Option("--open-list", help="Let everybody choose from the names of all projects.")]
Database = Annotated[str, typer.Option(help="InfluxDB's database.", metavar="NAME")]
User = Annotated[str, typer.Option(help="InfluxDB's account for Grafana: one that may read only.", metavar="USER")]


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder for the five files.", metavar="DIR", show_default=False)],
    layout: LayoutOption = LayoutName.CRYOWATCH,
    open_list: OpenList = False,
    config: Config = None,
) -> None:
    """Write the five dashboards as JSON, to be imported by hand."""
    from cryowatch.grafana import provision as writing  # noqa: PLC0415
    from cryowatch.influx.layouts import Layout  # noqa: PLC0415

    _say(writing.export(out.expanduser(), Layout(layout), open_list=open_list, dashboards=_dashboards(config)))
    typer.echo("\nIn Grafana: Dashboards, New, Import, one file after the other.")


@app.command()
def provision(
    out: Annotated[Path, typer.Option(help="The folder to write.", metavar="DIR", show_default=False)],
    layout: LayoutOption = LayoutName.CRYOWATCH,
    open_list: OpenList = False,
    config: Config = None,
    influx_url: Annotated[
        str, typer.Option(help="InfluxDB's address, as Grafana reaches it.", metavar="URL")
    ] = "https://influxdb:8086",
    database: Database = "scipion",
    user: User = "scipion_reader",
    password_file: Annotated[
        str, typer.Option(help="Where Grafana finds the account's password.", metavar="FILE")
    ] = "/etc/grafana/secrets/scipion_reader.password",  # noqa: S107  a file's place
    password_variable: Annotated[
        str | None, typer.Option(help="A variable of Grafana's environment with it, instead.", metavar="NAME")
    ] = None,
    influx_ca_file: Annotated[
        str, typer.Option(help="Where Grafana finds the authority's certificate.", metavar="FILE")
    ] = "/etc/grafana/tls/ca-cert.pem",
) -> None:
    """Write a folder to provision a Grafana from: dashboards, data source, a part of grafana.ini, containers.

    It holds no secret: --password-file and --influx-ca-file are read by Grafana, where it runs.
    """
    from cryowatch.grafana import provision as writing  # noqa: PLC0415
    from cryowatch.influx.layouts import Layout  # noqa: PLC0415

    if password_variable is not None and not password_variable.isidentifier():
        raise ConfigError(f"{password_variable!r} is not the name of a variable", where="--password-variable")
    source = writing.DataSource(
        url=influx_url,
        database=database,
        user=user,
        password=f"${password_variable}" if password_variable else f"$__file{{{password_file}}}",
        ca=f"$__file{{{influx_ca_file}}}" if influx_ca_file else "",
    )
    _say(
        writing.provision(out.expanduser(), Layout(layout), source, open_list=open_list, dashboards=_dashboards(config))
    )


@app.command()
def push(
    url: Annotated[str, typer.Option(help="Grafana's address.", metavar="URL")] = "https://localhost:3000",
    token_file: Annotated[
        Path | None,
        typer.Option(help="File that holds a service account's token.", metavar="FILE", show_default="$GRAFANA_TOKEN"),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            help="Certificate of the authority that signed Grafana's.",
            metavar="FILE",
            show_default="the system's authorities",
        ),
    ] = None,
    layout: LayoutOption = LayoutName.CRYOWATCH,
    open_list: OpenList = False,
    config: Config = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also replace dashboards that a person saved in Grafana.")
    ] = False,
    influx_url: Annotated[
        str | None,
        typer.Option(
            help="InfluxDB's address, as Grafana reaches it; makes the data source too.",
            metavar="URL",
            show_default="no data source",
        ),
    ] = None,
    database: Database = "scipion",
    user: User = "scipion_reader",
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="File that holds the account's password.", metavar="FILE", show_default="$INFLUX_READER_PASSWORD"
        ),
    ] = None,
    influx_ca_file: Annotated[
        Path | None, typer.Option(help="Certificate of the authority that signed InfluxDB's.", metavar="FILE")
    ] = None,
) -> None:
    """Put the five dashboards into a running Grafana; exit 1 where something was kept that needs a person.

    Only what cryowatch saved is replaced.
    """
    from cryowatch.grafana import push as pushing  # noqa: PLC0415
    from cryowatch.grafana.dashboard import compile_grafana  # noqa: PLC0415
    from cryowatch.grafana.provision import DataSource  # noqa: PLC0415
    from cryowatch.influx.layouts import Layout  # noqa: PLC0415

    source = None
    if influx_url is not None:
        source = DataSource(
            url=influx_url,
            database=database,
            user=user,
            password=_secret(password_file, PASSWORD_VARIABLE, "--password-file"),
            ca=_read(influx_ca_file) if influx_ca_file else "",
        )
    dashboards = _dashboards(config)
    compiled = [
        compile_grafana(d, Layout(layout), open_list=open_list, choose_source=source is None, dashboards=dashboards)
        for d in dashboards
    ]
    kept = False
    with pushing.Grafana(url, _secret(token_file, TOKEN_VARIABLE, "--token-file"), ca_file=ca_file) as grafana:
        for step in pushing.push(grafana, compiled, source=source, overwrite=overwrite):
            kept |= step.state == "kept"
            typer.echo(f"{step.state:<8}{step.what}" + (f": {step.reason}" if step.reason else ""))
    raise typer.Exit(PROBLEM if kept else 0)


def _dashboards(config: Path | None) -> Sequence[Dashboard]:
    """Return the dashboards as the facility wants them."""
    from cryowatch.dashboards.custom import customised  # noqa: PLC0415
    from cryowatch.settings import effective  # noqa: PLC0415

    settings = effective.settings(config)
    return customised(settings.dashboards, settings.limits, file=settings.file)


def _say(files: Iterable[Written]) -> None:
    for file in files:
        typer.echo(f"{file.state:<8}{file.path}")


def _secret(file: Path | None, variable: str, option: str) -> str:
    """Return a secret from a file, else from the environment; raises `ConfigError` that does not tell it."""
    found = os.environ.get(variable, "").strip() if file is None else _read(file).strip()
    if not found:
        raise ConfigError("is empty" if file else "is missing", where=file or option, remedy=f"Or set ${variable}")
    return found


def _read(file: Path) -> str:
    try:
        return file.expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError("is not text", where=file) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=file, remedy=remedy_of(error)) from None
