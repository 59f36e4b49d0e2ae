"""`cryowatch share create`: the address that it prints opens the session, wherever the pages are; and labels."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from cryowatch.store.lock import LOCK_NAME, published_address
from tests.support.people import PASSWORD
from tests.support.serving import demo_project

SECONDS = 60
COMMAND = [sys.executable, "-m", "cryowatch"]


class Machine:
    """A data directory with a session and an account, and an agent that shows it at a port of its own choice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = demo_project(folder / "projects" / "demo", 2)
        self.run("watch", "--once", str(self.project))
        self.run("accounts", "add", "ada", "--role", "operator", "--password-file", "-", typed=f"{PASSWORD}\n")

    def environment(self) -> dict[str, str]:
        data = str(self.folder / "data")
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8", "CRYOWATCH_DATA_DIR": data}

    def run(self, *words: str, typed: str = "") -> str:
        done = subprocess.run(
            [*COMMAND, *words], env=self.environment(), input=typed, capture_output=True, text=True, timeout=SECONDS,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def agent(self) -> Iterator[str]:
        """Give the address of an agent's pages."""
        command = [*COMMAND, "watch", "--listen", "127.0.0.1:0", str(self.project)]
        with subprocess.Popen(command, env=self.environment(), stderr=subprocess.PIPE, text=True) as agent:
            try:
                assert agent.stderr is not None
                lines = iter(agent.stderr.readline, "")
                yield next(found[0] for line in lines if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
            finally:
                agent.kill()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"))


def test_a_link_made_by_the_command_opens_the_session_at_the_port_of_the_agent_at_work(machine: Machine) -> None:
    with machine.agent() as address:
        link = machine.run("share", "create", "demo").strip()
        assert link.startswith(f"{address}/share/")
        answer = httpx2.get(link, timeout=SECONDS)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/s/demo")


def test_without_an_agent_a_link_has_the_address_of_the_settings(machine: Machine) -> None:
    with machine.agent():
        pass  # which is killed, and leaves its lock behind
    assert machine.run("share", "create", "demo").startswith("http://127.0.0.1:8420/share/")


def test_a_label_says_for_whom_a_link_is(machine: Machine) -> None:
    machine.run("share", "create", "demo", "--label", "the group of Ada")
    assert re.search(r"by command line, the group of Ada$", machine.run("share", "list"), re.MULTILINE)


def test_an_address_of_a_process_that_has_ended_counts_for_nothing(tmp_path: Path) -> None:
    lock = tmp_path / LOCK_NAME
    assert published_address(tmp_path) == ""
    for content, address in (
        (f"{os.getpid()}\nhttp://127.0.0.1:9/\n", "http://127.0.0.1:9/"),
        (f"{os.getpid()}\n", ""),
        ("4194305\nhttp://127.0.0.1:9/\n", ""),
        ("", ""),
        ("\xff", ""),
    ):
        lock.write_bytes(content.encode("latin-1"))
        assert published_address(tmp_path) == address, content
