"""The reference, scipion-em-facilities, on a project, with an InfluxDB of its own on loopback."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


def missing() -> str:
    """Return what the reference would need and is not there; empty where all is."""
    needed = {"influxd": shutil.which("influxd"), "the Scipion environment": SCIPION.exists()}
    needed["the script that drives it"] = (TOOLS / "reference_monitor.py").exists()
    return ", ".join(name for name, found in needed.items() if not found)


def first_pass(project: Path, folder: Path) -> float:
    """Return the seconds of the reference's first pass over a project, without images."""
    with influxd(folder / "influx") as port:
        secrets = folder / "secrets"
        secrets.mkdir()
        key = base64.b64encode(str(secrets / "no.key").encode()).decode()
        root = base64.b64encode(b"root").decode()
        (secrets / "secrets.cfg").write_text(_SECRETS.format(port=port, key=key, root=root, folder=secrets))
        environment = {**scipion_environment(folder / ".scipion"), "EMFACILITIES_HOME": str(secrets)}
        command = [str(SCIPION), str(TOOLS / "reference_monitor.py"), str(project), "--idle", "0"]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr.decode(errors="replace")[-2000:])
        return float(json.loads(done.stdout.splitlines()[-1])["first_total"])


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
