"""`watch` delivers to InfluxDB as somebody would run it: by cryowatch.toml, by secrets.cfg, with the server away."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.influxd import ADMIN, InfluxServer
from tests.support.ports import free_port
from tests.support.projects import CTFS, append, genuine


def run(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cryowatch", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
    )


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secrets(folder: Path, server: InfluxServer) -> Path:
    """Write a secrets.cfg as the document prints it."""
    file = folder / "secrets.cfg"
    file.write_text(
        f"""# influx: information needed to access to the "host"
[influx]
usernameInflux={encoded(ADMIN[0])}
passwordInflux={encoded(ADMIN[1])}
dataBase=scipion
hostinflux=localhost
port={server.port}
ssl=False
verify_ssl=False
timeZone =Europe/Madrid
timeDelta=0
usernameParamiko={encoded("scipionbox")}
passwordParamiko=None
keyfilepath={encoded("/home/user/.ssh/id_rsa")}
keyfiletype={encoded("RSA")}
remote_path=/home/scipionbox/public_html/
hostparamiko=paramikohost.example.org
"""
    )
    return file


def config(folder: Path, server: InfluxServer, **more: str) -> Path:
    (folder / "password").write_text(ADMIN[1] + "\n")
    file = folder / "cryowatch.toml"
    lines = [f'{key} = "{value}"' for key, value in more.items()]
    file.write_text(
        f'[influx]\nurl = "{server.url}"\nusername = "{ADMIN[0]}"\npassword_file = "{folder}/password"\n'
        + "\n".join(lines)
    )
    return file


def test_once_delivers_everything_and_ends_with_0(tmp_path: Path, database: InfluxServer) -> None:
    project = genuine(tmp_path)
    told = config(tmp_path, database)
    for _ in range(2):
        done = run(tmp_path, "watch", project, "--once", "--data-dir", tmp_path / "data", "--config", told)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    [row] = database.rows("SELECT count(ctfID) FROM micrograph")
    assert row["count"] == 8


def test_secrets_cfg_alone_feeds_the_published_dashboards(tmp_path: Path, database: InfluxServer) -> None:
    project = genuine(tmp_path)
    file = secrets(tmp_path, database)
    done = run(tmp_path, "watch", project, "--once", "--data-dir", tmp_path / "data", "--secrets", file)
    assert done.returncode == 1, "the images' host is not there"
    [line] = [line for line in done.stderr.splitlines() if "micrographs are not delivered" in line]
    assert "/home/user/.ssh/id_rsa: the private key cannot be read" in line
    assert len(database.rows("SELECT ctfID FROM small WHERE section = 'ctf'")) == 8
    found = run(tmp_path, "watch", project, "--once", "--data-dir", tmp_path / "data2", EMFACILITIES_HOME=str(tmp_path))
    assert found.returncode == 1
    assert len(database.rows("SELECT ctfID FROM small WHERE section = 'ctf'")) == 8


def test_once_ends_with_1_and_what_is_left_while_the_server_is_away(tmp_path: Path, database: InfluxServer) -> None:
    project = genuine(tmp_path)
    told = config(tmp_path, database)
    told.write_text(told.read_text().replace(str(database.port), str(free_port())))
    done = run(tmp_path, "watch", project, "--once", "--data-dir", tmp_path / "data", "--config", told)
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if "changes are not delivered" in line]
    assert "cannot be reached" in line
    told.write_text(told.read_text().replace(str(told.read_text().split(":")[-1].split('"')[0]), str(database.port)))
    again = run(tmp_path, "watch", project, "--once", "--data-dir", tmp_path / "data", "--config", told)
    assert again.returncode == 0, again.stderr
    assert database.rows("SELECT count(ctfID) FROM micrograph")[0]["count"] == 8


def test_a_wrong_password_is_one_line_that_does_not_show_it(tmp_path: Path, database: InfluxServer) -> None:
    project = genuine(tmp_path)
    told = config(tmp_path, database)
    (tmp_path / "password").write_text("not this one")
    done = run(tmp_path, "watch", project, "--once", "--data-dir", tmp_path / "data", "--config", told)
    assert done.returncode == 1
    assert "Check influx.username and the password or token" in done.stderr
    assert "not this one" not in done.stderr
    status = run(tmp_path, "status", "--data-dir", tmp_path / "data")
    assert status.returncode == 1
    assert "Check influx.username" in status.stdout


def test_new_micrographs_reach_the_server_while_watch_runs(tmp_path: Path, database: InfluxServer) -> None:
    project = genuine(tmp_path)
    told = config(tmp_path, database)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "cryowatch",
        "watch",
        project,
        "--no-web",
        "--data-dir",
        tmp_path / "data",
    ]
    process = subprocess.Popen([*command, "--config", told], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(database, 8)
        append(project / CTFS, 9)
        wait_for(database, 9)
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "HTTP Request" not in said, "one line for each batch would fill the journal"


def wait_for(server: InfluxServer, count: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        rows = server.rows("SELECT count(ctfID) FROM micrograph")
        if rows and rows[0]["count"] == count:
            return
        time.sleep(0.05)
    raise AssertionError(f"{count} micrographs did not reach the server")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "influx.example.org"}, "write it like https://influx.example.org:8086"),
        ({"url": "http://user:hidden@influx.example.org"}, "an account does not belong into the address"),
        ({"layout": "scipoin"}, "cryowatch"),
        ({"password_file": "missing/password"}, "missing/password: cannot be read"),
        ({"ca_file": "missing/ca.pem"}, "missing/ca.pem"),
        ({"retention": "three weeks"}, "retention"),
    ],
)
def test_settings_that_cannot_be_are_one_line(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    project = genuine(tmp_path)
    lines = {"url": "http://localhost:1", "username": "u", **settings}
    (tmp_path / "c.toml").write_text("[influx]\n" + "\n".join(f'{key} = "{value}"' for key, value in lines.items()))
    done = run(tmp_path, "watch", project, "--once", "--data-dir", tmp_path / "data", "--config", tmp_path / "c.toml")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert "hidden" not in done.stderr
