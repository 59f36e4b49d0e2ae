"""What the store holds reaches a real InfluxDB, once and equal, whatever happens on the way."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cryowatch.errors import SinkAway, SinkRefused
from cryowatch.influx.backlog import Backlog
from cryowatch.influx.batches import Deletions, Receipt, Removal, portions
from cryowatch.influx.client import Access, Influx
from cryowatch.influx.delivery import Delivery, rejected_file
from cryowatch.influx.layout_cryowatch import CryowatchLayout
from cryowatch.influx.series import Series
from cryowatch.records import DeviceSample, HostSample, Severity
from cryowatch.store import Store
from cryowatch.store.alerts import Key, Ledger, State
from cryowatch.store.changes import Changes
from cryowatch.store.status import status as print_status
from tests.support.influxd import ADMIN, InfluxServer
from tests.support.projects import (
    CTFS,
    DOSE_WEIGHTED,
    MICROGRAPHS,
    SETS,
    Watched,
    append,
    change,
    genuine,
    scipion_values,
)
from tests.support.records import START, micrograph, output, reading, run, session, span
from tests.support.serving import until

Delivering = Callable[..., Delivery]
SECOND = 10**9


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    found = Watched(genuine(tmp_path), tmp_path / "data")
    found.look()
    yield found
    found.close()


def filled(store: Store, count: int, *, name: str = "alpha", first: int = 1) -> int:
    known = store.register(session(f"/projects/{name}"))
    items = [micrograph(n) for n in range(1, first + count)]
    store.commit(
        known.session, reading(span(items), session=session(f"/projects/{name}"), cursor=str(count)), now=START
    )
    return known.session


def counts(server: InfluxServer) -> int:
    rows = server.rows("SELECT count(ctfID) FROM micrograph")
    return int(rows[0]["count"]) if rows else 0


def test_every_value_of_a_genuine_project_is_on_the_server(
    watched: Watched, delivering: Delivering, database: InfluxServer
) -> None:
    assert delivering(watched.store).finish()
    points = {int(row["ctfID"]): row for row in database.rows("SELECT * FROM micrograph WHERE run = '135'")}
    names = {
        "defocus_u": "defocusU", "defocus_v": "defocusV", "defocus_angle": "defocusAngle", "resolution": "resolution",
        "fit_quality": "fitQuality", "phase_shift": "phaseShift", "name": "name", "enabled": "enabled",
    }  # fmt: skip
    expected = scipion_values()[CTFS]
    assert sorted(points) == [item["item"] for item in expected]
    for item in expected:
        row = points[item["item"]]
        assert (row["project"], row["host"], row["run"]) == ("small", "gpu1", "135")
        assert row["time"] % SECOND == item["item"]
        for field, key in names.items():
            assert row[key] == item[field], (item["item"], field)
        assert row["defocus"] == pytest.approx((item["defocus_u"] + item["defocus_v"]) / 2)
        assert row["astigmatism"] == pytest.approx(abs(item["defocus_u"] - item["defocus_v"]))


def test_a_project_makes_a_handful_of_series(watched: Watched, delivering: Delivering, database: InfluxServer) -> None:
    delivering(watched.store).finish()
    series = {row["key"] for row in database.rows("SHOW SERIES")}
    assert "micrograph,host=gpu1,project=small,run=135" in series
    assert "run,host=gpu1,output=outputCTF,project=small,run=135" in series
    assert len(series) <= 10


def test_runs_sizes_and_the_session_have_a_point_at_each_change(
    watched: Watched, delivering: Delivering, database: InfluxServer
) -> None:
    delivery = delivering(watched.store)
    delivery.finish()
    append(watched.project / CTFS, 9)
    watched.look()
    delivery.finish()
    sizes = database.rows("SELECT size, status, label FROM run WHERE run = '135'")
    assert [row["size"] for row in sizes if row["size"] is not None][-1] == 9
    assert {row["label"] for row in sizes} == {"ctffind 4"}
    [state] = database.rows("SELECT * FROM session")
    assert (state["status"], state["voltage"], state["pixelSize"]) == ("running", 300, 0.83)


def test_dose_weighted_copies_do_not_count_twice(
    watched: Watched, delivering: Delivering, database: InfluxServer
) -> None:
    delivering(watched.store).finish()
    assert SETS[MICROGRAPHS] != SETS[DOSE_WEIGHTED]
    [row] = database.rows("SELECT count(\"name\") FROM micrograph WHERE run = '67'")
    assert row["count"] == 8


def test_only_what_is_new_is_sent(store: Store, delivering: Delivering, database: InfluxServer) -> None:
    delivery = delivering(store)
    filled(store, 10)
    assert delivery.finish()
    sent = delivery.state.accepted
    filled(store, 12)
    assert delivery.finish()
    assert counts(database) == 12
    assert delivery.state.accepted - sent <= 4


def test_what_changes_later_is_changed_on_the_server(
    watched: Watched, delivering: Delivering, database: InfluxServer
) -> None:
    delivery = delivering(watched.store)
    delivery.finish()
    change(watched.project / CTFS, 3, enabled=0)
    watched.look()
    delivery.finish()
    rows = database.rows("SELECT ctfID, enabled FROM micrograph WHERE run = '135'")
    assert [(row["ctfID"], row["enabled"]) for row in rows if not row["enabled"]] == [(3, False)]
    assert len(rows) == 8


def test_host_samples_are_there_in_the_units_of_the_dashboards(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    devices = (
        DeviceSample(kind="network", device="eth0", sent=2e6, received=5e5),
        DeviceSample(kind="disk", device="sda", read=1e6, written=3e6),
        DeviceSample(kind="disk", device="sdb", read=1e6, written=None),
        DeviceSample(kind="filesystem", device="/data", used=71.5, free=2.5e12),
    )
    store.add_host_sample(
        HostSample(host="gpu1", time=START, cpu=12.5, memory=40, swap=None, load=1.5, cores=16, devices=devices)
    )
    delivering(store).finish()
    [row] = database.rows("SELECT * FROM system")
    known = {"cpu": 12.5, "mem": 40, "load": 1.5, "cores": 16, "eth0_send": 2, "eth0_recv": 0.5,
             "disk_read": 2, "disk_write": 3, "used:/data": 71.5, "free:/data": 2500}  # fmt: skip
    assert {key: row[key] for key in known} == known
    assert "swap" not in row


def raised(ledger: Ledger, text: str, *, host_alone: bool = False, subject: str = "", begun: int = START) -> int:
    key = Key(rule="disk" if host_alone else "defocus", session=None if host_alone else 1, host="gpu1", subject=subject)
    state = State(severity=Severity.WARNING, text=text, value=5.0, limit=4.0, field="defocus", unit="µm")
    return ledger.raise_(key, state, since=begun, now=begun + 60 * SECOND)


def test_an_alert_has_a_point_where_it_began_and_one_where_it_was_over(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    filled(store, 1)
    delivery, ledger = delivering(store), store.ledger()
    alert = raised(ledger, "3 of 25")
    delivery.finish()
    [row] = database.rows("SELECT * FROM alert")
    assert (row["project"], row["host"], row["rule"], row["severity"]) == ("alpha", "gpu1", "defocus", "warning")
    assert (row["text"], row["value"], row["limit"], row["active"]) == ("3 of 25", 5.0, 4.0, True)
    assert row["time"] == START + alert
    state = State(severity=Severity.WARNING, text="1 of 25", value=6.0, limit=4.0)
    ledger.change(alert, 1, state, last_bad=START, now=START + 120 * SECOND, worse=False)
    delivery.finish()
    assert [(r["text"], r["value"]) for r in database.rows("SELECT * FROM alert")] == [("1 of 25", 6.0)]
    ledger.end(alert, 1, Severity.WARNING, "fine", now=START + 300 * SECOND)
    delivery.finish()
    rows = database.rows("SELECT * FROM alert")
    assert [(r["time"] - alert, r["active"], r["text"]) for r in rows] == [
        (START, True, "1 of 25"), (START + 300 * SECOND, False, "1 of 25"),
    ]  # fmt: skip


def test_alerts_that_were_over_before_the_server_knew_have_both_points(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    filled(store, 1)
    ledger = store.ledger()
    ledger.end(raised(ledger, "short"), 1, Severity.WARNING, "fine", now=START)
    delivering(store).finish()
    rows = database.rows("SELECT * FROM alert")
    assert [r["active"] for r in rows] == [True, False]
    assert rows[0]["time"] < rows[1]["time"]


def test_two_disks_that_fill_up_together_stay_apart_and_are_of_no_project(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    ledger = store.ledger()
    for disk in ("/data", "/scratch"):
        raised(ledger, f"{disk} is full", host_alone=True, subject=disk)
    delivering(store).finish()
    rows = database.rows("SELECT * FROM alert")
    assert [(r["subject"], r["host"], r.get("project")) for r in rows] == [
        ("/data", "gpu1", None), ("/scratch", "gpu1", None),
    ]  # fmt: skip
    assert [r["key"] for r in database.rows("SHOW SERIES FROM alert")] == ["alert,host=gpu1,rule=disk,severity=warning"]


def test_a_restart_goes_on_where_the_server_is(store: Store, delivering: Delivering, database: InfluxServer) -> None:
    filled(store, 10)
    delivering(store).finish()
    again = delivering(store)
    assert again.behind == 0
    filled(store, 11)
    assert again.finish()
    assert counts(database) == 11


def test_a_field_of_another_type_is_set_aside_and_the_rest_is_kept(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    database.client.post(
        "/write",
        params={"db": "scipion"},
        auth=ADMIN,
        content=f'micrograph,project=alpha,host=gpu1,run=135 phaseShift="text" {START}\n',
    )
    known = store.register(session())
    items = [micrograph(n, phase_shift=30.0 if n in (3, 77) else None) for n in range(1, 101)]
    store.commit(known.session, reading(span(items)), now=START)
    delivery = delivering(store)
    assert delivery.finish()
    assert counts(database) == 98
    assert delivery.state.rejected == 2
    aside = rejected_file(store.data_dir).read_text()
    assert aside.count("phaseShift=30.0") == 2
    assert "field type conflict" in aside


def test_points_older_than_the_retention_are_counted_and_the_status_says_why(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    database.query("CREATE RETENTION POLICY short ON scipion DURATION 1h REPLICATION 1 DEFAULT", database="scipion")
    filled(store, 3)
    delivery = delivering(store)
    assert delivery.finish()
    assert delivery.state.rejected >= 3
    assert not rejected_file(store.data_dir).exists()
    out = StringIO()
    print_status(store.data_dir, bounds=(), as_json=False, out=out)
    assert "points were refused: older than the 1h that the database keeps" in out.getvalue()


@pytest.mark.parametrize(
    ("access", "words"),
    [
        ({"password": "wrong"}, "Check influx.username and the password"),
        ({"database": "nowhere"}, "cryowatch influx init"),
    ],
)
def test_what_needs_a_person_keeps_everything_and_says_so_once(
    store: Store, delivering: Delivering, caplog: pytest.LogCaptureFixture, access: dict[str, str], words: str
) -> None:
    caplog.set_level(logging.INFO)
    filled(store, 5)
    delivery = delivering(store, **access)
    assert delivery.step() == 60.0
    assert delivery.step() == 60.0
    assert delivery.state.needs_person
    assert len([r for r in caplog.records if words in r.getMessage()]) == 1
    assert "wrong" not in caplog.text
    [follower] = store.reader().followers(since=0)
    assert words in follower["problem"]
    assert follower["behind"] > 0


def test_a_user_who_may_only_read_is_refused(store: Store, delivering: Delivering, database: InfluxServer) -> None:
    database.query("CREATE USER reader WITH PASSWORD 'r'; GRANT READ ON scipion TO reader")
    filled(store, 5)
    delivery = delivering(store, username="reader", password="r")
    delivery.step()
    assert delivery.state.needs_person
    assert "may not write" in delivery.state.problem
    database.query("GRANT ALL ON scipion TO reader")
    assert delivery.finish()


def test_a_night_without_the_server_loses_nothing(tmp_path: Path, store: Store) -> None:
    server = InfluxServer(tmp_path / "influx")
    sink = Influx(Access(url=server.url, database="scipion", username=ADMIN[0], password=ADMIN[1]))
    try:
        server.query("CREATE DATABASE scipion")
        delivery = Delivery(store, sink, CryowatchLayout(), chance=lambda: 1.0)
        filled(store, 10)
        delivery.finish()
        server.kill()
        waits = []
        for more in range(11, 22):
            filled(store, more)
            waits.append(delivery.step())
        assert waits[0] < waits[3] < waits[-1] == 30.0
        assert "cannot be reached" in delivery.state.problem
        server.start()
        assert delivery.finish()
        assert counts(server) == 21
        assert delivery.state.problem == ""
    finally:
        sink.close()
        server.stop()


@pytest.mark.parametrize(("host", "encoding"), [("localhost", None), ("0.0.0.0", "gzip")])
def test_what_leaves_the_machine_is_compressed(
    database: InfluxServer, store: Store, monkeypatch: pytest.MonkeyPatch, host: str, encoding: str | None
) -> None:
    """0.0.0.0 reaches the same server, but is no address of loopback."""
    encodings: list[str | None] = []
    send = httpx2.Client.send

    def followed(client: httpx2.Client, request: httpx2.Request, **more: Any) -> httpx2.Response:
        if request.url.path == "/write":
            encodings.append(request.headers.get("Content-Encoding"))
        return send(client, request, **more)

    monkeypatch.setattr(httpx2.Client, "send", followed)
    filled(store, 20)
    url = database.url.replace("localhost", host)
    sink = Influx(Access(url=url, database="scipion", username=ADMIN[0], password=ADMIN[1]))
    assert Delivery(store, sink, CryowatchLayout()).finish()
    sink.close()
    assert counts(database) == 20
    assert set(encodings) == {encoding}


class Scripted(BaseHTTPRequestHandler):
    """Answers as told: (status, headers, body), the last one for ever."""

    answers: list[tuple[int, dict[str, str], str]]
    bodies: list[str]
    asked = 0

    def do_POST(self) -> None:
        type(self).asked += 1
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        status, headers, text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 413 and len(body) < 1_000:
            status, text = 204, ""
        if status == 204:
            self.bodies.append(body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def answering() -> Iterator[Callable[..., tuple[Influx, type[Scripted]]]]:
    """Return a sink that talks to a server which answers as it is told."""
    ends: list[Callable[[], object]] = []

    def start(*answers: tuple[int, dict[str, str], str]) -> tuple[Influx, type[Scripted]]:
        handler = type("Handler", (Scripted,), {"answers": list(answers), "bodies": []})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        sink = Influx(Access(url=f"http://127.0.0.1:{server.server_port}", database="scipion"))
        ends.extend((sink.close, server.shutdown, server.server_close, thread.join))
        return sink, handler

    yield start
    for end in ends:
        end()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again_when_it_says(
    answering: Callable[..., tuple[Influx, type[Scripted]]], store: Store, status: int
) -> None:
    sink, handler = answering((200, {}, ""), (status, {"Retry-After": "7"}, "later"), (204, {}, ""))
    filled(store, 3)
    delivery = Delivery(store, sink, CryowatchLayout())
    assert delivery.step() == 7.0
    assert delivery.behind
    assert delivery.finish()
    assert sum(body.count("ctfID") for body in handler.bodies) == 3


def test_a_batch_that_is_too_large_is_halved(
    answering: Callable[..., tuple[Influx, type[Scripted]]], store: Store
) -> None:
    sink, handler = answering((413, {}, "too large"))
    filled(store, 40)
    assert Delivery(store, sink, CryowatchLayout()).finish()
    assert sum(body.count("ctfID") for body in handler.bodies) == 40
    assert len(handler.bodies) > 10


BEYOND = "partial write: points beyond retention policy dropped=2"
OUTSIDE = (
    "partial write: dropped 2 points outside retention policy of duration 24h0m0s - oldest point m at"
    " 2022-05-09T10:22:00Z dropped because it violates a Retention Policy Lower Bound at 2025-03-05T16:34:57Z dropped=2"
)
RETENTION_ANSWERS = [
    (400, json.dumps({"error": BEYOND})),
    (500, json.dumps({"code": "internal error", "message": f"unexpected error writing points to database: {BEYOND}"})),
    (422, json.dumps({"code": "unprocessable entity", "message": f"failure writing points to database: {OUTSIDE}"})),
]


@pytest.mark.parametrize(("status", "text"), RETENTION_ANSWERS, ids=["1.x", "2.x", "2.7"])
def test_what_is_beyond_the_retention_of_any_server_holds_up_nothing(
    answering: Callable[..., tuple[Influx, type[Scripted]]], status: int, text: str
) -> None:
    sink, handler = answering((200, {}, '{"results":[]}'), (status, {}, text), (204, {}, ""))
    lines = [f"m a=1.0 {time}" for time in (50, 10, 40, 20, 30)]
    receipt = sink.send(lines)
    assert (receipt.accepted, receipt.rejected, receipt.outdated) == (3, (), 2)
    assert handler.bodies[-1].splitlines() == ["m a=1.0 50", "m a=1.0 40", "m a=1.0 30"]


def test_a_server_that_fails_for_another_reason_is_still_away(
    answering: Callable[..., tuple[Influx, type[Scripted]]],
) -> None:
    sink, _ = answering((200, {}, '{"results":[]}'), (500, {}, '{"error":"engine: cannot write"}'))
    with pytest.raises(SinkAway, match="engine: cannot write"):
        sink.send(["m a=1.0 1"])


def test_points_that_are_all_refused_for_one_reason_take_one_request(
    answering: Callable[..., tuple[Influx, type[Scripted]]],
) -> None:
    text = '{"error":"partial write: field type conflict: input field \\"a\\" on measurement \\"m\\" is type float, already exists as type string dropped=40"}'  # noqa: E501
    sink, handler = answering((200, {}, '{"results":[]}'), (400, {}, text))
    receipt = sink.send([f"m a=1.0 {n}" for n in range(40)])
    assert len(receipt.rejected) == 40
    assert handler.asked == 2


@pytest.mark.parametrize("status", [400, 405, 501])
def test_a_server_that_does_not_delete_gets_what_is_new_and_the_rest_is_counted(
    answering: Callable[..., tuple[Influx, type[Scripted]]], store: Store, status: int
) -> None:
    sink, handler = answering((status, {}, '{"error":"DELETE is not supported"}'))
    removal = sink.remove({Series.of("m", {"run": "1"}): [1, 2, 3]})
    assert (removal.stay, "DELETE" in removal.reason) == (3, True)
    asked = handler.asked
    assert sink.remove({Series.of("m", {"run": "1"}): [4]}).stay == 1
    assert handler.asked == asked, "it is left alone for a while"


def test_a_server_that_always_fails_at_deleting_is_one_that_does_not_delete(
    answering: Callable[..., tuple[Influx, type[Scripted]]],
) -> None:
    sink, _ = answering((500, {}, '{"error":"panic"}'))
    deletions = {Series.of("m", {"run": "1"}): [1, 2, 3]}
    for _ in range(4):
        with pytest.raises(SinkAway):
            sink.remove(deletions)
    assert (sink.remove(deletions).stay, sink.remove(deletions).reason) == (3, "panic")


def test_redirects_are_not_followed_with_credentials(answering: Callable[..., tuple[Influx, type[Scripted]]]) -> None:
    sink, _ = answering((307, {"Location": "http://elsewhere.example/write"}, ""))
    with pytest.raises(SinkRefused, match=r"redirects to http://elsewhere\.example/write\. Set influx\.url"):
        sink.send(["m a=1.0 1"])


def test_a_server_that_hangs_up_is_away(store: Store) -> None:
    sink = Influx(Access(url="http://127.0.0.1:9", database="scipion"))
    with pytest.raises(SinkAway, match="cannot be reached"):
        sink.send(["m a=1.0 1"])
    sink.close()


def test_large_batches_go_in_portions() -> None:
    lines = ["x" * 90 for _ in range(50)]
    found = list(portions(lines, most=1_000))
    assert [line for portion in found for line in portion] == lines
    assert all(sum(map(len, portion)) <= 1_000 for portion in found)
    assert list(portions(["y" * 5_000], most=1_000)) == [["y" * 5_000]]


def test_passwords_are_in_no_text() -> None:
    access = Access(url="http://x", database="d", username="u", password="very secret", token="also secret")
    assert "secret" not in repr(access)


AGENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from cryowatch.influx.delivery import Delivery
from cryowatch.influx.client import Access, Influx
from cryowatch.influx.layout_cryowatch import CryowatchLayout
from cryowatch.store import Store
store = Store(Path(sys.argv[1]))
sink = Influx(Access(url=sys.argv[2], database="scipion", username="admin", password="only for tests"))
delivery = Delivery(store, sink, CryowatchLayout(), most=40)
print("ready", flush=True)
delivery.finish()
print("done", flush=True)
"""


@pytest.mark.timeout(240)
def test_an_agent_killed_at_any_moment_neither_loses_nor_doubles(tmp_path: Path, database: InfluxServer) -> None:
    data = tmp_path / "data"
    store = Store(data)
    filled(store, 4_000)
    store.close()
    chance = random.Random(5)
    command = [sys.executable, "-c", AGENT, str(data), database.url, "", str(Path(__file__).parents[2])]
    for _ in range(50):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
            assert agent.stdout is not None
            assert agent.stdout.readline() == "ready\n"
            try:
                agent.wait(chance.uniform(0.0, 0.25))
            except subprocess.TimeoutExpired:
                os.kill(agent.pid, signal.SIGKILL)
    store = Store(data)
    sink = Influx(Access(url=database.url, database="scipion", username=ADMIN[0], password=ADMIN[1]))
    assert Delivery(store, sink, CryowatchLayout()).finish()
    sink.close()
    store.close()
    [row] = database.rows("SELECT count(ctfID), sum(ctfID) FROM micrograph")
    assert (row["count"], row["sum"]) == (4_000, 4_000 * 4_001 // 2)


@pytest.mark.timeout(240)
def test_a_server_killed_at_any_moment_neither_loses_nor_doubles(tmp_path: Path, store: Store) -> None:
    server = InfluxServer(tmp_path / "influx")
    sink = Influx(Access(url=server.url, database="scipion", username=ADMIN[0], password=ADMIN[1]))
    chance = random.Random(6)
    try:
        server.query("CREATE DATABASE scipion")
        delivery = Delivery(store, sink, CryowatchLayout(), chance=lambda: 0.0)
        for round_ in range(1, 51):
            filled(store, round_ * 80)
            plug = threading.Timer(chance.uniform(0.0, 0.05), server.kill)
            plug.start()
            for _ in range(3):
                delivery.step()
            plug.join()
            server.start()
        assert delivery.finish()
        [row] = server.rows("SELECT count(ctfID), sum(ctfID) FROM micrograph")
        assert (row["count"], row["sum"]) == (4_000, 4_000 * 4_001 // 2)
    finally:
        sink.close()
        server.stop()


def test_receipts_count(database: InfluxServer) -> None:
    sink = Influx(Access(url=database.url, database="scipion", username=ADMIN[0], password=ADMIN[1]))
    assert sink.send([]) == Receipt(0)
    receipt = sink.send(["m a=1.0 1", "not a line", "m a=2.0 2"])
    sink.close()
    assert (receipt.accepted, [line for line, _ in receipt.rejected]) == (2, ["not a line"])
    assert "unable to parse" in receipt.rejected[0][1]


def test_two_runs_and_two_projects_stay_apart(store: Store, delivering: Delivering, database: InfluxServer) -> None:
    for name in ("one", 'two "x", =y'):
        known = store.register(session(f"/projects/{name}"))
        both = (run("135"), run("300"))
        outputs = (output("135"), output("300"))
        spans = (span([micrograph(1)]), span([micrograph(1, run="300", resolution=9.0)], run="300"))
        store.commit(known.session, reading(*spans, runs=both, outputs=outputs), now=START)
    delivering(store).finish()
    rows = database.rows("SELECT resolution FROM micrograph GROUP BY project, run")
    assert sorted((row["project"], row["run"], row["resolution"]) for row in rows) == [
        ("one", "135", 3.5), ("one", "300", 9), ('two "x", =y', "135", 3.5), ('two "x", =y', "300", 9),
    ]  # fmt: skip


class Keeping:
    """A sink that has nothing to take away."""

    def remove(self, deletions: Deletions) -> Removal:
        return Removal()


class Away(Keeping):
    """A server that is away."""

    where = "http://db:8086 (scipion)"

    def send(self, lines: list[str]) -> Receipt:
        raise SinkAway("cannot be reached", where=self.where)


def test_a_delivery_whose_server_is_away_for_days_is_still_seen(store: Store) -> None:
    filled(store, 3)
    now = START
    delivery = Delivery(store, Away(), CryowatchLayout(), clock=lambda: now, chance=lambda: 1.0)
    delivery.step()
    for _ in range(3 * 24):
        now += 3600 * SECOND
        delivery.step()
        ((seen, since, problem),) = store.reader().table("SELECT seen, since, problem FROM position")[1]
        assert (seen, since) == (now, START)
        assert "cannot be reached" in problem


class Held(Keeping):
    """A sink that takes a batch when it is let, or says that it is away."""

    where = "held"

    def __init__(self) -> None:
        self.let = threading.Event()
        self.asked: list[int] = []
        self.away = False

    def send(self, lines: list[str]) -> Receipt:
        self.asked.append(len(lines))
        assert self.let.wait(60)
        if self.away:
            raise SinkAway("does not answer", where=self.where)
        return Receipt(len(lines))


def went_on(delivery: Delivery, until_this: Callable[[], object]) -> None:
    """Go on with a delivery, as somebody who reads meanwhile, until something is so."""

    def gone_on() -> object:
        delivery.go_on()
        return until_this()

    until(gone_on)


def test_whoever_reads_does_not_wait_for_the_server_and_delivers_all_the_same(store: Store) -> None:
    sink = Held()
    delivery = Delivery(store, sink, CryowatchLayout(), chance=lambda: 1.0)
    filled(store, 10)
    delivery.go_on()
    filled(store, 10, first=11)
    delivery.go_on()
    assert delivery.position == 0
    sink.let.set()
    went_on(delivery, lambda: delivery.behind == 0)
    assert delivery.state.accepted == 24
    assert sink.asked == [13, 11]


def test_whoever_reads_leaves_a_server_that_is_away_until_the_end(store: Store) -> None:
    sink = Held()
    sink.away = True
    sink.let.set()
    delivery = Delivery(store, sink, CryowatchLayout(), chance=lambda: 1.0)
    filled(store, 10)
    went_on(delivery, lambda: delivery.state.problem)
    for first in (11, 21):
        filled(store, 10, first=first)
        delivery.go_on()
    assert len(sink.asked) == 1
    sink.away = False
    assert delivery.finish(pause=lambda _: None)
    assert delivery.position == store.reader().head()


class Broken(Keeping):
    """A sink with a mistake of its own, the first time."""

    where = "broken"

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.asked = 0

    def send(self, lines: list[str]) -> Receipt:
        self.asked += 1
        if self.asked == 1:
            raise ValueError("nobody thought of this")
        self.taken += lines
        return Receipt(len(lines))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_batch_that_broke_off_by_a_mistake_of_ours_is_sent_again(store: Store) -> None:
    filled(store, 5_000)
    sink = Broken()
    delivery = Delivery(store, sink, CryowatchLayout())
    with pytest.raises(RuntimeError, match="broke off"):
        delivery.step()
    assert delivery.finish(pause=lambda _: None)
    points = [line for line in sink.taken if line.startswith("micrograph,")]
    assert [int(line.partition("ctfID=")[2].partition("i")[0]) for line in points] == list(range(1, 5_001))


def test_what_waited_for_weeks_is_sent_in_batches_that_fit_into_memory(store: Store) -> None:
    for n in range(4_500):
        store.add_host_sample(HostSample(host="gpu1", time=START + n * SECOND, cpu=5.0))
    backlog = Backlog(store.delivered("influx"), Changes(store.reader()), CryowatchLayout())
    upto, sizes = 0, []
    while (batch := backlog.following(upto, 0)) is not None:
        assert batch.upto > upto
        upto = batch.upto
        sizes.append(len(batch.lines))
    assert sum(sizes) == 4_500
    assert max(sizes) <= 201


def test_samples_that_were_forgotten_while_the_server_was_away_are_counted_and_shown(store: Store) -> None:
    delivery = Delivery(store, Away(), CryowatchLayout(), clock=lambda: START, chance=lambda: 1.0)
    for n in range(10):
        store.add_host_sample(HostSample(host="gpu1", time=START + n * SECOND, cpu=5.0))
    delivery.step()
    store.forget_host_samples(before=START + 4 * SECOND, now=START + SECOND, followers=[delivery.name])
    said = delivery.status().shown()
    assert (said["dropped"], said["last_dropped"]) == (4, START // 10**6 + 1000)


class Slow(Keeping):
    """A server that takes everything, while the store forgets its oldest samples."""

    where = Away.where

    def __init__(self, store: Store, *, before: int) -> None:
        self.forget = partial(store.forget_host_samples, before=before, now=START)

    def send(self, lines: list[str]) -> Receipt:
        self.forget(followers=[f"influx cryowatch {self.where}"])
        return Receipt(len(lines))


def test_samples_that_were_forgotten_on_their_way_are_not_counted_as_dropped(store: Store) -> None:
    for n in range(10):
        store.add_host_sample(HostSample(host="gpu1", time=START + n * SECOND, cpu=5.0))
    delivery = Delivery(store, Away(), CryowatchLayout(), clock=lambda: START, chance=lambda: 1.0)
    delivery.step()
    store.forget_host_samples(before=START + 3 * SECOND, now=START, followers=[delivery.name])
    delivery = Delivery(store, Slow(store, before=START + 7 * SECOND), CryowatchLayout(), clock=lambda: START)
    assert delivery.finish()
    said = delivery.status().shown()
    assert (said["accepted"], said["dropped"]) == (7, 3)


class Wavering(Keeping):
    """A server that takes every other batch."""

    where = "http://db:8086 (scipion)"

    def __init__(self) -> None:
        self.taken: list[list[str]] = []
        self.asked = 0

    def send(self, lines: list[str]) -> Receipt:
        self.asked += 1
        if self.asked % 2:
            raise SinkAway("cannot be reached", where=self.where)
        self.taken.append(lines)
        return Receipt(len(lines))


def test_what_changed_while_a_backlog_had_to_wait_is_sent_as_it_is_now(store: Store) -> None:
    filled(store, 11_000)
    sink = Wavering()
    delivery = Delivery(store, sink, CryowatchLayout(), clock=lambda: START)
    delivery.step()
    changed = [micrograph(n, resolution=7.25 if n == 11_000 else 3.5) for n in range(1, 11_001)]
    known = store.register(session("/projects/alpha"))
    store.commit(known.session, reading(span(changed), session=session("/projects/alpha"), cursor="2"), now=START)
    assert delivery.finish(tries=10, pause=lambda _: None)
    points = [line for lines in sink.taken for line in lines if line.startswith("micrograph,")]
    numbers = [int(line.partition("ctfID=")[2].partition("i")[0]) for line in points]
    assert numbers == list(range(1, 11_001))
    assert [line for line in points if "resolution=7.25" in line] == [points[-1]]
    assert len(sink.taken) == 6
    assert delivery.behind == 0
