"""The reference, scipion-em-facilities, on a project, with its own InfluxDB on loopback."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from measuring.agent import until
from measuring.projects import SCIPION, TOOLS, scipion_environment

_INFLUXD = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
"""
_SECRETS = """
[influx]
usernameInflux={root}
passwordInflux={root}
dataBase=scipion
hostinflux=127.0.0.1
port={port}
ssl=False
verify_ssl=False
timeZone=Europe/Madrid
timeDelta=0
apacheImgDir=/public/img/scipionbox
[paramiko]
usernameParamiko={root}
passwordParamiko=None
keyfilepath={key}
keyfiletype=UlNB
remote_path={folder}/
hostparamiko=127.0.0.1
"""


@dataclass(frozen=True, slots=True)
class Remote:
    """An SSH server of this machine, and a folder there that exists."""

    port: int
    key: Path
    folder: Path


def missing() -> str:
    """Return what the reference would need and is not there; empty where all is."""
    needed = {"influxd": shutil.which("influxd"), "the Scipion environment": SCIPION.exists()}
    needed["the script that drives it"] = (TOOLS / "reference_monitor.py").exists()
    return ", ".join(name for name, found in needed.items() if not found)


def first_pass(project: Path, folder: Path, images: Remote | None = None) -> float:
    """Return the seconds of the reference's first pass over a project.

    With images, those of two more: it stops sending after some ten seconds, and goes on in its next pass.
    """
    with influxd(folder / "influx") as port:
        secrets = folder / "secrets"
        secrets.mkdir()
        remote = images or Remote(port=22, key=secrets / "no.key", folder=secrets)
        key, root = (base64.b64encode(text.encode()).decode() for text in (str(remote.key), "root"))
        (secrets / "secrets.cfg").write_text(_SECRETS.format(port=port, key=key, root=root, folder=remote.folder))
        environment = {**scipion_environment(folder / ".scipion"), "EMFACILITIES_HOME": str(secrets)}
        command = [str(SCIPION), str(TOOLS / "reference_monitor.py"), str(project), "--idle", "2" if images else "0"]
        if images:
            command += ["--images", "--ssh-port", str(images.port)]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr.decode(errors="replace")[-2000:])
        passes = json.loads(done.stdout.splitlines()[-1])
        return float(passes["first_total"] + sum(sum(each.values()) for each in passes["idle"]))


@contextmanager
def influxd(folder: Path) -> Iterator[int]:
    """Run an InfluxDB without accounts, with the database `scipion`; gives its port."""
    folder.mkdir()
    port, rpc = _free_port(), _free_port()
    settings = folder / "influxd.conf"
    settings.write_text(_INFLUXD.format(port=port, rpc=rpc, folder=folder))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["influxd", "-config", str(settings)], stdout=log, stderr=log)
    try:
        until(lambda: _answers(port), seconds=30)
        query = {"q": "CREATE DATABASE scipion"}
        httpx2.post(f"http://127.0.0.1:{port}/query", params=query, trust_env=False).raise_for_status()
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    try:
        return bool(httpx2.get(f"http://127.0.0.1:{port}/ping", trust_env=False).status_code == 204)
    except httpx2.HTTPError:
        time.sleep(0.1)
        return False


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
