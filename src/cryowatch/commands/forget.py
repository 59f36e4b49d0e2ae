"""`cryowatch forget`: delete what is stored of a session, and pass its project over."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from cryowatch.commands.exit_codes import PROBLEM
from cryowatch.commands.options import Config, DataDir, SessionName
from cryowatch.errors import ConfigError, StoreInUse

if TYPE_CHECKING:
    from pathlib import Path

    from cryowatch.forgetting.forgetter import Figures
    from cryowatch.store import Reader
    from cryowatch.store.reader import Row

CLEARED_SECONDS = 600.0
"""For which a command waits until an agent has cleared all rows."""


def forget(
    session: SessionName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and forget nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    influxdb: Annotated[
        bool, typer.Option("--influxdb", help="Also take away its points in InfluxDB, as soon as that is there.")
    ] = False,
    images: Annotated[bool, typer.Option("--images", help="Also take away its published images, likewise.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Have the project of a session that was forgotten read again.")
    ] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Delete what is stored of a session after saying what goes, and pass its project over from then on."""
    from cryowatch.forgetting.forgetter import figures_of  # noqa: PLC0415
    from cryowatch.settings import effective  # noqa: PLC0415
    from cryowatch.store import status  # noqa: PLC0415

    folder = effective.settings(config, data_dir=data_dir).data_dir
    reader = status.open_reader(folder)
    if undo:
        _remember(folder, reader, session)
        return
    row = status.session_of(reader, session)
    figures = figures_of(reader, folder, row, now=time.time_ns())
    _print(row, figures, influxdb=influxdb, images=images)
    if dry_run:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("nobody is there to say yes", where="standard input", remedy="Give --yes, or --dry-run")
        if not typer.confirm("Forget it?"):
            typer.echo("Nothing was forgotten.")
            raise typer.Exit(PROBLEM)
    _forget(folder, reader, row, influxdb=influxdb, images=images)
    _say(row, figures, influxdb=influxdb, images=images)


def _forget(folder: Path, reader: Reader, row: Row, *, influxdb: bool, images: bool) -> None:
    """Forget a session, or have the agent that is at work do so, and wait until all its rows are gone."""
    from cryowatch.forgetting import errands  # noqa: PLC0415
    from cryowatch.forgetting.forgetter import COMMAND, Forgetter  # noqa: PLC0415
    from cryowatch.store import Store  # noqa: PLC0415
    from cryowatch.store.forgotten import is_cleared  # noqa: PLC0415

    try:
        store = Store(folder)
    except StoreInUse:
        asked = {"what": "forget", "session": row["id"], "influxdb": influxdb, "images": images}
        errands.send(folder, asked)
        typer.echo("It is gone from the pages; what was stored of it is deleted …", err=True)
        end = time.monotonic() + CLEARED_SECONDS
        while not is_cleared(reader, row["id"]) and time.monotonic() < end:
            time.sleep(errands.LOOK_SECONDS)
        return
    try:
        forgetter = Forgetter(store)
        forgetter.forget(row, author=COMMAND, influxdb=influxdb, images=images)
        forgetter.finish()
        store.compact()
    finally:
        store.close()


def _remember(folder: Path, reader: Reader, name: str) -> None:
    """Have a project read again."""
    from cryowatch.forgetting import errands  # noqa: PLC0415
    from cryowatch.forgetting.forgetter import Forgetter  # noqa: PLC0415
    from cryowatch.store import Store  # noqa: PLC0415
    from cryowatch.store.forgotten import named, passed_over  # noqa: PLC0415

    note = named(passed_over(reader), name)
    try:
        store = Store(folder)
    except StoreInUse:
        errands.send(folder, {"what": "remember", "session": note.session})
        when = "within a few seconds, where it is watched"
    else:
        try:
            Forgetter(store).remember(note.session)
        finally:
            store.close()
        when = "when it is watched next"
    typer.echo(f"{note.path} is read again {when}; links that opened its session stay ended.")


def _print(row: Row, figures: Figures, *, influxdb: bool, images: bool) -> None:
    """Print what goes, and what stays."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from cryowatch.errors import one_line  # noqa: PLC0415
    from cryowatch.forgetting.forgetter import place_of  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("What", "How much", "MB", "Becomes"):
        table.add_column(column, justify="right" if column == "MB" else "left", overflow="fold")
    own, goes = figures.belongings, "deleted"
    items = {kind: own.items.get(kind, 0) for kind in ("movies", "micrographs", "ctf")}
    counts = {
        "run": own.runs,
        "output": own.outputs,
        "movie": items["movies"],
        "micrograph": items["micrographs"],
        "CTF estimate": items["ctf"],
        "other item": sum(own.items.values()) - sum(items.values()),
        "gain residual": own.gains,
    }
    stored = ", ".join(_counted(count, what) for what, count in counts.items() if count) or "nothing but its name"
    alerts = f"{own.alerts:,}, {own.acknowledged:,} of them acknowledged; {own.muted:,} muted"
    lines = [("stored", stored, _megabytes(own.bytes), goes)]
    if own.alerts or own.muted:
        lines.append(("alerts", alerts, "", goes))
    if figures.links:
        lines.append(("links that open it", f"{figures.links:,}", "", "ended"))
    if figures.images:
        lines.append(("rendered images", f"{figures.images:,}", _megabytes(figures.image_bytes), goes))
    if own.waiting:
        lines.append(("waits for InfluxDB", _counted(own.waiting, "item"), "", goes))
    fate = "taken away" if influxdb else "stays; --influxdb takes it away"
    lines += [("InfluxDB", f"{_counted(n, 'point')} at {place_of(name)}", "", fate) for name, n in own.points.items()]
    fate = "taken away" if images else "stays; --images takes it away"
    lines += [("published images", f"{_counted(n, 'file')} at {where}", "", fate) for where, n in own.files.items()]
    for line in lines:
        table.add_row(*(Text(one_line(cell)) for cell in line))
    console = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 160)
    console.print(Text(one_line(f"{row['name']}: {row['path']}, {row['status'] or 'not read yet'}")), soft_wrap=True)
    console.print(table)
    passed = "The project itself is not touched. Where it is watched, it is passed over from then on"
    console.print(f"{passed}; `cryowatch forget --undo {row['key']}` has it read again.", soft_wrap=True, markup=False)


def _say(row: Row, figures: Figures, *, influxdb: bool, images: bool) -> None:
    """Say what was done, and what is still to be done by the agent."""
    from cryowatch.errors import one_line  # noqa: PLC0415
    from cryowatch.forgetting.forgetter import place_of  # noqa: PLC0415

    own = figures.belongings
    typer.echo(one_line(f"{row['name']} is forgotten; about {_megabytes(own.bytes)} MB of the store are free."))
    later = {
        **({place_of(name): _counted(count, "point") for name, count in own.points.items()} if influxdb else {}),
        **({where: _counted(count, "file") for where, count in own.files.items()} if images else {}),
    }
    for where, what in later.items():
        typer.echo(
            one_line(f"{where}: {what} will be taken away by the agent that delivers there, once that takes it.")
        )


def _megabytes(size: int) -> str:
    return f"{max(0.1, size / 1e6):,.1f}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
