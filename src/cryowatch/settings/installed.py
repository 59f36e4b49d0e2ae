"""The services that `cryowatch service install` has put on this machine: whose settings and store commands talk to.

A person who asks how things are means the agent that runs day and night.  So a command whose words and environment name
no settings and no store takes those of the service; where there are several, it asks which.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryowatch.errors import ConfigError
from cryowatch.settings.environment import PREFIX
from cryowatch.settings.section import at_home

MARK = "# Written by cryowatch service"
"""How each unit begins that `cryowatch service install` writes."""

SYSTEM_FOLDER = Path("/etc/systemd/system")

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPED = re.compile(r"\\(.)|%%|\$\$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the unit of a service says; `account` is empty in a user's manager, `listen` where the settings say it."""

    name: str
    data_dir: Path
    account: str = ""
    config: Path | None = None
    secrets: Path | None = None
    listen: str | None = None


def service_of(
    config: Path | None, data_dir: Path | None, environment: Mapping[str, str], *, folders: Iterable[Path] | None = None
) -> Installed | None:
    """Return the service that a command is about, None where it names its own settings, or none is installed.

    `folders` are those in which units lie.  Raises `ConfigError` where there are several, or where this user may not
    read what belongs to it.
    """
    if config is not None or any(environment.get(f"{PREFIX}{name}") for name in ("CONFIG", "DATA_DIR")):
        return None
    found = installed(_folders(environment) if folders is None else folders)
    if data_dir is not None:
        place = Path(os.path.realpath(at_home(data_dir)))
        return next((one for one in found if Path(os.path.realpath(one.data_dir)) == place), None)
    if len(found) > 1:
        each = ", ".join(f"{one.data_dir} ({one.name})" for one in found)
        raise ConfigError(
            f"there are {len(found)} services on this machine", remedy=f"Say which with --data-dir: {each}"
        )
    if found:
        _refuse_unreadable(found[0])
    return found[0] if found else None


def installed(folders: Iterable[Path]) -> list[Installed]:
    """Return the services whose units lie in some folders and were written by cryowatch, by name."""
    found: dict[str, Installed] = {}
    for folder in folders:
        for file in sorted(folder.glob("cryowatch*.service")):
            try:
                text = file.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            if text.startswith(MARK) and (one := _described(file.stem, text)) is not None:
                found.setdefault(one.name, one)
    return sorted(found.values(), key=lambda one: one.name)


def _folders(environment: Mapping[str, str]) -> tuple[Path, ...]:
    home = Path(environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME") or "/") / ".config")
    return home / "systemd" / "user", SYSTEM_FOLDER


def _described(name: str, unit: str) -> Installed | None:
    settings = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    words = [_plain(quoted or bare) for quoted, bare in _WORD.findall(settings.get("ExecStart", ""))]
    options = words[: words.index("--")] if "--" in words else words
    values = dict(itertools.pairwise(options))
    if "--data-dir" not in values:
        return None
    return Installed(
        name=name,
        data_dir=Path(values["--data-dir"]),
        account=settings.get("User", ""),
        config=Path(values["--config"]) if "--config" in values else None,
        secrets=Path(values["--secrets"]) if "--secrets" in values else None,
        listen=values.get("--listen"),
    )


def _plain(word: str) -> str:
    """Return a word of a unit's command as the program gets it: systemd.syntax(7)."""
    return _ESCAPED.sub(lambda found: found[1] or found[0][0], word)


def _refuse_unreadable(service: Installed) -> None:
    for path in (service.data_dir, service.config):
        if path is None or os.access(path, os.R_OK) or not _is_there(path):
            continue
        raise ConfigError(
            f"belongs to the service {service.name}, and this user may not read it",
            where=path,
            remedy=f"Run the command as its account: sudo -u {service.account} cryowatch …",
        )


def _is_there(path: Path) -> bool:
    """Return whether a path may be there: what lies in a folder that is closed to this user may be."""
    try:
        return path.exists()
    except PermissionError:
        return True
