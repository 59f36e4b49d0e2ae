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
    format: Annotated[Format, typer.Option(help="What to write.", show_default=False)],  # noqa: A002  the option's name
    data_dir: DataDir = None,
    config: Config = None,
    kind: Annotated[Kind, typer.Option(help="What to write of.")] = Kind.MICROGRAPHS,
) -> None:
    """Print what the store holds of a session, in stored units, empty where there is no value."""
    from cryowatch import reports, resolved  # noqa: PLC0415

    settings = resolved.settings(config, data_dir=data_dir)
    reports.export(settings.data_dir, session, kind=kind.value, as_json=format is Format.JSON, out=sys.stdout)
    sys.stdout.flush()
