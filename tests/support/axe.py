"""axe-core, which finds on a page what keeps people out: `make test` fetches it, by `python -m tests.support.axe`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from npm_packages import Package, Unavailable

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".axe"
AXE = Package(
    name="axe-core",
    version="4.10.3",
    integrity="sha512-Xm7bpRXnDSX2YE2YFfBk2FnF0ep6tmG7xPh8iHee8MIcrgq762Nkce856dYtJYLkuIoYZvGfTs/PbZhideTcEg==",
    members={"package/axe.min.js": "axe.min.js", "package/LICENSE": "LICENSE"},
)


def script(folder: Path = FOLDER) -> str:
    """Return axe-core; raises `Unavailable` where it is not there and cannot be fetched."""
    if not AXE.is_in(folder):
        AXE.fetch(folder)
    return (folder / "axe.min.js").read_text(encoding="utf-8")


def findings(page: Page, axe: str) -> list[str]:
    """Return what axe-core finds on a page as it is: the rule, what it says, and where."""
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{rule['id']}: {node['failureSummary'].splitlines()[-1].strip()} at {' '.join(map(str, node['target']))}"
        f" {node['html'][:160]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


if __name__ == "__main__":
    try:
        script()
    except Unavailable as error:
        print(f"!!! NOT RUN: the tests with axe-core cannot have it: {error}", file=sys.stderr)
