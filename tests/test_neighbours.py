"""What a user puts into a project shows nobody anything of a neighbour's: real users, a real agent and its pages.

The agent may read both projects, by their groups, and the attacker only the own one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from cryowatch.access.role import Role
from cryowatch.demo.project import Run, SetFile, local, write_objects
from tests.support.people import PASSWORD, add_account
from tests.support.serving import until
from tests.support.strangers import AGENT, ATTACKER, VICTIM, as_root, command, link, open_folder, owned

pytestmark = as_root

PATIENCE = 60.0
RUN = "Runs/000135_CistemProtCTFFind"
CTFS = f"{RUN}/ctfs.sqlite"
SECRET = "a secret of the neighbour"
GAINS = "Runs/000235_XmippProtMovieGain"
GREY = 200


def project(folder: Path, name: str, *, file: str = f"{RUN}/extra/1.png", status: str = "finished") -> Path:
    """Write a project with one micrograph of a name, its image, a log, and a residual gain."""
    folder.mkdir()
    (folder / "Runs").mkdir()
    now = time.time()
    run = Run(folder, 135, "CistemProtCTFFind", name)
    run.status, run.started, run.ended, run.error = status, local(now - 60), local(now), name
    run.output = "outputCTF"
    run.set = SetFile(folder, CTFS, "SetOfCTF", {})
    values = {"_defocusU": 15_000.0, "_defocusV": 14_800.0, "_defocusAngle": 45.0, "_resolution": 3.5}
    run.set.append([(1, now, {"_micObj._micName": name, "_micObj._filename": file, **values})])
    run.set.close_stream()
    gains = Run(folder, 235, "XmippProtMovieGain", name)
    gains.status = status
    run.store()
    gains.store()
    (folder / GAINS / "summaryForMonitor.txt").write_text(f"{name}_residual: 0.01 0.97 1.02 17.5\n")
    for one in (RUN, GAINS):
        (folder / one / "logs/run.stdout").write_text(f"{name}\n")
    image(folder / RUN / "extra/1.png")
    objects = [row for one in (run, gains) for row in one.objects()]
    write_objects(folder / "project.sqlite", [(1, None, "CreationTime", "String", local(now), ""), *objects])
    return folder


def image(path: Path) -> None:
    Image.new("L", (64, 64), GREY).save(path)


def replaced(place: Path, target: Path) -> None:
    """Put a link of the attacker into the place of a file or folder of the attacker's."""
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    link(place, target, ATTACKER)


WAYS = ("Runs", "run", "image", "folder of images", "set", "logs", "log", "gains", "run.db", "database", "swapped")


class Facility:
    """A victim's project, one of an attacker for each way to it, and an agent that serves pages of all."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.projects = folder / "projects"
        self.projects.mkdir()
        self.projects.chmod(0o777)
        self.victim = owned(project(self.projects / "victim", SECRET), VICTIM)
        for way in WAYS:
            attacker = project(self.projects / way.replace(" ", "-"), "mine", status="running")
            owned(attacker, ATTACKER)
            self.attack(attacker, way)
        self.other = project(self.projects / "zzz-real", "real")
        image(self.other / RUN / "extra/1.png")
        owned(self.other, VICTIM)
        link(self.projects / "aaa", "zzz-real", ATTACKER)
        self.data = folder / "data"
        self.data.mkdir()
        add_account(self.data, "grace", Role.OPERATOR)
        owned(self.data, AGENT, 0o700)
        self.settings = folder / "cryowatch.toml"
        self.settings.write_text(f'data_dir = "{self.data}"\n[web]\nlisten = "127.0.0.1:0"\n')
        self.output = folder / "output"
        self.agent = self.start(opened)
        self.operator = self.person(opened)
        form = {"name": "grace", "password": PASSWORD}
        assert self.operator.post("/login", data=form, headers={"Origin": self.address}).status_code == 303
        until(lambda: len(self.sessions()) == len(WAYS) + 2, PATIENCE)
        until(lambda: all(one["state"] != "new" for one in self.sessions()), PATIENCE)
        until(lambda: sum(one["counts"]["ctf"] for one in self.sessions()) >= 4, PATIENCE)

    def attack(self, attacker: Path, way: str) -> None:
        victim = self.victim
        match way:
            case "Runs":
                replaced(attacker / "Runs", victim / "Runs")
            case "run":
                replaced(attacker / RUN, victim / RUN)
            case "image":
                replaced(attacker / RUN / "extra/1.png", victim / RUN / "extra/1.png")
            case "folder of images":
                replaced(attacker / RUN / "extra", victim / RUN / "extra")
            case "set":
                replaced(attacker / CTFS, victim / CTFS)
            case "logs":
                replaced(attacker / RUN / "logs", victim / RUN / "logs")
            case "log":
                replaced(attacker / RUN / "logs/run.stdout", victim / RUN / "logs/run.stdout")
            case "gains":
                replaced(attacker / GAINS, victim / GAINS)
            case "run.db":
                replaced(attacker / RUN / "logs/run.db", victim / RUN / "logs/run.db")
            case "database":
                replaced(attacker / "project.sqlite", victim / "project.sqlite")

    def start(self, opened: ExitStack) -> subprocess.Popen[bytes]:
        words = ("-m", "cryowatch", "watch", self.projects, "--config", self.settings)
        run = command(AGENT, (AGENT, ATTACKER, VICTIM), *words)
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                run, stdout=output, stderr=output, cwd="/", env={"HOME": str(self.data), "PATH": os.environ["PATH"]}
            )

        def end() -> None:
            process.terminate()
            process.wait(PATIENCE)

        opened.callback(end)
        self.address = until(lambda: re.findall(r"http://127\.0\.0\.1:\d+", self.output.read_text()), PATIENCE)[-1]
        return process

    def person(self, opened: ExitStack) -> httpx2.Client:
        return opened.enter_context(httpx2.Client(base_url=self.address, timeout=PATIENCE))

    def sessions(self) -> list[dict[str, Any]]:
        answer = self.operator.get("/api/sessions")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["sessions"]
        return found

    def session(self, name: str) -> dict[str, Any]:
        return next(one for one in self.sessions() if one["name"] == name)

    def guests(self, key: str, opened: ExitStack) -> list[httpx2.Client]:
        """Return who has opened a link to a session; nobody where it gets none, as its project says no origin."""
        made = self.operator.post(f"/api/sessions/{key}/shares", json={"days": 3}, headers={"Origin": self.address})
        if key == "database":
            assert made.status_code == 403
            return []
        assert made.status_code == 200, made.text
        guest = self.person(opened)
        assert guest.get(made.json()["url"].removeprefix(self.address)).status_code == 303
        return [guest]


@pytest.fixture(scope="module")
def facility() -> Iterator[Facility]:
    with ExitStack() as opened:
        yield Facility(opened.enter_context(open_folder()), opened)


def seen(reader: httpx2.Client, key: str) -> tuple[str, list[int]]:
    """Return all texts that a reader gets of a session, and how asking for its images is answered."""
    texts, images = [], []
    listed = reader.get(f"/api/sessions/{key}/micrographs?limit=500")
    logs = [f"/api/sessions/{key}/runs/{run}/log" for run in (135, 235)]
    data = [f"/data/{dashboard}?session={key}" for dashboard in ("ctf", "gain")]
    for path in (f"/api/sessions/{key}", f"/s/{key}", "/api/sessions", *logs, *data):
        texts.append(reader.get(path).text)
    texts.append(listed.text)
    for one in listed.json().get("micrographs", []):
        for kind in ("micrograph", "power-spectrum", "shift-plot"):
            answer = reader.get(f"/images/{one['id']}/{kind}?size=128")
            images.append(answer.status_code)
            if answer.status_code != 200:
                texts.append(answer.text)
    return "\n".join(texts), images


@pytest.mark.parametrize("way", WAYS)
def test_a_link_to_a_session_shows_nothing_of_a_neighbour(facility: Facility, way: str) -> None:
    key = facility.session(way.replace(" ", "-"))["id"]
    with ExitStack() as opened:
        if way == "swapped":
            attacker = facility.projects / way
            attacker.rename(facility.projects.parent / "moved-away")
            link(attacker, "victim", ATTACKER)
        for reader in (facility.operator, *facility.guests(key, opened)):
            texts, images = seen(reader, key)
            if reader is not facility.operator:
                assert SECRET not in texts, way
            else:
                own = reader.get(f"/api/sessions/{key}").text + reader.get(f"/api/sessions/{key}/runs/135/log").text
                assert SECRET not in own, way
            if way in ("image", "folder of images", "swapped"):
                assert images, way
                assert 200 not in images, (way, texts[-300:])


def test_the_victim_sees_the_own_project(facility: Facility) -> None:
    texts, images = seen(facility.operator, facility.session("victim")["id"])
    assert SECRET in texts
    assert images[0] == 200, texts[-600:]


def test_a_link_before_a_project_does_not_take_its_place(facility: Facility) -> None:
    names = {one["name"] for one in facility.sessions()}
    assert "zzz-real" in names
    assert "aaa" not in names
    assert "/aaa: leads to" in facility.output.read_text()
