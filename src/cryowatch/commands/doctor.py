"""`cryowatch doctor`: look over everything that is configured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowatch.commands.exit_codes import PROBLEM
from cryowatch.commands.options import Config, DataDir, Secrets


def doctor(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Projects, or folders of projects, to check.",
            metavar="PATH…",
            show_default="those that were watched",
            readable=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
    secrets: Secrets = None,
    grafana_url: Annotated[str, typer.Option(help="Also look at the Grafana there.", metavar="URL")] = "",
    grafana_token_file: Annotated[
        Path | None, typer.Option(help="File that holds a service account's token.", metavar="FILE", readable=False)
    ] = None,
    grafana_ca_file: Annotated[
        Path | None,
        typer.Option(help="Certificate of the authority that signed Grafana's.", metavar="FILE", readable=False),
    ] = None,
    grafana_dashboards: Annotated[
        Path | None,
        typer.Option(
            help="Folder of dashboards that Grafana is provisioned from.",
            metavar="DIR",
            show_default="/etc/grafana/dashboards/cryowatch",
            readable=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print problems only.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check everything that is configured and explain how to fix it; exit code 1 if something is wrong."""
    import sys  # noqa: PLC0415
    from json import dumps  # noqa: PLC0415

    from cryowatch.doctor import GrafanaAt, Verdict, findings  # noqa: PLC0415
    from cryowatch.errors import one_line  # noqa: PLC0415
    from cryowatch.settings import effective  # noqa: PLC0415

    places = {} if grafana_dashboards is None else {"dashboards": grafana_dashboards}
    at = GrafanaAt(url=grafana_url, token_file=grafana_token_file, ca_file=grafana_ca_file, **places)
    marks = {
        Verdict.WELL: ("ok", typer.colors.GREEN),
        Verdict.LOOK: ("look", typer.colors.YELLOW),
        Verdict.BAD: ("bad", typer.colors.RED),
        Verdict.ABSENT: ("-", typer.colors.BRIGHT_BLACK),
    }
    said = []
    for finding in findings(effective.settings(config, data_dir=data_dir, secrets=secrets), paths=paths or (), at=at):
        said.append(finding)
        if json or (quiet and finding.is_well):
            continue
        word, colour = marks[finding.verdict]
        typer.echo(f"{typer.style(f'{word:<5}', fg=colour)} {finding.what:<22} {one_line(finding.text)}")
        sys.stdout.flush()
    healthy = not any(finding.verdict is Verdict.BAD for finding in said)
    if json:
        found = [{"what": f.what, "verdict": f.verdict.value, "text": one_line(f.text)} for f in said]
        typer.echo(dumps({"healthy": healthy, "findings": found}, indent=2, ensure_ascii=False))
    raise typer.Exit(0 if healthy else PROBLEM)
