"""A folder imports from those that it may, and what is slow to import waits until it is needed."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from cryowatch.store.schema import MIGRATIONS
from tests.support.rooms import ALL, ROOMS, VOCABULARY, table

SOURCE = Path(__file__).parents[2] / "src"

PIXELS = {"numpy", "mrcfile", "PIL", "tifffile"}
HEAVY = PIXELS | {
    "starlette", "uvicorn", "jinja2", "pydantic", "pydantic_settings", "sqlite3", "psutil", "orjson", "httpx2",
    "cryptography", "grafana_foundation_sdk", "asyncssh", "argon2", "prometheus_client",
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


TABLES = sorted(set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", "".join(MIGRATIONS))))

MODULES = sorted((SOURCE / "cryowatch").rglob("*.py"))
NAMES = [str(module.relative_to(SOURCE)) for module in MODULES]


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_a_module_imports_from_where_it_may(module: Path) -> None:
    part = part_of(module)
    assert not part or part in ROOMS or part in ALL or part in VOCABULARY, (
        f"give {part} a place in tests/support/rooms.py"
    )
    if part in ALL:
        return
    may = {part, *VOCABULARY, *(ROOMS[part].may if part in ROOMS else ())}
    ours = [name.split(".")[1] for name in imports(module) if name.startswith("cryowatch.")]
    assert not set(ours) - may - {"__version__"}


def test_no_circle_leads_through_the_folders() -> None:
    graph = {name: room.may for name, room in ROOMS.items()}
    assert set(TopologicalSorter(graph).static_order()) == set(ROOMS)


def test_every_folder_of_the_table_is_there() -> None:
    there = {part_of(module) for module in MODULES}
    assert {*ROOMS, *ALL, *VOCABULARY} == there - {""}


def test_the_documents_show_the_folders_as_they_are() -> None:
    assert table() in (SOURCE.parent / "docs/development.md").read_text(encoding="utf-8"), (
        "python -m tests.support.rooms"
    )


def test_the_walks_in_the_documents_name_what_is_there() -> None:
    text = (SOURCE.parent / "docs/development.md").read_text(encoding="utf-8")
    walks = text[text.index("## How a value travels") :].partition("\n## ")[0]
    named = re.findall(r"`([a-z_.]+)(?::([A-Za-z_.]+))?`", walks)
    assert len(named) > 30
    for module, path in named:
        found: object = importlib.import_module(f"cryowatch.{module}")
        for part in path.split(".") if path else ():
            found = getattr(found, part)


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_only_the_store_writes_sql_over_its_tables(module: Path) -> None:
    if part_of(module) in {"store", "judgement", "demo"}:
        return
    named = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:{'|'.join(TABLES)})\b")
    texts = [
        node.value
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [text for text in texts if named.search(text)]


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


def test_pages_come_up_before_anything_is_loaded_for_prometheus() -> None:
    script = "import sys, cryowatch.web.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "prometheus_client" not in done.stdout.split()
