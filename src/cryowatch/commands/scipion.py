"""`cryowatch scipion`: what Scipion's users need besides its plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryowatch.errors import ConfigError, remedy_of

app = typer.Typer(name="scipion", help="For users of the Scipion plugin.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `template` a command of its own."""


@app.command()
def template(
    file: Annotated[Path, typer.Argument(help="Workflow template, JSON.", metavar="FILE", readable=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write to; else standard output.", metavar="FILE", readable=False, show_default=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Put cryowatch's monitors in the place of Scipion's in a workflow template, with all their values."""
    from cryowatch.commands.template import changed  # noqa: PLC0415

    try:
        text = file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError):
            raise ConfigError(f"cannot be read: {error.strerror}", where=file, remedy=remedy_of(error)) from None
        raise ConfigError("is no text", where=file, remedy="Name a workflow that Scipion exported") from None
    done = changed(text, where=str(file))
    if out is None:
        typer.echo(done.text, nl=False)
    else:
        _write(out, done.text, force=force)
    for line in done.changes or ("no monitor of Scipion is in it; nothing is changed",):
        typer.echo(line, err=True)
    for line in done.notes:
        typer.secho(f"note: {line}", err=True, fg=typer.colors.YELLOW)


def _write(out: Path, text: str, *, force: bool) -> None:
    try:
        with out.open("wb" if force else "xb") as file:
            file.write(text.encode())
    except FileExistsError:
        raise ConfigError("is there already", where=out, remedy="Choose another name, or add --force") from None
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=out, remedy=remedy_of(error)) from None
