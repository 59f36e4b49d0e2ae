"""Starting the agent and following it until it ends.

The agent holds on to this process by its standard input, whose other end only this process has: when it ends, however
that comes, the agent ends too, and its store goes on from there at the next start.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from emcryowatch.constants import DATA_DIR
from emcryowatch.state import alerts, read

LOOK_SECONDS = 1.0
MOST_STARTS = 5
STEADY_SECONDS = 600
_PROBLEM, _USAGE = 1, 2
_ON_NETWORK = f". In Scipion: set {DATA_DIR} to a folder on a local disk, in which each run gets its own"


class AgentFailed(Exception):
    """The agent cannot do its work; the text is its own last line."""


def follow(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    state_file: Path,
    hold: Sequence[int] = (),
    say: Callable[[str], object] = print,
    reached: Callable[[str], object] = lambda _: None,
    pause: Callable[[int], float] = lambda starts: 2.0**starts,
) -> dict[str, Any]:
    """Run the agent until what it watches has ended; returns its last state; raises `AgentFailed`.

    `hold` are open files that it holds, too; `reached` is told of the pages' address.  An agent that was killed is
    started again, a few times.
    """
    starts = 0
    while True:
        starts += 1
        began = time.monotonic()
        code, state = _run(command, environment, log, state_file, hold, say, reached)
        if code in (0, _PROBLEM) and state.get("phase") == "ended" and state.get("reason"):
            return state
        last = _last_line(log)
        if code == _USAGE:
            raise AgentFailed(f"{last}{_ON_NETWORK if 'network file system' in last else ''}")
        if time.monotonic() - began > STEADY_SECONDS:
            starts = 1
        if starts >= MOST_STARTS:
            raise AgentFailed(f"The agent ended {starts} times by itself, last with {code}: {last} (see {log})")
        say(f"The agent ended by itself with {code}; it is started again, and goes on where it was.")
        time.sleep(pause(starts))


def _run(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    state_file: Path,
    hold: Sequence[int],
    say: Callable[[str], object],
    reached: Callable[[str], object],
) -> tuple[int, dict[str, Any]]:
    if state_file.exists():
        state_file.unlink()
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603  our own program
            list(command),
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            env=dict(environment),
            cwd="/",
            pass_fds=tuple(hold),
        )
    telling = _Telling(say, reached)
    try:
        while process.poll() is None:
            telling.tell(read(state_file))
            try:
                process.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                continue
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait()
    state = read(state_file)
    telling.tell(state)
    return process.returncode, state


class _Telling:
    """Says what is new in the state since it was told last."""

    def __init__(self, say: Callable[[str], object], reached: Callable[[str], object]) -> None:
        self._say = say
        self._reached = reached
        self._address = ""
        self._alerts: set[str] = set()
        self._left: list[str] = []

    def tell(self, state: dict[str, Any]) -> None:
        address = state.get("address") or ""
        if address and address != self._address:
            self._address = address
            self._reached(address)
            self._say(f"The pages are at {address}")
        texts = {f"{alert['severity']}: {alert['text']}" for alert in alerts(state)}
        for text in sorted(texts - self._alerts):
            self._say(f"Alert: {text}")
        self._alerts = texts
        left = list(state.get("left", []))
        if left and left != self._left:
            for text in left:
                self._say(f"Not delivered yet: {text}")
        self._left = left


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
