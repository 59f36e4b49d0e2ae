"""Settings: defaults, then cryowatch.toml, then the environment, then the command line.

The file is `--config`, else `$CRYOWATCH_CONFIG`, else `~/.config/cryowatch/cryowatch.toml` where that exists.  Each key
can be given as `CRYOWATCH_SECTION__KEY` too.  A key that is not known is an error that names the nearest right one.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from cryowatch.errors import ConfigError, remedy_of
from cryowatch.records import Severity
from cryowatch.settings.addresses import mailbox, mailbox_or_none, server, target
from cryowatch.settings.environment import PREFIX
from cryowatch.settings.placeholders import checked
from cryowatch.settings.section import Directory, Section, at_home, contents, merged, parsed, shorten, shown
from cryowatch.settings.web import Web

_NO_SETTINGS = tuple(f"{PREFIX}{name}" for name in ("CONFIG", "HOME", "PACKAGE", "PYTHON"))
"""The file of the settings, and what Scipion's plugin finds this program by, or makes its environment of."""

DEFAULT_FILE = Path("~/.config/cryowatch/cryowatch.toml")
DEFAULT_DATA_DIR = Path("~/.local/share/cryowatch")
_SECRETS = ("password", "token", "url", "publish", "command")
_SECRET_SECTIONS = ("influx", "images", "mail", "report", "webhooks", "apprise")
"""What stands there in place of the whole section may be a secret."""


def _zone(name: str) -> str:
    if name:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not a time zone; write it like Europe/Madrid") from error
    return name


class Log(Section):
    """The log: always to standard error, and also to a file."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is logged.")
    file: Directory | None = Field(default=None, description="File to log to; rotated by its size.")
    max_mb: float = Field(default=10, ge=0, description="Megabytes after which it is rotated; 0: never.")
    keep: int = Field(default=5, ge=1, le=1000, description="Older log files that are kept.")


class Scipion(Section):
    """Reading Scipion projects."""

    interval: float = Field(default=1.0, ge=0.1, le=3600, description="Seconds between two looks at a live project.")
    runs: list[Annotated[int, Field(ge=1)]] | None = Field(
        default=None, description="Ids of the runs that are watched; else all of a project."
    )


class Host(Section):
    """Sampling the machine that the agent runs on."""

    interval: float = Field(default=10.0, ge=1, le=3600, description="Seconds between two samples.")
    keep_days: int = Field(default=30, ge=1, le=3650, description="Days for which samples are kept.")
    keep_mb: float = Field(default=1000, ge=1, description="Megabytes that samples may take; the oldest go first.")
    gpus: list[Annotated[int, Field(ge=0)]] | None = Field(default=None, description="Numbers of the GPUs; else all.")
    interfaces: list[str] | None = Field(default=None, description="Network interfaces; else the physical ones.")
    disks: list[str] | None = Field(default=None, description="Disks, like sda or md0; else the physical ones.")
    disk_rates: bool = Field(default=True, description="Whether it is sampled what disks read and write.")


class Images(Section):
    """Rendering thumbnails, and publishing them."""

    cache_mb: int = Field(default=2000, ge=10, le=10**9, description="Megabytes on disk for rendered images.")
    workers: int = Field(default=1, ge=1, le=16, description="Processes that render, at low priority.")
    ahead: bool = Field(default=True, description="Whether new micrographs are rendered before anybody asks.")
    publish: Annotated[str, AfterValidator(target)] = Field(
        default="", description="Where images are copied to: sftp://user@host/folder or file:///folder."
    )
    publish_days: float = Field(default=0, ge=0, description="How old a micrograph may be to be copied; 0: any age.")
    key_file: Directory | None = Field(default=None, description="Private key for sftp; else the agent's, or ~/.ssh's.")
    password: SecretStr | None = Field(default=None, description="Password for sftp, or the key's; better in a file.")
    password_file: Directory | None = Field(default=None, description="File that holds that password.")
    known_hosts: Directory = Field(
        default=Path("~/.ssh/known_hosts"), validate_default=True, description="Host keys that are trusted."
    )
    url_prefix: str = Field(
        default="/public/img/scipionbox", description="Address under which Grafana's readers find what is published."
    )

    def secret(self) -> str:
        """Return the password, from its file where named; raises `ConfigError`."""
        return contents(self.password_file, "images.password_file") if self.password_file else shown(self.password)


LOGO_KINDS = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
"""What a logo's name may end in, and what such a file is over HTTP."""


class Facility(Section):
    """Who runs this, as the pages show it."""

    name: str = Field(default="", max_length=80, description="Name of the facility.")
    logo: Directory | None = Field(default=None, description="Its logo: an SVG, PNG or JPEG file.")


class Report(Section):
    """Reports of live sessions, each as one file."""

    minutes: float = Field(default=0, ge=0, le=1440, description="Minutes between two reports of a session; 0: none.")
    folder: Directory | None = Field(default=None, description="Where they are written; else reports in the data_dir.")
    size_mb: float = Field(default=20, ge=1, le=500, description="Megabytes that a report may have.")
    command: Annotated[list[str], BeforeValidator(lambda said: checked(said, ("file", "folder", "session")))] = Field(
        default=[], description="Program and arguments that are run with each report, without a shell."
    )
    timeout: float = Field(default=120, ge=1, le=3600, description="Seconds after which that command is ended.")


class Influx(Section):
    """The InfluxDB that everything is also written to; none without a url."""

    url: Annotated[str, AfterValidator(server)] = Field(default="", description="Address of the server.")
    database: str = Field(default="scipion", min_length=1, description="Its database.")
    username: str = Field(default="", description="Account that may write.")
    password: SecretStr | None = Field(default=None, description="Its password; better in a file.")
    password_file: Directory | None = Field(default=None, description="File that holds the password.")
    token: SecretStr | None = Field(default=None, description="Token, for 2.x and 3.x; better in a file.")
    token_file: Directory | None = Field(default=None, description="File that holds the token.")
    verify_tls: bool = Field(default=True, description="Whether the server's certificate is checked.")
    ca_file: Directory | None = Field(default=None, description="Certificate of the CA that signed the server's.")
    layout: Literal["cryowatch", "scipion"] = Field(default="cryowatch", description="How the points are arranged.")
    retention: str = Field(default="12w", pattern=r"^(\d+[smhdw])+$|^inf$", description="How long `influx init` keeps.")
    shift_hours: float = Field(default=0, ge=-48, le=48, description="Hours added to every time (layout scipion).")

    def secret(self) -> tuple[str, str]:
        """Return the password and the token, from their files where named; raises `ConfigError`."""
        password = contents(self.password_file, "influx.password_file") if self.password_file else shown(self.password)
        token = contents(self.token_file, "influx.token_file") if self.token_file else shown(self.token)
        return password, token


def _hours(text: str) -> str:
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", text)
    if text and (match is None or match.group(1, 2) == match.group(3, 4)):
        raise ValueError("these are no hours of the day; write them like 22:00-07:00")
    return text


class Alerts(Section):
    """Which alerts are raised, and when people are told."""

    enabled: bool = Field(default=True, description="Whether alerts are raised at all.")
    quiet_hours: Annotated[str, AfterValidator(_hours)] = Field(
        default="", description="Hours in which only critical alerts are told of, like 22:00-07:00."
    )
    digest_minutes: float = Field(
        default=5, ge=0, le=1440, description="Minutes between two messages to a channel, critical ones aside."
    )
    repeat_minutes: float = Field(
        default=0, ge=0, description="Minutes after which a lasting, unacknowledged alert is told of again; 0: never."
    )
    rules: dict[str, Any] = Field(default={}, description="Changes of the rules, and own ones.")


class Mail(Section):
    """Notices by mail; none without a host."""

    host: str = Field(default="", description="Mail server.")
    port: int = Field(default=0, ge=0, le=65535, description="Its port; 0: the usual one.")
    security: Literal["starttls", "tls", "none"] = Field(default="starttls", description="How the line is protected.")
    username: str = Field(default="", description="Account, where the server wants one.")
    password: SecretStr | None = Field(default=None, description="Its password; better in a file.")
    password_file: Directory | None = Field(default=None, description="File that holds the password.")
    ca_file: Directory | None = Field(default=None, description="Certificate of the CA that signed the server's.")
    sender: Annotated[str, AfterValidator(mailbox_or_none)] = Field(
        default="", description="Address that the mail comes from."
    )
    to: list[Annotated[str, AfterValidator(mailbox)]] = Field(default=[], description="Addresses that it goes to.")
    severity: Severity = Field(default=Severity.WARNING, description="The least severity that is sent.")
    ehlo: str = Field(
        default="",
        pattern=r"^(|[A-Za-z0-9._:\[\]-]{1,255})$",
        description="Name that is given to the server in EHLO; else this machine's full name, or its address.",
    )

    def secret(self) -> str:
        """Return the password, from its file where named; raises `ConfigError`."""
        return contents(self.password_file, "mail.password_file") if self.password_file else shown(self.password)


class Webhook(Section):
    """Notices by an HTTP POST of JSON; the address may hold a secret and is never shown."""

    url: SecretStr | None = Field(default=None, description="Address; better in a file.")
    url_file: Directory | None = Field(default=None, description="File that holds the address.")
    shape: Literal["json", "slack", "mattermost", "teams"] = Field(default="json", description="Shape of the JSON.")
    severity: Severity = Field(default=Severity.WARNING, description="The least severity that is sent.")
    ca_file: Directory | None = Field(default=None, description="Certificate of the CA that signed the server's.")

    def secret(self, name: str) -> str:
        """Return the address, from its file where named; raises `ConfigError`."""
        return contents(self.url_file, f"webhooks.{name}.url_file") if self.url_file else shown(self.url)


class AppriseServices(Section):
    """Notices by the services that Apprise knows; its addresses hold secrets and are never shown."""

    urls_file: Directory | None = Field(default=None, description="File with one Apprise address on each line.")
    severity: Severity = Field(default=Severity.WARNING, description="The least severity that is sent.")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        env_ignore_empty=True,
        allow_inf_nan=False,
    )

    base: Directory | None = Field(default=None, description="Further settings, which count where these say nothing.")
    time_zone: Annotated[str, AfterValidator(_zone)] = Field(
        default="", description="Zone of the local times in Scipion's databases; empty: the machine's."
    )
    data_dir: Directory = Field(
        default=DEFAULT_DATA_DIR, validate_default=True, description="Where the store and the images are kept."
    )
    web: Web = Web()
    log: Log = Log()
    scipion: Scipion = Scipion()
    host: Host = Host()
    images: Images = Images()
    influx: Influx = Influx()
    facility: Facility = Facility()
    report: Report = Report()
    alerts: Alerts = Alerts()
    mail: Mail = Mail()
    webhooks: dict[str, Webhook] = Field(default={}, description="Webhooks for notices, by name.")
    apprise: AppriseServices = AppriseServices()
    limits: dict[str, float] = Field(default={}, description="What the limits that readers can move are at first.")
    dashboards: dict[str, Any] = Field(default={}, description="Changes of the dashboards, and own ones.")
    _file: Path = PrivateAttr(default=DEFAULT_FILE)

    @property
    def file(self) -> Path:
        """The file that the settings come from, or would."""
        return self._file

    def read_from(self, file: Path) -> Settings:
        """Return these settings, knowing their file."""
        self._file = file
        return self

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
    path = at_home(named or DEFAULT_FILE)
    values = _on_base(_read(path, optional=named is None), path, environment)
    for name in environment:
        if name.startswith(PREFIX) and name not in _NO_SETTINGS:
            _check_variable(name)
    return _settings(values, path, environment).read_from(path)


def _settings(values: dict[str, Any], path: Path, environment: Mapping[str, str]) -> Settings:
    for key in values:
        if key not in Settings.model_fields:  # pydantic takes some for arguments of its own
            raise ConfigError("is not a setting", where=f"{path}: {key}", remedy=_nearest(key, _keys(Settings)))
    try:
        return Settings(**values)
    except ValidationError as error:
        raise _explained(error, path, values, environment) from None
    except (SettingsError, RecursionError) as error:
        named = re.search(r'field "(\w+)"', str(error))
        where = f"{PREFIX}{named[1].upper()}" if named else f"{PREFIX}*, in the environment"
        remedy = f"Write one {PREFIX}SECTION__KEY for each key"
        raise ConfigError("cannot be understood", where=where, remedy=remedy) from None


def _on_base(values: dict[str, Any], path: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what a file says, put on what its `base` says, which is looked at by itself for errors to name it."""
    named = environment.get(f"{PREFIX}BASE") or values.get("base")
    if not named or not isinstance(named, str):
        return values
    base = path.parent / at_home(Path(named))
    below = _read(base, optional=False)
    if "base" in below:
        raise ConfigError("stands on a base itself", where=base, remedy="Name one base, and only in the first file")
    _settings(below, base, environment)
    return merged(below, values)


def _read(path: Path, *, optional: bool) -> dict[str, Any]:
    try:
        return parsed(path)
    except (FileNotFoundError, NotADirectoryError):
        if optional:
            return {}
        raise ConfigError("there is no such file", where=path, remedy="Check --config and CRYOWATCH_CONFIG") from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=path, remedy=remedy_of(error)) from None


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
    section, nested, key = name[len(PREFIX) :].lower().partition("__")
    if not nested:
        if section not in Settings.model_fields:
            known = [f"{PREFIX}{k.upper()}" for k in _keys(Settings)]
            raise ConfigError("is not a setting", where=name, remedy=_nearest(name, known))
        return
    model = _section(section)
    if model is None:
        known = [f"{PREFIX}{s.upper()}__…" for s in Settings.model_fields if _section(s)]
        raise ConfigError(f"there is no section {section}", where=name, remedy=f"Known: {', '.join(known)}")
    if key not in model.model_fields:
        known = [f"{PREFIX}{section.upper()}__{k.upper()}" for k in _keys(model)]
        raise ConfigError("is not a setting", where=name, remedy=_nearest(name, known))


def _explained(
    error: ValidationError, path: Path, values: Mapping[str, Any], environment: Mapping[str, str]
) -> ConfigError:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    key = ".".join(place)
    inside: Any = values
    for part in first["loc"]:
        listed = dict(enumerate(inside)) if isinstance(inside, list) else inside
        inside = listed.get(part) if isinstance(listed, Mapping) else None
    variable = f"{PREFIX}{'__'.join(place).upper()}"
    from_file = inside is not None and not environment.get(variable)
    where = f"{path}: {key}" if from_file else variable
    if first["type"] == "extra_forbidden":
        model = _section(place[0]) if len(place) == 2 else Webhook if place[0] == "webhooks" else None
        known = _keys(model) if model else _keys(Settings)
        return ConfigError("is not a setting", where=where, remedy=_nearest(place[-1], known))
    text = first["msg"].removeprefix("Value error, ")
    secret = {*place} & {*_SECRETS, "webhooks"} or (len(place) == 1 and place[0] in _SECRET_SECTIONS)
    shown = "" if secret else f" (it is {shorten(repr(first['input']))})"
    return ConfigError(f"{text[0].lower()}{text[1:]}{shown}", where=where)
