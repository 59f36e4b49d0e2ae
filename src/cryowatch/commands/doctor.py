"""`cryowatch doctor`: look over everything that is configured."""

from __future__ import annotations

import typer

from cryowatch.commands.ends import PROBLEM
from cryowatch.commands.options import Config, Secrets


def doctor(config: Config = None, secrets: Secrets = None) -> None:
    """Look over everything that is configured, and say how to mend what is not well: exit 0, or 1."""
    from cryowatch import watching  # noqa: PLC0415
    from cryowatch.doctor import Verdict, findings  # noqa: PLC0415
    from cryowatch.errors import one_line  # noqa: PLC0415

    marks = {
        Verdict.WELL: ("ok", typer.colors.GREEN),
        Verdict.LOOK: ("look", typer.colors.YELLOW),
        Verdict.BAD: ("bad", typer.colors.RED),
        Verdict.ABSENT: ("-", typer.colors.BRIGHT_BLACK),
    }
    worst = False
    for finding in findings(watching.settings(config, secrets=secrets)):
        word, colour = marks[finding.verdict]
        typer.echo(f"{typer.style(f'{word:<5}', fg=colour)} {finding.what:<18} {one_line(finding.text)}")
        worst = worst or finding.verdict is Verdict.BAD
    raise typer.Exit(PROBLEM if worst else 0)
