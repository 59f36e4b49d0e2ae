"""Alerts are shown to everybody, and only people on our own pages can see to them or silence them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cryowatch.records import Severity
from cryowatch.store import Change
from cryowatch.store.alerts import Key, State
from tests.support.projects import MICROGRAPHS, append, genuine
from tests.support.serving import Served, serving, until

MINUTE = 60 * 10**9
JSON = "application/json"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving([genuine(tmp_path)], tmp_path / "data") as found:
        yield found


class Facility:
    """Raises and ends alerts of the one session that is served, and of its host, and tells the pages."""

    def __init__(self, served: Served) -> None:
        self.ledger = served.store.ledger()
        self.session = int(served.store.reader().session("small")["id"])
        self.served = served

    def raise_(self, text: str, *, minutes: float = 0, host_alone: bool = False, **values: Any) -> int:
        now = time.time_ns()
        key = Key(
            rule=values.pop("rule", "defocus"),
            session=None if host_alone else self.session,
            host=values.pop("host", "gpu1"),
            subject=values.pop("subject", text),
        )
        state = State(severity=values.pop("severity", Severity.WARNING), text=text, **values)
        alert = self.ledger.raise_(key, state, since=now - round(minutes * MINUTE), now=now)
        self.tell()
        return alert

    def end(self, alert: int) -> None:
        self.ledger.end(alert, self.session, Severity.WARNING, "over", now=time.time_ns())
        self.tell()

    def tell(self) -> None:
        row = self.served.store.reader().session("small")
        self.served.hub.publish(Change(session=row["id"], key=row["key"], seq=row["seq"], generation=row["generation"]))


@pytest.fixture
def facility(served: Served) -> Facility:
    return Facility(served)


def active(served: Served) -> dict[str, Any]:
    [session] = served.get("/api/sessions")["sessions"]
    found: dict[str, Any] = session["alerts"]
    detail = served.get("/api/sessions/small")["alerts"]
    assert {name: detail[name] for name in found} == found
    return found


def post(served: Served, path: str, content: Any = None, **headers: str) -> httpx2.Response:
    """Ask as a page of ours does; a header that is given as "" is left out."""
    sent = {"Origin": served.address, "Content-Type": JSON, **{k.replace("_", "-"): v for k, v in headers.items()}}
    body = content if isinstance(content, bytes) else json.dumps({} if content is None else content).encode()
    return served.client.post(path, content=body, headers={k: v for k, v in sent.items() if v})


def test_a_session_without_alerts_has_none(served: Served) -> None:
    assert active(served) == {"counts": {"critical": 0, "warning": 0, "info": 0}, "active": []}
    assert served.get("/api/sessions/small/alerts") == {"head": 0, "alerts": []}


def test_active_alerts_come_with_sessions_the_worst_first(served: Served, facility: Facility) -> None:
    mild = facility.raise_("worth knowing", severity=Severity.INFO, rule="cpu")
    values: dict[str, Any] = {"value": 5.21, "limit": 4.0, "field": "defocus", "unit": "µm"}
    defocus = facility.raise_("Defocus: 3 of the last 25", minutes=14, **values)
    disk = facility.raise_("Disk /data: 97 %", severity=Severity.CRITICAL, rule="disk", host_alone=True, field="used")
    facility.raise_("another machine's", host_alone=True, host="gpu2", rule="disk")
    facility.end(facility.raise_("over", rule="motion"))
    found = active(served)
    assert [alert["id"] for alert in found["active"]] == [disk, defocus, mild]
    assert found["counts"] == {"critical": 1, "warning": 1, "info": 1}
    alert = found["active"][1]
    assert (alert["value"], alert["limit"], alert["unit"], alert["decimals"]) == (5.21, 4.0, "µm", 2)
    assert (alert["record"], alert["field"], alert["session"]) == ("micrograph", "defocus", "small")
    assert abs(alert["since"] - (time.time() - 14 * 60) * 1000) < 20_000
    assert [found["active"][0][name] for name in ("record", "session", "host")] == ["device", None, "gpu1"]


def test_past_alerts_are_those_that_lasted_in_the_window(served: Served, facility: Facility) -> None:
    early = facility.raise_("early", minutes=120, rule="a")
    facility.ledger.end(early, facility.session, Severity.WARNING, "", now=time.time_ns() - 90 * MINUTE)
    late = facility.raise_("late", minutes=60, rule="b")
    facility.end(late)
    lasting = facility.raise_("lasts", minutes=30, rule="c")
    now = int(time.time() * 1000)

    def ids(**window: int) -> list[int]:
        return [alert["id"] for alert in served.get("/api/sessions/small/alerts", **window)["alerts"]]

    assert ids() == [lasting, late, early]
    assert ids(**{"from": now - 70 * 60_000}) == [lasting, late]
    assert ids(to=now - 80 * 60_000) == [lasting, early]
    assert ids(**{"from": now - 89 * 60_000}, to=now - 61 * 60_000) == [lasting]
    wrong = served.client.get("/api/sessions/small/alerts?from=2&to=1")
    assert (wrong.status_code, wrong.json()) == (400, {"error": "from must not be after to"})
    assert served.client.get("/api/sessions/nobody/alerts").status_code == 404


def test_the_position_of_a_session_s_alerts_moves_with_each_change(served: Served, facility: Facility) -> None:
    def head() -> int:
        found: int = served.get("/api/sessions/small")["alerts"]["head"]
        assert found == served.get("/api/sessions/small/alerts")["head"]
        return found

    before = head()
    alert = facility.raise_("text", host_alone=True)
    raised = head()
    facility.ledger.acknowledge(alert, now=time.time_ns())
    assert before < raised < head()


def test_an_alert_that_somebody_sees_to_stays_and_says_so(served: Served, facility: Facility) -> None:
    alert = facility.raise_("text")
    answer = post(served, f"/api/alerts/{alert}/acknowledge")
    assert answer.status_code == 200, answer.text
    assert abs(answer.json()["acknowledged"] - time.time() * 1000) < 20_000
    assert active(served)["active"] == [answer.json()]


def test_a_silence_lasts_its_minutes_and_can_be_ended(served: Served, facility: Facility) -> None:
    alert = facility.raise_("text")
    answer = post(served, f"/api/alerts/{alert}/mute", {"minutes": 60})
    assert answer.status_code == 200, answer.text
    assert abs(answer.json()["muted_until"] - (time.time() + 3600) * 1000) < 20_000
    assert active(served)["active"][0]["muted_until"] == answer.json()["muted_until"]
    assert post(served, f"/api/alerts/{alert}/mute", {"minutes": 0}).json()["muted_until"] is None
    facility.ledger.mute(alert, until=time.time_ns() - MINUTE)
    assert active(served)["active"][0]["muted_until"] is None


@pytest.mark.parametrize(
    "content",
    [
        {}, {"minutes": -1}, {"minutes": 10_081}, {"minutes": 1.5}, {"minutes": "60"}, {"minutes": True},
        {"minutes": None}, {"minutes": 60, "rule": "all"}, [60], b"", b"{", b"\xff", {"minutes": 60, "x": "y" * 2000},
    ],
)  # fmt: skip
def test_a_silence_that_makes_no_sense_is_refused_in_one_line(
    served: Served, facility: Facility, content: object
) -> None:
    alert = facility.raise_("text")
    answer = post(served, f"/api/alerts/{alert}/mute", content)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert active(served)["active"][0]["muted_until"] is None


def test_alerts_that_are_not_there_or_over_are_not_found(served: Served, facility: Facility) -> None:
    over = facility.raise_("text")
    facility.end(over)
    for path in (f"/api/alerts/{over}/acknowledge", "/api/alerts/99/acknowledge", f"/api/alerts/{10**30}/acknowledge"):
        assert post(served, path).status_code == 404
    assert post(served, "/api/alerts/99/mute", {"minutes": 0}).status_code == 404
    assert post(served, "/api/alerts/99/mute", {"minutes": 5}).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ""},
        {"Origin": "null"},
        {"Origin": "https://elsewhere.example.org"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "https://elsewhere.example.org"},
    ],
)
def test_nobody_else_s_page_can_change_anything(served: Served, facility: Facility, headers: dict[str, str]) -> None:
    alert = facility.raise_("text")
    for path, content in ((f"/api/alerts/{alert}/acknowledge", {}), (f"/api/alerts/{alert}/mute", {"minutes": 60})):
        answer = post(served, path, content, **headers)
        assert (answer.status_code, list(answer.json())) == (403, ["error"])
    [shown] = active(served)["active"]
    assert (shown["acknowledged"], shown["muted_until"]) == (None, None)


def test_a_browser_that_tells_no_origin_but_the_same_site_is_believed(served: Served, facility: Facility) -> None:
    alert = facility.raise_("text")
    assert post(served, f"/api/alerts/{alert}/acknowledge", Origin="", Sec_Fetch_Site="same-origin").status_code == 200


def test_forms_and_reading_methods_change_nothing(served: Served, facility: Facility) -> None:
    alert = facility.raise_("text")
    path = f"/api/alerts/{alert}/acknowledge"
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "text/plain; application/json"):
        assert post(served, path, Content_Type=kind).status_code == 400
    assert post(served, path, Content_Type="application/json; charset=utf-8").status_code == 200
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        answer = served.client.request(method, path)
        assert answer.status_code == 405
        assert "POST" in answer.headers["Allow"]
        assert answer.json()["error"]


def test_where_nothing_can_be_written_alerts_are_shown_only(tmp_path: Path) -> None:
    with serving([genuine(tmp_path)], tmp_path / "data", told=False) as served:
        alert = Facility(served).raise_("text")
        answer = post(served, f"/api/alerts/{alert}/acknowledge")
        assert (answer.status_code, answer.json()) == (403, {"error": "alerts can only be looked at here"})
        assert len(active(served)["active"]) == 1


@pytest.mark.parametrize("host_alone", [False, True])
def test_every_open_page_is_told_of_what_somebody_said(served: Served, facility: Facility, host_alone: bool) -> None:  # noqa: FBT001
    alert = facility.raise_("text", host_alone=host_alone)
    with served.client.stream("GET", "/api/events?session=small") as stream:
        lines = stream.iter_lines()
        until(lambda: next(lines).startswith("data:"))
        assert post(served, f"/api/alerts/{alert}/acknowledge").status_code == 200
        change = json.loads(until(lambda: next((line for line in lines if line.startswith("data:")), None))[5:])
    assert change["session"] == "small"


def metrics(served: Served) -> dict[str, float]:
    text = served.client.get("/metrics").text
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    }


def test_metrics_count_active_alerts_of_sessions_and_of_the_host(served: Served, facility: Facility) -> None:
    name = 'cryowatch_alerts_active{{session="{}",severity="{}"}}'
    assert metrics(served)[name.format("small", "critical")] == 0
    facility.raise_("one", severity=Severity.CRITICAL, rule="a")
    facility.raise_("two", severity=Severity.CRITICAL, rule="b")
    facility.raise_("disk", host_alone=True)
    facility.end(facility.raise_("over", rule="c"))
    found = metrics(served)
    assert found[name.format("small", "critical")] == 2
    assert found[name.format("small", "warning")] == 0
    assert found[name.format("", "warning")] == 1
    text = served.client.get("/metrics").text
    assert "# TYPE cryowatch_alerts_active gauge\n" in text
    assert text.count("# HELP cryowatch_alerts_active ") == 1


def test_metrics_tell_ages_and_backlog_of_stages(served: Served, tmp_path: Path) -> None:
    project = tmp_path / "small"
    before = metrics(served)
    waiting = 'cryowatch_backlog_items{session="small",stage="ctf"}'
    assert 'cryowatch_backlog_items{session="small",stage="movies"}' not in before
    append(project / MICROGRAPHS, 9)
    until(lambda: metrics(served)[waiting] == before[waiting] + 1)
    [session] = served.get("/api/sessions")["sessions"]
    for stage, newest in session["stages"].items():
        age = metrics(served)[f'cryowatch_newest_age_seconds{{session="small",stage="{stage}"}}']
        assert age == pytest.approx(time.time() - newest / 1000, abs=20)
