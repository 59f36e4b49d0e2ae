"""What the repository promises about itself: its documents, its package, and what it must not hold."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import cryowatch
from cryowatch.cli import app
from cryowatch.settings.config import Settings

ROOT = Path(__file__).parents[2]
VENDOR = "src/cryowatch/web/static/vendor"

HOSTS = ["registry." + "npmjs", "registry." + "yarnpkg", "files." + "pythonhosted", "pypi." + "org/simple"]
PLACES = ["/wo" + "rk/", "/opt/" + "pypi", "/ro" + "ot/"]


def tracked() -> list[str]:
    """Return the tracked files that are there; skips where the tests do not run in a git checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def commands() -> set[str]:
    return set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_the_page_of_commands_names_exactly_those_there_are() -> None:
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`cryowatch ([a-z]+)\b", text)) == commands()


def test_the_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 50


def test_every_command_has_a_module_of_its_name() -> None:
    modules = {path.stem for path in (ROOT / "src/cryowatch/commands").glob("*.py")}
    assert modules - {"__init__", "completion", "exit_codes", "helping", "options", "template"} == commands()


def every_command(group: Any, name: str = "cryowatch") -> Iterator[tuple[str, Any]]:
    """Yield the commands, also those in groups, with their whole names."""
    for part, command in group.commands.items():
        yield f"{name} {part}", command
        if hasattr(command, "commands"):
            yield from every_command(command, f"{name} {part}")


def test_every_option_of_a_command_is_documented() -> None:
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    missing = [
        f"{name} {option}"
        for name, command in every_command(typer.main.get_command(app))
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--") and option != "--help" and option not in text
    ]
    assert not missing


def test_every_command_of_a_group_is_documented() -> None:
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    names = [name for name, _ in every_command(typer.main.get_command(app))]
    assert not [name for name in names if f"`{name}" not in text]


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    missing = []
    for name, field in Settings.model_fields.items():
        nested = getattr(field.annotation, "model_fields", None)
        keys = [f"`{name}.{key}`" for key in nested] if nested else [f"`{name}`"]
        missing += [key for key in keys if key not in text]
    assert not missing


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for name in tracked():
        if not name.endswith(".md"):
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\[[^\]]*\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            if not target.endswith(".png") and not ((ROOT / name).parent / target).exists():
                broken.append(f"{name}: {target}")
    assert not broken


def listed(entry: Any) -> Iterator[str]:
    """Yield the pages below an entry of the site's navigation."""
    if isinstance(entry, str):
        yield entry
        return
    for part in entry if isinstance(entry, list) else entry.values():
        yield from listed(part)


def test_every_document_has_a_place_in_the_navigation_of_the_site() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    documents = {name.removeprefix("docs/") for name in tracked() if name.startswith("docs/") and name.endswith(".md")}
    assert sorted(listed(navigation)) == sorted(documents), "put new pages into nav in mkdocs.yml"


def test_no_file_names_a_registry_or_a_place_on_one_machine() -> None:
    found = []
    for name in tracked():
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        found += [f"{name}: {word}" for word in HOSTS + PLACES if word in text]
    assert not found


def test_echarts_is_not_in_the_repository() -> None:
    assert not [name for name in tracked() if name.startswith(VENDOR) or "echarts.esm" in name]


def test_package_serves_echarts_with_its_licence() -> None:
    vendor = files(cryowatch) / "web/static/vendor"
    record = json.loads((vendor / "echarts.json").read_text(encoding="utf-8"))
    assert record["package"].startswith("echarts@6.")
    assert set(record["files"]) == {"echarts.esm.min.js", "LICENSE", "NOTICE", "LICENSE-d3"}
    assert "export{" in (vendor / "echarts.esm.min.js").read_text(encoding="utf-8")


def test_version_is_the_same_everywhere() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "cryowatch", "--version"], capture_output=True, text=True, check=True
    )
    assert version("cryowatch") == cryowatch.__version__
    assert cryowatch.__version__ in printed.stdout


def test_the_plugin_is_written_for_the_python_of_scipions_environments() -> None:
    for module in (ROOT / "plugin").rglob("*.py"):
        ast.parse(module.read_text(encoding="utf-8"), filename=str(module), feature_version=(3, 8))
