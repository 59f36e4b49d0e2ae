"""A database that Scipion's own summary monitor has written takes everything of ours: each field is of its type."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from cryowatch.influx.client import Access, Influx
from cryowatch.influx.delivery import Delivery
from cryowatch.influx.layout_scipion import ScipionLayout
from cryowatch.records import DeviceSample, HostSample
from tests.scipion.framework import PYTHON, environment
from tests.support.influxd import ADMIN, InfluxServer
from tests.support.projects import Watched, genuine
from tests.support.records import START

pytestmark = [pytest.mark.scipion, pytest.mark.timeout(180)]

LINE = "movie_00000{}_residual: 0.016680 0.976350 1.028174 17.423561\n"
SECRETS = """[influx]
usernameInflux={user}
passwordInflux={password}
dataBase=scipion
hostinflux=localhost
port={port}
ssl=False
verify_ssl=False
timeZone=Europe/Madrid
timeDelta=0
apacheImgDir=/public/img/scipionbox
[paramiko]
usernameParamiko={user}
passwordParamiko=None
keyfilepath={user}
keyfiletype=UlNB
remote_path=/nowhere/
hostparamiko=localhost
"""


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def monitored(folder: Path, server: InfluxServer) -> Path:
    """Let Scipion's monitor write a genuine project with two gain residuals into the database; returns the project."""
    project = genuine(folder)
    lines = folder / "summaryForMonitor.txt"
    lines.write_text(LINE.format(1) + LINE.format(2))
    secrets = folder / "secrets"
    secrets.mkdir()
    user, password = map(encoded, ADMIN)
    (secrets / "secrets.cfg").write_text(SECRETS.format(user=user, password=password, port=server.port))
    command = [PYTHON, Path(__file__).parent / "monitor.py", project, lines]
    home = {**environment(), "EMFACILITIES_HOME": str(secrets)}
    done = subprocess.run(command, env=home, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return project


def types(server: InfluxServer) -> dict[str, set[str]]:
    """Return the types of each field that the database has."""
    found: dict[str, set[str]] = {}
    for row in server.rows("SHOW FIELD KEYS FROM small"):
        found.setdefault(row["fieldKey"], set()).add(row["fieldType"])
    return found


def gains(watched: Watched, count: int) -> None:
    """Keep some gain residuals and a sample of the host."""
    with watched.store._transaction() as tx:
        (seq,) = tx.execute("SELECT seq FROM counter").fetchone()
        for n in range(1, count + 1):
            tx.execute(
                "INSERT INTO gain (session_id, run, item, movie, time, stddev, ratio1, ratio2, seq)"
                " VALUES (1, '2', ?, 'm', ?, 0.02, 1.05, 17.0, ?)",
                (n, START, seq + n),
            )
        tx.execute("UPDATE counter SET seq = ?", (seq + count,))
    devices = (DeviceSample(kind="network", device="eth0", sent=2e6, received=5e5),)
    watched.store.add_host_sample(
        HostSample(host="gpu1", time=watched.clock(), cpu=12.0, memory=40.0, swap=1.0, devices=devices)
    )


def test_after_a_change_over_no_line_is_refused_for_its_type(tmp_path: Path, influx: InfluxServer) -> None:
    influx.query("DROP DATABASE scipion; CREATE DATABASE scipion")
    watched = Watched(monitored(tmp_path, influx), tmp_path / "data")
    theirs = types(influx)
    assert theirs["idx"] == theirs["ctfID"] == {"integer"}
    assert {"valueStr", "valueNum", "size", "protocolName", "defocusU", "cpu", "ratio1"} <= theirs.keys()
    watched.look()
    gains(watched, 3)
    sink = Influx(Access(url=influx.url, database="scipion", username=ADMIN[0], password=ADMIN[1]))
    delivery = Delivery(watched.store, sink, ScipionLayout())
    assert delivery.finish()
    sink.close()
    watched.close()
    assert delivery.state.rejected == 0
    both = types(influx)
    assert {field: both[field] for field in theirs} == theirs
    assert {field for field, found in both.items() if len(found) > 1} == set()
    assert [row["idx"] for row in influx.rows("SELECT idx FROM small WHERE section = 'gain'")][:3] == [1, 2, 3]
