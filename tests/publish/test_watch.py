"""`watch` publishes to a real sshd as somebody would run it: as the session grows, and killed at random moments."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from cryowatch.store.writer import FILE_NAME
from tests.publish.images import draw
from tests.support.projects import CTFS, append, genuine
from tests.support.sshd import Sshd


class Site:
    """A genuine project with images, a configuration that publishes by SFTP, and the agent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sshd = Sshd(folder / "sshd")
        self.project = genuine(folder)
        draw(self.project)
        self.config = folder / "cryowatch.toml"
        self.config.write_text(
            f'[images]\npublish = "{self.sshd.url}"\nkey_file = "{self.sshd.key}"\n'
            f'known_hosts = "{self.sshd.known_hosts}"\n'
        )

    def watch(self, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "cryowatch", "watch", str(self.project), "--config", str(self.config)]
        return subprocess.Popen(
            [*command, "--data-dir", str(self.folder / "data"), *options],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def files(self) -> list[Path]:
        return sorted(path for path in self.sshd.root.rglob("*") if path.is_file())

    def until(self, count: int, seconds: float = 25) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if len([file for file in self.files() if file.suffix != ".part"]) >= count:
                return
            time.sleep(0.05)
        raise AssertionError(f"{len(self.files())} files of {count}: {self.files()}")

    def recorded(self) -> list[str]:
        """Return the names that the store says are published; none of a store whose tables are not made yet."""
        with closing(sqlite3.connect(self.folder / "data" / FILE_NAME)) as database:
            if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'published'").fetchall():
                return []
            rows = database.execute("SELECT micrograph, power_spectrum, shift_plot FROM published").fetchall()
        return sorted(name for row in rows for name in row if name)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.sshd.stop()


def test_images_travel_as_the_session_grows(site: Site) -> None:
    agent = site.watch("--no-web")
    try:
        site.until(24)
        for number in (9, 10):
            append(site.project / CTFS, number, values={"_micObj._micName": f"FoilHole_{number:06d}"})
            site.until(24 + 3 * (number - 8))
    finally:
        agent.send_signal(signal.SIGINT)
        _, said = agent.communicate(timeout=60)
    assert agent.returncode == 0, said
    assert "Traceback" not in said


def test_an_agent_killed_at_random_moments_publishes_everything_once(site: Site) -> None:
    chance = random.Random(4)
    for _ in range(6):
        agent = site.watch("--no-web")
        time.sleep(chance.uniform(0.5, 1.6))
        agent.kill()
        agent.communicate()
        known = set(site.recorded()) if (site.folder / "data" / FILE_NAME).exists() else set()
        there = {str(file.relative_to(site.sshd.root)) for file in site.files()}
        assert known <= there, "only what is there is said to be there"
        for name in known:
            with Image.open(site.sshd.root / name) as image:
                image.load()
    done = site.watch("--once")
    _, said = done.communicate(timeout=40)
    assert done.returncode == 0, said
    assert site.recorded() == [str(file.relative_to(site.sshd.root)) for file in site.files()]
    assert len(site.files()) == 24
