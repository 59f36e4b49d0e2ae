"""Completion in real shells, as a person at a terminal meets it: installed by the command, asked for by a key."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryowatch.store import Store
from tests.support.records import session

BIN = Path(sys.executable).parent


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a store of two sessions, and a folder of projects."""
    store = Store(tmp_path / ".local/share/cryowatch")
    for name in ("alpha", "beta one"):
        store.register(session(name=name, path=f"/data/{name}"))
    store.close()
    (tmp_path / "Scipion projects").mkdir()
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    path = f"{BIN}:{os.environ['PATH']}"
    return {"HOME": str(home), "PATH": path, "TERM": "dumb", "LANG": "C.UTF-8", "PS1": "> ", "ZDOTDIR": str(home)}


class Terminal:
    """A shell at a terminal."""

    def __init__(self, home: Path, *command: str) -> None:
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(home)
            os.execvpe(command[0], command, environment(home))
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def begin(self) -> None:
        """Wait until it has read its settings."""
        self.type("echo be''gun\r")
        self.until("\nbegun")

    def until(self, text: str, seconds: float = 15) -> None:
        """Wait until the terminal shows a text."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.shown += os.read(self.terminal, 4096).decode(errors="replace")

    def close(self) -> None:
        os.kill(self.process, 9)
        os.waitpid(self.process, 0)
        os.close(self.terminal)


@pytest.fixture
def bash(home: Path) -> Iterator[Terminal]:
    """A bash in which completion was installed before."""
    installed = subprocess.run(
        ["bash", "-c", "cryowatch --install-completion; true"],
        env=environment(home), cwd=home, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert "bash completion installed" in installed.stdout
    terminal = Terminal(home, "bash", "-i")
    terminal.begin()
    yield terminal
    terminal.close()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("cryowatch exp", "cryowatch export "),
        ("cryowatch grafana pro", "cryowatch grafana provision "),
        ("cryowatch export al", "cryowatch export alpha "),
        ("cryowatch report bet", "cryowatch report beta-one-"),
        ("cryowatch export alpha --for", "cryowatch export alpha --format "),
        ("cryowatch watch Sci", "cryowatch watch Scipion\\ projects/"),
    ],
)
def test_bash_completes_commands_options_sessions_and_paths(bash: Terminal, typed: str, completed: str) -> None:
    bash.type(f"{typed}\t")
    bash.until(completed)


def test_another_data_directory_and_none_are_heeded(home: Path) -> None:
    (home / ".local/share/cryowatch").rename(home / "elsewhere")
    for words, expected in (("cryowatch export --data-dir elsewhere al", "alpha\n"), ("cryowatch export al", "\n")):
        done = subprocess.run(
            ["cryowatch"], cwd=home, capture_output=True, text=True, check=False, timeout=30,
            env={**environment(home), "_CRYOWATCH_COMPLETE": "complete_bash", "COMP_WORDS": words,
                 "COMP_CWORD": str(len(words.split()) - 1)},
        )  # fmt: skip
        assert (done.stdout, done.stderr) == (expected, "")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh")
def test_zsh_completes_sessions(home: Path) -> None:
    subprocess.run(
        ["zsh", "-c", "cryowatch --install-completion; true"],
        env=environment(home), cwd=home, capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    zsh = Terminal(home, "zsh", "-i")
    try:
        zsh.begin()
        zsh.type("cryowatch export al\t")
        zsh.until("\a")  # the first press loads what Typer wrote
        zsh.type("\t")
        zsh.until("pha ")
    finally:
        zsh.close()


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish")
def test_fish_completes_sessions_and_shows_their_folders(home: Path) -> None:
    subprocess.run(
        ["fish", "-c", "cryowatch --install-completion; true"],
        env=environment(home), cwd=home, capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    done = subprocess.run(
        ["fish", "-c", "complete -C 'cryowatch export al'"],
        env=environment(home), cwd=home, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert "alpha\t/data/alpha" in done.stdout
