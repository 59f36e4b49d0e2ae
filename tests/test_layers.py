"""Imports go down only, and what is slow to import waits until it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"

WIRING, OUTPUTS, DASHBOARDS, STORE, INPUTS, GROUND = 5, 4, 3, 2, 1, 0

LAYERS = {
    "__main__": WIRING,
    "cli": WIRING,
    "commands": WIRING,
    "watching": WIRING,
    "service": WIRING,
    "pages": WIRING,
    "completion": WIRING,
    "agent": WIRING,
    "watch": WIRING,
    "looks": WIRING,
    "rest": WIRING,
    "follower": WIRING,
    "ending": WIRING,
    "errands": WIRING,
    "forgetting": WIRING,
    "retraction": WIRING,
    "state_file": WIRING,
    "delivery": WIRING,
    "publishing": WIRING,
    "newest_first": GROUND,
    "ahead": WIRING,
    "doctor": WIRING,
    "standing": OUTPUTS,
    "web": WIRING,
    "report": WIRING,
    "facility": WIRING,
    "demo": WIRING,
    "sinks": OUTPUTS,
    "alerts": OUTPUTS,
    "notices": OUTPUTS,
    "reports": OUTPUTS,
    "exports": OUTPUTS,
    "influx_server": OUTPUTS,
    "influx_setup": OUTPUTS,
    "grafana": OUTPUTS,
    "dashboards": DASHBOARDS,
    "store": STORE,
    "sources": INPUTS,
    "images": INPUTS,
    "model": GROUND,
    "judgement": GROUND,
    "reading": GROUND,
    "config": GROUND,
    "redaction": GROUND,
    "http_answers": GROUND,
    "resolved": GROUND,
    "installed": GROUND,
    "environment": GROUND,
    "errors": GROUND,
    "certificate_faults": GROUND,
    "durations": GROUND,
    "digits": GROUND,
    "detached": GROUND,
    "memory": GROUND,
    "placeholders": GROUND,
    "addresses": GROUND,
    "secrets": GROUND,
    "workflow_template": GROUND,
    "toml_table": GROUND,
    "tls": GROUND,
    "section": GROUND,
    "exposure": GROUND,
    "access": GROUND,
    "logs": GROUND,
    "progress": GROUND,
    "systemd": GROUND,
    "within": GROUND,
    "reach": GROUND,
}
"""Every module or package right below cryowatch, and how high it stands."""

STRANGERS = {("sources", "images"), ("images", "sources"), ("sinks", "sources"), ("dashboards", "store")}
"""Who must not import whom although the layers would let them."""

PIXELS = {"numpy", "mrcfile", "PIL", "tifffile"}
HEAVY = PIXELS | {
    "starlette", "uvicorn", "jinja2", "pydantic", "pydantic_settings", "sqlite3", "psutil", "orjson", "httpx2",
    "cryptography", "grafana_foundation_sdk", "asyncssh", "argon2",
}  # fmt: skip


def part_of(module: Path) -> str:
    """Return the name right below cryowatch that a module belongs to; "" for the package's own `__init__`."""
    parts = module.relative_to(SOURCE / "cryowatch").with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imports(module: Path) -> Iterator[str]:
    """Yield the full name of everything that a module imports, also inside functions and for types alone."""
    package = ("cryowatch", *module.relative_to(SOURCE / "cryowatch").parent.parts)
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += [node.module] if node.module else []
            yield from (".".join([*base, alias.name]) for alias in node.names)


MODULES = sorted((SOURCE / "cryowatch").rglob("*.py"))
NAMES = [str(module.relative_to(SOURCE)) for module in MODULES]


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_module_has_a_layer(module: Path) -> None:
    part = part_of(module)
    assert not part or part in LAYERS, f"give {part} a place in the table of layers"


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_imports_go_down_only(module: Path) -> None:
    part = part_of(module)
    if not part:
        assert not [name for name in imports(module) if name.startswith("cryowatch")]
        return
    wrong = []
    for name in imports(module):
        package, _, rest = name.partition(".")
        imported = rest.split(".")[0]
        if package != "cryowatch" or imported not in LAYERS:
            continue
        if LAYERS[imported] > LAYERS[part] or (part, imported) in STRANGERS:
            wrong.append(name)
    assert not wrong


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_only_images_and_the_demo_touch_pixels(module: Path) -> None:
    if part_of(module) in {"images", "demo"}:
        return
    assert not [name for name in imports(module) if name.split(".")[0] in PIXELS]


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_nothing_here_needs_scipion(module: Path) -> None:
    strangers = {"pyworkflow", "pwem", "scipion", "emfacilities", "emcryowatch"}
    assert not [name for name in imports(module) if name.split(".")[0] in strangers]


def test_help_loads_nothing_heavy() -> None:
    script = "import sys, cryowatch.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not HEAVY & {name.split(".")[0] for name in done.stdout.split()}
