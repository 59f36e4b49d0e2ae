"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Paths = Annotated[
    list[Path],
    typer.Argument(
        help="Scipion projects, or folders of projects.", metavar="PATH…", show_default=False, readable=False
    ),
]
Listen = Annotated[
    str | None,
    typer.Option(help="Address and port of the pages.", show_default="127.0.0.1:8420", metavar="HOST:PORT"),
]


def _data_dir(default: str) -> Any:
    return typer.Option(
        help="Folder of the database, on a local disk.", show_default=default, metavar="DIR", readable=False
    )


def _config(default: str) -> Any:
    return typer.Option(help="Settings file (TOML).", show_default=default, metavar="FILE", readable=False)


OwnDataDir = Annotated[Path | None, _data_dir("~/.local/share/cryowatch")]
OwnConfig = Annotated[Path | None, _config("$CRYOWATCH_CONFIG or ~/.config/cryowatch/cryowatch.toml")]
DataDir = Annotated[Path | None, _data_dir("that of the installed service, else ~/.local/share/cryowatch")]
Config = Annotated[Path | None, _config("that of the installed service, else ~/.config/cryowatch/cryowatch.toml")]
Secrets = Annotated[
    Path | None,
    typer.Option(
        help="secrets.cfg of Scipion's monitor.",
        show_default="$EMFACILITIES_HOME/secrets.cfg, where that is",
        metavar="FILE",
        readable=False,
    ),
]


def _sessions(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    from cryowatch.commands import completion  # noqa: PLC0415

    return completion.sessions(context, incomplete)


SessionName = Annotated[
    str,
    typer.Argument(
        help="A session's id, name or folder.", metavar="SESSION", show_default=False, autocompletion=_sessions
    ),
]
