"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Paths = Annotated[
    list[Path],
    typer.Argument(help="Scipion projects, or folders of them.", metavar="PATH…", show_default=False, readable=False),
]
Listen = Annotated[
    str | None,
    typer.Option(help="Address and port of the pages.", show_default="127.0.0.1:8420", metavar="HOST:PORT"),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the store, on a local disk.",
        show_default="~/.local/share/cryowatch",
        metavar="DIR",
        readable=False,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="Settings in TOML.",
        show_default="$CRYOWATCH_CONFIG or ~/.config/cryowatch/cryowatch.toml",
        metavar="FILE",
        readable=False,
    ),
]
Secrets = Annotated[
    Path | None,
    typer.Option(
        help="Accounts in the format of Scipion's monitor.",
        show_default="$EMFACILITIES_HOME/secrets.cfg, where that is",
        metavar="FILE",
        readable=False,
    ),
]


def _sessions(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    from cryowatch import completion  # noqa: PLC0415

    return completion.sessions(context, incomplete)


SessionName = Annotated[
    str,
    typer.Argument(
        help="The session's id, name or folder.", metavar="SESSION", show_default=False, autocompletion=_sessions
    ),
]
