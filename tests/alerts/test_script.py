"""What goes wrong in a session is told once, by its name, in order, and nothing else is; also through restarts."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from cryowatch.notices.channel import Channel
from cryowatch.notices.mail import Mail
from cryowatch.notices.mail import MailServer as MailSettings
from cryowatch.sources.host import source
from tests.alerts.script import BEGIN, EVERY, MINUTE, Killed, Project, Script, watching
from tests.support.smtp import MailServer

EXPECTED = [
    ("raised", "defocus"),
    ("over", "defocus"),
    ("raised", "astigmatism"),
    ("over", "astigmatism"),
    ("raised", "import-stalled"),
    ("over", "import-stalled"),
    ("raised", "ctf-stalled"),
    ("over", "ctf-stalled"),
    ("raised", "disk-soon-full"),
    ("raised", "disk-full"),
    ("over", "disk-full"),
    ("raised", "run-failed"),
    ("over", "run-failed"),
]
STEPS = round(Script.end * MINUTE / EVERY)

Kills = Mapping[int, tuple[int, int]]
"""Step by step at which moment of it the agent is killed, and how many steps it is away."""


pytestmark = pytest.mark.timeout(240)  # five hours of a session, several times


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every sample have the disk's answer of its own moment, however busy this machine is."""
    monkeypatch.setattr(source, "PATIENCE", 20.0)


def play(folder: Path, kills: Kills, channel: Channel | None = None) -> tuple[list[tuple[str, str]], list[str]]:
    """Play the script, killing the agent at some moments; returns what was told, and the alerts' texts."""
    project = Project(folder / "project")
    script = Script(project)
    now = [float(BEGIN)]
    steps = iter(range(STEPS))
    told: list[tuple[str, str]] = []
    texts: list[str] = []
    away = 0
    done = False
    while not done:
        with watching(project.folder, folder / "data", lambda: now[0], script.space, channel) as watcher:
            done = True
            for step in steps:
                now[0] = BEGIN + step * EVERY
                script.happen(now[0])
                if away:
                    away -= 1
                    continue
                moment, gone = kills.get(step, (None, 0))
                try:
                    watcher.look(moment)
                except Killed:
                    away = gone
                    done = False
                    break
            told = watcher.told()
            texts = [row["text"] for row in watcher.store.reader().rows("SELECT text FROM notice ORDER BY id")]
    return told, texts


def some(seed: int, *, number: int = 40) -> Kills:
    """Return moments at which the agent is killed, and for how long it is away: up to two minutes."""
    chance = random.Random(seed)
    return {step: (chance.randrange(4), chance.randrange(5)) for step in chance.sample(range(STEPS - 10), number)}


def test_exactly_what_goes_wrong_is_told_in_order(tmp_path: Path) -> None:
    told, texts = play(tmp_path, {})
    assert told == EXPECTED
    said = "\n".join(texts)
    assert "Defocus: only 6 of the last 25 micrographs within 0.10–4.00 µm (median 5.50 µm)" in said
    assert "Import stalled: motion correction and CTF estimation have caught up" in said
    assert "motion correction has failed: CUDA error: out of memory" in said
    assert "CTF estimation stalled: 22 micrographs waiting, import still running" in said
    assert "motion correction is running" in said
    assert re.search(r"^Disk \S+: full in 3 h \d+ min, should be above 4 h$", said, re.MULTILINE)
    assert re.search(r"^Disk \S+: used 95\.\d %, should be below 95\.0 %; full in \d+ min$", said, re.MULTILINE)
    assert re.search(r"^Disk \S+: used 70\.0 %, should be below 95\.0 %$", said, re.MULTILINE)


@pytest.mark.parametrize("seed", [1, 2])
def test_restarts_change_nothing(tmp_path: Path, seed: int) -> None:
    assert play(tmp_path, some(seed))[0] == EXPECTED


def test_every_message_comes_by_mail_once_and_in_order_through_restarts(tmp_path: Path) -> None:
    server = MailServer()
    mail = Mail(
        MailSettings(host="127.0.0.1", port=server.port, security="none"),
        sender="watch@example.org",
        to=["a@example.org"],
    )
    assert play(tmp_path, some(6), mail)[0] == EXPECTED
    server.stop()
    subjects = [str(message["Subject"]) for message in server.answers.taken]
    said = [re.split("[:(]", subject)[0].strip() for subject in subjects]
    warning, over, critical = "Warning", "Over", "Critical"
    assert said == [
        warning, over, warning, over, critical, over, critical, over, warning, critical, over, critical, over,
    ]  # fmt: skip
    assert subjects[4] == "Critical: Import stalled: motion correction and CTF estimation have caught up (project)"
