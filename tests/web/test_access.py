"""Who sees and does what on a real server: nobody, viewers, operators, and whoever has a share link."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from cryowatch.access.accounts import Accounts
from cryowatch.access.key import key_of
from cryowatch.access.role import Role
from cryowatch.access.shares import Shares
from cryowatch.settings.web import Web
from cryowatch.store import Change, Store
from cryowatch.web.gate import who
from cryowatch.web.replies import LoginNeeded
from cryowatch.web.sight import Sights
from tests.support.people import PASSWORD, Person, add_account, add_everybody, publish, raised, shared
from tests.support.projects import genuine
from tests.support.serving import Served, demo_project, serving, until

TOKEN = "f00dfacef00dfacef00dface"
OTHERS = "other-session"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access") / "data"


@pytest.fixture(scope="module")
def served(data: Path) -> Iterator[Served]:
    add_everybody(data)
    (data / "token").write_text(TOKEN + "\n")
    paths = [demo_project(data.parent / name, 6) for name in ("demo", OTHERS)]
    with serving(paths, data, web=Web(metrics_token_file=data / "token", hosts=["krios.example.org"])) as found:
        yield found


PATHS = ("/", "/s/demo", "/s/demo/summary", "/api/sessions", "/api/fields", "/api/events", "/metrics",
         "/images/1/micrograph", "/api/sessions/demo", "/api/nothing", "/nothing")  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_without_a_login_nothing_is_seen(nobody: Person, path: str) -> None:
    answer = nobody.get(path)
    if path.startswith(("/api/", "/images/")) or path == "/metrics":
        assert answer.status_code == 401
        assert set(answer.json()) == {"error"}
    else:
        assert answer.status_code == 303
        assert answer.headers["Location"].startswith("/login?next=%2F")
    assert "demo" not in answer.text


def test_without_a_login_there_is_a_page_to_log_in_and_a_sign_of_life(nobody: Person) -> None:
    page = nobody.get("/login")
    assert page.status_code == 200
    assert 'type="password"' in page.text
    assert nobody.get("/static/base.css").status_code == 200


def test_how_all_is_learns_who_may_see_all(data: Path, served: Served, nobody: Person, operator: Person) -> None:
    guest = shared(served, operator)
    (data.parent / OTHERS / "Runs/000135_CistemProtCTFFind/ctfs.sqlite").write_text("no database")
    until(lambda: operator.json("/healthz")["status"] == "degraded")
    assert operator.json("/healthz")["sessions"] == [OTHERS]
    assert nobody.get("/healthz", Authorization=f"Bearer {TOKEN}").json()["status"] == "degraded"
    for person in (nobody, guest):
        assert person.json("/healthz") == {"status": "ok"}, "that it is there, and not what others have"
    assert nobody.get("/healthz", Authorization=f"Bearer {TOKEN}x").json() == {"status": "ok"}
    guest.close()


def test_the_right_password_lets_in_and_leads_to_where_one_wanted(nobody: Person) -> None:
    answer = nobody.login("Ada ", PASSWORD, next="/s/demo/ctf?window=6h")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/s/demo/ctf?window=6h")
    cookie = next(said for said in answer.headers.get_list("set-cookie") if "-login=" in said)
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert {session["id"] for session in nobody.json("/api/sessions")["sessions"]} == {"demo", OTHERS}


@pytest.mark.parametrize(
    "path",
    ["https://evil.example.org", "//evil.example.org", "/\\evil.example.org", "javascript:x", "", "/\n/evil", "evil"],
)
def test_a_login_never_leads_to_another_site(nobody: Person, path: str) -> None:
    assert nobody.login("ada", PASSWORD, next=path).headers["Location"] == "/"


@pytest.mark.parametrize(
    ("name", "password"), [("ada", "wrong password"), ("eve", PASSWORD), ("", ""), ("ada", "x" * 2000)]
)
def test_a_wrong_name_or_password_is_told_alike(nobody: Person, name: str, password: str) -> None:
    answer = nobody.login(name, password)
    assert answer.status_code == 401
    assert "No account has this name and this password." in answer.text
    assert password not in answer.text or not password
    assert nobody.get("/api/sessions").status_code == 401


def test_a_session_ends_with_logging_out(viewer: Person) -> None:
    token = dict(viewer.client.cookies)
    assert viewer.post("/logout", form={}).status_code == 303
    assert viewer.get("/api/sessions").status_code == 401
    viewer.client.cookies.update(token)
    assert viewer.get("/api/sessions").status_code == 401, "a copied cookie is over too"


def test_a_viewer_looks_and_changes_nothing(served: Served, viewer: Person, operator: Person) -> None:
    alert = raised(served, "look at this", session="demo", rule="viewers")
    for path in (f"/api/alerts/{alert}/acknowledge", "/api/sessions/demo/shares", "/api/shares/000000000000/revoke"):
        answer = viewer.post(path, {"days": 1} if path.endswith("shares") else {})
        assert answer.status_code == 403, path
    assert viewer.get("/api/sessions/demo/shares").status_code == 403
    assert "data-may-act" not in viewer.get("/s/demo/summary").text
    assert operator.post(f"/api/alerts/{alert}/acknowledge").status_code == 200
    assert "data-may-act" in operator.get("/s/demo/summary").text


@pytest.mark.parametrize("origin", ["", "null", "https://evil.example.org", "http://127.0.0.1:1"])
def test_another_site_changes_nothing_whoever_is_logged_in(served: Served, operator: Person, origin: str) -> None:
    alert = raised(served, "look at this", session="demo", rule=f"origin {origin}")
    for path in (f"/api/alerts/{alert}/acknowledge", "/api/sessions/demo/shares", "/logout"):
        assert operator.post(path, {"days": 1}, origin=origin).status_code == 403
    assert operator.post("/login", form={"name": "ada", "password": PASSWORD}, origin=origin).status_code == 403
    assert operator.get("/api/sessions").status_code == 200


def everything(guest: Person) -> dict[str, str]:
    """Return what every address that a page asks for answers, by address."""
    said = {path: guest.get(path).text for path in ("/api/sessions", "/api/sessions/demo", "/api/fields")}
    detail = json.loads(said["/api/sessions/demo"])
    paths = ["/s/demo/summary", "/api/sessions/demo/alerts", "/nothing", f"/s/{OTHERS}"]
    for dashboard in detail["dashboards"]:
        paths += [f"/api/sessions/demo/{what}/{dashboard['name']}" for what in ("dashboards", "data")]
    for output in detail["outputs"]:
        paths.append(f"/api/sessions/demo/micrographs?output={output['id']}")
    for path in paths:
        said[path] = guest.get(path).text
    for one in json.loads(said[paths[-1]])["micrographs"]:
        said[f"/api/micrographs/{one['id']}"] = guest.get(f"/api/micrographs/{one['id']}").text
    return said


def numbers(value: Any) -> set[int]:
    """Return every id, head and version in an answer."""
    found: set[int] = set()
    if isinstance(value, list):
        for one in value:
            found |= numbers(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name in ("id", "head", "version", "previous", "next", "micrograph", "output"):
                found |= {n for n in (one if isinstance(one, list) else [one]) if type(n) is int}
            found |= numbers(one)
    return found


def test_who_has_a_link_sees_its_session_as_if_there_were_no_other(served: Served, operator: Person) -> None:
    raised(served, "this one is about us", session="demo", rule="own")
    raised(served, "a secret of somebody else", session=OTHERS, rule="other")
    raised(served, "the machine is full of strangers", session=None, rule="machine")
    guest = shared(served, operator)
    said = everything(guest)
    assert "this one is about us" in said["/api/sessions/demo"]
    for path, text in said.items():
        where = f"{path}: {text[:200]}"
        assert OTHERS not in text.replace(path, ""), where
        assert "a secret of" not in text, where
        assert "strangers" not in text, where
    [session] = json.loads(said["/api/sessions"])["sessions"]
    assert session["id"] == "demo"
    assert json.loads(said["/api/sessions"])["deliveries"] == []
    assert "system" not in {d["name"] for d in json.loads(said["/api/sessions/demo"])["dashboards"]}
    shown = set().union(*(numbers(json.loads(text)) for path, text in said.items() if path.startswith("/api/s")))
    head = served.store.reader().head()
    assert len(shown) > 10
    assert min(shown) > 1000 * head, "no number counts what goes on in all sessions"
    guest.close()


def test_who_has_a_link_learns_not_where_the_session_lies_nor_on_which_machine(
    data: Path, served: Served, operator: Person
) -> None:
    folder = data.parent
    runs = folder / "demo/Runs/000135_CistemProtCTFFind"
    raised(served, f"{runs}/ctfs.sqlite on gpu1 cannot be read: ask /home/ada/notes.txt", session="demo", rule="where")
    guest = shared(served, operator)
    [micrograph, *_] = guest.json("/api/sessions/demo/micrographs?sort=name")["micrographs"]
    image = folder / "demo" / micrograph["micrograph_path"]
    image.rename(image.with_suffix(".away"))
    aside = folder / "demo/Runs/000002_ProtImportMovies/movies.sqlite"
    contents = aside.read_bytes()
    aside.write_text("no database")
    until(
        lambda: (
            operator.json("/api/sessions/demo")["state"]["state"] != "ok"
            or operator.json("/api/sessions/demo")["state"]["troubles"]
        )
    )
    said = everything(guest)
    missing = guest.get(micrograph["images"]["micrograph"].partition("?")[0] + "?size=77")
    assert missing.status_code in (404, 503)
    said["an image that is not there"] = missing.text
    aside.write_bytes(contents)
    image.with_suffix(".away").rename(image)
    for path, text in said.items():
        assert str(folder) not in text, path
        assert "gpu1" not in text, path
        assert "/home/ada" not in text, path
    detail = json.loads(said["/api/sessions/demo"])
    assert (detail["path"], detail["host"]) == ("demo", "")
    texts = [alert["text"] for alert in detail["alerts"]["active"]]
    assert "demo/Runs/000135_CistemProtCTFFind/ctfs.sqlite on the machine cannot be read: ask notes.txt" in texts
    assert operator.json("/api/sessions/demo")["path"] == str(folder / "demo")
    until(lambda: operator.json("/api/sessions/demo")["state"]["state"] == "ok")
    guest.close()


def test_who_has_a_link_sees_the_same_values_and_images_as_others(served: Served, operator: Person) -> None:
    guest = shared(served, operator)
    own = guest.json("/api/sessions/demo/micrographs?sort=name")["micrographs"]
    all_ = operator.json("/api/sessions/demo/micrographs?sort=name")["micrographs"]
    hidden = ("id", "version", "images")
    assert [{k: v for k, v in one.items() if k not in hidden} for one in own] == [
        {k: v for k, v in one.items() if k not in hidden} for one in all_
    ]
    assert guest.get(own[0]["images"]["micrograph"]).content == operator.get(all_[0]["images"]["micrograph"]).content
    middle = guest.json(f"/api/micrographs/{own[2]['id']}")
    assert middle["name"] == own[2]["name"]
    assert guest.json(f"/api/micrographs/{middle['next']}")["name"] == all_[3]["name"]
    data = guest.json("/api/sessions/demo/data/ctf")
    same = operator.json("/api/sessions/demo/data/ctf")
    for name, panel in data["panels"].items():
        assert {k: v for k, v in panel.items() if k != "id"} == {
            k: v for k, v in same["panels"][name].items() if k != "id"
        }, name
    points = next(name for name, panel in data["panels"].items() if panel.get("id"))
    again = guest.json(f"/api/sessions/demo/data/ctf?after={data['head']}&panels={points}")
    assert again["panels"][points]["shown"] == 0
    guest.close()


def test_who_has_a_link_reaches_nothing_of_another_session(served: Served, operator: Person) -> None:
    guest = shared(served, operator)
    other = operator.json(f"/api/sessions/{OTHERS}/micrographs")["micrographs"][0]
    own = operator.json("/api/sessions/demo/micrographs")["micrographs"][0]
    missing = guest.get("/api/sessions/nobody")
    for path in (
        f"/api/sessions/{OTHERS}", f"/api/sessions/{OTHERS}/micrographs", f"/api/sessions/{OTHERS}/data/ctf",
        f"/api/sessions/{OTHERS}/alerts", f"/api/events?session={OTHERS}", "/api/sessions/demo/data/system",
    ):  # fmt: skip
        answer = guest.get(path)
        assert answer.status_code == 404, path
    assert guest.get(f"/api/sessions/{OTHERS}").text == missing.text, "there or not is told alike"
    for number in (other["id"], own["id"]):
        assert guest.get(f"/api/micrographs/{number}").status_code == 404
        assert guest.get(f"/images/{number}/micrograph").status_code == 404
    for path in ("/metrics", "/api/sessions/demo/shares"):
        assert guest.get(path).status_code in (401, 403, 404), path
    assert guest.post("/api/sessions/demo/shares", {"days": 1}).status_code == 404
    assert guest.get("/").headers["Location"] == "/s/demo"
    guest.close()


def test_a_link_ends_when_it_is_revoked_also_for_who_has_opened_it(served: Served, operator: Person) -> None:
    guest = shared(served, operator)
    links = [f"/api/shares/{share['id']}/revoke" for share in operator.json("/api/sessions/demo/shares")["shares"]]
    assert {operator.post(link).status_code for link in links} == {200}
    assert guest.get("/api/sessions/demo").status_code == 401
    assert operator.json("/api/sessions/demo/shares")["shares"] == []
    assert {operator.post(link).status_code for link in links} == {404}
    guest.close()


def test_a_link_that_is_wrong_says_so(nobody: Person) -> None:
    answer = nobody.get(f"/share/{'0' * 12}.{'A' * 43}")
    assert answer.status_code == 404
    assert "opens nothing any more" in answer.text
    assert "demo" not in answer.text


def test_a_stream_of_events_ends_with_the_login(served: Served, data: Path) -> None:
    add_account(data, "leaving", Role.VIEWER)
    person = Person(served, "leaving")
    with person.client.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: hello"
        Accounts(data).remove("leaving")
        publish(served)
        assert [line for line in lines if line.startswith("event: change")] == [], "and the stream is at its end"
    person.close()


def test_a_guest_hears_of_the_own_session_alone(served: Served, operator: Person) -> None:
    guest = shared(served, operator)
    with guest.client.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: hello"
        other = served.store.reader().session(OTHERS)
        served.hub.publish(Change(session=other["id"], key=other["key"], seq=other["seq"], generation=1))
        publish(served)
        change = next(json.loads(line[6:]) for line in lines if line.startswith("data: ") and "session" in line)
        assert change["session"] == "demo"
        assert change["head"] > 1000 * served.store.reader().head()
    guest.close()


def test_too_many_tries_have_to_wait(data: Path, served: Served) -> None:
    add_account(data, "target", Role.VIEWER)
    owner = Person(served, "target")
    stranger = Person(served)
    assert stranger.login("target", "guess").status_code == 401
    assert 429 in (stranger.login("target", "guess").status_code for _ in range(40))
    last = stranger.login("target", PASSWORD)
    assert last.status_code == 429, "a right one has to wait as well"
    assert int(last.headers["Retry-After"]) > 0
    assert owner.login("target", PASSWORD).status_code == 303, "not so where the account was logged in before"
    owner.close()
    stranger.close()


def test_metrics_open_to_their_token(nobody: Person, viewer: Person) -> None:
    assert nobody.get("/metrics", Authorization=f"Bearer {TOKEN}").status_code == 200
    assert viewer.get("/metrics").status_code == 200
    for wrong in (f"Bearer {TOKEN}x", "Bearer", "Basic " + TOKEN, TOKEN, ""):
        assert nobody.get("/metrics", Authorization=wrong).status_code == 401
    assert nobody.get("/api/sessions", Authorization=f"Bearer {TOKEN}").status_code == 401


def test_accounts_that_cannot_be_read_open_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = tmp_path / "data"
    add_account(data, "ada", Role.VIEWER)
    with serving([genuine(tmp_path)], data, web=Web()) as served:
        person = Person(served, "ada")
        (data / "accounts.json").write_text("{")
        for path in ("/", "/api/sessions", "/login", "/metrics"):
            answer = person.get(path)
            assert answer.status_code == 503
            assert "finds the reason in its log" in answer.text
            assert str(data) not in answer.text, "where files lie is told to nobody who may be anybody"
        assert caplog.text.count(f"{data}/accounts.json: cannot be read") == 1
        person.close()


def test_on_loopback_nothing_is_asked_until_there_is_an_account(tmp_path: Path) -> None:
    with serving([genuine(tmp_path)], tmp_path / "data", web=Web()) as served:
        person = Person(served)
        assert person.get("/api/sessions").status_code == 200
        assert person.post("/api/sessions/small/shares", {"days": 1}).status_code == 403
        add_account(tmp_path / "data", "ada", Role.VIEWER)
        assert person.get("/api/sessions").status_code == 401
        person.close()


def test_behind_a_proxy_or_for_others_nothing_is_open_without_accounts(tmp_path: Path) -> None:
    with serving([genuine(tmp_path)], tmp_path / "data", web=Web(proxies=["127.0.0.1"])) as served:
        person = Person(served)
        assert person.get("/api/sessions").status_code == 401
        assert "There is no account yet" in person.get("/login").text
        person.close()


def test_a_link_opens_a_session_by_its_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    add_account(data, "grace", Role.OPERATOR)
    shares = Shares(data, key_of(data), clock=time.time_ns)
    _, token = shares.create(session="small", path="/somewhere/else/small", origin="2026", days=1, by="x")
    with serving([genuine(tmp_path)], data, web=Web()) as served:
        person = Person(served)
        answer = person.get(f"/share/{token}")
        assert answer.status_code == 404
        assert "not here any more" in answer.text
        person.close()


def test_a_label_says_for_whom_an_operator_made_a_link(operator: Person) -> None:
    made = operator.post("/api/sessions/demo/shares", {"days": 3, "label": " Ada’s group"})
    assert made.json()["label"] == "Ada’s group"
    assert "Ada’s group" in [one["label"] for one in operator.json("/api/sessions/demo/shares")["shares"]]
    for label in (7, "a\nb", "x" * 81):
        assert operator.post("/api/sessions/demo/shares", {"days": 3, "label": label}).status_code == 400


def test_a_request_that_no_gate_has_looked_at_may_do_nothing_and_sees_nothing(tmp_path: Path) -> None:
    asking = who(Request({"type": "http", "method": "GET", "path": "/", "headers": []}))
    assert not asking.may_act
    store = Store(tmp_path)
    with pytest.raises(LoginNeeded):
        Sights(store.reader(), None).of(asking)
    store.close()
