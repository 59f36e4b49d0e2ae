"""As much of systemctl as a page needs where no systemd is at work: units are checked by systemd-analyze and started.

A service runs under the account of its unit, with its environment, its state directory and its credentials.  The
confinement of file systems is left out.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

FOLDERS = (Path("/etc/systemd/system"), Path("/lib/systemd/system"))
RUNNING = Path("/run/services")
SECONDS = 120

Unit = Mapping[str, list[str]]


def unit_of(name: str) -> Unit:
    """Return the settings of a service's unit, each with its values."""
    file = next(folder / f"{name}.service" for folder in FOLDERS if (folder / f"{name}.service").exists())
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", file.read_text(), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def verify() -> int:
    """Have systemd look at the units that were written."""
    files = [str(file) for file in FOLDERS[0].glob("*.service")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *files],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if any(Path(file).name in line for file in files)]
    print("\n".join(complaints), file=sys.stderr)
    return 1 if complaints else 0


def start(name: str) -> None:
    """Start a service, and wait until it says that it is ready where it is one that says so."""
    unit = unit_of(name)
    account = pwd.getpwnam(unit["User"][0])
    environment = {"PATH": "/usr/bin:/bin", "HOME": account.pw_dir, "USER": account.pw_name, "LANG": "C.UTF-8"}
    for file in unit.get("EnvironmentFile", []):
        environment |= _assigned(Path(file.removeprefix("-")))
    for value in unit.get("Environment", []):
        key, _, text = value.partition("=")
        environment[key] = text.replace("%n", f"{name}.service")
    for folder in unit.get("StateDirectory", []):
        _given(Path("/var/lib") / folder, account)
    _hand_over(unit, Path("/run/credentials") / f"{name}.service", account)
    command = [os.path.expandvars(word) for word in shlex.split(unit["ExecStart"][0].replace("$INFLUXD_OPTS", ""))]
    command = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups", "--", *command]
    log = (RUNNING / f"{name}.log").open("ab")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        (RUNNING / name).mkdir(exist_ok=True, mode=0o755)
        address = RUNNING / name / "notify"
        address.unlink(missing_ok=True)
        manager.bind(str(address))
        address.chmod(0o777)
        manager.settimeout(SECONDS)
        if "notify" in unit.get("Type", []):
            environment["NOTIFY_SOCKET"] = str(address)
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
            umask=0o022,
        )  # fmt: skip
        (RUNNING / f"{name}.pid").write_text(str(process.pid))
        while "NOTIFY_SOCKET" in environment and "READY=1" not in manager.recv(4096).decode():
            pass


def _assigned(file: Path) -> dict[str, str]:
    lines = file.read_text().splitlines() if file.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def _given(folder: Path, account: pwd.struct_passwd) -> None:
    """Make a state directory, or give one that belongs to somebody else to the account, as systemd does."""
    folder.mkdir(exist_ok=True, mode=0o750)
    if folder.stat().st_uid != account.pw_uid:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, account.pw_uid, account.pw_gid)


def _hand_over(unit: Unit, folder: Path, account: pwd.struct_passwd) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for value in unit.get("LoadCredential", []):
        credential, _, source = value.partition(":")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / credential)
        (folder / credential).chmod(0o400)
        shutil.chown(folder / credential, account.pw_uid)


def stop(name: str) -> None:
    """End a service where it runs."""
    file = RUNNING / f"{name}.pid"
    if not file.exists():
        return
    process = int(file.read_text())
    os.kill(process, signal.SIGTERM)
    end = time.monotonic() + SECONDS
    while Path(f"/proc/{process}/exe").exists() and time.monotonic() < end:
        time.sleep(0.05)
    file.unlink()


def main(words: list[str]) -> int:
    """Do as systemctl would."""
    RUNNING.mkdir(exist_ok=True)
    match words:
        case ["daemon-reload"]:
            return verify()
        case ["enable", name]:
            unit_of(name)
        case ["enable", "--now", name] | ["restart", name]:
            stop(name)
            start(name)
        case _:
            print(f"what is systemctl {' '.join(words)}?", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
