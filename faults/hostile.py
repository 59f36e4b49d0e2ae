"""Malicious projects beside healthy ones: what they use, what they show, and whom they delay."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil

from faults.hostile_projects import HOSTILE, OF_OTHERS, SILENT
from faults.site import Project, Site, until, workplace
from faults.storage import mounting, small_disk
from faults.verdicts import Verdicts

MALICE, VICTIM = 61_001, 61_002
"""The users of the hostile projects, and of the one that they reach for."""

HEALTHY = 3
MOST_MEMORY = 300.0
MOST_COPIED = 64.0
MOST_STORED = 5.0
"""MB: of memory above that of the healthy projects alone, of temporary files, and of the store for each hostile one."""

PATIENCE = 2.0
"""Seconds within which the pages of the healthy ones answer."""

MOST_ANSWER = 500_000
"""Bytes of the list of all sessions, and of what `status` prints."""

HELD = 512
"""Connections that one address holds meanwhile."""

_SAID = "SELECT name, state, state_text, troubles FROM session"
_STORED = """
SELECT count(*), max(item) FROM micrograph JOIN output ON output.id = output_id
JOIN session ON session.id = session_id WHERE session.name = '{name}' AND kind = 'ctf'"""
_OWNED = """
SELECT count(*) FROM micrograph JOIN output ON output.id = output_id JOIN session ON session.id = session_id
WHERE session.name = '{name}'"""
_PAGES = (
    "/", "/api/sessions", "/healthz", "/s/healthy-0/summary", "/api/sessions/healthy-0/data/summary",
    "/api/sessions/healthy-0/data/ctf", "/api/sessions/healthy-0/micrographs?limit=60",
)  # fmt: skip


@dataclass(slots=True)
class _Samples:
    """What was measured: MB of memory, of what renders and of temporary files, and seconds of answers and arrivals."""

    memory: list[float] = field(default_factory=list)
    rendering: list[float] = field(default_factory=list)
    copied: list[float] = field(default_factory=list)
    answers: dict[str, list[float]] = field(default_factory=dict)
    arrivals: list[float] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    def take(self, pid: int, temporary: Path) -> None:
        """Measure the agent, the processes that it started, and what lies in its folder of temporary files."""
        agent = psutil.Process(pid)
        self.memory.append(agent.memory_info().rss / 1e6)
        children = 0
        for child in agent.children(recursive=True):
            try:
                children += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self.rendering.append(children / 1e6)
        self.copied.append(_bytes_in(temporary) / 1e6)

    def ask(self, site: Site, path: str) -> None:
        """Ask for a page, as somebody who is not the hostile one."""
        began = time.monotonic()
        try:
            answer = httpx2.get(f"{site.address()}{path}", timeout=20, trust_env=False)
        except httpx2.TransportError as error:
            self.odd.append(f"{path}: {error or type(error).__name__}")
            return
        self.answers.setdefault(path, []).append(time.monotonic() - began)
        if answer.status_code != 200:
            self.odd.append(f"{path}: {answer.status_code} {answer.text[:100]}")
        elif len(answer.content) > MOST_ANSWER:
            self.odd.append(f"{path}: {len(answer.content):,} bytes")


class _Crowd:
    """Connections of one other address: half of them say nothing, half say the beginning of a request."""

    def __init__(self, address: str, count: int) -> None:
        self._host, port = address.removeprefix("http://").split(":")
        self._port = int(port)
        self._count = count
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._hold, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _hold(self) -> None:
        held: list[socket.socket] = []
        while not self._stop.wait(0.2):
            while len(held) < self._count and not self._stop.is_set():
                try:
                    one = socket.create_connection((self._host, self._port), 1, source_address=("127.0.0.9", 0))
                    if len(held) % 2:
                        one.send(b"GET / HTTP/1.1\r\nHost: ")
                    one.setblocking(False)
                    held.append(one)
                except OSError:
                    break
            held = [one for one in held if _is_open(one)]
        for one in held:
            one.close()


def hostile(
    seconds: float, *, idle: float = 20.0, names: Sequence[str] = (), patience: float = PATIENCE, quiet: bool = False
) -> Verdicts:
    """Let every hostile project, or those of some names, lie beside growing ones for so many seconds.

    With more `patience` it is said of a busy machine as well that nothing is held up for long.
    """
    found = Verdicts("Malicious projects", quiet=quiet)
    made = names or tuple(HOSTILE)
    with workplace() as folder, ExitStack() as opened:
        temporary = opened.enter_context(_temporary(folder, found))
        site = Site(folder, environment={"TMPDIR": str(temporary)})
        opened.callback(site.kill)
        projects = [Project(site.projects / f"healthy-{number}", seed=number) for number in range(HEALTHY)]
        for project in projects:
            project.grow(50)
        victim = Project(site.projects / "victim", seed=99)
        victim.grow(10)
        _give(victim.root, VICTIM)
        agent = site.start("--listen", "127.0.0.1:0")
        until(lambda: len(site.stored_items()) == HEALTHY * 50 + 10, seconds=60)
        before, after = _Samples(), _Samples()
        _live(site, projects, before, agent.pid, temporary, idle)
        stored = _size(site)
        for name in made:
            HOSTILE[name](folder / name, victim.root)
            _give(folder / name, MALICE)
            (folder / name).rename(site.projects / name)
        crowd = _Crowd(site.address(), HELD)
        opened.callback(crowd.close)
        _live(site, projects, after, agent.pid, temporary, seconds)
        crowd.close()
        working = _share_of_core(agent.pid, min(30.0, seconds / 4))
        _judge(found, site, made, before, after, patience)
        grown = _size(site) - stored
        found.figure(f"the store grew by {grown:.1f} MB; afterwards the agent used {working:.1%} of a core")
        found.promise(f"the store grows by at most {MOST_STORED:.0f} MB per hostile project",
                      kept=grown <= MOST_STORED * len(made), otherwise=f"{grown:.1f} MB")  # fmt: skip
        found.promise("unreadable files are not read again and again: afterwards the agent uses at most a tenth of a"
                      " core", kept=working <= 0.05 * patience, otherwise=f"{working:.1%}")  # fmt: skip
        took = site.interrupt()
        found.promise("the agent keeps running, and shuts down cleanly", kept=took is not None, otherwise=took)
    return found


def _judge(
    found: Verdicts, site: Site, made: Sequence[str], before: _Samples, after: _Samples, patience: float
) -> None:
    above = max(after.memory) - max(before.memory)
    slowest = {path: max(times) for path, times in after.answers.items()}
    usual = statistics.median(time for times in after.answers.values() for time in times)
    found.figure(
        f"{len(made)} hostile projects beside {HEALTHY} growing ones, while one address holds {HELD} connections:"
        f" {', '.join(made)}"
    )
    found.figure(
        f"the agent's memory {max(before.memory):.0f} MB before and at most {max(after.memory):.0f} MB during the"
        f" attack, that of the rendering processes at most {max(after.rendering):.0f} MB; temporary files at"
        f" most {max(after.copied):.1f} MB; {sum(map(len, after.answers.values())):,} answers for the healthy projects"
        f" took {usual * 1000:.0f} ms, the slowest {max(slowest.values()):.2f} s; a new micrograph was in the store"
        f" after {statistics.median(after.arrivals):.1f} s, at most {max(after.arrivals):.1f} s"
        f" ({max(before.arrivals):.1f} s before)"
    )
    found.promise(f"the agent's memory grows by at most {MOST_MEMORY:.0f} MB",
                  kept=above <= MOST_MEMORY, otherwise=f"{above:.0f} MB")  # fmt: skip
    found.promise(f"temporary files take at most {MOST_COPIED:.0f} MB",
                  kept=max(after.copied) <= MOST_COPIED, otherwise=f"{max(after.copied):.0f} MB")  # fmt: skip
    slow = {path: f"{took:.2f} s" for path, took in slowest.items() if took > patience}
    found.promise(f"pages of the other sessions, and those for all sessions, answer within {patience:.0f} s,"
                  " and stay small",
                  kept=not slow and not after.odd, otherwise=(slow, after.odd[:3]))  # fmt: skip
    late = max(after.arrivals) - max(before.arrivals)
    found.promise(f"a new micrograph of another session appears at most {patience:.0f} s later than before",
                  kept=late <= patience, otherwise=f"{late:.1f} s")  # fmt: skip
    said = {name: (state, text, json.loads(troubles)) for name, state, text, troubles in site.rows(_SAID)}
    found.figure("; ".join(f"{name}: {_line(said.get(name))}" for name in made))
    wordless = [name for name in made if name not in SILENT and _line(said.get(name)) == "nothing"]
    lines = [name for name in made if "\n" in _line(said.get(name)) or len(_line(said.get(name))) > 400]
    found.promise("each session says in one line what is wrong with it", kept=not wordless and not lines,
                  otherwise=(wordless, lines))  # fmt: skip
    taken = {
        name: site.rows(_OWNED.format(name=name)) for name in OF_OTHERS if name in made and name != "others-images"
    }
    seen = [name for name, rows in taken.items() if rows and rows[0][0]]
    victim = site.rows(_STORED.format(name="victim"))
    found.promise("no data of another project are shown as theirs, and that project is still read",
                  kept=not seen and not _seen_images(site, made) and victim[0][0] == 10,
                  otherwise=(seen, _seen_images(site, made), victim))  # fmt: skip
    length, traces = _status(site), site.said().count("Traceback")
    found.promise("`status` stays short, and the log contains no traceback",
                  kept=length <= MOST_ANSWER and not traces, otherwise=(length, traces))  # fmt: skip


def _line(said: tuple[str, str, list[dict[str, Any]]] | None) -> str:
    """Return what a session says is wrong, in one line."""
    if said is None:
        return "nothing"
    state, text, troubles = said
    return text or (troubles[0]["text"] if troubles else "nothing" if state in ("ok", "busy", "") else state)


def _seen_images(site: Site, made: Sequence[str]) -> list[str]:
    """Return which images of somebody else's project are shown as those of the one that links to them."""
    if "others-images" not in made:
        return []
    rows = site.get("/api/sessions/others-images/micrographs?limit=10")["micrographs"]
    asked = [f"/images/{row['id']}/micrograph?size=256" for row in rows]
    return [
        path for path in asked if httpx2.get(f"{site.address()}{path}", timeout=25, trust_env=False).status_code == 200
    ]


def _live(
    site: Site, projects: Sequence[Project], samples: _Samples, pid: int, temporary: Path, seconds: float
) -> None:
    """Grow, look at pages and measure for so many seconds."""
    end = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < end:
        project = projects[turn % len(projects)]
        project.grow()
        samples.arrivals.append(_arrival(site, project))
        for path in _PAGES:
            samples.ask(site, path)
        samples.take(pid, temporary)
        turn += 1
        for _ in range(5):
            samples.take(pid, temporary)
            time.sleep(0.05)


def _arrival(site: Site, project: Project) -> float:
    """Return after how many seconds the store holds the newest micrograph of a project."""
    began = time.monotonic()
    count = len(project.written)
    until(lambda: site.rows(_STORED.format(name=project.root.name))[0][0] >= count, seconds=60)
    return time.monotonic() - began


def _share_of_core(pid: int, seconds: float) -> float:
    """Return how much of a core the agent and its processes take while nothing is written."""
    time.sleep(5)
    before = _processor(pid)
    time.sleep(seconds)
    return (_processor(pid) - before) / seconds


def _processor(pid: int) -> float:
    """Return the seconds of the processor that an agent and its processes took so far, those that ended too.

    What a process took counts while it lives as it does once its parent has seen it end.
    """
    agent = psutil.Process(pid)
    taken = 0.0
    for process in (agent, *agent.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            taken += sum(process.cpu_times()[:4])
    return taken


def _status(site: Site) -> int:
    """Return how many bytes `cryowatch status --json` prints."""
    command = [sys.executable, *site.program, "status", "--json", "--config", str(site.config), "--data-dir"]
    done = subprocess.run([*command, str(site.data)], capture_output=True, timeout=60, check=False)
    return len(done.stdout)


def _size(site: Site) -> float:
    """Return how many MB the data directory has."""
    return _bytes_in(site.data) / 1e6


def _bytes_in(folder: Path) -> int:
    """Return how many bytes on the disk the files of a folder have."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:
            continue
    return total


def _is_open(connection: socket.socket) -> bool:
    try:
        open_ = connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        open_ = False
    if not open_:
        connection.close()
    return open_


@contextmanager
def _temporary(folder: Path, found: Verdicts) -> Iterator[Path]:
    """Give a folder for temporary files, a file system of 300 MB where one can be mounted."""
    place = folder / "temporary"
    if reason := mounting():
        found.skipped(reason)
        place.mkdir()
        yield place
        return
    with small_disk(place, "300m"):
        yield place


def _give(folder: Path, user: int) -> None:
    """Let a project be a user's own, whom nobody else can look over the shoulder."""
    if os.geteuid() != 0:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)
    folder.chmod(0o750)
