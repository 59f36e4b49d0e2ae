"""What a real InfluxDB holds of a session that was forgotten stays, or goes where that is wanted; others' stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cryowatch.forgetting.forgetter import Forgetter
from cryowatch.influx.delivery import Delivery
from cryowatch.records import GainResidual, Severity
from cryowatch.store import Store
from cryowatch.store.alerts import Key, State
from cryowatch.store.belongings import belongings_of
from cryowatch.store.forgotten import passed_over
from tests.support.influxd import InfluxServer
from tests.support.records import START, micrograph, reading, run, session, span

Delivering = Callable[..., Delivery]
LAYOUTS = ("cryowatch", "scipion")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "data")
    yield opened
    opened.close()


def filled(store: Store, name: str, count: int) -> int:
    """Store a session with CTFs, a gain residual and an alert; returns its number."""
    path = f"/projects/{name}"
    known = store.register(session(path, created=START)).session
    gain = GainResidual(run="9", item=1, movie="m", time=START, stddev=1.0, ratio1=1.0, ratio2=1.0)
    runs = (run(), run("9", label="gain"))
    items = [micrograph(number) for number in range(1, count + 1)]
    store.commit(known, reading(span(items), session=session(path, created=START), runs=runs, gains=(gain,)), now=START)
    state = State(severity=Severity.WARNING, text="few are good")
    store.ledger().raise_(Key(rule="few", session=known, host="gpu1"), state, since=START, now=START)
    return known


def forgotten(store: Store, name: str, *, influxdb: bool) -> None:
    forgetter = Forgetter(store)
    forgetter.forget(store.reader().session(name), author="ada", influxdb=influxdb, images=False)
    forgetter.finish()


def points(server: InfluxServer) -> int:
    """Return how many points the database holds."""
    found = 0
    for row in server.rows("SHOW MEASUREMENTS"):
        counted = server.rows(f'SELECT * FROM "{row["name"]}"')
        found += len(counted)
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_its_points_go_where_that_is_wanted_and_those_of_others_stay(
    store: Store, delivering: Delivering, database: InfluxServer, layout: str
) -> None:
    filled(store, "beta", 5)
    delivery = delivering(store, layout)
    assert delivery.finish()
    before = points(database)
    filled(store, "alpha", 40)
    assert delivery.finish()
    own = points(database) - before
    row = store.reader().session("alpha")
    said = belongings_of(store.reader(), row, now=time.time_ns()).points
    assert own > 40
    if layout == "cryowatch":
        assert said == {delivery.name: own}
    forgotten(store, "alpha", influxdb=True)
    assert delivery.finish()
    assert points(database) == before
    assert delivery.behind == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_its_points_stay_unless_that_is_wanted(
    store: Store, delivering: Delivering, database: InfluxServer, layout: str
) -> None:
    filled(store, "alpha", 40)
    filled(store, "beta", 5)
    delivery = delivering(store, layout)
    assert delivery.finish()
    before = points(database)
    forgotten(store, "alpha", influxdb=False)
    assert delivery.finish()
    forgotten(store, "beta", influxdb=True)
    assert delivery.finish()
    after = points(database)
    again = delivering(store, layout)
    assert again.finish()
    assert points(database) == after < before
    assert after > 40


def test_a_database_that_is_away_loses_them_once_it_is_back(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    filled(store, "alpha", 30)
    delivery = delivering(store)
    assert delivery.finish()
    database.stop()
    try:
        forgotten(store, "alpha", influxdb=True)
        assert not delivery.finish(tries=1, pause=lambda _: None)
        assert delivery.behind > 0
        assert "cannot be reached" in delivery.status().problem
    finally:
        database.start()
    assert delivering(store).finish(), "another agent goes on with it, too"
    assert points(database) == 0


def test_what_was_not_delivered_is_not_delivered_any_more(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    delivery = delivering(store)
    filled(store, "alpha", 30)
    forgetter = Forgetter(store)
    forgetter.forget(store.reader().session("alpha"), author="ada", influxdb=False, images=False)
    assert delivery.finish()
    assert points(database) == 0


def test_a_project_that_is_remembered_has_the_points_that_it_had(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    filled(store, "alpha", 30)
    delivery = delivering(store)
    assert delivery.finish()
    before = sorted(str(row) for row in database.rows("SELECT * FROM micrograph"))
    forgotten(store, "alpha", influxdb=True)
    (note,) = passed_over(store.reader())
    store.forgotten().remember(note.session)
    filled(store, "alpha", 30)
    assert delivery.finish()
    assert sorted(str(row) for row in database.rows("SELECT * FROM micrograph")) == before
