"""What the sections of the settings are made of: their base, paths with `~` filled in, secrets from files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr

from cryowatch.errors import ConfigError


def at_home(path: Path) -> Path:
    """Return a path with its `~` filled in; raises `ConfigError` where nobody's home is called that."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ConfigError("there is no such home folder", where=path, remedy="Write the whole path") from None


def _home(path: Path) -> Path:
    try:
        return at_home(path)
    except ConfigError as error:
        raise ValueError(error.what) from None


Directory = Annotated[Path, AfterValidator(_home)]


class Section(BaseModel):
    """A section: a key that it does not know is an error, and nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def shown(secret: SecretStr | None) -> str:
    """Return a secret as text; empty for none."""
    return "" if secret is None else secret.get_secret_value()


def contents(path: Path, key: str) -> str:
    """Return what a file that a key names holds, without the space around it; raises `ConfigError`."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise ConfigError(f"cannot be read: {reason}", where=path, remedy=f"It is named as {key}") from None


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of both; where both have one, that from above, of tables key by key."""
    tables = {
        key: merged(below[key], above[key])
        for key in below.keys() & above.keys()
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping)
    }
    return {**below, **above, **tables}


def parsed(path: Path) -> dict[str, Any]:
    """Return what a TOML file says; raises `ConfigError` where it is none, `OSError` where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ConfigError("is nested too deeply", where=path) from None
    except ValueError as error:  # TOML's own, and what Python says of bytes and of numbers with thousands of digits
        twice = re.fullmatch(r"Cannot declare \((.+?),?\) twice \((.+)\)", str(error))
        if twice:
            key = ".".join(part.strip("'\"") for part in twice[1].split(", "))
            raise ConfigError(f"there are two such tables ({twice[2]})", where=f"{path}: {key}") from None
        raise ConfigError(f"is not TOML: {error}", where=path, remedy="Texts need quotes") from None


def shorten(text: str) -> str:
    """Return a text, its middle left out where it is long."""
    return text if len(text) <= 200 else f"{text[:100]}…{text[-20:]}"
