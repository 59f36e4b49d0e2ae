"""`cryowatch alerts`: the rules in force, and whether people can be told."""

from __future__ import annotations

import sys
import time

import typer

from cryowatch.commands.exit_codes import PROBLEM
from cryowatch.commands.options import Config
from cryowatch.errors import CryowatchError

app = typer.Typer(name="alerts", help="Alert rules, and a test of the notification channels.", no_args_is_help=True)


@app.command()
def rules(config: Config = None) -> None:
    """Print the rules in force: what raises an alert, and its severity."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from cryowatch.alerts.rules import described, rules_of  # noqa: PLC0415
    from cryowatch.settings import effective  # noqa: PLC0415

    settings = effective.settings(config)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Rule", "Raised when", "Severity", "Sessions"):
        table.add_column(column, overflow="fold")
    for rule in rules_of(settings.alerts.rules, file=settings.file):
        style = "" if rule.enabled and settings.alerts.enabled else "dim"
        severity = rule.severity.value if rule.enabled and settings.alerts.enabled else "switched off"
        cells = (rule.name, described(rule), severity, ", ".join(rule.sessions))
        table.add_row(*(Text(cell, style=style) for cell in cells))
    Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 160).print(table)


@app.command("test")
def try_channels(config: Config = None) -> None:
    """Send a test message through each channel; exit code 1 if one was not accepted."""
    from cryowatch.agent.build.channels import channels, context  # noqa: PLC0415
    from cryowatch.notices.message import trial  # noqa: PLC0415
    from cryowatch.settings import effective  # noqa: PLC0415

    settings = effective.settings(config)
    tried, failed = 0, 0
    for name, make in channels(settings):
        tried += 1
        try:
            channel = make()
            message = trial(context(settings), channel=name, now=time.time_ns())
            complaint = channel.send(message, {})
        except CryowatchError as error:
            failed += 1
            typer.secho(f"failed  {error}", fg=typer.colors.RED)
            continue
        failed += bool(complaint)
        typer.echo(f"partly  {complaint}" if complaint else f"taken   {channel.where}")
    if not tried:
        typer.echo(
            f"Nobody is told of alerts: {settings.file} names no mail.host, no webhooks and no apprise.urls_file. "
            "The documentation on alerts shows how."
        )
    raise typer.Exit(PROBLEM if failed or not tried else 0)
