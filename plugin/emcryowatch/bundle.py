"""Make the environment that the agent lives in: `bundle.py FOLDER`, run by the plugin's installer.

cryowatch comes from `$CRYOWATCH_PACKAGE` (a wheel, a folder, a requirement), else from the clone that the plugin lies
in.  There is no other source, and nothing is taken for one: without them it says what to do and fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Mapping

PYTHON = "CRYOWATCH_PYTHON"
PACKAGE = "CRYOWATCH_PACKAGE"
LEAST = (3, 11)
_KNOWN = ("python3.13", "python3.12", "python3.11", "python3")


def source(environment: Mapping[str, str]) -> str:
    """Return what pip installs cryowatch from; empty where there is nothing."""
    named = environment.get(PACKAGE, "")
    if named:
        return named
    clone = Path(__file__).resolve().parent.parent.parent
    is_clone = (clone / "src" / "cryowatch").is_dir() and (clone / "pyproject.toml").is_file()
    return str(clone) if is_clone else ""


def python(environment: Mapping[str, str]) -> str:
    """Return an interpreter that cryowatch runs with; empty where there is none."""
    named = environment.get(PYTHON, "")
    for name in (named,) if named else _KNOWN:
        found = shutil.which(name, path=environment.get("PATH"))
        if found and _is_new_enough(found):
            return found
    return ""


def _is_new_enough(program: str) -> bool:
    test = f"import sys, venv; sys.exit(sys.version_info < {LEAST})"
    return subprocess.run([program, "-c", test], check=False, stderr=subprocess.DEVNULL).returncode == 0  # noqa: S603


def main(folder: str) -> str:
    """Make the environment; returns what went wrong, empty where all is well."""
    package, program = source(os.environ), python(os.environ)
    if not package:
        return (
            f"there is nothing to install cryowatch from. Set {PACKAGE} to its wheel, or to a clone of its repository."
        )
    if not program:
        least = ".".join(str(part) for part in LEAST)
        return f"cryowatch needs Python {least} or newer, and none is on the PATH. Set {PYTHON} to one."
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for command in (
        [program, "-m", "venv", "--clear", folder],
        [str(Path(folder) / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", package],
        [str(Path(folder) / "bin" / "cryowatch"), "--version"],
    ):
        if subprocess.run(command, check=False, env=clean).returncode:  # noqa: S603
            shutil.rmtree(folder, ignore_errors=True)
            return f"this failed, see above: {' '.join(command)}"
    return ""


if __name__ == "__main__":
    wrong = main(sys.argv[1])
    if wrong:
        print(f"cryowatch: {wrong}", file=sys.stderr)
        sys.exit(1)
