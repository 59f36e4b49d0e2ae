"""Setting up an InfluxDB 1.x for cryowatch: a database, how long it keeps points, who writes and who reads.

`init` looks at what is there, does what is missing, and returns a line for each thing.  Run again it changes nothing.
It never takes anything away: no database or policy is dropped, no retention shortened, no password replaced unless
that is asked for.

A user's password is generated, and stands alone in a file `USER.password` of mode 0600 in the folder given.  The file
is written before the user is made, so that no interruption leaves a user whose password nobody knows.  Statements go
to `/query` in the body of a POST, never in an address, and InfluxDB leaves passwords out of its logs.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from cryowatch.errors import ConfigError, ServerError, remedy_of
from cryowatch.influx.server import Server, quote_identifier, quote_string

DATABASE = "scipion"
POLICY = "ret_pol"
"""The name that Scipion's monitor gives its policy, so that both find the same points."""
RETENTION = "12w"
DEFAULT_PORT = 8086
WRITER, READER = "scipion_writer", "scipion_reader"

_NANOSECONDS = {
    "ns": 1,
    "u": 10**3,
    "µ": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
    "w": 7 * 86_400 * 10**9,
}
_PART = re.compile(r"([0-9]{1,18})(ns|ms|[uµsmhdw])")
_PRIVILEGES = {"ALL": "ALL PRIVILEGES", "READ": "READ"}


@dataclass(frozen=True)
class Step:
    """One thing that `init` has made, found there, has to tell (`note`), or that needs a person (`wrong`)."""

    state: Literal["made", "there", "note", "wrong"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What shall be there; raises `ConfigError` for a name or a retention that InfluxDB would not take."""

    admin: str = "admin"
    database: str = DATABASE
    retention: str = RETENTION
    folder: Path
    """Where the password files are."""
    create_admin: bool = False
    reset_passwords: bool = False
    """Give users that are there the password of their file, and a new one where there is no file."""

    def __post_init__(self) -> None:
        """Refuse what the server or the file system would refuse, before anything is done."""
        for what, name, forbidden in (("user", self.admin, ':/"\\'), ("database", self.database, "/\\")):
            if not name or name in {".", ".."} or len(name) > 200 or not name.isprintable():
                raise ConfigError(f"is not a name for a {what}", where=repr(name))
            if set(name) & set(forbidden):
                raise ConfigError(f"the name of a {what} holds none of {' '.join(forbidden)}", where=repr(name))
        if 0 < nanoseconds(self.retention) < _NANOSECONDS["h"]:
            raise ConfigError("InfluxDB keeps points for an hour at least", where=self.retention)

    def password_file(self, user: str) -> Path:
        """Return where the user's password stands."""
        return self.folder / f"{user}.password"


def init(
    url: str,
    wanted: Wanted,
    *,
    password: SecretStr | None = None,
    ca_file: Path | None = None,
    generate: Callable[[], str] = lambda: secrets.token_urlsafe(24),
) -> list[Step]:
    """Make what is missing, and return a line for each thing.

    `password` is the administrator's; where it is None, that of the file in the folder, if there is one.  Raises
    `ServerError` where the server cannot be reached, refuses, or is InfluxDB 2 or 3, and `ConfigError` where a
    password file cannot be read or written.
    """
    passwords = _Passwords(wanted, generate)
    if password is None:
        password = passwords.read(wanted.admin)
    with Server(url, ca_file=ca_file) as server:
        server.refuse_other_than_1()
        steps = list(_administrator(server, wanted, passwords, password))
        steps += _database(server, wanted)
        users = {row["user"]: row["admin"] for row in server.rows("SHOW USERS")}
        for user, privilege in ((WRITER, "ALL"), (READER, "READ")):
            steps += _user(server, wanted, passwords, user, is_admin=users.get(user))
            steps += _grant(server, wanted.database, user, privilege)
        if not server.encrypted and not server.local:
            steps.append(Step("note", "http sends passwords for everybody to read: see `cryowatch tls create`"))
    return steps


def port_of(url: str) -> int:
    """Return the port of a server's address; raises `ConfigError` for what is none."""
    try:
        return urlsplit(url).port or DEFAULT_PORT
    except ValueError:
        raise ConfigError("is no address of a server", where=url, remedy="Write https://HOST:8086") from None


def readable(length: int) -> str:
    """Return nanoseconds as the largest unit that gives a whole number."""
    unit = next(unit for unit in ("w", "d", "h", "m", "s", "ms", "u", "ns") if length % _NANOSECONDS[unit] == 0)
    return f"{length // _NANOSECONDS[unit]}{unit}" if length else "ever"


def settings(url: str, wanted: Wanted, ca_file: Path | None = None) -> str:
    """Return what the agent's and Grafana's settings have to say to use what `init` has made."""
    ca_line = "" if ca_file is None else f"ca_file = {_toml(str(ca_file))}\n"
    return (
        "For the agent, in cryowatch.toml:\n"
        "[influx]\n"
        f"url = {_toml(url)}\n"
        f"database = {_toml(wanted.database)}\n"
        f"username = {_toml(WRITER)}\n"
        f"password_file = {_toml(str(wanted.password_file(WRITER)))}\n"
        f"{ca_line}"
        f"For Grafana's data source: user {READER}, password in {wanted.password_file(READER)}\n"
    )


def _toml(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def nanoseconds(duration: str) -> int:
    """Return the length of an InfluxQL duration such as 12w or 2016h0m0s; 0 for INF, as InfluxDB itself has it."""
    if duration.upper() == "INF":
        return 0
    parts = _PART.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ConfigError("is not a duration", where=repr(duration), remedy="Write it like 12w, 90d or INF")
    return sum(int(number) * _NANOSECONDS[unit] for number, unit in parts)


class _Passwords:
    """The password files of a folder."""

    def __init__(self, wanted: Wanted, generate: Callable[[], str]) -> None:
        self._wanted = wanted
        self._generate = generate

    def read(self, user: str) -> SecretStr | None:
        """Return what the user's file says, None where there is none."""
        return read_password(self._wanted.password_file(user), missing_ok=True)

    def make(self, user: str) -> SecretStr:
        """Return a new password, which a new file of mode 0600 holds."""
        path = self._wanted.password_file(user)
        password = self._generate()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
                output.write(password + "\n")
                output.flush()
                os.fsync(output.fileno())
        except OSError as error:
            raise ConfigError(f"cannot be written: {error.strerror}", where=path, remedy=remedy_of(error)) from None
        return SecretStr(password)


def read_password(path: Path, *, missing_ok: bool = False) -> SecretStr | None:
    """Return the password that stands alone in a file, without the line break at its end; raises `ConfigError`."""
    try:
        password = path.read_text(encoding="utf-8").rstrip("\r\n")
    except FileNotFoundError:
        if missing_ok:
            return None
        raise ConfigError("there is no such file", where=path) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=path, remedy=remedy_of(error)) from None
    except UnicodeDecodeError:
        password = ""
    if not password or not password.isprintable():
        raise ConfigError("does not hold one password on one line", where=path)
    return SecretStr(password)


def _administrator(server: Server, wanted: Wanted, passwords: _Passwords, password: SecretStr | None) -> Iterator[Step]:
    """Log in as the administrator, who is made first where that is asked for and possible."""
    accounts = server.accounts()
    if accounts == "on":
        if password is None:
            raise ConfigError("the server asks for a password", where=wanted.admin, remedy="Give --password-file")
        server.log_in(wanted.admin, password)
        if not server.accepts(wanted.admin, password):
            raise ServerError(f"refuses the password of {wanted.admin}", where=server, remedy="Check --password-file")
        return
    if accounts == "off":
        yield Step("note", "it asks nobody for a password yet: set auth-enabled = true in influxdb.conf and restart it")
    users = server.rows("SHOW USERS") if accounts == "off" else []
    if any(row["admin"] for row in users):
        yield Step("there", "an administrator")
    elif wanted.create_admin:
        made = password is None
        password = password or passwords.make(wanted.admin)
        name = quote_identifier(wanted.admin)
        if any(row["user"] == wanted.admin for row in users):
            server.run(f"SET PASSWORD FOR {name} = {quote_string(password.get_secret_value())}")
            server.run(f"GRANT ALL PRIVILEGES TO {name}")
        else:
            server.run(
                f"CREATE USER {name} WITH PASSWORD {quote_string(password.get_secret_value())} WITH ALL PRIVILEGES"
            )
        where = f", password in {wanted.password_file(wanted.admin)}" if made else ", with the password given"
        yield Step("made", f"administrator {wanted.admin}{where}")
        server.log_in(wanted.admin, password)
    elif accounts == "nobody yet":
        raise ServerError("has no administrator yet", where=server, remedy="Make one with --create-admin")
    else:
        yield Step("note", "there is no administrator yet: make one with --create-admin before passwords are asked for")


def _database(server: Server, wanted: Wanted) -> Iterator[Step]:
    name, policy = quote_identifier(wanted.database), quote_identifier(POLICY)
    length = "INF" if nanoseconds(wanted.retention) == 0 else wanted.retention
    if wanted.database not in {row["name"] for row in server.rows("SHOW DATABASES")}:
        server.run(f"CREATE DATABASE {name} WITH DURATION {length} REPLICATION 1 NAME {policy}")
        yield Step("made", f"database {wanted.database}, which keeps points for {length} in its policy {POLICY}")
        return
    yield Step("there", f"database {wanted.database}")
    policies = {row["name"]: row for row in server.rows(f"SHOW RETENTION POLICIES ON {name}")}
    before = next((found for found, row in policies.items() if row["default"]), None)
    if POLICY not in policies:
        server.run(f"CREATE RETENTION POLICY {policy} ON {name} DURATION {length} REPLICATION 1 DEFAULT")
        yield Step("made", f"policy {POLICY}, which keeps points for {length}, as the default")
    else:
        yield from _lengthened(server, wanted, policies[POLICY]["duration"], length)
        if before == POLICY:
            return
        server.run(f"ALTER RETENTION POLICY {policy} ON {name} DEFAULT")
        yield Step("made", f"policy {POLICY} the default, instead of {before}")
    if before is not None and server.rows(f"SHOW MEASUREMENTS ON {name} LIMIT 1"):
        place = f"{name}.{quote_identifier(before)}"
        yield Step("note", f"points written so far stay in the policy {before}; queries find them in {place}")


def _lengthened(server: Server, wanted: Wanted, found: str, length: str) -> Iterator[Step]:
    """Lengthen the policy where that is needed; a shorter one would delete points, which is for a person to do."""
    statement = f"ALTER RETENTION POLICY {quote_identifier(POLICY)} ON {quote_identifier(wanted.database)}"
    has, asked = nanoseconds(found), nanoseconds(length)
    if has == asked:
        yield Step("there", f"policy {POLICY}, which keeps points for {length}")
    elif has and (not asked or asked > has):
        server.run(f"{statement} DURATION {length}")
        yield Step("made", f"policy {POLICY} longer: it keeps points for {length}, not {readable(has)}")
    else:
        text = f"policy {POLICY} keeps points for {readable(has)}, longer than {length}; to delete the older"
        yield Step("note", f"{text}: {statement} DURATION {length}")


def _user(server: Server, wanted: Wanted, passwords: _Passwords, user: str, *, is_admin: bool | None) -> Iterator[Step]:
    """Make the user, whose `is_admin` is None where it is not there; or say what is wrong with it."""
    file, name = wanted.password_file(user), quote_identifier(user)
    password = passwords.read(user)
    if is_admin is None:
        password = password or passwords.make(user)
        server.run(f"CREATE USER {name} WITH PASSWORD {quote_string(password.get_secret_value())}")
        yield Step("made", f"user {user}, password in {file}")
        return
    fits = password is not None and (server.accounts() != "on" or server.accepts(user, password))
    if fits:
        yield Step("there", f"user {user}, password in {file}")
    elif wanted.reset_passwords:
        password = password or passwords.make(user)
        server.run(f"SET PASSWORD FOR {name} = {quote_string(password.get_secret_value())}")
        yield Step("made", f"the password of user {user} that of {file}")
    else:
        what = f"{file} holds another password" if password else f"there is no {file}"
        remedy = "write it there, or give the user a new one with --reset-passwords"
        yield Step("wrong", f"user {user} is there, and {what}: {remedy}")
    if is_admin:
        yield Step("wrong", f"user {user} may do everything; end that with: REVOKE ALL PRIVILEGES FROM {name}")


def _grant(server: Server, database: str, user: str, privilege: str) -> Iterator[Step]:
    name = quote_identifier(user)
    may = "write and read" if privilege == "ALL" else "read"
    granted = {row["database"]: row["privilege"] for row in server.rows(f"SHOW GRANTS FOR {name}")}
    if granted.get(database) == _PRIVILEGES[privilege]:
        yield Step("there", f"{user} may {may} {database}")
    else:
        server.run(f"GRANT {privilege} ON {quote_identifier(database)} TO {name}")
        yield Step("made", f"{user} may {may} {database}")
