"""A watched project behind a real server, for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from cryowatch.agent.agent import Agent
from cryowatch.dashboards import STANDARD, Dashboard
from cryowatch.demo.session import DemoSession, timetable
from cryowatch.forgetting.forgetter import Forgetter
from cryowatch.images import ImageServer
from cryowatch.settings.web import Web
from cryowatch.sources.scipion.log import log_ends
from cryowatch.store import Store
from cryowatch.web.app import AgentView, Appearance, create_app
from cryowatch.web.border import Names
from cryowatch.web.events import HEARTBEAT_SECONDS, Hub
from cryowatch.web.gate import access_of
from cryowatch.web.server import Identity, Server, address_of, bind

SECONDS = 60.0


def until(found: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Return what `found` returns as soon as that is true; raises AssertionError when it takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.03)
    raise AssertionError(f"not within {seconds} s: {found}")


def demo_project(folder: Path, micrographs: int, *, ended: bool = True) -> Path:
    """Write a made-up session of the last minutes, with its images: a whole one, or one that still runs."""
    session = DemoSession(folder)
    lasts = timetable(micrographs, 4.0, 0.0)[-1].time
    events = timetable(micrographs, 4.0, time.time() - lasts - 1)
    session.begin(events[0].time - 4)
    for event in events:
        session.happen(event, event.time)
    if ended:
        session.end(events[-1].time)
    return folder


class Served:
    """Projects that are watched and served at an address."""

    def __init__(
        self,
        paths: Sequence[Path],
        data: Path,
        listen: str,
        dashboards: Sequence[Dashboard],
        *,
        told: bool,
        web: Web | None = None,
        deliveries: Sequence[Mapping[str, Any]] = (),
        heartbeat: float = HEARTBEAT_SECONDS,
        most_connections: int | None = None,
    ) -> None:
        self.store = Store(data)
        self.agent = Agent(self.store, paths, interval=0.1, host_interval=0.2, host="gpu1")
        self.forgetter = Forgetter(self.store, tell=self.agent.tell)
        self.agent.accompany("forgetting", self.forgetter.step)
        self.hub = Hub({"version": "test", "started": 1}, heartbeat=heartbeat)
        self.images = ImageServer(data / "images")
        listener = bind(listen)
        identity = Identity(web.certificate, web.key) if web and web.certificate and web.key else None
        self.address = address_of(listener, tls=identity is not None).rstrip("/")
        view = AgentView(
            reader=self.store.reader(),
            hub=self.hub,
            images=self.images,
            clock=time.time_ns,
            host="gpu1",
            last_read=self.agent.last_read,
            deliveries=lambda: deliveries,
            logs=log_ends,
        )
        app = self.app = create_app(
            view,
            Appearance(dashboards=dashboards, names=Names(web.hosts, url=web.url) if web else None),
            access=access_of(data, web, port=listener.getsockname()[1]) if web else None,
            ledger=self.store.ledger() if told else None,
            forgetter=self.forgetter,
        )
        self.agent.listen(self.hub.publish)
        started = threading.Event()
        self.server = Server(
            app,
            self.hub,
            started=started.set,
            identity=identity,
            proxies=web.proxies if web else (),
            most_connections=most_connections,
        )
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        assert started.wait(SECONDS)
        self.agent.start()
        self.client = httpx2.Client(base_url=self.address, timeout=SECONDS)

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of an address; raises AssertionError for any other answer than 200."""
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def close(self) -> None:
        self.client.close()
        self.server.should_exit = True
        self._thread.join(SECONDS)
        self.agent.stop()
        self.images.close()
        self.store.close()


@contextmanager
def serving(
    paths: Sequence[Path],
    data: Path,
    *,
    listen: str = "127.0.0.1:0",
    dashboards: Sequence[Dashboard] = STANDARD,
    told: bool = True,
    web: Web | None = None,
    deliveries: Sequence[Mapping[str, Any]] = (),
    heartbeat: float = HEARTBEAT_SECONDS,
    most_connections: int | None = None,
) -> Iterator[Served]:
    """Watch and serve projects; they have been read once when this begins.

    `told`: pages may see to alerts.  With `web` the accounts and share links of the data directory count.
    `deliveries` are what followers say of themselves; `heartbeat` is of the events, in seconds; `most_connections` are
    as many as file descriptors allow where it is not given.
    """
    served = Served(
        paths, data, listen, dashboards, told=told, web=web, deliveries=deliveries, heartbeat=heartbeat,
        most_connections=most_connections,
    )  # fmt: skip
    try:
        until(lambda: served.agent.looked and all(w.last_read for w in list(served.agent.watches.values())))
        yield served
    finally:
        served.close()
