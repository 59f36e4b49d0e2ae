"""What `watch`, `demo` and `report` do: run what the settings ask for, say how it goes, and end it in order."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rich.console import Console

from cryowatch import __version__
from cryowatch.agent.build import agent_of, image_server, opened, rendering
from cryowatch.agent.progress import Bars
from cryowatch.agent.state_file import StateFile
from cryowatch.agent.until import Ending, Until
from cryowatch.errors import SourceError, one_line
from cryowatch.forgetting.forgetter import Forgetter
from cryowatch.influx.delivery import Delivery
from cryowatch.settings import effective, environment
from cryowatch.settings.config import Settings
from cryowatch.settings.section import at_home
from cryowatch.settings.web import is_loopback
from cryowatch.sources.discovery import Finder
from cryowatch.system import logs
from cryowatch.system.memory import share_heaps, spare_the_old
from cryowatch.system.systemd import Systemd

if TYPE_CHECKING:
    from cryowatch.images import ImageServer

    Rendering = Callable[[], ImageServer]

FOR_EVER = Until()
SIGNAL_SECONDS = 1.0
"""How long a signal may go unnoticed."""

_UMASK = 0o022

log = logging.getLogger(__name__)
console = Console(stderr=True, highlight=False, emoji=False)


def report(chosen: Settings, session: str, out: Path, *, size_mb: float | None, force: bool) -> None:
    """Write the report of a session, and say what it holds; raises a `CryowatchError`."""
    from cryowatch.agent.build import reports  # noqa: PLC0415

    with Bars(console) as bars:
        shown = partial(bars.show, "images")
        made = reports.make(chosen, image_server(chosen), session, out, size_mb=size_mb, force=force, progress=shown)
    pictured = f", {made.pictured:,} with images" if made.micrographs else ""
    size = f"{made.bytes / 1e6:.1f} MB, {_counted(made.micrographs, 'micrograph')}{pictured}"
    console.print(one_line(f"{made.path}: {size}"), markup=False, soft_wrap=True)
    for text in made.left_out:
        console.print(text, style="yellow", markup=False, soft_wrap=True)


def once(chosen: Settings, paths: Sequence[Path]) -> int:
    """Read all there is; returns 0, or 1 after printing what could not be read."""
    _begin(chosen, shown=logging.ERROR)
    with opened(chosen.data_dir) as store, rendering(chosen) as images:
        agent = agent_of(chosen, store, images, [at_home(path) for path in paths])
        Forgetter(store).finish()
        spare_the_old()
        started = time.monotonic()
        deliveries = [follower for follower in agent.followers if isinstance(follower, Delivery)]
        with Bars(console) as bars:

            def read(name: str, done: int, total: int) -> None:
                bars.show(name, done, total)
                for delivery in deliveries:
                    delivery.go_on()

            problems = agent.once(read)
        for problem in problems:
            named = problem.text.startswith(one_line(problem.where))
            _complain(problem.text if named else f"{problem.where}: {problem.text}")
        sessions = [watch.session for watch in agent.watches.values() if not watch.forgotten]
        if forgotten := len(agent.watches) - len(sessions):
            were = "was forgotten and is" if forgotten == 1 else "were forgotten and are"
            console.print(f"{_counted(forgotten, 'project')} {were} passed over")
        if sessions:
            reader = store.reader()
            items = sum(output["count"] for session in sessions for output in reader.outputs(session))
            said = f"{_counted(len(sessions), 'project')}, {_counted(items, 'item')}"
            console.print(f"{said}, {time.monotonic() - started:.1f} s")
        elif not problems and not agent.watches:
            folders = ", ".join(str(path) for path in agent.paths)
            _complain(f"{folders}: no Scipion project is there. Give a folder that holds project.sqlite, or one above")
    return 1 if problems or not agent.watches else 0


def _complain(text: str) -> None:
    console.print(one_line(text), style="red", markup=False, soft_wrap=True)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def serve(chosen: Settings, paths: Sequence[Path], *, web: bool, browser: bool = False, until: Until = FOR_EVER) -> int:
    """Watch until interrupted or it is time; returns 0, or 1 after printing what could not be delivered then.

    Where the store is found damaged, begin anew with a new one.
    """
    share_heaps()
    _begin(chosen)
    paths = [at_home(path) for path in paths]
    _refuse_hopeless(paths)
    if web:
        from cryowatch.agent.build import pages  # noqa: PLC0415

        pages.refuse_unprotected(chosen)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    while (left := _watch(chosen, paths, web=web, browser=browser, until=until)) is None:
        browser = False
    for text in left:
        _complain(f"not delivered: {text}")
    return 1 if left else 0


def _watch(chosen: Settings, paths: Sequence[Path], *, web: bool, browser: bool, until: Until) -> list[str] | None:
    """Watch until interrupted or it is time; returns what is left then, None where the store was found damaged."""
    with opened(chosen.data_dir) as store, rendering(chosen) as images:
        agent = agent_of(chosen, store, images, paths, pages=web)
        forgetter = Forgetter(store, tell=agent.tell)
        agent.accompany("forgetting", forgetter.step)
        spare_the_old()
        ending = Ending(until, agent, store)
        state = None if until.state_file is None else StateFile(at_home(until.state_file), agent, store)
        said = state.write if state is not None else lambda *_: None
        if state is not None:
            agent.accompany("state file", state.step)
        if until.ended or until.minutes is not None:
            agent.accompany("ending", ending.step)
        ending.leash()
        systemd = Systemd(os.environ)

        def beat() -> float:
            watched = sum(not watch.forgotten for watch in list(agent.watches.values()))
            systemd.alive(f"{_counted(watched, 'project')} watched")
            return systemd.beat_seconds

        agent.accompany("systemd", beat)
        store.when_damaged(lambda: os.kill(os.getpid(), signal.SIGTERM))  # raise_signal would not wake the main thread
        with contextlib.suppress(KeyboardInterrupt):
            if web:
                from cryowatch.agent.build import pages  # noqa: PLC0415

                def started(address: str, warnings: Sequence[str]) -> None:
                    systemd.ready(f"pages at {address}")
                    if state is not None:
                        state.address = address
                    console.print(f"cryowatch {__version__} shows the sessions at [bold]{address}[/]  Ctrl+C ends it.")
                    if way := way_from_afar(address, os.environ):
                        console.print(way, markup=False, soft_wrap=True)
                    for warning in warnings:
                        console.print(warning, style="yellow", soft_wrap=True)
                    if browser:
                        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

                pages.serve(chosen, store, images(), agent, forgetter, started=started)
            else:
                agent.start()
                systemd.ready("without pages")
                console.print(f"cryowatch {__version__} watches, without pages. Ctrl+C ends it.")
                _wait_for_ever()
        systemd.ending()
        left: list[str] = []
        stopped = agent.stop()
        with contextlib.suppress(KeyboardInterrupt):
            if ending.reason and not store.damaged:
                left = ending.finish(said, alone=stopped)
                if state is not None:
                    state.reason = ending.reason
        said(left, "ended")
        return None if store.damaged else left


def _wait_for_ever() -> None:
    """Wait until a signal's handler raises; one that comes just before a wait begins is only seen when that ends."""
    while True:
        time.sleep(SIGNAL_SECONDS)


def _refuse_hopeless(paths: Sequence[Path]) -> None:
    """Raise the first path's error where none of the paths can be looked into; the others may yet come."""
    errors: list[SourceError] = []
    for path in paths:
        try:
            Finder(path.absolute()).find()
        except SourceError as error:
            errors.append(error)
    if len(errors) == len(paths):
        raise errors[0]


def demo(*, micrographs: int, every: float, port: int, browser: bool) -> int:
    """Stream a simulated session in a child process, and watch it; nothing is left behind.

    Raises `ConfigError` where the port is taken.
    """
    from cryowatch.web.server import bind  # noqa: PLC0415

    bind(f"127.0.0.1:{port}", option="--port").close()
    root = Path(tempfile.mkdtemp(prefix="cryowatch-demo-"))
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    child: subprocess.Popen[bytes] | None = None
    try:
        projects = root / "projects"
        projects.mkdir()
        command = [sys.executable, "-m", "cryowatch.demo", str(projects / "demo-session")]
        command += ["--micrographs", str(micrographs), "--every", str(every)]
        child = subprocess.Popen(  # noqa: S603  our own interpreter and module
            command, stdin=subprocess.DEVNULL, env=environment.handed_on(os.environ)
        )
        chosen = effective.demo_settings(root / "data", port)
        return serve(chosen, [projects], web=True, browser=browser and _has_screen())
    finally:
        interrupts = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl+C would leave the folder behind
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if child is not None:
            child.terminate()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(root, ignore_errors=True)
        signal.signal(signal.SIGTERM, previous)
        signal.signal(signal.SIGINT, interrupts)


def _has_screen() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin")


def way_from_afar(address: str, environment: Mapping[str, str]) -> str:
    """Return how somebody who is logged in by SSH gets to pages that only this machine can reach; "" for others."""
    parts = urlsplit(address)
    if not environment.get("SSH_CONNECTION") or environment.get("DISPLAY") or not is_loopback(parts.hostname or ""):
        return ""
    port = parts.port
    return f"From your own computer: ssh -L {port}:127.0.0.1:{port} {socket.gethostname()}, and open {address} there."


def _begin(chosen: Settings, *, shown: int | None = None) -> None:
    """Begin the log; what is made from now on nobody but its owner can change."""
    os.umask(os.umask(_UMASK) | _UMASK)
    log = chosen.log
    level = logging.getLevelNamesMapping()[log.level.upper()]
    logs.begin(console, level, file=log.file, max_mb=log.max_mb, keep=log.keep, shown=shown)
