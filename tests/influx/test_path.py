"""The whole way, from an empty server to rows that Grafana's account reads: TLS, accounts, agent, dashboards."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from cryowatch.influx import setup
from cryowatch.system import certificates
from tests.influx.test_watch import encoded, run
from tests.support.influxd import InfluxServer
from tests.support.projects import genuine


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[InfluxServer, Path]]:
    """An InfluxDB over TLS with accounts switched on and nobody in it, and the folder of its certificates."""
    made = run(tmp_path, "tls", "create", "--out", tmp_path / "tls", "--name", "influx.example.org")
    assert made.returncode == 0, made.stderr
    server = InfluxServer(
        tmp_path / "influx",
        certificate=tmp_path / "tls" / "server-cert.pem",
        key=tmp_path / "tls" / "server-key.pem",
        administrator=False,
    )
    yield server, tmp_path / "tls" / "ca-cert.pem"
    server.stop()


def init(folder: Path, server: InfluxServer, ca: Path, *more: str) -> tuple[int, str, str]:
    options = ["--url", server.url, "--ca-file", str(ca), "--out", str(folder / "accounts"), *more]
    done = run(folder, "influx", "init", *options)
    return done.returncode, done.stdout, done.stderr


def ask(server: InfluxServer, ca: Path, statement: str, account: tuple[str, str] | None) -> httpx2.Response:
    """Return the answer to a query over https, with the certificate verified."""
    context = ssl.create_default_context(cafile=str(ca))
    auth = httpx2.BasicAuth(*account) if account else None
    with httpx2.Client(verify=context, auth=auth) as client:
        return client.post(f"{server.url}/query", data={"q": statement, "db": "scipion"})


def test_from_an_empty_server_to_rows_for_grafana(tmp_path: Path, secured: tuple[InfluxServer, Path]) -> None:
    server, ca = secured
    code, said, errors = init(tmp_path, server, ca, "--create-admin")
    assert code == 0, errors
    accounts = {
        name: (tmp_path / "accounts" / f"{name}.password") for name in ("admin", "scipion_writer", "scipion_reader")
    }
    for file in accounts.values():
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text().strip() not in said
    code, again, _ = init(tmp_path, server, ca)
    assert (code, "Nothing was changed." in again) == (0, True)

    project = genuine(tmp_path)
    (tmp_path / "cryowatch.toml").write_text(
        f'[influx]\nurl = "{server.url}"\nusername = "scipion_writer"\n'
        f'password_file = "{accounts["scipion_writer"]}"\nca_file = "{ca}"\n'
    )
    watch = run(
        tmp_path, "watch", project, "--once", "--data-dir", tmp_path / "d", "--config", tmp_path / "cryowatch.toml"
    )
    assert watch.returncode == 0, watch.stderr

    writer, reader = ((name, accounts[name].read_text().strip()) for name in ("scipion_writer", "scipion_reader"))
    query = 'SELECT count("ctfID") FROM "micrograph" WHERE "project" = \'small\''
    [result] = json.loads(ask(server, ca, query, reader).text)["results"]
    assert result["series"][0]["values"][0][1] == 8
    assert ask(server, ca, query, None).status_code == 401
    assert ask(server, ca, query, ("scipion_reader", "guessed")).status_code == 401
    assert "error" in ask(server, ca, "DROP SERIES FROM micrograph", reader).text
    assert "error" not in ask(server, ca, query, writer).text
    with pytest.raises(httpx2.ConnectError), httpx2.Client() as stranger:
        stranger.get(f"{server.url}/ping")

    exported = run(tmp_path, "grafana", "export", "--out", tmp_path / "dashboards")
    assert exported.returncode == 0, exported.stderr
    uids = {json.loads(file.read_text())["uid"] for file in (tmp_path / "dashboards").glob("*.json")}
    assert uids == {"oYW5BSeWz", "Dcl-hZeWk", "QIlzBA6Zz", "Vv8YVFeZz", "50ya60eZz"}
    provisioned = run(tmp_path, "grafana", "provision", "--out", tmp_path / "grafana", "--influx-url", server.url)
    assert provisioned.returncode == 0, provisioned.stderr
    source = "".join(file.read_text() for file in (tmp_path / "grafana" / "provisioning").rglob("*.y*ml"))
    assert "scipion_reader" in source
    for account in (writer, reader):
        assert account[1] not in source


def test_the_documents_secrets_cfg_works_over_tls(tmp_path: Path, secured: tuple[InfluxServer, Path]) -> None:
    server, ca = secured
    assert init(tmp_path, server, ca, "--create-admin")[0] == 0
    password = (tmp_path / "accounts" / "scipion_writer.password").read_text().strip()
    (tmp_path / "secrets.cfg").write_text(
        f"[influx]\nusernameInflux={encoded('scipion_writer')}\npasswordInflux={encoded(password)}\ndataBase=scipion\n"
        f"hostinflux=localhost\nport={server.port}\nssl=True\nverify_ssl=False\ntimeZone =Europe/Madrid\ntimeDelta=0\n"
    )
    done = run(
        tmp_path,
        "watch",
        genuine(tmp_path),
        "--once",
        "--data-dir",
        tmp_path / "d",
        "--secrets",
        tmp_path / "secrets.cfg",
    )
    assert done.returncode == 0, done.stderr
    reader = ("scipion_reader", (tmp_path / "accounts" / "scipion_reader.password").read_text().strip())
    [result] = json.loads(ask(server, ca, "SELECT count(ctfID) FROM small WHERE section = 'ctf'", reader).text)[
        "results"
    ]
    assert result["series"][0]["values"][0][1] == 8


def test_an_unverified_certificate_needs_a_person(tmp_path: Path, secured: tuple[InfluxServer, Path]) -> None:
    server, _ = secured
    (tmp_path / "c.toml").write_text(f'[influx]\nurl = "{server.url}"\nusername = "u"\n')
    done = run(
        tmp_path, "watch", genuine(tmp_path), "--once", "--data-dir", tmp_path / "d", "--config", tmp_path / "c.toml"
    )
    assert done.returncode == 1
    assert "Name the certificate of the authority that signed it as influx.ca_file" in done.stderr


def test_init_says_what_is_wrong_in_one_line(tmp_path: Path, secured: tuple[InfluxServer, Path]) -> None:
    server, ca = secured
    assert init(tmp_path, server, ca, "--create-admin")[0] == 0
    (tmp_path / "wrong").write_text("guessed\n")
    for options in (["--password-file", str(tmp_path / "wrong")], ["--url", "https://localhost:9"]):
        code, _, errors = init(tmp_path, server, ca, *options)
        assert code != 0
        assert len(errors.splitlines()) == 1
        assert "Traceback" not in errors
        assert "guessed" not in errors
    unverified = run(tmp_path, "influx", "init", "--url", server.url, "--out", tmp_path / "accounts")
    assert unverified.returncode != 0
    assert "--ca-file" in unverified.stderr


def test_names_of_databases_may_be_anything(tmp_path: Path, secured: tuple[InfluxServer, Path]) -> None:
    server, ca = secured
    name = 'it\'s "x" ; DROP DATABASE scipion'
    code, _, errors = init(tmp_path, server, ca, "--create-admin", "--database", name)
    assert code == 0, errors
    admin = ("admin", (tmp_path / "accounts" / "admin.password").read_text().strip())
    [result] = json.loads(ask(server, ca, "SHOW DATABASES", admin).text)["results"]
    assert [name] in result["series"][0]["values"]


def test_the_fragment_switches_accounts_and_tls_on() -> None:
    text = certificates.influx_fragment(8086)
    for line in ("auth-enabled = true", "https-enabled = true"):
        assert line in text
    assert setup.nanoseconds("12w") == 12 * 7 * 86_400 * 10**9
