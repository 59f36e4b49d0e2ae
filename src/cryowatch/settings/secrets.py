"""secrets.cfg, the file in which Scipion's monitor keeps its accounts for InfluxDB and for copying images.

Its format is that of the document "Grafana, InfluxDB report customization"::

    [influx]
    usernameInflux=…       base64          port=8086
    passwordInflux=…       base64          ssl=True
    dataBase=scipion                       verify_ssl=False
    hostinflux=host                        timeZone=Europe/Madrid
    timeDelta=0            hours, added to every time; may be negative, or left out: 0
    apacheImgDir=…         may be left out: /public/img/scipionbox

    [paramiko]             may be left out: the document prints these keys below [influx]
    usernameParamiko=…     base64          keyfiletype=…    base64: RSA, DSA, ECDSA or ED25519
    passwordParamiko=…     base64 or None  remote_path=/folder/on/that/host/
    keyfilepath=…          base64          hostparamiko=host

Names of sections and keys are not case-sensitive; spaces round `=` and before a line count for nothing; a line that
starts with `#` or `;` is a comment.  Base64 is no encryption: the file's mode is what keeps the passwords.  No text
made here, error or otherwise, holds a value that may be a password.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from configparser import (
    DuplicateOptionError,
    DuplicateSectionError,
    Error,
    MissingSectionHeaderError,
    ParsingError,
    RawConfigParser,
)
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import SecretStr

from cryowatch.errors import ConfigError, remedy_of
from cryowatch.numbers import whole
from cryowatch.settings.section import at_home

FILE_NAME = "secrets.cfg"
HOME_VARIABLE = "EMFACILITIES_HOME"
IMAGE_FOLDER = "/public/img/scipionbox"

_YES = {"true", "t", "yes", "y", "1", "on"}
_NO = {"false", "f", "no", "n", "0", "off"}
_KEY_TYPES = {"RSA", "DSA", "ECDSA", "ED25519"}
_PLAIN = re.compile("[a-z][a-z_]{0,23}")
_MOST_HOURS = 1_000_000
"""A clock that was never set is off by half a century; more is a slip."""


@dataclass(frozen=True, kw_only=True)
class InfluxSecrets:
    """Where InfluxDB is, and the account that writes there."""

    username: str
    password: SecretStr
    database: str
    host: str
    port: int
    tls: bool
    verify_tls: bool
    time_zone: str
    """The zone of the machine's local times, such as Europe/Madrid."""
    time_delta: timedelta
    """To add to every time; the file gives hours."""
    image_folder: str
    """The folder of the images as Grafana's pages see it, without a slash at its end."""

    @property
    def url(self) -> str:
        """The server's address, such as https://influx.example.org:8086."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class TransferSecrets:
    """Where images are copied to, and the account that copies them."""

    username: str
    password: SecretStr | None
    key_file: Path
    """The private key, on this machine."""
    key_type: str
    remote_path: str
    """The folder on the other machine that Grafana's image folder is linked to."""
    host: str


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What a secrets.cfg says; `transfer` is None where it says nothing about copying images."""

    path: Path
    influx: InfluxSecrets
    transfer: TransferSecrets | None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One key of a file: its value, decoded, or what is wrong with it."""

    section: str
    key: str
    value: Any
    problem: ConfigError | None
    secret: bool
    default: str = ""
    """What holds because the file does not say it; empty where it does."""


def find(path: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the file to read: the one given, else `$EMFACILITIES_HOME/secrets.cfg` where that exists, else None.

    Raises `ConfigError` where the file given does not exist.
    """
    if path is not None:
        path = at_home(path)
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "there is no such file"
            raise ConfigError(what, where=path, remedy="Check --secrets")
        return path
    home = environment.get(HOME_VARIABLE)
    found = at_home(Path(home)) / FILE_NAME if home else None
    return found if found is not None and found.is_file() else None


def load(path: Path) -> Secrets:
    """Return what the file says; raises `ConfigError` naming the file, the section and the first key that is wrong."""
    values: dict[str, Any] = {}
    for finding in inspect(path):
        if finding.problem is not None:
            raise finding.problem
        values[finding.key] = finding.value
    return Secrets(
        path=path,
        influx=InfluxSecrets(
            username=values["usernameInflux"],
            password=values["passwordInflux"],
            database=values["dataBase"],
            host=values["hostinflux"],
            port=values["port"],
            tls=values["ssl"],
            verify_tls=values["verify_ssl"],
            time_zone=values["timeZone"],
            time_delta=values["timeDelta"],
            image_folder=values["apacheImgDir"],
        ),
        transfer=TransferSecrets(
            username=values["usernameParamiko"],
            password=values["passwordParamiko"],
            key_file=values["keyfilepath"],
            key_type=values["keyfiletype"],
            remote_path=values["remote_path"],
            host=values["hostparamiko"],
        )
        if "hostparamiko" in values
        else None,
    )


def inspect(path: Path) -> list[Finding]:
    """Return every key that the file should have, in the document's order, each with its value or its problem.

    The keys for copying images are left out where the file has none of them.  Raises `ConfigError` where the file
    cannot be read at all.
    """
    sections = _sections(path)
    influx = sections.get("influx")
    if influx is None:
        raise ConfigError("there is no section [influx]", where=path, remedy="Its keys stand below a line [influx]")
    findings = [_finding(path, "influx", key, influx) for key in _INFLUX]
    # The plugin's template has a section of its own and wins, since that is what Scipion's monitor reads.
    lines = influx | sections.get("paramiko", {})
    if any(key.name.lower() in lines for key in _TRANSFER):
        section = "paramiko" if "paramiko" in sections else "influx"
        findings += [_finding(path, section, key, lines) for key in _TRANSFER]
    return findings


def unknown_keys(path: Path) -> list[str]:
    """Return what the file says that nobody reads, as `[section] key`: most often a slip of the pen.

    A name that is no plain word is not shown: it may be the second line of a password that was broken in two.
    """
    influx, transfer = ({key.name.lower() for key in keys} for keys in (_INFLUX, _TRANSFER))
    known = {"influx": influx | transfer, "paramiko": transfer}
    return [
        f"[{section}] {name if _PLAIN.fullmatch(name) else '(no plain word)'}"
        for section, lines in _sections(path).items()
        for name in lines
        if name not in known.get(section, set())
    ]


def encode(value: str) -> str:
    """Return the value as secrets.cfg wants it: base64 of its UTF-8."""
    return base64.b64encode(value.encode()).decode("ascii")


def _sections(path: Path) -> dict[str, dict[str, str]]:
    """Return the lines of each section, all names in lower case."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError("there is no such file", where=path) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=path, remedy=remedy_of(error)) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    parser = RawConfigParser(comment_prefixes=("#", ";"), default_section="")
    try:
        # The document's lines are indented where it is copied from the page; to a parser that means "goes on".
        parser.read_string("\n".join(line.strip() for line in text.splitlines()), source=str(path))
    except Error as error:
        raise _not_parsed(path, error) from None
    sections: dict[str, dict[str, str]] = {}
    for section in parser.sections():
        sections.setdefault(section.strip().lower(), {}).update(parser.items(section))
    return sections


def _not_parsed(path: Path, error: Error) -> ConfigError:
    """Say in which line the parser stopped; its own text would print that line, and with it perhaps a password."""
    match error:
        case MissingSectionHeaderError():
            return ConfigError(
                f"line {error.lineno} stands before the first section", where=path, remedy="Add [influx]"
            )
        case DuplicateOptionError():
            what = f"line {error.lineno} gives {_known(error.option)} of {_known(error.section)} once more"
            return ConfigError(what, where=path, remedy="Keep one of the two")
        case DuplicateSectionError():
            what = f"line {error.lineno} starts {_known(error.section)} once more"
            return ConfigError(what, where=path, remedy="Put its keys together")
        case ParsingError():
            return ConfigError(f"line {error.errors[0][0]} is not of the form key=value", where=path)
        case _:
            return ConfigError("cannot be understood", where=path)


def _known(name: str) -> str:
    """Return the name of a section or a key that the file should have; any other may be a part of a password."""
    if name.strip().lower() in {"influx", "paramiko"}:
        return f"[{name}]"
    return name if name.lower() in {key.name.lower() for key in (*_INFLUX, *_TRANSFER)} else "(no known name)"


class _Wrong(ValueError):
    """What is wrong with a value, without the value."""


@dataclass(frozen=True)
class _Key:
    name: str
    read: Callable[[str], Any]
    default: str | None = None
    secret: bool = False
    remedy: str | None = None


def _finding(path: Path, section: str, key: _Key, lines: Mapping[str, str]) -> Finding:
    where = f"{path}: [{section}] {key.name}"
    text = lines.get(key.name.lower(), key.default)
    value, problem = None, None
    if text is None:
        problem = ConfigError("is missing", where=where, remedy=key.remedy)
    else:
        try:
            value = key.read(text)
        except _Wrong as error:
            problem = ConfigError(str(error), where=where)
    default = "" if key.name.lower() in lines else key.default or ""
    return Finding(section=section, key=key.name, value=value, problem=problem, secret=key.secret, default=default)


def _encoded(text: str) -> str:
    if not text:
        raise _Wrong("is empty")
    try:
        # `echo` ends what it prints with a line break, and many have encoded that too.
        decoded = base64.b64decode(text, validate=True).decode("utf-8").rstrip("\r\n")
    except (binascii.Error, ValueError):
        raise _Wrong("is not base64 of a text; write it with: cryowatch secrets encode") from None
    if not decoded or not decoded.isprintable():
        raise _Wrong("is not base64 of a text; write it with: cryowatch secrets encode")
    return decoded


def _password(text: str) -> SecretStr:
    return SecretStr(_encoded(text))


def _password_or_none(text: str) -> SecretStr | None:
    return None if text.lower() in {"", "none"} else _password(text)


def _key_file(text: str) -> Path:
    return Path(_encoded(text))


def _key_type(text: str) -> str:
    decoded = _encoded(text).upper()
    if decoded not in _KEY_TYPES:
        raise _Wrong(f"decodes to none of {', '.join(sorted(_KEY_TYPES))}")
    return decoded


def _text(text: str) -> str:
    if not text:
        raise _Wrong("is empty")
    if not text.isprintable():
        raise _Wrong("holds characters that cannot be printed")
    return text


def _host(text: str) -> str:
    if not text or any(c in "/@[]#" or c.isspace() or not c.isprintable() for c in text):
        raise _Wrong("is not the name or address of a host, alone")
    return text


def _port(text: str) -> int:
    port = whole(text, most=65535)
    if not port:
        raise _Wrong("is not a port: a number from 1 to 65535")
    return port


def _switch(text: str) -> bool:
    if text.lower() in _YES | _NO:
        return text.lower() in _YES
    raise _Wrong("is neither True nor False")


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _Wrong("is not a time zone such as Europe/Madrid") from None
    return text


def _hours(text: str) -> timedelta:
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not abs(hours) <= _MOST_HOURS:
        raise _Wrong("is not a number of hours such as 0 or -2")
    return timedelta(hours=hours)


def _folder(text: str) -> str:
    return _text(text).rstrip("/") or "/"


_INFLUX = (
    _Key("usernameInflux", _encoded),
    _Key("passwordInflux", _password, secret=True),
    _Key("dataBase", _text),
    _Key("hostinflux", _host),
    _Key("port", _port),
    _Key("ssl", _switch),
    _Key("verify_ssl", _switch),
    _Key("timeZone", _zone),
    _Key("timeDelta", _hours, default="0"),
    _Key("apacheImgDir", _folder, default=IMAGE_FOLDER),
)

_TRANSFER = (
    _Key("usernameParamiko", _encoded),
    _Key("passwordParamiko", _password_or_none, secret=True, remedy="Write None where the key file needs none"),
    _Key("keyfilepath", _key_file),
    _Key("keyfiletype", _key_type),
    _Key("remote_path", _text),
    _Key("hostparamiko", _host),
)
