"""What tests of several packages share."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.setup.machine import CannotTry, Outcome, follow
from tests.support.browsing import CHROMIUM, FLAGS
from tests.support.influxd import InfluxServer

MEMORY = Path("/dev/shm")
ROOM = 12 * 10**9
"""As many bytes must be free in memory: the files of a whole run stay until the next."""

LIMIT = pytest.StashKey[Any]()
"""The time limit of a test, as pytest-timeout has it."""

expect.set_options(timeout=30_000)  # a machine that runs the tests may be slow, and is busy with others of them


def pytest_configure() -> None:
    """Keep the files of tests in memory: on a disk that several tests share, most of their time is waiting for it."""
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ and roomy(MEMORY):
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)


def roomy(folder: Path) -> bool:
    """Return whether a folder in memory has room for the files of a run, and runs programs that lie there."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    free = min(found.f_bavail * found.f_frsize, psutil.virtual_memory().available)
    return free > ROOM and not found.f_flag & os.ST_NOEXEC and os.access(folder, os.W_OK)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files of few tests first: those take long, and one that began last would have the other workers wait."""
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: tests[item.path])


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> None:
    """Note the limit of a test."""
    item.stash[LIMIT] = settings


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give a second try the whole time: pytest-timeout counts both as one, and once only."""
    if getattr(item, "execution_count", 1) > 1 and LIMIT in item.stash:
        hooks = item.config.hook
        hooks.pytest_timeout_cancel_timer(item=item)
        hooks.pytest_timeout_set_timer(item=item, settings=item.stash[LIMIT])


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
