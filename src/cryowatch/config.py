"""Settings: defaults, then cryowatch.toml, then the environment, then the command line.

The file is `--config`, else `$CRYOWATCH_CONFIG`, else `~/.config/cryowatch/cryowatch.toml` where that exists.  Each key
can be given as `CRYOWATCH_SECTION__KEY` too.  A key that is not known is an error that names the nearest right one.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from cryowatch.errors import ConfigError

PREFIX = "CRYOWATCH_"
DEFAULT_FILE = Path("~/.config/cryowatch/cryowatch.toml")
DEFAULT_DATA_DIR = Path("~/.local/share/cryowatch")


def _zone(name: str) -> str:
    if name:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not a time zone; write it like Europe/Madrid") from error
    return name


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address and port; write it like 127.0.0.1:8420")
    return text


def _home(path: Path) -> Path:
    return path.expanduser()


Directory = Annotated[Path, AfterValidator(_home)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Web(_Section):
    """The built-in pages."""

    listen: Annotated[str, AfterValidator(_address)] = Field(default="127.0.0.1:8420", description="Address and port.")


class Scipion(_Section):
    """Reading Scipion projects."""

    interval: float = Field(default=1.0, ge=0.1, le=3600, description="Seconds between two looks at a live project.")


class Host(_Section):
    """Sampling the machine that the agent runs on."""

    interval: float = Field(default=10.0, ge=1, le=3600, description="Seconds between two samples.")
    keep_days: int = Field(default=30, ge=1, le=3650, description="Days for which samples are kept.")


class Images(_Section):
    """Rendering thumbnails."""

    cache_mb: int = Field(default=2000, ge=10, description="Megabytes on disk for rendered images.")
    workers: int = Field(default=1, ge=1, le=16, description="Processes that render, at low priority.")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    time_zone: Annotated[str, AfterValidator(_zone)] = Field(
        default="", description="Zone of the local times in Scipion's databases; empty: the machine's."
    )
    data_dir: Directory = Field(
        default=DEFAULT_DATA_DIR.expanduser(), description="Where the store and the images are kept."
    )
    web: Web = Web()
    scipion: Scipion = Scipion()
    host: Host = Host()
    images: Images = Images()

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone of naive local times; None for the machine's own."""
        return ZoneInfo(self.time_zone) if self.time_zone else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, whose contents come as arguments."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load(file: Path | None = None, *, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings; raises `ConfigError` naming the file or variable, the key, and how to mend it."""
    environment = os.environ if environment is None else environment
    named = file or (Path(environment[f"{PREFIX}CONFIG"]) if environment.get(f"{PREFIX}CONFIG") else None)
    path = (named or DEFAULT_FILE).expanduser()
    values = _read(path) if named is not None or path.is_file() else {}
    for name in environment:
        if name.startswith(PREFIX) and "__" in name:
            _check_variable(name)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise _explained(error, path, values) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("there is no such file", where=path, remedy="Check --config and CRYOWATCH_CONFIG") from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not TOML: {error}", where=path, remedy="Texts need quotes") from None


def _keys(model: type[BaseModel]) -> list[str]:
    return list(model.model_fields)


def _section(name: str) -> type[BaseModel] | None:
    field = Settings.model_fields.get(name)
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _nearest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    return f"Did you mean {close[0]}?" if close else f"Known here: {', '.join(known)}"


def _check_variable(name: str) -> None:
    section, _, key = name[len(PREFIX) :].lower().partition("__")
    model = _section(section)
    if model is None:
        known = [f"{PREFIX}{s.upper()}__…" for s in Settings.model_fields if _section(s)]
        raise ConfigError(f"there is no section {section}", where=name, remedy=f"Known: {', '.join(known)}")
    if key not in model.model_fields:
        known = [f"{PREFIX}{section.upper()}__{k.upper()}" for k in _keys(model)]
        raise ConfigError("is not a setting", where=name, remedy=_nearest(name, known))


def _explained(error: ValidationError, path: Path, values: Mapping[str, Any]) -> ConfigError:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    key = ".".join(place)
    inside: Any = values
    for part in place:
        inside = inside.get(part) if isinstance(inside, Mapping) else None
    from_file = inside is not None
    where = f"{path}: {key}" if from_file else f"{PREFIX}{'__'.join(place).upper()}"
    if first["type"] == "extra_forbidden":
        model = _section(place[0]) if len(place) > 1 else None
        known = _keys(model) if model else _keys(Settings)
        return ConfigError("is not a setting", where=where, remedy=_nearest(place[-1], known))
    text = first["msg"].removeprefix("Value error, ")
    return ConfigError(f"{text[0].lower()}{text[1:]} (it is {first['input']!r})", where=where)
