"""What the doctor finds for a configuration, in this process."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryowatch.doctor import findings
from cryowatch.settings.config import load

NOTHING = {"data_dir", "web"}


def looked(folder: Path, config: str = "", **more: Any) -> dict[str, tuple[str, str]]:
    """Return verdict and text of each thing; of two about the same, the worse one."""
    file = folder / "cryowatch.toml"
    file.write_text(f'data_dir = "{folder}/data"\n{config}')
    worst = ["absent", "well", "look", "bad"]
    found: dict[str, tuple[str, str]] = {}
    for finding in findings(load(file, environment={}), **more):
        said = (finding.verdict.value, finding.text)
        if finding.what not in found or worst.index(said[0]) > worst.index(found[finding.what][0]):
            found[finding.what] = said
    return found


@contextmanager
def silent() -> Iterator[int]:
    """Yield a port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]
