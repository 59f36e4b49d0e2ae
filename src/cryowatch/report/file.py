"""Writing a report: whole or not at all, and never over what is no report."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from cryowatch.errors import ReportError
from cryowatch.report.page import GENERATOR

_HEAD = 512
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


def check(path: Path, *, force: bool = False) -> None:
    """Raise `ReportError` where a report cannot be written to a path, or would replace what is no report."""
    if path.suffix.lower() not in ("", ".html", ".htm"):
        remedy = "Name it .html; a browser prints it as PDF"
        raise ReportError(f"a report is HTML, and not {path.suffix[1:]}", where=path, remedy=remedy)
    if path.is_dir():
        raise ReportError("is a folder", where=path, remedy="Name a file, like report.html")
    if not path.parent.is_dir():
        raise ReportError("there is no such folder", where=path.parent, remedy="Make it, or write elsewhere")
    if not force and path.exists() and not is_report(path):
        raise ReportError("is there, and no report of cryowatch", where=path, remedy="Use --force to replace it")


def is_report(path: Path) -> bool:
    """Return whether a file begins as a report does."""
    try:
        with path.open("rb") as file:
            return f'name="generator" content="{GENERATOR}'.encode() in file.read(_HEAD)
    except OSError:
        return False


def write(path: Path, data: bytes) -> None:
    """Write a file beside its place and put it there at once; raises `ReportError`."""
    part = path.with_name(f"{path.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NOFOLLOW, 0o666)
        with open(descriptor, "wb") as file:  # noqa: PTH123  opened without following a link
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise ReportError(f"cannot be written: {error.strerror}", where=path) from error
