"""`cryowatch doctor` says of everything that is configured whether it works, and how to mend it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cryowatch.store import Store
from cryowatch.store.writer import FILE_NAME
from cryowatch.system.certificates import create
from tests.support.influxd import ADMIN, InfluxServer


@pytest.fixture(scope="module", autouse=True)
def reader(influx: InfluxServer) -> None:
    """Make an account that may read alone."""
    influx.query("CREATE USER reader WITH PASSWORD 'r'; GRANT READ ON scipion TO reader")


def doctor(folder: Path, config: str = "") -> tuple[int, dict[str, str]]:
    """Return the exit code, and the line of each thing that was looked at."""
    file = folder / "cryowatch.toml"
    file.write_text(f'data_dir = "{folder}/data"\n{config}')
    done = subprocess.run(
        [sys.executable, "-m", "cryowatch", "doctor", "--config", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )  # fmt: skip
    assert done.stderr == "", done.stderr
    return done.returncode, {line[6:28].strip(): line for line in done.stdout.splitlines()}


def section(influx: InfluxServer, user: str = ADMIN[0], password: str = ADMIN[1], database: str = "scipion") -> str:
    return f'[influx]\nurl = "{influx.url}"\nusername = "{user}"\npassword = "{password}"\ndatabase = "{database}"\n'


def test_with_nothing_configured_all_is_well(tmp_path: Path) -> None:
    code, said = doctor(tmp_path, "[web]\nlisten = '127.0.0.1:0'\n")
    assert code == 0
    assert said["data directory"].startswith("ok")
    assert "GB free" in said["data directory"]
    assert said["store"].startswith("-")
    assert not (tmp_path / "data").exists(), "nothing is left behind"
    assert said["pages"].startswith("ok")
    for what in ("InfluxDB", "images", "notices"):
        assert said[what].startswith("-"), said[what]


def test_an_influxdb_that_takes_points_is_well_and_stays_as_it_was(tmp_path: Path, influx: InfluxServer) -> None:
    code, said = doctor(tmp_path, section(influx))
    assert code == 0
    assert said["InfluxDB"].startswith("ok")
    assert said["clock, InfluxDB"].startswith("ok")
    assert said["configuration"].startswith("look"), "the file holds a password, and others may read it"
    assert ADMIN[1] not in "".join(said.values())
    assert influx.rows("SHOW MEASUREMENTS ON scipion") == []


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"password": "wrong secret"}, "Check influx.username and the password"),
        ({"database": "nope"}, "`cryowatch influx init` makes it"),
        ({"user": "reader", "password": "r"}, "This user may not write there; grant it"),
    ],
)
def test_an_influxdb_that_takes_none_says_how_to_mend_it(
    tmp_path: Path, influx: InfluxServer, values: dict[str, str], text: str
) -> None:
    code, said = doctor(tmp_path, section(influx, **values))
    assert code == 1
    assert said["InfluxDB"].startswith("bad")
    assert text in said["InfluxDB"]
    assert "wrong secret" not in "".join(said.values())


def test_a_certificate_is_looked_at(tmp_path: Path) -> None:
    made = create(tmp_path / "tls", names=["localhost"], days=20)
    server = InfluxServer(tmp_path / "influx", certificate=made.certificate, key=made.key)
    server.query("CREATE DATABASE scipion")
    try:
        told = section(server).replace("127.0.0.1", "localhost")
        code, said = doctor(tmp_path, f'{told}ca_file = "{made.ca_certificate}"\n')
        assert code == 0, said
        assert said["TLS"].startswith("look")
        assert "valid for 19 days more. Make a new one in time" in said["TLS"]
        code, said = doctor(tmp_path, told)
        assert code == 1
        assert "certificate cannot be verified" in said["InfluxDB"]
    finally:
        server.stop()


def test_the_place_of_the_images_is_tried_and_left_clean(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    code, said = doctor(tmp_path, f'[images]\npublish = "file://{tmp_path}/public"\n')
    assert code == 0
    assert said["images"].startswith("ok")
    assert list((tmp_path / "public").iterdir()) == []
    code, said = doctor(tmp_path, f'[images]\npublish = "file://{tmp_path}/away"\n')
    assert (code, said["images"][:4]) == (0, "look")
    assert "Is a disk not mounted?" in said["images"]
    assert not (tmp_path / "away").exists()
    code, said = doctor(tmp_path, '[images]\npublish = "sftp://user@127.0.0.1:9/x"\n')
    assert code == 1
    assert "cannot be reached" in said["images"]


def test_a_store_is_looked_into(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    code, said = doctor(tmp_path)
    assert code == 0
    assert "an agent works with it" in said["store"]
    store.close()
    assert "agent" not in doctor(tmp_path)[1]["store"]
    file = tmp_path / "data" / FILE_NAME
    file.write_bytes(file.read_bytes()[:5000] + b"\xff" * 60_000)
    code, said = doctor(tmp_path)
    assert code == 1
    assert "Move it aside; everything is read anew" in said["store"]


def test_an_address_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, said = doctor(tmp_path, f"[web]\nlisten = '127.0.0.1:{taken.getsockname()[1]}'\n")
    assert (code, said["pages"][:4]) == (0, "look")


@pytest.mark.parametrize(
    ("config", "what", "text"),
    [
        ("[alerts.rules.defocus]\nlow = 9\n", "alerts", "low must be below high"),
        ("[dashboards.ctf]\ndrop = ['nope']\n", "dashboards", "nope"),
        ("[facility]\nlogo = '/nowhere.svg'\n", "logo", "facility.logo"),
        ("[mail]\nhost = 'mail.example.org'\n", "notices, mail", "mail.sender: is missing"),
    ],
)
def test_what_would_stop_the_agent_is_found(tmp_path: Path, config: str, what: str, text: str) -> None:
    code, said = doctor(tmp_path, config)
    assert code == 1
    assert said[what].startswith("bad")
    assert text in said[what]
