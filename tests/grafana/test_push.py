"""Pushing replaces what is ours, leaves alone what is not, and says every failure in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cryowatch.cli import app
from cryowatch.dashboards import STANDARD, find
from cryowatch.errors import ConfigError, CryowatchError, ServerError
from cryowatch.grafana.dashboard import compile_grafana
from cryowatch.grafana.provision import DataSource
from cryowatch.grafana.push import Grafana, push
from cryowatch.influx.layouts import Layout
from tests.grafana.server import TOKEN, GrafanaServer
from tests.support.ports import free_port

COMPILED = [compile_grafana(d, Layout.CRYOWATCH) for d in STANDARD]
SOURCE = DataSource(
    url="https://influx.example.org:8086", database="scipion", user="scipion_reader", password="of tests", ca="PEM"
)
GAIN = find("gain").uid


@pytest.fixture(params=[False, True], ids=["versions", "wrapped versions"])
def server(request: pytest.FixtureRequest) -> Iterator[GrafanaServer]:
    found = GrafanaServer(wrapped=request.param)
    yield found
    found.stop()


def pushed(server: GrafanaServer, **more: Any) -> dict[str, str]:
    with Grafana(server.url, TOKEN) as grafana:
        return {step.what: step.state for step in push(grafana, COMPILED, **more) if step.state != "note"}


def test_a_first_push_makes_everything(server: GrafanaServer) -> None:
    steps = pushed(server, source=SOURCE)
    assert set(steps.values()) == {"made"}
    assert len(steps) == 7
    assert set(server.dashboards) == {d.uid for d in STANDARD}
    assert {d["meta"]["folderUid"] for d in server.dashboards.values()} == {"cryowatch"}
    source = server.sources["influxdb-scipion"]
    assert source["secureJsonData"] == {"password": "of tests", "tlsCACert": "PEM"}
    assert source["jsonData"]["tlsSkipVerify"] is False


def test_a_second_push_makes_no_new_version(server: GrafanaServer) -> None:
    pushed(server)
    assert set(pushed(server).values()) == {"same"}
    assert all(len(versions) == 1 for versions in server.versions.values())


def test_a_grafana_that_writes_the_json_another_way_gets_no_new_version(server: GrafanaServer) -> None:
    pushed(server)
    for saved in server.dashboards.values():
        dashboard = saved["dashboard"]
        dashboard |= {"schemaVersion": 99, "weekStart": "", "links": [*dashboard.get("links", [])]}
        for panel in dashboard["panels"]:
            panel |= {"pluginVersion": "13.2.0", "transparent": False}
            panel.pop("description", None)
    assert set(pushed(server).values()) == {"same"}
    edited = {**server.dashboards[GAIN]["dashboard"], "title": "My own"}
    server.save(edited, "cryowatch", "")
    assert pushed(server)["dashboard Gain"] == "kept"


def test_an_older_version_of_ours_is_replaced(server: GrafanaServer) -> None:
    pushed(server)
    server.save({**server.dashboards[GAIN]["dashboard"], "title": "Of an older one"}, "cryowatch", "cryowatch 0.0")
    assert pushed(server)["dashboard Gain"] == "changed"
    assert server.dashboards[GAIN]["dashboard"]["title"] == "Gain"


def test_what_a_person_saved_stays_unless_told(server: GrafanaServer) -> None:
    pushed(server)
    edited = {**server.dashboards[GAIN]["dashboard"], "title": "My own"}
    server.save(edited, "cryowatch", "")
    assert pushed(server)["dashboard Gain"] == "kept"
    assert server.dashboards[GAIN]["dashboard"]["title"] == "My own"
    assert pushed(server, overwrite=True)["dashboard Gain"] == "changed"
    assert server.dashboards[GAIN]["dashboard"]["title"] == "Gain"


def test_what_a_person_saved_in_grafana_13_stays_unless_told_and_the_others_go_on(server: GrafanaServer) -> None:
    pushed(server)
    for found in list(server.dashboards.values()):
        server.save({**found["dashboard"], "title": "Of an older cryowatch"}, "cryowatch", "cryowatch 0.0")
    server.saved_in_13.add(GAIN)
    steps = pushed(server)
    assert steps.pop("dashboard Gain") == "kept"
    assert steps == {
        "folder cryowatch": "same",
        **{f"dashboard {d.title}": "changed" for d in STANDARD if d.uid != GAIN},
    }
    assert server.dashboards[GAIN]["dashboard"]["title"] == "Of an older cryowatch"
    assert pushed(server, overwrite=True)["dashboard Gain"] == "changed"
    assert server.dashboards[GAIN]["dashboard"]["title"] == "Gain"
    assert pushed(server)["dashboard Gain"] == "same"


def test_a_406_that_is_not_grafanas_is_an_error(server: GrafanaServer) -> None:
    server.scripted["GET", f"/api/dashboards/uid/{GAIN}"] = (406, b"<html>", {})
    with pytest.raises(ServerError, match="answers 406"):
        pushed(server)


def test_the_published_dashboard_at_the_same_address_stays(server: GrafanaServer) -> None:
    server.save({"uid": GAIN, "title": "scipion_gain", "version": 0}, "", "imported")
    assert pushed(server)["dashboard Gain"] == "kept"


def test_what_is_provisioned_from_files_stays(server: GrafanaServer) -> None:
    pushed(server, source=SOURCE)
    server.dashboards[GAIN]["meta"]["provisioned"] = True
    server.sources["influxdb-scipion"]["readOnly"] = True
    steps = pushed(server, source=SOURCE, overwrite=True)
    assert (steps["dashboard Gain"], steps["data source InfluxDB-scipion"]) == ("kept", "kept")


def test_a_data_source_of_ours_gets_a_new_password_and_stays_the_default(server: GrafanaServer) -> None:
    pushed(server, source=SOURCE)
    server.sources["influxdb-scipion"]["isDefault"] = True
    assert pushed(server, source=SOURCE)["data source InfluxDB-scipion"] == "changed"
    assert server.sources["influxdb-scipion"]["isDefault"] is True


def test_a_change_between_looking_and_writing_is_not_lost(server: GrafanaServer) -> None:
    pushed(server)
    server.dashboards[GAIN]["dashboard"]["title"] = "Of an older cryowatch"
    versions = json.dumps([{"message": "cryowatch 0"}]).encode()
    server.scripted["GET", f"/api/dashboards/uid/{GAIN}/versions"] = (200, versions, {})
    message = b'{"message":"The dashboard has been changed by someone else"}'
    server.scripted["POST", "/api/dashboards/db"] = (412, message, {})
    with pytest.raises(ServerError, match=r"412 \(The dashboard has been changed by someone else\).*push again"):
        pushed(server)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, b'{"message":"bad"}', r"answers 400 \(bad\)"),
        (401, b'{"message":"Invalid API key"}', r"answers 401 \(Invalid API key\)\. Check the token"),
        (403, b'{"message":"You need folders:create"}', r"answers 403 \(You need folders:create\).*role Editor"),
        (404, b"<html>nginx</html>", r"answers 404 .*address of a Grafana"),
        (409, b'{"message":"taken"}', r"answers 409 \(taken\).*another uid"),
        (413, b"", "answers 413 .*limits the size"),
        (422, b"{}", "answers 422"),
        (429, b"{}", "answers 429 .*busy"),
        (500, b"oops", "answers 500 .*Grafana's log"),
        (502, b"<html>", "answers 502 .*Grafana's log"),
        (418, b"[]", "answers 418"),
        (200, b"<html>login</html>", "does not answer as a Grafana"),
    ],
)
def test_every_status_is_one_line_without_the_token(server: GrafanaServer, status: int, body: bytes, said: str) -> None:
    server.scripted["GET", "/api/folders/cryowatch"] = (status, body, {})
    with pytest.raises(ServerError, match=said) as caught:
        pushed(server)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_redirect_is_named_and_not_followed(server: GrafanaServer) -> None:
    server.scripted["GET", "/api/folders/cryowatch"] = (302, b"", {"Location": "https://elsewhere.example.org/login"})
    with pytest.raises(ServerError, match=r"sends elsewhere, to https://elsewhere\.example\.org/login"):
        pushed(server)
    assert len(server.asked) == 1


def test_a_grafana_below_a_path_is_asked_there(server: GrafanaServer) -> None:
    with Grafana(f"{server.url}/monitor/", TOKEN) as grafana, pytest.raises(ServerError):
        grafana.post("api/folders", {"uid": "cryowatch"})
    assert server.asked == [("POST", "/monitor/api/folders")]


def test_nobody_there() -> None:
    url = f"http://localhost:{free_port()}"
    with Grafana(url, TOKEN) as grafana, pytest.raises(ServerError, match="cannot be reached"):
        grafana.get("api/folders/cryowatch")


def test_tls_that_is_none(server: GrafanaServer) -> None:
    url = server.url.replace("http:", "https:")
    with Grafana(url, TOKEN) as grafana, pytest.raises(ServerError, match="speaks no TLS"):
        grafana.get("api/folders/cryowatch")


@pytest.mark.parametrize(
    "url", ["localhost:3000", "ftp://localhost", "https://", "https://me:secret@host", "https://[", ""]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="is not Grafana's address") as caught:
        Grafana(url, TOKEN)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "schlüssel"])
def test_a_token_that_is_none_is_not_told(token: str) -> None:
    with pytest.raises(ConfigError, match=r"--token-file: is not a service account's token") as caught:
        Grafana("https://localhost:3000", token)
    assert not token or token not in str(caught.value)


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ConfigError, match="holds no certificate"):
        Grafana("https://localhost:3000", TOKEN, ca_file=tmp_path / "ca.pem")
    with pytest.raises(ConfigError, match="cannot be read"):
        Grafana("https://localhost:3000", TOKEN, ca_file=tmp_path / "none.pem")


def run(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(app, ["grafana", "push", *arguments], env=environment)


def test_the_command_pushes_and_tells(server: GrafanaServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    done = run("--url", server.url, "--token-file", str(token), "--layout", "scipion", "--open-list")
    assert done.exit_code == 0, done.output
    assert "made    dashboard Summary" in done.output
    assert "http sends it for everybody" in done.output
    assert "SHOW MEASUREMENTS" in json.dumps(server.dashboards[GAIN])
    assert not server.sources
    server.save({**server.dashboards[GAIN]["dashboard"], "title": "Mine"}, "", "")
    again = run("--url", server.url, GRAFANA_TOKEN=TOKEN)
    assert again.exit_code == 1
    assert "kept    dashboard Gain: a person saved it" in again.output


def test_the_command_makes_the_data_source(server: GrafanaServer, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("PEM")
    source = ["--influx-url", "https://influx:8086", "--influx-ca-file", str(tmp_path / "ca.pem")]
    done = run("--url", server.url, *source, GRAFANA_TOKEN=TOKEN, INFLUX_READER_PASSWORD="of tests")
    assert done.exit_code == 0, done.output
    assert server.sources["influxdb-scipion"]["user"] == "scipion_reader"
    assert server.sources["influxdb-scipion"]["secureJsonData"]["tlsCACert"] == "PEM"
    assert "of tests" not in done.output


@pytest.mark.parametrize(("source", "hidden"), [([], 0), (["--influx-url", "https://influx:8086"], 2)])
def test_the_data_source_can_be_chosen_unless_it_is_pushed_too(
    server: GrafanaServer, source: list[str], hidden: int
) -> None:
    done = run("--url", server.url, *source, GRAFANA_TOKEN=TOKEN, INFLUX_READER_PASSWORD="of tests")
    assert done.exit_code == 0, done.output
    for found in server.dashboards.values():
        (choice,) = (v for v in found["dashboard"]["templating"]["list"] if v["type"] == "datasource")
        assert choice["hide"] == hidden


def test_missing_secrets_are_named(tmp_path: Path) -> None:
    for arguments, said in (
        ([], "--token-file: is missing"),
        (["--token-file", str(tmp_path / "none")], "cannot be read"),
        (["--influx-url", "https://influx:8086"], "--password-file: is missing"),
        (["--influx-url", "influx:8086"], "is not InfluxDB's address"),
    ):
        done = run(
            *arguments,
            GRAFANA_TOKEN="" if "--influx-url" not in arguments else TOKEN,
            INFLUX_READER_PASSWORD="x" if said.endswith("address") else "",
        )
        assert isinstance(done.exception, CryowatchError), done.output
        assert said in str(done.exception)
