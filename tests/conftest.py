"""What tests of several packages share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.setup.machine import CannotTry, Outcome, follow
from tests.support.browsing import CHROMIUM, FLAGS
from tests.support.influxd import InfluxServer

expect.set_options(timeout=20_000)  # a machine that runs the tests may be slow, and is busy with others of them


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless chromium."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no {CHROMIUM}")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """A real InfluxDB with accounts and the empty database `scipion`."""
    server = InfluxServer(tmp_path_factory.mktemp("influx"))
    server.query("CREATE DATABASE scipion")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What came of following the page docs/setup.md on a machine of its own."""
    for program in ("influxd", "sshd"):
        if not any((Path(folder) / program).exists() for folder in ("/usr/bin", "/usr/sbin")):
            pytest.skip(f"there is no {program}")
    try:
        return follow("docs/setup.md", tmp_path_factory.mktemp("machine"))
    except CannotTry as error:
        pytest.skip(str(error))
