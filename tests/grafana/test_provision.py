"""The folder that Grafana is provisioned from: complete, without secrets, kind to what people changed."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cryowatch.cli import app
from cryowatch.commands.grafana import LayoutName
from cryowatch.dashboards import STANDARD
from cryowatch.errors import ConfigError
from cryowatch.grafana.provision import ADMIN_FILE, DataSource, provision
from cryowatch.influx.layouts import Layout

SECRETS = ("scipion_reader", "grafana_admin")
FILES = {
    "compose.yaml",
    "grafana.ini",
    "provisioning/dashboards/cryowatch.yaml",
    "provisioning/datasources/cryowatch.yaml",
    *(f"dashboards/{d.name}.json" for d in STANDARD),
}


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["grafana", *arguments])


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def data_source(folder: Path) -> dict[str, Any]:
    """Return the data source's settings; each is a line with a JSON value."""
    text = (folder / "provisioning/datasources/cryowatch.yaml").read_text(encoding="utf-8")
    return {
        key: json.loads(value) for key, value in re.findall(r"(?m)^ *(?:- )?(\w+): (.+)$", text) if key != "apiVersion"
    }


def test_the_command_writes_a_whole_folder(tmp_path: Path) -> None:
    done = run("provision", "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert files(tmp_path / "out") == FILES
    assert done.output.count("written ") == len(FILES)
    for dashboard in STANDARD:
        compiled = json.loads((tmp_path / f"out/dashboards/{dashboard.name}.json").read_text(encoding="utf-8"))
        source = compiled["templating"]["list"][0]
        assert (source["current"]["value"], source["hide"]) == ("influxdb-scipion", 2)


def test_the_data_source_reads_as_the_reader_with_tls_verified(tmp_path: Path) -> None:
    run("provision", "--out", str(tmp_path))
    found = data_source(tmp_path)
    assert found["uid"] == "influxdb-scipion"
    assert found["name"] == "InfluxDB-scipion"
    assert (found["url"], found["user"], found["dbName"]) == ("https://influxdb:8086", "scipion_reader", "scipion")
    assert found["password"] == "$__file{/etc/grafana/secrets/scipion_reader.password}"
    assert found["tlsCACert"] == "$__file{/etc/grafana/tls/ca-cert.pem}"
    assert found["tlsAuthWithCACert"] is True
    assert found["tlsSkipVerify"] is False
    assert found["editable"] is False


def test_a_password_from_a_variable_and_a_public_authority(tmp_path: Path) -> None:
    arguments = [
        "--password-variable",
        "INFLUX_PASSWORD",
        "--influx-ca-file",
        "",
        "--influx-url",
        "https://in.example.org",
    ]
    run("provision", "--out", str(tmp_path), *arguments, "--user", 'o"$dd', "--database", "d:b #1")
    found = data_source(tmp_path)
    assert found["password"] == "$INFLUX_PASSWORD"
    assert found["tlsAuthWithCACert"] is False
    assert "tlsCACert" not in found
    assert (found["user"], found["dbName"]) == ('o"$$dd', "d:b #1")


@pytest.mark.parametrize("arguments", [["--influx-url", "influx:8086"], ["--password-variable", "A B"]])
def test_what_cannot_be_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    assert isinstance(run("provision", "--out", str(tmp_path), *arguments).exception, ConfigError)
    assert not files(tmp_path)


def test_what_people_adapt_is_kept(tmp_path: Path) -> None:
    run("provision", "--out", str(tmp_path))
    for name in ("grafana.ini", "compose.yaml", "dashboards/gain.json"):
        (tmp_path / name).write_text("mine")
    done = run("provision", "--out", str(tmp_path), "--layout", "scipion")
    assert done.output.count("kept ") == 2
    assert (tmp_path / "grafana.ini").read_text() == "mine"
    assert "section" in (tmp_path / "dashboards/gain.json").read_text(encoding="utf-8")


def test_the_fragment_of_grafana_ini(tmp_path: Path) -> None:
    run("provision", "--out", str(tmp_path))
    settings = configparser.ConfigParser()
    settings.read(tmp_path / "grafana.ini", encoding="utf-8")
    assert settings["server"]["protocol"] == "https"
    assert settings["auth.anonymous"]["enabled"] == "false"
    assert settings["panels"]["disable_sanitize_html"] == "false"
    assert "ln -s /srv/scipionbox/images /usr/share/grafana/public/img/scipionbox" in (
        tmp_path / "grafana.ini"
    ).read_text(encoding="utf-8")


def test_the_containers_mount_what_the_folder_holds(tmp_path: Path) -> None:
    run("provision", "--out", str(tmp_path))
    compose = (tmp_path / "compose.yaml").read_text(encoding="utf-8")
    provider = (tmp_path / "provisioning/dashboards/cryowatch.yaml").read_text(encoding="utf-8")
    mounts = dict(re.findall(r"- \./([\w.-]+):([^:]+):ro", compose))
    assert mounts["dashboards"] == re.findall(r"path: (.+)", provider)[0]
    source = data_source(tmp_path)
    reader, admin = (f"{mounts['grafana-secrets']}/{name}.password" for name in SECRETS)
    assert source["password"] == f"$__file{{{reader}}}"
    assert admin == ADMIN_FILE
    assert source["tlsCACert"] == f"$__file{{{mounts['grafana-tls']}/ca-cert.pem}}"
    assert "image: influxdb:1.8" in compose
    known = json.loads((Path(__file__).parent / "genuine/package.json").read_text(encoding="utf-8"))["dependencies"]
    (version,) = re.findall(r"image: grafana/grafana:\$\{GRAFANA_VERSION:-([\d.]+)\}", compose)
    assert f"npm:@grafana/schema@{version}" in known.values(), "the dashboards are compared with this one"
    assert "\t" not in compose


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    source = DataSource(url="http://localhost:8086", database="scipion", user="reader", password="$X")
    with pytest.raises(ConfigError, match="cannot be written"):
        list(provision(tmp_path / "file", Layout.CRYOWATCH, source))


@pytest.mark.parametrize("layout", Layout)
def test_export_writes_files_to_import(tmp_path: Path, layout: Layout) -> None:
    done = run("export", "--out", str(tmp_path), "--layout", layout, "--open-list")
    assert done.exit_code == 0, done.output
    assert files(tmp_path) == {f"{d.name}.json" for d in STANDARD}
    compiled = json.loads((tmp_path / "ctf.json").read_text(encoding="utf-8"))
    assert compiled["templating"]["list"][0]["hide"] == 0
    assert compiled["templating"]["list"][1]["type"] == "query"
    assert str(layout) in compiled["description"]


def test_the_command_knows_both_layouts() -> None:
    assert {name.value for name in LayoutName} == {layout.value for layout in Layout}
