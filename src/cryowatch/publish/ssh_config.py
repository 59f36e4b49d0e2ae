"""What ~/.ssh/config says of a host, as `ssh -G` would tell it.

The file is read by OpenSSH's rules: the first value of an option counts, `Host` compares the name as it was typed with
its capitals and `Match host` without, a `#` ends a line, and `Match` blocks and `Include` are followed.  A line that
cannot be followed, where `ssh` would stop for every host, is passed over and reported once.

asyncssh reads the same file by rules of its own, so it only ever gets the options that hold for one host, one a line.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import glob
import ipaddress
import logging
import os
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import psutil

from cryowatch.publish.ssh_patterns import Unfollowable, expanded, matches_list, matches_pattern, words

EXEC_SECONDS = 10.0
"""For the command of a `Match exec`."""

MOST_INCLUDED = 16
"""Files that include one another; as many as `ssh` follows."""

_log = logging.getLogger(__name__)

_OPTIONS = {
    option.lower(): option
    for option in (
        "AddressFamily", "BindAddress", "CASignatureAlgorithms", "CanonicalDomains", "CanonicalizeFallbackLocal",
        "CanonicalizeHostname", "CanonicalizeMaxDots", "CanonicalizePermittedCNAMEs", "CertificateFile",
        "ChallengeResponseAuthentication", "Ciphers", "Compression", "EnableSSHKeysign", "GSSAPIAuthentication",
        "GSSAPIDelegateCredentials", "GSSAPIKeyExchange", "HostKeyAlias", "HostName", "HostbasedAuthentication",
        "IdentitiesOnly", "IdentityAgent", "IdentityFile", "KbdInteractiveAuthentication", "KexAlgorithms", "MACs",
        "PKCS11Provider", "PasswordAuthentication", "Port", "PreferredAuthentications", "ProxyCommand", "ProxyJump",
        "PubkeyAuthentication", "RevokedHostKeys", "TCPKeepAlive", "Tag", "User",
    )
}  # fmt: skip
"""The options that matter to a connection of ours; time limits and keep-alives are our own."""

_LISTS = {"IdentityFile", "CertificateFile"}
_WHOLE = {"proxycommand", "localcommand", "remotecommand", "knownhostscommand"}
"""Options whose value is the rest of the line, as it stands."""

_KEYWORD = re.compile(r'\s*(?:"([^"]*)"|([^\s="]+))(?:\s*=\s*|\s+|$)')


@dataclass(frozen=True, slots=True)
class Option:
    """One option with its values, and the line that it comes from."""

    name: str
    values: tuple[str, ...]
    where: str

    @property
    def line(self) -> str:
        """The option as a line that asyncssh reads."""
        if self.name == "ProxyCommand":
            return f"{self.name} {self.values[0]}"
        return f"{self.name} {' '.join(shlex.quote(value) for value in self.values)}"


@dataclass(slots=True)
class HostConfig:
    """What holds for one host, and what was passed over on the way, a line each."""

    options: list[Option] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)

    def value(self, name: str) -> str | None:
        """Return the first value of an option, None where nothing is said."""
        return next((option.values[0] for option in self.options if option.name == name), None)

    @property
    def text(self) -> str:
        """All options as a file that asyncssh reads."""
        return "".join(f"{option.line}\n" for option in self.options if option.name not in ("RevokedHostKeys", "Tag"))


def host_config(file: Path, host: str, *, user: str = "", port: int | None = None) -> HostConfig:
    """Return what a configuration says of a host, nothing where there is no such file."""
    reader = _Reader(file, host, user=user, port=port)
    reader.read()
    return reader.config


def usable_config(file: Path, host: str, *, user: str = "", port: int | None = None) -> HostConfig:
    """Return what a configuration says of a host, as far as asyncssh takes it; lines passed over are logged once."""
    config = host_config(file, host, user=user, port=port)
    _drop_unusable(config, host, user=user, port=port)
    for line in config.passed_over:
        _report_once(line)
    return config


@functools.lru_cache(maxsize=1024)
def _report_once(line: str) -> None:
    _log.warning("%s, so it is passed over", line)


@contextlib.contextmanager
def held(text: str) -> Iterator[Path]:
    """Give a file in memory that holds a text."""
    descriptor = os.memfd_create("ssh_config")
    try:
        os.write(descriptor, text.encode(errors="surrogateescape"))
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _drop_unusable(config: HostConfig, host: str, *, user: str, port: int | None) -> None:
    """Remove the options whose values asyncssh does not take, such as unknown ciphers."""

    def complaint(text: str) -> str:
        with held(text) as file:
            try:
                options = asyncssh.SSHClientConnectionOptions(
                    host=host, port=port or (), username=user or (), client_keys=None, agent_path=None, config=[file]
                )
            except ValueError as error:
                return re.sub(r"^/proc/self/fd/\d+ line \d+: ", "", str(error))
        return "" if options.encryption_algs and options.mac_algs and options.kex_algs else "none of these is known"

    if not complaint(config.text):
        return
    for option in list(config.options):
        if option.name not in ("RevokedHostKeys", "Tag") and (reason := complaint(f"{option.line}\n")):
            config.options.remove(option)
            config.passed_over.append(f"{option.where}: cannot be followed: {reason}")


class _Reader:
    """Reads a configuration for one host; a second time where `Match final` asks for that."""

    def __init__(self, file: Path, host: str, *, user: str, port: int | None) -> None:
        self.config = HostConfig()
        self._file = file
        self._host = host
        self._user = user
        self._port = port
        self._local_user = getpass.getuser()
        self._final = False
        self._final_wanted = False

    def read(self) -> None:
        """Read the file and those that it includes."""
        self._read(self._file, active=True, depth=0)
        if self._final_wanted:
            self._final = True
            if self.config.value("HostName") is None:
                self.config.options.append(Option("HostName", (self._host.lower(),), str(self._file)))
            self._read(self._file, active=True, depth=0)

    def _read(self, file: Path, *, active: bool, depth: int) -> None:
        """Read a file of which, where it is not active, no block counts."""
        try:
            text = file.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return
        except OSError as error:
            self._pass_over(str(file), f"cannot be read: {error.strerror}")
            return
        within = active
        for number, line in enumerate(text.split("\n"), start=1):
            where = f"{file} line {number}"
            try:
                within = self._line(line.strip(" \t\r\f\v"), active=within, allowed=active, where=where, depth=depth)
            except Unfollowable as error:
                self._pass_over(where, f"cannot be followed: {error}")
                if line.lstrip().lower().startswith(("host ", "host\t", "host=", "match")):
                    within = False  # whom the lines below are meant for is not known

    def _pass_over(self, where: str, reason: str) -> None:
        line = f"{where}: {reason}"
        if line not in self.config.passed_over:
            self.config.passed_over.append(line)

    def _line(self, line: str, *, active: bool, allowed: bool, where: str, depth: int) -> bool:
        """Take a line in, and return whether the next one counts."""
        if not line or line.startswith("#"):
            return active
        matched = _KEYWORD.match(line)
        if matched is None:
            raise Unfollowable("it is no option with a value")
        keyword, rest = (matched[1] or matched[2] or "").lower(), line[matched.end() :]
        if keyword == "host":
            return allowed and self._is_named(words(rest))
        if keyword == "match":
            return self._matches(words(rest)) and allowed
        if keyword == "include":
            self._include(words(rest), active=active, depth=depth)
        elif keyword in _OPTIONS and active:
            self._set(_OPTIONS[keyword], [rest] if keyword in _WHOLE else words(rest), where)
        return active

    def _set(self, name: str, values: Sequence[str], where: str) -> None:
        if not values or not values[0]:
            raise Unfollowable(f"{name} has no value")
        if len(values) > 1 and name not in ("CanonicalDomains", "CanonicalizePermittedCNAMEs"):
            raise Unfollowable(f"{name} has more than one value")
        if name == "Port":
            values = [str(_port(values[0]))]
            if self._port is not None:
                return
        if name == "User" and self._user:
            return
        if name == "IdentityAgent":
            if values[0] == "SSH_AUTH_SOCK":
                values = [os.environ.get("SSH_AUTH_SOCK", "none")]
            elif re.fullmatch(r"\$\w+", values[0]):
                values = [os.environ.get(values[0][1:], "none")]
        if name == "HostName":
            values = [expanded(values[0], {"h": self._host})]
        said = {option.name for option in self.config.options}
        ways = {"ProxyJump", "ProxyCommand"}
        if name in _LISTS:
            option = Option(name, tuple(values), where)
            if all((one.name, one.values) != (option.name, option.values) for one in self.config.options):
                self.config.options.append(option)
        elif name not in said and not (name in ways and ways & said):
            self.config.options.append(Option(name, tuple(values), where))

    def _include(self, patterns: Sequence[str], *, active: bool, depth: int) -> None:
        if not patterns:
            raise Unfollowable("Include names no file")
        if depth >= MOST_INCLUDED:
            raise Unfollowable("too many files include one another")
        for pattern in patterns:
            whole = Path("~/.ssh").expanduser() / Path(pattern).expanduser()
            for file in sorted(glob.glob(str(whole))):  # noqa: PTH207  Path.glob takes no whole path
                self._read(Path(file), active=active, depth=depth + 1)

    def _is_named(self, patterns: Sequence[str]) -> bool:
        """Return whether the patterns of a `Host` line mean the host."""
        if not patterns:
            raise Unfollowable("Host names nobody")
        named = False
        for pattern in patterns:
            if matches_pattern(self._host, pattern.removeprefix("!")):
                if pattern.startswith("!"):
                    return False
                named = True
        return named

    def _matches(self, words: Sequence[str]) -> bool:
        """Return whether all conditions of a `Match` line hold."""
        rest, holds = list(words), True
        if not rest:
            raise Unfollowable("Match has no condition")
        while rest:
            condition, equals, value = rest.pop(0).partition("=")
            negated, condition = condition.startswith("!"), condition.removeprefix("!").lower()
            if condition in ("all", "canonical", "final"):
                if condition == "final":
                    self._final_wanted = True
                met = condition == "all" or (condition == "final" and self._final)
            else:
                if not equals and not rest:
                    raise Unfollowable(f"Match {condition} has no value")
                value = value if equals else rest.pop(0)
                met = self._meets(condition, value, needed=holds)
            holds = holds and met is not negated
        return holds

    def _meets(self, condition: str, value: str, *, needed: bool) -> bool:
        """Return whether a condition holds; a command is only run where it is needed."""
        texts = {
            "host": (self.config.value("HostName") or self._host).lower(),
            "originalhost": self._host.lower(),
            "user": self._remote_user,
            "localuser": self._local_user,
            "tagged": self.config.value("Tag") or "",
        }
        if condition in texts:
            return matches_list(texts[condition], value.lower() if "host" in condition else value)
        if condition == "localnetwork":
            return _is_local(value)
        if condition == "exec":
            return needed and self._succeeds(value)
        raise Unfollowable(f"Match {condition} is not known")

    @property
    def _remote_user(self) -> str:
        return self._user or self.config.value("User") or self._local_user

    def _succeeds(self, command: str) -> bool:
        local = socket.gethostname()
        tokens = {
            "h": self.config.value("HostName") or self._host,
            "n": self._host,
            "p": str(self._port or self.config.value("Port") or 22),
            "r": self._remote_user,
            "u": self._local_user,
            "l": local,
            "L": local.partition(".")[0],
            "d": str(Path.home()),
            "i": str(os.getuid()),
        }
        shell = os.environ.get("SHELL") or "/bin/sh"
        try:
            done = subprocess.run(  # noqa: S603  the user's own command, which `ssh` runs too
                [shell, "-c", expanded(command, tokens)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=EXEC_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unfollowable(f"the command of Match exec fails: {error}") from None
        return done.returncode == 0


def _port(text: str) -> int:
    with contextlib.suppress(OSError):
        return socket.getservbyname(text, "tcp")
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise Unfollowable(f"{text} is not a port")
    return int(text)


def _is_local(networks: str) -> bool:
    """Return whether this machine has an address in one of the networks."""
    try:
        wanted = [ipaddress.ip_network(network, strict=False) for network in networks.split(",")]
    except ValueError as error:
        raise Unfollowable(str(error)) from None
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family in (socket.AF_INET, socket.AF_INET6):
                address = ipaddress.ip_address(one.address.partition("%")[0])
                if any(address.version == network.version and address in network for network in wanted):
                    return True
    return False
