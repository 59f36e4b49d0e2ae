"""`cryowatch export`: what the store holds of a session."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from cryowatch.commands.options import Config, DataDir, SessionName


class Format(StrEnum):
    """What `export` can write."""

    CSV = "csv"
    JSON = "json"


class Kind(StrEnum):
    """What `export` can write of."""

    MICROGRAPHS = "micrographs"
    ESTIMATES = "estimates"
    RUNS = "runs"
    GAIN = "gain"
    HOST = "host"
    ALERTS = "alerts"


def export(
    session: SessionName,
    format: Annotated[Format, typer.Option(help="What to write.")] = Format.CSV,  # noqa: A002  the option's name
    kind: Annotated[Kind, typer.Option(help="What to write of.")] = Kind.MICROGRAPHS,
    raw: Annotated[
        bool, typer.Option("--raw", help="CSV with field names and stored units (Å, nanoseconds), as JSON has them.")
    ] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Print a session's micrographs, runs, gain residuals, machine samples or alerts as CSV or JSON."""
    from cryowatch.settings import effective  # noqa: PLC0415
    from cryowatch.store.export import export as write  # noqa: PLC0415

    settings = effective.settings(config, data_dir=data_dir)
    as_json = format is Format.JSON
    write(settings.data_dir, session, kind=kind.value, as_json=as_json, raw=raw, out=sys.stdout)
    sys.stdout.flush()
