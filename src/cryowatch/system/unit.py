"""cryowatch as a service of systemd: the unit's text, and writing it where no other file is in the way.

The unit gives the agent nothing but what it needs: it reads projects, writes its own folders, and talks to networks.
It leaves CPU, disks and memory to the processing: low weights, and the first to go where memory ends.  Devices are not
hidden, since NVIDIA's driver is read through them; `ProtectClock` would hide them too.

A user's manager may not build the file system views that `ProtectSystem` and the like need, so a user's unit has only
the limits that work without.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryowatch.errors import ConfigError, remedy_of
from cryowatch.settings.config import Settings
from cryowatch.settings.installed import MARK, SYSTEM_FOLDER

CREDENTIALS = 247
"""The first version of systemd that hands over passwords."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}")


class Manager(StrEnum):
    """Whose systemd runs the service."""

    SYSTEM = "system"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """An agent that systemd is to run."""

    paths: Sequence[Path]
    manager: Manager
    account: str = ""
    """Whose account it runs under; empty in a user's manager."""
    instance: str = ""
    """Tells several agents on one machine apart."""
    config: Path | None = None
    secrets: Path | None = None
    data_dir: Path | None = None
    listen: str = ""

    @property
    def name(self) -> str:
        """The unit's name."""
        return f"cryowatch-{self.instance}" if self.instance else "cryowatch"

    @property
    def unit_file(self) -> Path:
        """Where the manager looks for the unit."""
        if self.manager is Manager.SYSTEM:
            return SYSTEM_FOLDER / f"{self.name}.service"
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return home / "systemd" / "user" / f"{self.name}.service"


def checked(service: Service) -> Service:
    """Return the service with whole paths; raises `ConfigError` for what cannot work."""
    if service.instance and not _NAME.fullmatch(service.instance):
        raise ConfigError(
            "is no name for a service", where=service.instance, remedy="Letters, digits, - and _, at most 41"
        )
    if service.manager is Manager.SYSTEM and not service.account:
        raise ConfigError(
            "whose account is the service to run under?",
            remedy="Name one that may read the projects: --run-as USER",
        )
    paths = tuple(_whole(path) for path in service.paths)
    for path in paths:
        if not path.exists():
            raise ConfigError("is not there. Was it moved, deleted or not mounted?", where=path)
    if service.account and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?", service.account):
        raise ConfigError("is no name of an account", where=service.account)
    return Service(
        paths=paths,
        manager=service.manager,
        account=service.account,
        instance=service.instance,
        config=_whole(service.config) if service.config else None,
        secrets=_whole(service.secrets) if service.secrets else None,
        data_dir=_whole(service.data_dir) if service.data_dir else None,
        listen=service.listen,
    )


def refuse_stranger(service: Service) -> None:
    """Raise `ConfigError` where the machine has no such account, under which systemd could start nothing."""
    try:
        if service.account:
            pwd.getpwnam(service.account)
    except KeyError:
        what, remedy = "there is no such account on this machine", "Check --run-as"
        raise ConfigError(what, where=service.account, remedy=remedy) from None


def _whole(path: Path) -> Path:
    whole = path.expanduser().absolute()
    if not str(whole).isprintable():
        raise ConfigError("has a control character in its name, which a unit cannot hold", where=whole)
    return whole


def data_dir(service: Service, settings: Settings) -> Path:
    """Return the agent's data directory: the one that is told, else one of its own."""
    if service.data_dir is not None:
        return service.data_dir
    if "data_dir" in settings.model_fields_set and not service.instance:
        return settings.data_dir.absolute()
    if service.manager is Manager.SYSTEM:
        return Path("/var/lib") / service.name
    return settings.data_dir.absolute().with_name(service.name)


def systemd_version() -> int:
    """Return the version of this machine's systemd, the newest that matters where that cannot be told."""
    try:
        done = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S607
    except (OSError, subprocess.TimeoutExpired):
        return CREDENTIALS
    found = re.match(r"systemd (\d{1,4})", done.stdout)
    return int(found[1]) if found else CREDENTIALS


def unit(service: Service, settings: Settings, *, renderers: int, version: int = CREDENTIALS) -> str:
    """Return the unit's text for a version of systemd: 1 GB for the agent, and 1 for each process that may render."""
    system = service.manager is Manager.SYSTEM
    folder = data_dir(service, settings)
    command = [*_program(), "watch", "--data-dir", str(folder)]
    if service.config:
        command += ["--config", str(service.config)]
    if service.secrets:
        command += ["--secrets", str(service.secrets)]
    if service.listen:
        command += ["--listen", service.listen]
    command += ["--", *(str(path) for path in service.paths)]
    lines = [
        f"{MARK}, which replaces it when it is run again; own changes: {_systemctl(service)} edit {service.name}",
        "",
        "[Unit]",
        f"Description=cryowatch{f' {service.instance}' if service.instance else ''}: watches cryo-EM sessions",
        "StartLimitIntervalSec=0",
    ]
    if system:
        lines += ["Wants=network-online.target", "After=network-online.target remote-fs.target"]
    lines += [
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={' '.join(_quoted(part, variables=True) for part in command)}",
        "WatchdogSec=120",
        "TimeoutStartSec=300",
        "TimeoutStopSec=30",
        "KillMode=mixed",
        "Restart=on-failure",
        "RestartSec=30",
        "",
        "# processing comes first",
        "Nice=10",
        "CPUWeight=20",
        "IOWeight=20",
        "IOSchedulingPriority=7",
        "OOMScoreAdjust=500",
        f"MemoryMax={1 + renderers}G",
        "",
        *(_confined(service, settings, folder, version) if system else _limits()),
        "",
        "[Install]",
        f"WantedBy={'multi-user' if system else 'default'}.target",
        "",
    ]
    return "\n".join(lines)


def _systemctl(service: Service) -> str:
    return "systemctl" if service.manager is Manager.SYSTEM else "systemctl --user"


def _program() -> list[str]:
    """Return how this cryowatch is started: by its command beside the interpreter, else as a module."""
    command = Path(sys.executable).with_name("cryowatch")
    return [str(command)] if command.exists() else [sys.executable, "-m", "cryowatch"]


def _quoted(text: str, *, variables: bool = False) -> str:
    """Return a text as a unit takes it for one word: systemd.syntax(7) and systemd.service(5)."""
    safe = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if variables:
        safe = safe.replace("$", "$$")
    return safe if re.fullmatch(r"[\w@/.,:+=$%-]+", safe) else f'"{safe}"'


def _limits() -> list[str]:
    """Return the limits that hold without a file system view of its own."""
    return [
        "# no more than it needs",
        "NoNewPrivileges=yes",
        "LockPersonality=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "RestrictNamespaces=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
    ]


def _confined(service: Service, settings: Settings, folder: Path, version: int) -> Iterator[str]:
    """Yield whom it runs as, what it may see and write, and the secrets that it is handed."""
    yield f"User={service.account}"
    yield from _limits()
    yield "CapabilityBoundingSet="
    yield "UMask=0027"
    yield "ProtectSystem=strict"
    yield "ProtectHome=read-only"
    if not any(path.is_relative_to(t) for path in service.paths for t in ("/tmp", "/var/tmp")):  # noqa: S108
        yield "PrivateTmp=yes"
    for key in ("ControlGroups", "Hostname", "KernelLogs", "KernelModules", "KernelTunables"):
        yield f"Protect{key}=yes"
    written = list(_written(settings))
    if folder == Path("/var/lib") / service.name:
        yield f"StateDirectory={service.name}"
        yield "StateDirectoryMode=0750"
    else:
        written.insert(0, folder)
    # All else is read-only already.  To say it of a project again mounts it again, which root may not on a private NFS.
    below = [path for path in service.paths if any(path.is_relative_to(one) for one in written)]
    yield from (f"ReadOnlyPaths={_quoted(f'-{path}')}" for path in below)
    yield from (f"ReadWritePaths={_quoted(f'-{path}')}" for path in written)
    if version >= CREDENTIALS:
        yield from _credentials(settings)


def _written(settings: Settings) -> Iterator[Path]:
    """Yield the folders that the agent writes to, besides its data directory."""
    if settings.report.minutes and settings.report.folder:
        yield settings.report.folder.absolute()
    if settings.images.publish.startswith("file:"):
        yield Path(unquote(urlsplit(settings.images.publish).path))
    if settings.log.file:
        yield settings.log.file.absolute().parent


def _credentials(settings: Settings) -> Iterator[str]:
    """Yield how passwords in files reach the service, whoever may read the files: systemd hands them over.

    Their folder has a name of its own, `%d`, from systemd 251 on; it lies at the same place in all versions.
    """
    for key, file in _password_files(settings):
        name = key.removesuffix("_file")
        variable = f"CRYOWATCH_{key.replace('.', '__').upper()}"
        yield f"LoadCredential={_quoted(f'{name}:{file.absolute()}')}"
        yield f"Environment={variable}=/run/credentials/%n/{name}"


def _password_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    files = {
        "influx.password_file": settings.influx.password_file,
        "influx.token_file": settings.influx.token_file,
        "images.password_file": settings.images.password_file,
        "mail.password_file": settings.mail.password_file,
    }
    yield from ((key, file) for key, file in files.items() if file is not None)


def warnings(service: Service, settings: Settings, *, version: int) -> list[str]:
    """Return what this version of systemd cannot do for a service, and what to do instead."""
    if service.manager is Manager.USER or version >= CREDENTIALS:
        return []
    return [
        f"systemd {version} hands over no passwords, so {service.account} has to read {file} itself:"
        f" sudo chown {shlex.quote(service.account)} {shlex.quote(str(file.absolute()))}"
        for _, file in _password_files(settings)
    ]


def write(service: Service, text: str) -> str:
    """Put the unit where the manager looks for it; returns made, changed or same; raises `ConfigError`.

    A file that this command did not write stays as it is.
    """
    file = service.unit_file
    try:
        there = file.read_text(encoding="utf-8", errors="replace") if file.exists() else None
        if there is not None and not there.startswith(MARK):
            raise ConfigError(
                "is there already, and not written by this command",
                where=file,
                remedy="Nothing was changed. Move it away, or give the service another name: --name",
            )
        if there == text:
            return "same"
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, prefix=".", delete=False) as fresh:
            fresh.write(text)
        Path(fresh.name).chmod(0o644)
        Path(fresh.name).replace(file)
    except OSError as error:
        remedy = "As root: sudo, with the same words" if service.manager is Manager.SYSTEM else remedy_of(error)
        raise ConfigError(f"cannot be written: {error.strerror}", where=file, remedy=remedy) from None
    return "made" if there is None else "changed"


def make_data_dir(service: Service, folder: Path) -> bool:
    """Make the data directory of a system service for its account, where it is not there; raises `ConfigError`.

    So accounts can be made before the service starts, whoever makes them.
    """
    if service.manager is not Manager.SYSTEM or folder.exists():
        return False
    account = pwd.getpwnam(service.account)
    try:
        folder.mkdir(parents=True, mode=0o750)
        folder.chmod(0o750)
        os.chown(folder, account.pw_uid, account.pw_gid)
    except OSError as error:
        raise ConfigError(f"cannot be made: {error.strerror}", where=folder, remedy=remedy_of(error)) from None
    return True


def next_steps(service: Service, *, changed: bool = False) -> list[str]:
    """Return the commands that start the service, anew where its unit was changed, and show how it is."""
    unit_name = shlex.quote(service.name)
    if service.manager is Manager.SYSTEM:
        return [
            "sudo systemctl daemon-reload",
            f"sudo systemctl enable --now {unit_name}",
            *([f"sudo systemctl restart {unit_name}"] if changed else []),
            f"systemctl status {unit_name}",
            f"journalctl -u {unit_name} -f",
        ]
    return [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {unit_name}",
        *([f"systemctl --user restart {unit_name}"] if changed else []),
        "loginctl enable-linger          # it goes on when you log out",
        f"systemctl --user status {unit_name}",
        f"journalctl --user -u {unit_name} -f",
    ]
