"""What goes wrong in a session is told once, by its name, in order, and nothing else is; also through restarts."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from cryowatch.notices.channel import Channel
from cryowatch.notices.mail import Mail
from cryowatch.notices.mail import MailServer as MailSettings
from tests.alerts.script import BEGIN, EVERY, MINUTE, Project, Script, watching
from tests.notices.smtp import MailServer

EXPECTED = [
    ("raised", "defocus"),
    ("over", "defocus"),
    ("raised", "astigmatism"),
    ("over", "astigmatism"),
    ("raised", "import-stalled"),
    ("over", "import-stalled"),
    ("raised", "ctf-stalled"),
    ("over", "ctf-stalled"),
    ("raised", "disk"),
    ("raised", "disk-full"),
    ("over", "disk"),
    ("over", "disk-full"),
    ("raised", "run-failed"),
    ("over", "run-failed"),
]


def play(folder: Path, restarts: set[int], channel: Channel | None = None) -> tuple[list[tuple[str, str]], list[str]]:
    """Play the script, beginning anew after some of its steps; returns what was told, and the alerts' texts."""
    project = Project(folder / "project")
    script = Script(project)
    now = [float(BEGIN)]
    steps = iter(range(round(script.end * MINUTE / EVERY)))
    told: list[tuple[str, str]] = []
    texts: list[str] = []
    done = False
    while not done:
        with watching(project.folder, folder / "data", lambda: now[0], channel=channel) as watcher:
            done = True
            for step in steps:
                now[0] = BEGIN + step * EVERY
                script.happen(now[0])
                watcher.look(script.used(now[0]))
                if step in restarts:
                    done = False
                    break
            told = watcher.told()
            texts = [row["text"] for row in watcher.store.reader().rows("SELECT text FROM notice ORDER BY id")]
    return told, texts


def test_exactly_what_goes_wrong_is_told_in_order(tmp_path: Path) -> None:
    told, texts = play(tmp_path, set())
    assert told == EXPECTED
    said = "\n".join(texts)
    assert "Defocus: only 6 of the last 25 micrographs within 0.10-4.00 µm (median 5.50 µm)" in said
    assert "Import has stopped; alignment and CTF estimation have caught up" in said
    assert "motion correction has failed: CUDA error: out of memory" in said
    assert "CTF estimation has stopped; 22 items wait for it; import goes on" in said
    assert "motion correction is running" in said


@pytest.mark.parametrize("seed", [1, 2])
def test_restarts_change_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    restarts = set(chance.sample(range(540), 30))
    assert play(tmp_path, restarts)[0] == EXPECTED


def test_every_message_comes_by_mail_once_and_in_order_through_restarts(tmp_path: Path) -> None:
    server = MailServer()
    mail = Mail(
        MailSettings(host="127.0.0.1", port=server.port, security="none"),
        sender="watch@example.org",
        to=["a@example.org"],
    )
    play(tmp_path, set(random.Random(3).sample(range(540), 20)), mail)
    server.stop()
    subjects = [str(message["Subject"]) for message in server.answers.taken]
    said = [re.split("[:(]", subject)[0].strip() for subject in subjects]
    warning, over, critical = "Warning", "Over", "Critical"
    assert said == [
        warning, over, warning, over, critical, over, critical, over, warning, critical, "2 over", critical, over,
    ]  # fmt: skip
    assert subjects[4] == "Critical: Import has stopped; alignment and CTF estimation have caught up (project)"
    assert subjects[8] == "Warning: Disk /data: used 90.5 %, should be below 90.0 % (gpu1)"
