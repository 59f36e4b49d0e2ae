"""What the shell offers for an argument: asked at each press of the tabulator, so light, and silent about errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryowatch.errors import CryowatchError

if TYPE_CHECKING:
    import typer


def sessions(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the ids of the sessions in the store, which need no quotes in a shell, each with its folder."""
    try:
        return [(key, path) for key, path in _stored(context.params) if key.startswith(incomplete)]
    except (CryowatchError, sqlite3.Error):
        return []


def _stored(options: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from cryowatch.settings.config import load  # noqa: PLC0415
    from cryowatch.store import glance  # noqa: PLC0415

    config, told = options.get("config"), options.get("data_dir")
    data_dir = Path(told).expanduser() if told else load(Path(config) if config else None).data_dir
    file = data_dir / "cryowatch.sqlite"
    if not file.exists():
        return
    for row in reversed(glance.sessions(file, columns="key, path", patience=0.5, most=1000)):
        yield row["key"], row["path"]
