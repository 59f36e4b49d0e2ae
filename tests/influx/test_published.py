"""The published dashboards (grafana.com 12351-12355) go on working: their queries, unchanged, on what we write."""

# ruff: noqa: E501  the queries are as they are published

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cryowatch.influx.client import Access, Influx
from cryowatch.influx.delivery import Delivery
from cryowatch.influx.layout_scipion import ScipionLayout, project_measurement
from cryowatch.records import DeviceSample, HostSample
from cryowatch.store import Store
from tests.support.influxd import ADMIN, InfluxServer
from tests.support.projects import CTFS, Watched, change, genuine, scipion_values
from tests.support.records import START, micrograph, output, reading, run, session, span

Delivering = Callable[..., Delivery]
SECOND = 10**9

QUERIES = {
    "Project Properties": """SELECT "metric" AS "metric", "valueStr" AS "value" FROM /^$project$/ WHERE ("section" = 'properties') AND $timeFilter""",
    "Runs Summary": """SELECT "protocolName" AS "Protocl Name", "output" AS "Output", "size" AS "Size" FROM /^$project$/ WHERE ("section" = 'summary') AND $timeFilter""",
    "Acquisition": """SELECT "metric", "valueNum" FROM /^$project$/ WHERE ("section" = 'acquisition') AND $timeFilter""",
    "Defocus percentage": """SELECT (mean(c1) / mean(c2)) as ratio FROM (select count(defocusU) as c1 from $project where "defocusU"/10000 < $defocus_var AND $timeFilter), (select count(defocusU) as c2 from $project WHERE $timeFilter)""",
    "Resolution percentage": """SELECT (mean(c1) / mean(c2)) as ratio FROM (select count(resolution) as c1 from $project where "resolution" < $resolution_var AND $timeFilter), (select count(resolution) as c2 from $project WHERE $timeFilter)""",
    "Defocus U": """SELECT "defocusU" / 10000 FROM /^$project$/ WHERE ("section" = 'ctf') AND $timeFilter AND ("defocusU"/10000. < $defocus_var)""",
    "Resolution": """SELECT "resolution" FROM /^$project$/ WHERE ("section" = 'ctf') AND $timeFilter AND resolution < $resolution_var""",
    "Ratio": """SELECT "ratio" FROM /^$project$/ WHERE ("section" = 'ctf') AND $timeFilter""",
    "Microscope gain": """SELECT "ratio1", "ratio2", "stddev" FROM /^$project$/ WHERE ("section" = 'gain') AND $timeFilter""",
    "System load": """SELECT * FROM /^$project$/ WHERE ("section" = 'system') AND $timeFilter""",
}  # fmt: skip


def expanded(query: str, project: str) -> str:
    """Return a query as Grafana sends it."""
    for name, value in (
        ("$project", project),
        ("$timeFilter", "time > 0"),
        ("$defocus_var", "6"),
        ("$resolution_var", "20"),
    ):
        query = query.replace(name, value)
    return query


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    found = Watched(genuine(tmp_path), tmp_path / "data")
    found.look()
    devices = (DeviceSample(kind="network", device="eth0", sent=2e6, received=5e5),)
    found.store.add_host_sample(
        HostSample(host="gpu1", time=found.clock(), cpu=12.5, memory=40.0, swap=1.0, load=1.5, devices=devices)
    )
    with found.store._transaction() as tx:
        tx.execute("INSERT INTO gain (session_id, run, item, movie, time, stddev, ratio1, ratio2, seq)"
                   " SELECT 1, '2', 1, 'm', ?, 0.02, 1.05, 17.0, seq + 1 FROM counter", (START,))  # fmt: skip
        tx.execute("UPDATE counter SET seq = seq + 1")
    yield found
    found.close()


@pytest.mark.parametrize("name", QUERIES)
def test_every_published_query_returns_rows_of_a_genuine_project(
    watched: Watched, delivering: Delivering, database: InfluxServer, name: str
) -> None:
    assert delivering(watched.store, "scipion").finish()
    assert database.rows(expanded(QUERIES[name], "small"))


def test_estimates_have_the_values_of_scipion_and_our_right_defocus(
    watched: Watched, delivering: Delivering, database: InfluxServer
) -> None:
    delivering(watched.store, "scipion").finish()
    rows = {row["ctfID"]: row for row in database.rows("SELECT * FROM small WHERE section = 'ctf'")}
    expected = scipion_values()[CTFS]
    assert sorted(rows) == [item["item"] for item in expected]
    for item in expected:
        row = rows[item["item"]]
        assert (row["defocusU"], row["defocusV"], row["resolution"]) == (
            item["defocus_u"], item["defocus_v"], item["resolution"],
        )  # fmt: skip
        assert row["defocus"] == pytest.approx((item["defocus_u"] + item["defocus_v"]) / 2)
        assert row["transferImage"] is False
        assert row["time"] % SECOND == item["item"]
    assert all(key in ("section",) for row in database.rows("SHOW TAG KEYS") for key in [row["tagKey"]])


def test_an_infinite_resolution_is_no_value_rather_than_the_best(
    watched: Watched, delivering: Delivering, database: InfluxServer
) -> None:
    change(watched.project / CTFS, 3, resolution=float("inf"))
    watched.look()
    delivering(watched.store, "scipion").finish()
    rows = database.rows("SELECT ctfID, resolution FROM small WHERE section = 'ctf'")
    assert [row["ctfID"] for row in rows if row["resolution"] is None] == [3]
    assert min(row["resolution"] for row in rows if row["resolution"] is not None) > 1


def test_tables_are_replaced_and_stay_in_order(
    watched: Watched, delivering: Delivering, database: InfluxServer
) -> None:
    delivery = delivering(watched.store, "scipion")
    delivery.finish()
    before = database.rows("SELECT metric, valueStr FROM small WHERE section = 'properties'")
    change(watched.project / CTFS, 1, enabled=0)
    watched.look()
    delivery.finish()
    after = database.rows("SELECT metric, valueStr FROM small WHERE section = 'properties'")
    assert [row["metric"] for row in before] == [row["metric"] for row in after]
    assert "<b>Status</b>" in [row["metric"] for row in after]
    runs = database.rows("SELECT protocolName, output, size FROM small WHERE section = 'summary' ORDER BY time DESC")
    assert [(row["protocolName"], row["output"], row["size"]) for row in runs][:3] == [
        ("<b>import movies (2)</b>", "", ""),
        ("", "outputMovies", "8"),
        ("<b>movie alignment - motioncor (67)</b>", "", ""),
    ]
    acquisition = {row["metric"]: row["valueNum"] for row in database.rows("SELECT metric, valueNum FROM small WHERE section = 'acquisition'")}  # fmt: skip
    assert acquisition["<b>Microscope Voltage (kV)</b>"] == 300
    assert acquisition["<b>Pixel Size (Å/px)</b>"] == 0.83


def test_the_hosts_load_goes_to_projects_that_are_at_work_alone(
    watched: Watched, delivering: Delivering, database: InfluxServer
) -> None:
    idle = watched.store.register(session("/projects/idle", host="gpu1", status="finished"))
    watched.store.commit(
        idle.session, reading(session=session("/projects/idle", host="gpu1", status="finished")), now=START
    )
    delivering(watched.store, "scipion").finish()
    [row] = database.rows("SELECT * FROM small WHERE section = 'system'")
    assert (row["cpu"], row["mem"], row["eth0_send"], row["eth0_recv"]) == (12.5, 40, 2, 0.5)
    assert database.rows("SELECT * FROM idle WHERE section = 'system'") == []


def test_a_database_in_which_the_lines_numbers_are_fractions_goes_on_with_fractions(
    watched: Watched, delivering: Delivering, database: InfluxServer
) -> None:
    old = f"small,section=gain idx=1.0,stddev=0.01,ratio1=1.0,ratio2=2.0 {START - SECOND}"
    database.client.post("/write", params={"db": "scipion"}, content=old, auth=ADMIN)
    delivery = delivering(watched.store, "scipion")
    assert delivery.finish()
    assert delivery.state.rejected == 0
    rows = database.rows("SELECT idx, stddev FROM small WHERE section = 'gain'")
    assert [(row["idx"], row["stddev"]) for row in rows] == [(1, 0.01), (1, 0.02)]
    assert {row["fieldType"] for row in database.rows("SHOW FIELD KEYS FROM small") if row["fieldKey"] == "idx"} == {
        "float"
    }


def test_a_version_that_the_project_does_not_tell_is_no_row(
    watched: Watched, delivering: Delivering, database: InfluxServer
) -> None:
    delivering(watched.store, "scipion").finish()
    metrics = [row["metric"] for row in database.rows("SELECT metric FROM small WHERE section = 'properties'")]
    assert metrics == [f"<b>{name}</b>" for name in ("Status", "Duration", "Last Update", "Start Time")]


def test_hours_are_added_to_every_time(watched: Watched, database: InfluxServer) -> None:
    sink = Influx(Access(url=database.url, database="scipion", username=ADMIN[0], password=ADMIN[1]))
    Delivery(watched.store, sink, ScipionLayout(shift_hours=-2)).finish()
    sink.close()
    stored = {row["item"]: row["time"] for row in watched.items().values()}
    rows = database.rows("SELECT ctfID FROM small WHERE section = 'ctf'")
    assert {row["ctfID"]: row["time"] for row in rows} == {n: t + n - 7_200 * SECOND for n, t in stored.items()}


def test_a_second_estimate_is_not_counted_twice(tmp_path: Path, delivering: Delivering, database: InfluxServer) -> None:
    store = Store(tmp_path / "data")
    known = store.register(session("/projects/two"))
    runs, outputs = (run("135"), run("1300")), (output("135"), output("1300"))
    spans = (span([micrograph(1)]), span([micrograph(1, run="1300", resolution=9.0)], run="1300"))
    store.commit(known.session, reading(*spans, runs=runs, outputs=outputs), now=START)
    delivering(store, "scipion").finish()
    store.close()
    assert [row["resolution"] for row in database.rows("SELECT resolution FROM two WHERE section = 'ctf'")] == [3.5]


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ("2020_02_25_x", "2020_02_25_x"),
        ("My-Proj", "My-Proj"),
        (" a  b\tc ", "a_b_c"),
        ("""x"#$%&+,/:;=?@[\\]^`{|}~'y""", "xy"),
        ("ü 😀", "ü_😀"),
        ("'", "_"),
    ],
)
def test_projects_are_called_what_the_reference_calls_them(project: str, name: str) -> None:
    assert project_measurement(project) == name
    assert not re.search(r"\s", project_measurement(project))
