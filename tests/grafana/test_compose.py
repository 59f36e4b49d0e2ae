"""The steps at the top of compose.yaml, typed as they stand, make all that its containers mount, for who reads it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.influxd import InfluxServer

GRAFANA, ITS_GROUP = 472, 0
"""Whom Grafana's container runs as."""

BIN = Path(sys.executable).parent


def typed(command: str, where: Path) -> None:
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(where), "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=where, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"


def readable(file: Path) -> bool:
    """Return whether Grafana's container may read a file."""
    command = ["setpriv", f"--reuid={GRAFANA}", f"--regid={ITS_GROUP}", "--clear-groups", "cat", file.name]
    return subprocess.run(command, cwd=file.parent, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to Grafana's account")
def test_the_steps_make_what_is_mounted_and_grafana_reads_its_own_secrets_alone(tmp_path: Path) -> None:
    tmp_path.parent.parent.chmod(0o711)
    tmp_path.parent.chmod(0o711)
    tmp_path.chmod(0o711)
    typed("cryowatch grafana provision --out .", tmp_path)
    compose = (tmp_path / "compose.yaml").read_text(encoding="utf-8")
    server: InfluxServer | None = None
    try:
        for command in re.findall(r"^#   (.+)$", compose, re.MULTILINE):
            if command == "docker compose up -d influxdb":
                made = tmp_path / "tls"
                server = InfluxServer(
                    tmp_path / "influx", certificate=made / "server-cert.pem", key=made / "server-key.pem",
                    administrator=False,
                )  # fmt: skip
            elif not command.startswith("docker "):
                address = "" if server is None else server.url
                typed(command.removeprefix("sudo ").replace("https://localhost:8086", address), tmp_path)
    finally:
        if server is not None:
            server.stop()
    mounts = dict(re.findall(r"- \./([\w.-]+):([^:]+):ro", compose))
    assert [source for source in mounts if not (tmp_path / source).exists()] == []
    secrets = {file for name in ("grafana-tls", "grafana-secrets") for file in (tmp_path / name).iterdir()}
    names = {"ca-cert.pem", "server-cert.pem", "server-key.pem", "scipion_reader.password", "grafana_admin.password"}
    assert {file.name for file in secrets} == names
    assert {file.name for file in secrets if readable(file)} == names
    assert {file.stat().st_mode & 0o777 for file in secrets} == {0o400}
    assert not any(readable(file) for file in (tmp_path / "passwords").iterdir())
