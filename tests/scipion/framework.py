"""The genuine Scipion framework, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".venv-scipion" / "bin" / "python"
TOOL = ROOT.parent / "shared" / "tools" / "make_scipion_project.py"


def environment() -> dict[str, str]:
    home = ROOT / ".scipion"
    return {
        **os.environ,
        "SCIPION_HOME": str(home / "home"),
        "SCIPION_USER_DATA": str(home / "data"),
        "SCIPION_VERSION": "3.11",
    }


def stream(folder: Path, name: str, micrographs: int, *options: str) -> subprocess.Popen[bytes]:
    """Start Scipion's session: imports, aligns and estimates a few micrographs at a time."""
    command: list[str | Path] = [
        PYTHON,
        TOOL,
        folder,
        name,
        "--micrographs",
        str(micrographs),
        "--size",
        "64",
        "64",
        *options,
    ]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)


def api_values(project: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what Scipion's API says of every item of every set, by file."""
    files = sorted(str(f.relative_to(project)) for f in project.glob("Runs/*/*.sqlite"))
    command: list[str | Path] = [PYTHON, Path(__file__).parent / "values.py", *files]
    said = subprocess.run(command, cwd=project, env=environment(), capture_output=True, check=True, timeout=60)
    values: dict[str, list[dict[str, Any]]] = json.loads(said.stdout)
    return values
