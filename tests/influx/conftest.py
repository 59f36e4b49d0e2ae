"""An InfluxDB that is emptied for each test, and a store that is delivered to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cryowatch.influx.batches import Layout
from cryowatch.influx.client import Access, Influx
from cryowatch.influx.delivery import Delivery
from cryowatch.influx.layout_cryowatch import CryowatchLayout
from cryowatch.influx.layout_scipion import ScipionLayout
from cryowatch.store import Store
from tests.support.influxd import ADMIN, InfluxServer


@pytest.fixture
def database(influx: InfluxServer) -> InfluxServer:
    """The server with an empty database."""
    influx.query("DROP DATABASE scipion; CREATE DATABASE scipion")
    return influx


@pytest.fixture
def delivering(database: InfluxServer) -> Iterator[Callable[..., Delivery]]:
    """Return what makes a delivery of a store, in one layout."""
    sinks: list[Influx] = []

    def make(store: Store, layout: str = "cryowatch", **access: object) -> Delivery:
        chosen: Layout = CryowatchLayout() if layout == "cryowatch" else ScipionLayout()
        user, password = ADMIN
        values = {"url": database.url, "database": "scipion", "username": user, "password": password, **access}
        sinks.append(Influx(Access(**values)))  # type: ignore[arg-type]
        return Delivery(store, sinks[-1], chosen, chance=lambda: 1.0)

    yield make
    for sink in sinks:
        sink.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
