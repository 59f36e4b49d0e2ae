"""Connections to InfluxDB and the image host are slow, stall, break or swallow everything while a project grows.

Each goes through a relay, which forwards data as a fault permits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from faults.site import Project, Site, delivered, until, workplace
from faults.verdicts import Verdicts
from tests.support.influxd import InfluxServer
from tests.support.sshd import Relay, Sshd

BYTES = 3_000
"""After which a line is cut: in the middle of a key exchange, of a batch, or of an image."""


def _delayed(relay: Relay, on: bool) -> None:  # noqa: FBT001
    relay.delay = 0.2 if on else 0.0


def _stalled(relay: Relay, on: bool) -> None:  # noqa: FBT001
    relay.stalled = on


def _swallowed(relay: Relay, on: bool) -> None:  # noqa: FBT001
    """Throw everything away; a line that has lost something is dead, as after a host that was switched off."""
    relay.silent = on
    if not on:
        relay.reset()


def _reset(relay: Relay, on: bool) -> None:  # noqa: FBT001
    if on:
        relay.reset()


def _cut(relay: Relay, on: bool) -> None:  # noqa: FBT001
    relay.cut_after = relay.sent + BYTES if on else None


FAULTS: Mapping[str, Callable[[Relay, bool], None]] = {
    "are slow": _delayed,
    "stall": _stalled,
    "swallow everything": _swallowed,
    "are reset again and again": _reset,
    f"are cut after {BYTES:,} bytes": _cut,
}
"""What is done to a line, again and again, and what ends it."""


@dataclass(frozen=True, slots=True)
class _Lines:
    """What receives, and the relays before it."""

    influx: InfluxServer
    sshd: Sshd
    relays: tuple[Relay, Relay]


def relayed(*, seconds: float, faults: Sequence[str] = tuple(FAULTS), quiet: bool = False) -> Verdicts:
    """Let each of some faults last so many seconds, and look at what has come after it."""
    found = Verdicts("Connections that are slow, stall, break or swallow everything", quiet=quiet)
    with workplace() as folder, _lines(folder) as lines:
        relays, sshd = lines.relays, lines.sshd
        site = Site(
            folder,
            influx=f"http://localhost:{relays[0].port}",
            publish=sshd.url.replace(f":{sshd.port}", f":{relays[1].port}"),
            images=(f'key_file = "{sshd.key}"', f'known_hosts = "{sshd.known_hosts}"'),
            more="[alerts]\nenabled = false",
        )
        project = Project(site.projects / "alpha")
        try:
            project.grow(5)
            site.start("--listen", "127.0.0.1:0")
            assert until(lambda: _arrived(lines, project)), site.said()
            project.start(0.2)
            for name in faults:
                kept = _lasting(site, project, relays, FAULTS[name], seconds)
                due = dict(project.written)
                came = until(partial(_came, lines, due), seconds=75)
                found.promise(f"while connections {name}, the store continues", kept=kept, otherwise=site.said()[-300:])
                found.promise("then everything arrives", kept=bool(came), otherwise=_counts(lines, project))
            for relay in relays:
                relay.stalled = True
            time.sleep(1)
            took = site.interrupt()
            project.stop()
            for relay in relays:
                relay.stalled = False
            status = site.finish()
            found.figure(f"{len(faults)} faults of {seconds:g} s each; {len(project.written):,} micrographs arrived")
            found.promise(
                "while connections stall, the agent shuts down within 10 s",
                kept=took is not None and took < 10,
                otherwise=took,
            )
            whole = status == 0 and site.stored() == project.written and _arrived(lines, project)
            text = "at the end, each micrograph is in InfluxDB once, with its values, and each image on its host once"
            found.promise(text, kept=whole, otherwise=(status, _counts(lines, project)))
            traces = site.said().count("Traceback")
            found.promise("the log contains no traceback", kept=not traces, otherwise=traces)
        finally:
            project.stop()
            site.kill()
    return found


@contextmanager
def _lines(folder: Path) -> Iterator[_Lines]:
    influx, sshd = InfluxServer(folder / "influx"), Sshd(folder / "sshd")
    relays = (Relay(influx.port), Relay(sshd.port))
    try:
        influx.query("CREATE DATABASE scipion")
        sshd.trust(sshd.host_key, port=relays[1].port)
        yield _Lines(influx, sshd, relays)
    finally:
        for relay in relays:
            relay.stalled = False
            relay.close()
        influx.stop()
        sshd.stop()


def _lasting(
    site: Site, project: Project, relays: tuple[Relay, ...], fault: Callable[[Relay, bool], None], seconds: float
) -> bool:
    """Let a fault last; returns whether the store held meanwhile what was written after its begin."""
    over = threading.Event()

    def disturb() -> None:
        while not over.wait(0.3):
            for relay in relays:
                fault(relay, True)

    disturbing = threading.Thread(target=disturb, daemon=True)
    disturbing.start()
    try:
        time.sleep(seconds / 2)
        first = len(project.written)
        time.sleep(seconds / 2)
        return bool(until(lambda: len(site.stored()) > first, seconds=10))
    finally:
        over.set()
        disturbing.join()
        for relay in relays:
            fault(relay, False)


def _arrived(lines: _Lines, project: Project) -> bool:
    """Return whether exactly what was written has come."""
    written = sorted(project.written.items())
    return delivered(lines.influx) == written and _images(lines) == 3 * len(written)


def _came(lines: _Lines, due: Mapping[int, float]) -> bool:
    """Return whether some micrographs have come, while others are being written."""
    return due.items() <= dict(delivered(lines.influx)).items() and _images(lines) >= 3 * len(due)


def _images(lines: _Lines) -> int:
    return sum(file.suffix in (".jpg", ".png") for file in lines.sshd.root.rglob("*"))


def _counts(lines: _Lines, project: Project) -> str:
    return f"{len(delivered(lines.influx))} points, {_images(lines)} images of {len(project.written)} micrographs"
