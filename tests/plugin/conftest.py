"""Scipion at its window, with a real mail server beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugin.window import Window, here
from tests.scipion.framework import PYTHON
from tests.support.influxd import ADMIN, InfluxServer
from tests.support.smtp import MailServer

OWN = {**dict.fromkeys(("EMFACILITIES_HOME", "CRYOWATCH_CONFIG", "CRYOWATCH_DATA_DIR")), **here()}


@pytest.fixture(scope="session")
def scipion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """Scipion, started once: that takes longer than most of what is asked of it."""
    if not PYTHON.exists():
        pytest.skip("there is no Scipion; make test-scipion installs it")
    window = Window(tmp_path_factory.mktemp("scipion"))
    yield window
    window.close()


@pytest.fixture
def window(scipion: Window) -> Iterator[Window]:
    """Scipion; what its monitors have started ends with the test."""
    yield scipion
    scipion.environment(**OWN)
    scipion.end_runs()


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.stop()


@pytest.fixture
def secrets(tmp_path: Path, influx: InfluxServer) -> Path:
    """Return the folder of a secrets.cfg with the accounts for InfluxDB, and no place for images."""
    user, password = (base64.b64encode(word.encode()).decode() for word in ADMIN)
    (tmp_path / "secrets.cfg").write_text(
        f"[influx]\nusernameInflux={user}\npasswordInflux={password}\ndataBase=scipion\nhostinflux=localhost\n"
        f"port={influx.port}\nssl=False\nverify_ssl=False\ntimeZone=Europe/Madrid\ntimeDelta=0\n"
    )
    return tmp_path
