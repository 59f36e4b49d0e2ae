"""A run that failed is understood on its page, also on a phone: its whole error, and the end of its log."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from cryowatch.alerts.alarms import Alarms
from cryowatch.alerts.rules import STANDARD
from cryowatch.demo.project import local
from cryowatch.settings.web import Web
from cryowatch.sources.scipion.log import MOST_BYTES, MOST_LINES, log_ends
from cryowatch.store.status import status
from tests.support.browsing import Visit
from tests.support.people import Person, add_everybody, shared
from tests.support.projects import execute, genuine
from tests.support.serving import Served, serving, until

RUN = "Runs/000135_CistemProtCTFFind"
ERROR = "Traceback (most recent call last):\n" + "\n".join(
    f'  File "ctffind.py", line {number}, in step{number}' for number in range(60)
) + "\nCUDA error: out of memory"  # fmt: skip
PHONE: dict[str, Any] = {"viewport": {"width": 375, "height": 800}, "has_touch": True, "is_mobile": True}


def failed(folder: Path, error: str = ERROR) -> Path:
    """Return a project whose CTF estimation has failed just now, and has written a log."""
    project = genuine(folder)
    text, now = error.replace("'", "''"), local(time.time())
    for file in ("project.sqlite", f"{RUN}/logs/run.db"):
        execute(project / file, "UPDATE Objects SET value = 'failed' WHERE name = '135.status'",
                f"UPDATE Objects SET value = '{now}' WHERE name = '135.initTime'",
                f"UPDATE Objects SET value = '{text}' WHERE name = '135._error'")  # fmt: skip
    logs = project / RUN / "logs"
    logs.mkdir(exist_ok=True)
    (logs / "run.stdout").write_text("\n".join(f"micrograph {number}" for number in range(1, 1001)) + "\n")
    (logs / "run.stderr").write_bytes(b"\x1b[31mred\x1b[0m\n 10%\r 50%\r100%\nbell \x07 and \xff\n")
    return project


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving([failed(tmp_path)], tmp_path / "data") as found:
        Alarms(found.store, STANDARD, host="gpu1", read_at=found.agent.read_at, tell=found.hub.publish).step()
        yield found


def test_the_end_of_a_log_is_what_the_run_wrote_last(served: Served) -> None:
    found = served.get("/api/sessions/small/runs/135/log")
    assert (found["run"], found["label"], found["status"], found["error"]) == ("135", "ctffind 4", "failed", ERROR)
    out, err = found["files"]
    assert (out["name"], out["whole"], out["problem"]) == ("run.stdout", False, "")
    assert out["text"].splitlines() == [f"micrograph {number}" for number in range(801, 1001)]
    assert (err["name"], err["whole"], err["text"]) == ("run.stderr", True, "red\n100%\nbell \\x07 and \ufffd")
    assert served.get("/api/sessions/small/runs/2/log")["files"] == []
    for path in ("runs/999/log", "runs/..%2F/log"):
        assert served.client.get(f"/api/sessions/small/{path}").status_code == 404


def test_of_an_endless_log_only_the_end_is_read(tmp_path: Path) -> None:
    logs = tmp_path / "Runs/1/logs"
    logs.mkdir(parents=True)
    with (logs / "run.stdout").open("wb") as file:
        file.truncate(3 * 10**9)
        file.seek(0, os.SEEK_END)
        file.write(b"\nthe end\n")
    [end] = log_ends(tmp_path, "Runs/1")
    assert (end["text"], end["whole"], end["size"]) == ("the end", False, 3 * 10**9 + 9)
    (logs / "run.stdout").write_bytes(b"x" * 10**6)
    assert log_ends(tmp_path, "Runs/1")[0]["text"] == "", "a line without a beginning says nothing"
    (logs / "run.stdout").write_bytes(b"y" * 500 + b"\n" + b"z\n" * (MOST_LINES - 1))
    assert log_ends(tmp_path, "Runs/1")[0]["whole"]
    assert len(log_ends(tmp_path, "Runs/1")[0]["text"]) < MOST_BYTES


def test_a_log_of_somebody_else_is_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret of others")
    project = tmp_path / "project"
    logs = project / "Runs/1/logs"
    logs.mkdir(parents=True)
    (logs / "run.stdout").symlink_to(secret)
    os.mkfifo(logs / "run.stderr")
    (logs / "run.log").mkdir()
    found = {end["name"]: (end["text"], end["problem"]) for end in log_ends(project, "Runs/1")}
    assert found["run.stdout"] == ("", "is a link")
    assert found["run.stderr"] == ("", "is not a file")
    assert found["run.log"][0] == ""
    for outside in ("../secret", str(tmp_path), "Runs/../../.."):
        with pytest.raises(Exception, match="lies outside the project"):
            log_ends(project, outside)


def test_a_disk_that_does_not_answer_is_said_to_and_holds_up_no_page(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = next(iter(served.agent.watches))
    shutil.rmtree(project / RUN / "logs")
    (project / RUN / "logs").write_text("what is no folder")
    assert served.get("/api/sessions/small/runs/135/log")["files"] == []
    execute(project / "project.sqlite", "UPDATE Objects SET value = '../elsewhere' WHERE name = '135.workingDir'")

    def refused() -> bool:
        answer = served.client.get("/api/sessions/small/runs/135/log")
        return answer.status_code == 503 and "lies outside the project" in answer.json()["error"]

    until(refused)


def test_a_link_to_one_session_opens_no_log(tmp_path: Path) -> None:
    data = tmp_path / "data"
    add_everybody(data)
    with serving([failed(tmp_path)], data, web=Web(listen="127.0.0.1:0")) as served:
        ada, grace = Person(served, "ada"), Person(served, "grace")
        guest, nobody = shared(served, grace, "small"), Person(served)
        assert ada.json("/api/sessions/small/runs/135/log")["files"]
        assert ada.json("/api/sessions/small")["logs"]
        assert not guest.json("/api/sessions/small")["logs"]
        assert guest.get("/api/sessions/small/runs/135/log").status_code == 404
        assert nobody.get("/api/sessions/small/runs/135/log").status_code == 401
        for person in (ada, grace, guest, nobody):
            person.close()


def test_the_whole_error_is_with_the_run_its_alert_and_its_status(served: Served) -> None:
    session = served.get("/api/sessions/small")
    assert {run["error"] for run in session["runs"] if run["run"] == "135"} == {ERROR}
    [alert] = [alert for alert in session["alerts"]["active"] if alert["rule"] == "run-failed"]
    assert alert["text"] == "ctffind 4 has failed: CUDA error: out of memory"
    assert alert["detail"] == ERROR
    written = io.StringIO()
    assert status(served.store.data_dir, bounds=(), as_json=True, out=written) == 1
    assert json.loads(written.getvalue())["sessions"][0]["needs"] == [f"run 135 (ctffind 4) failed: {ERROR}"]


@pytest.mark.browser
@pytest.mark.parametrize("screen", [{}, PHONE], ids=["screen", "phone"])
def test_the_error_and_the_end_of_the_log_can_be_read(browser: Browser, served: Served, screen: dict[str, Any]) -> None:
    visit = Visit(browser, served.address, **screen)
    page = visit.go("/s/small/summary")
    alert = page.locator(".alert", has_text="ctffind 4 has failed")
    alert.get_by_text("The whole error").click()
    whole = alert.locator("pre")
    expect(whole).to_contain_text("Traceback (most recent call last):")
    expect(whole).to_contain_text("CUDA error: out of memory")
    assert whole.evaluate("node => node.scrollWidth <= node.clientWidth"), "lines are broken, nothing is cut off"
    alert.get_by_role("button", name="Log").click()
    dialog = page.locator("dialog.log")
    expect(dialog.locator("pre")).to_have_count(3)
    last = dialog.get_by_text("micrograph 1000")
    expect(last).to_be_visible()
    log = dialog.locator("pre").nth(1)
    log.scroll_into_view_if_needed()
    place, shown = log.bounding_box(), page.viewport_size
    assert place is not None
    assert shown is not None
    assert place["x"] >= 0
    assert place["x"] + place["width"] <= shown["width"]
    assert log.evaluate("node => node.scrollTop + node.clientHeight >= node.scrollHeight - 2"), "its end is seen"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page does not scroll sideways"
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    row = page.locator('[data-panel="runs"] tr', has_text="ctffind 4")
    page.locator('[data-panel="runs"]').scroll_into_view_if_needed()
    row.locator("summary").click()
    expect(row.locator("pre")).to_contain_text("in step59")
    row.get_by_role("button", name="Log").click()
    expect(dialog.get_by_role("heading", name="ctffind 4")).to_be_visible()
    visit.close(tolerant=True)  # this project has no images


@pytest.mark.browser
def test_a_session_that_is_gone_says_so_instead_of_finished(browser: Browser, tmp_path: Path) -> None:
    project = genuine(tmp_path)
    for file in (project / "project.sqlite", *project.glob("Runs/*/logs/run.db")):
        execute(file, "UPDATE Objects SET value = 'finished' WHERE name LIKE '%.status'")
    with serving([project], tmp_path / "data") as served:
        visit = Visit(browser, served.address)
        page = visit.go("/s/small/summary")
        expect(page.locator("#status")).to_have_text("finished")
        page.locator("body[data-ready]").wait_for(state="attached")
        page.wait_for_timeout(500)
        shutil.rmtree(project)
        until(lambda: served.get("/api/sessions/small")["status"] == "gone")
        expect(page.locator("#status")).to_have_text("gone")
        expect(page.locator("#status")).to_have_class("pill bad")
        page.goto(f"{served.address}/")
        expect(page.locator("a.session .pill").first).to_have_text("gone")
        visit.close(tolerant=True)
    written = io.StringIO()
    status(tmp_path / "data", bounds=(), as_json=True, out=written)
    assert json.loads(written.getvalue())["sessions"][0]["status"] == "gone"


def test_a_session_of_which_one_file_is_missing_is_not_gone(tmp_path: Path) -> None:
    project = genuine(tmp_path)
    (project / RUN / "ctfs.sqlite").unlink()
    with serving([project], tmp_path / "data") as served:
        found = until(lambda: (one := served.get("/api/sessions/small"))["state"]["state"] == "gone" and one)
        assert found["status"] == "running"


def test_a_session_keeps_its_address_when_its_project_is_renamed(tmp_path: Path) -> None:
    project = genuine(tmp_path / "projects", "grid1")
    with serving([tmp_path / "projects"], tmp_path / "data") as served:
        served.agent.discover()
        before = served.get("/api/sessions/grid1")
        project.rename(tmp_path / "projects/lysozyme")
        served.agent._look_for_projects()
        after = until(lambda: (one := served.get("/api/sessions/grid1"))["name"] == "lysozyme" and one)
        assert after["newest"]["micrograph"] == before["newest"]["micrograph"]
        assert [one["id"] for one in served.get("/api/sessions")["sessions"]] == ["grid1"]
        until(lambda: served.get("/api/sessions/grid1")["state"]["state"] == "ok")
