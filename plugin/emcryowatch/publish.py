"""Run a facility's publish command: `publish.py FOLDER FILE`, where FILE holds the command.

The agent runs this with each report.  As in Scipion's summary monitor a shell reads the command, in which
`%(REPORT_FOLDER)s` is the report's folder.  It is run as a file, so it imports nothing of this package.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(folder: str, file: str) -> None:
    """Become the shell that runs the command."""
    command = Path(file).read_text(encoding="utf-8")
    os.execv("/bin/sh", ["sh", "-c", command % {"REPORT_FOLDER": folder}])  # noqa: S606  the shell is meant


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
