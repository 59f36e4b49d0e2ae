"""Settings come from the file, the environment wins, and a mistake is one line that says where and what is right."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cryowatch.errors import ConfigError
from cryowatch.settings.addresses import listening
from cryowatch.settings.config import Settings, load

DEFAULT = ".config/cryowatch/cryowatch.toml"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home folder; no variable of the machine's own counts."""
    for name in os.environ:
        if name.upper().startswith("CRYOWATCH_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


def mistake(file: Path | None = None) -> str:
    """Return the one line that loading ends with."""
    with pytest.raises(ConfigError) as raised:
        load(file)
    line = str(raised.value)
    assert "\n" not in line
    return line


def test_nothing_need_be_set(home: Path) -> None:
    settings = load()
    assert settings.data_dir == home / ".local/share/cryowatch"
    assert (settings.web.listen, settings.time_zone, settings.zone) == ("127.0.0.1:8420", "", None)
    assert (settings.scipion.interval, settings.host.interval, settings.host.keep_days) == (1.0, 10.0, 30)
    assert (settings.images.cache_mb, settings.images.workers) == (2000, 1)


def test_the_file_sets_every_key(file: Path) -> None:
    file.write_text("""
        time_zone = "Europe/Madrid"
        data_dir = "/data/watch"
        [web]
        listen = "[::1]:9000"
        url = "https://watch.example.org/"
        certificate = "/etc/cryowatch/watch.crt"
        key = "/etc/cryowatch/watch.key"
        insecure = true
        hosts = ["Watch", "krios.example.org"]
        proxies = ["10.0.0.0/24"]
        login_days = 1
        idle_hours = 0.5
        metrics_token_file = "/etc/cryowatch/token"
        [scipion]
        interval = 2
        runs = [2, 67]
        [host]
        interval = 5.5
        keep_days = 7
        keep_mb = 500
gpus = [0, 2]
interfaces = ["eth0"]
disks = ["sda", "md0"]
disk_rates = false
        [images]
        cache_mb = 10
        workers = 4
        ahead = false
    """)
    settings = load(file)
    expected: dict[str, Any] = {
        "time_zone": "Europe/Madrid",
        "data_dir": Path("/data/watch"),
        "web": {
            "listen": "[::1]:9000",
            "url": "https://watch.example.org",
            "certificate": Path("/etc/cryowatch/watch.crt"),
            "key": Path("/etc/cryowatch/watch.key"),
            "insecure": True,
            "hosts": ["watch", "krios.example.org"],
            "proxies": ["10.0.0.0/24"],
            "login_days": 1.0,
            "idle_hours": 0.5,
            "metrics_token_file": Path("/etc/cryowatch/token"),
        },
        "scipion": {"interval": 2.0, "runs": [2, 67]},
        "host": {
            "interval": 5.5,
            "keep_days": 7,
            "keep_mb": 500.0,
            "gpus": [0, 2],
            "interfaces": ["eth0"],
            "disks": ["sda", "md0"],
            "disk_rates": False,
        },
        "images": {"cache_mb": 10, "workers": 4, "ahead": False},
    }
    found = settings.model_dump(include={**dict.fromkeys(expected, True), "images": expected["images"].keys()})
    assert found == expected
    assert settings.zone == ZoneInfo("Europe/Madrid")


def test_the_default_file_is_read_where_it_is_there(home: Path) -> None:
    (home / DEFAULT).parent.mkdir(parents=True)
    (home / DEFAULT).write_text("[web]\nlisten = '127.0.0.1:1234'\n")
    assert load().web.listen == "127.0.0.1:1234"


def test_a_variable_names_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[scipion]\ninterval = 7\n")
    monkeypatch.setenv("CRYOWATCH_CONFIG", str(file))
    assert load().scipion.interval == 7


def test_the_option_wins_over_the_variable(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[scipion]\ninterval = 7\n")
    monkeypatch.setenv("CRYOWATCH_CONFIG", str(tmp_path / "other.toml"))
    assert load(file).scipion.interval == 7


def test_the_environment_wins_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('data_dir = "/from/file"\n[host]\ninterval = 20\nkeep_days = 3\n')
    monkeypatch.setenv("CRYOWATCH_DATA_DIR", "/from/environment")
    monkeypatch.setenv("CRYOWATCH_HOST__INTERVAL", "15")
    settings = load(file)
    assert settings.data_dir == Path("/from/environment")
    assert (settings.host.interval, settings.host.keep_days) == (15, 3)


def test_an_empty_variable_counts_as_none(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[host]\ninterval = 20\n")
    monkeypatch.setenv("CRYOWATCH_HOST__INTERVAL", "")
    monkeypatch.setenv("CRYOWATCH_CONFIG", "")
    assert load(file).host.interval == 20
    assert load().host.interval == 10


def test_the_home_folder_is_filled_in(home: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "settings.toml").write_text('data_dir = "~/watch"\n')
    assert load(Path("~/settings.toml")).data_dir == home / "watch"
    monkeypatch.setenv("CRYOWATCH_DATA_DIR", "~/elsewhere")
    assert load().data_dir == home / "elsewhere"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[wbe]\nlisten = '127.0.0.1:1'\n", "wbe: is not a setting. Did you mean web?"),
        ("timezone = 'UTC'\n", "timezone: is not a setting. Did you mean time_zone?"),
        ("[scipion]\nintervall = 1\n", "scipion.intervall: is not a setting. Did you mean interval?"),
        ("[images]\ncache = 100\n", "images.cache: is not a setting. Did you mean cache_mb?"),
        ("[zzzz]\n", "zzzz: is not a setting. Known here: base, time_zone, data_dir, web, "),
    ],
)
def test_an_unknown_key_names_the_nearest_right_one(file: Path, text: str, line: str) -> None:
    file.write_text(text)
    assert mistake(file).startswith(f"{file}: {line}")


@pytest.mark.parametrize(
    ("variable", "line"),
    [
        ("CRYOWATCH_WEB__LISEN", "is not a setting. Did you mean CRYOWATCH_WEB__LISTEN?"),
        ("CRYOWATCH_WBE__LISTEN", "there is no section wbe. Known: CRYOWATCH_WEB__…, "),
        ("CRYOWATCH_TIMEZONE", "is not a setting. Did you mean CRYOWATCH_TIME_ZONE?"),
        ("CRYOWATCH_DATADIR", "is not a setting. Did you mean CRYOWATCH_DATA_DIR?"),
    ],
)
def test_an_unknown_variable_names_the_nearest_right_one(
    variable: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    assert mistake().startswith(f"{variable}: {line}")


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("[scipion]\ninterval = 'soon'\n", "scipion.interval", "'soon'"),
        ("[scipion]\ninterval = 0\n", "scipion.interval", "0"),
        ("[images]\nworkers = 99\n", "images.workers", "99"),
        ("[images]\nworkers = 1.5\n", "images.workers", "1.5"),
        ("data_dir = 3\n", "data_dir", "3"),
        ("web = 8420\n", "web", "8420"),
        ("[web]\nlisten = 8420\n", "web.listen", "8420"),
        ("[web]\nlisten = '8420'\n", "web.listen", "'8420'"),
        ("[web]\nlisten = 'localhost:99999'\n", "web.listen", "'localhost:99999'"),
        ("time_zone = 'Madrid'\n", "time_zone", "'Madrid'"),
        ("time_zone = '../../etc/passwd'\n", "time_zone", "'../../etc/passwd'"),
        ("data_dir = '~no-such-user-here/x'\n", "data_dir", "'~no-such-user-here/x'"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(file: Path, text: str, key: str, value: str) -> None:
    file.write_text(text)
    line = mistake(file)
    assert line.startswith(f"{file}: {key}: ")
    assert line.endswith(f"(it is {value})")


def test_a_wrong_variable_is_blamed_and_not_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[host]\ninterval = 20\n")
    monkeypatch.setenv("CRYOWATCH_HOST__INTERVAL", "often")
    assert mistake(file).startswith("CRYOWATCH_HOST__INTERVAL: ")


def test_a_section_given_as_one_variable_says_how_to_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYOWATCH_WEB", "127.0.0.1:1")
    assert "CRYOWATCH_SECTION__KEY" in mistake()


@pytest.mark.parametrize(
    "text",
    ["[influx]\npassword = GEHEIM", "[influx]\npassword = ['GEHEIM']", "[influx]\ntoken = {GEHEIM = 1}",
     "[influx]\npassword = 'GEHEIM", "[influx]\npasswort = 'GEHEIM'", "influx = 'https://me:GEHEIM@example.org'",
     "[influx]\nurl = 'https://me:GEHEIM@example.org'", "[influx]\nurl = ['GEHEIM']", "influx = ['GEHEIM']",
     "[images]\npublish = 'sftp://me:GEHEIM@example.org/x'", "[images]\npublish = ['GEHEIM']", "images = 'GEHEIM'",
     "[mail]\npassword = ['GEHEIM']", "mail = 'smtp://me:GEHEIM@example.org'", "[webhooks]\nchat = 'GEHEIM'",
     "webhooks = 'GEHEIM'", "[webhooks.chat]\nurl = ['GEHEIM']", "[webhooks.chat]\nshape = 'GEHEIM'",
     "apprise = 'tgram://GEHEIM'", "[apprise]\nurls = ['tgram://GEHEIM']", "[report]\ncommand = 'curl -u me:GEHEIM'",
     "[report]\ncommand = ['curl', 'me:GEHEIM', {a = 1}]", "report = 'curl -u me:GEHEIM'"],
)  # fmt: skip
def test_no_secret_is_printed_even_where_it_is_wrong(file: Path, text: str) -> None:
    file.write_text(text)
    assert "GEHEIM" not in mistake(file)


@pytest.mark.parametrize(
    "variable", ["INFLUX", "INFLUX__PASWORD", "INFLUX__URL", "IMAGES__PUBLISH", "MAIL", "WEBHOOKS", "APPRISE"]
)
@pytest.mark.parametrize("value", ["me:GEHEIM@x", '"me:GEHEIM@x"', '["me:GEHEIM@x"]', '{"password": ["me:GEHEIM@x"]}'])
def test_no_secret_of_a_wrong_variable_is_printed(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"CRYOWATCH_{variable}", value)
    assert "GEHEIM" not in mistake()


def test_an_unknown_time_zone_says_how_to_write_one(file: Path) -> None:
    file.write_text("time_zone = 'Madrid'\n")
    assert "write it like Europe/Madrid" in mistake(file)


def test_a_file_that_is_named_must_be_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = f"{file}: there is no such file. Check --config and CRYOWATCH_CONFIG"
    assert mistake(file) == expected
    monkeypatch.setenv("CRYOWATCH_CONFIG", str(file))
    assert mistake() == expected
    assert mistake(Path("~no-such-user-here/x.toml")).startswith("~no-such-user-here/x.toml: there is no such home")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert mistake(tmp_path) == f"{tmp_path}: cannot be read: Is a directory. It is a folder; name a file"


def test_bad_syntax_is_named_with_its_line(file: Path) -> None:
    file.write_text("[web]\nlisten = 127.0.0.1:8420\n")
    assert mistake(file).startswith(f"{file}: is not TOML: ")
    assert "line 2" in mistake(file)
    file.write_bytes(b"data_dir = '\xff'\n")
    assert mistake(file).startswith(f"{file}: is not TOML: ")


def test_a_home_that_is_no_folder_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    assert load().web == Settings().web


def test_a_base_counts_where_the_file_says_nothing(file: Path) -> None:
    base = file.with_name("facility.toml")
    base.write_text(
        'time_zone = "Europe/Madrid"\n[web]\nlogin_days = 1\nidle_hours = 2\n[alerts.rules.cpu]\nhigh = 80\n'
    )
    file.write_text('base = "facility.toml"\n[web]\nidle_hours = 3\n[alerts.rules.cpu]\nminutes = 5\n')
    settings = load(file)
    assert (settings.time_zone, settings.web.login_days, settings.web.idle_hours) == ("Europe/Madrid", 1, 3)
    assert settings.alerts.rules == {"cpu": {"high": 80, "minutes": 5}}


@pytest.mark.parametrize(
    ("below", "said"),
    [
        ("[web]\nlogin_day = 1\n", "facility.toml: web.login_day: is not a setting. Did you mean login_days?"),
        ('base = "other.toml"\n', "facility.toml: stands on a base itself"),
    ],
)
def test_an_error_in_a_base_names_the_base(file: Path, below: str, said: str) -> None:
    file.with_name("facility.toml").write_text(below)
    file.write_text('base = "facility.toml"\n[web]\nlogin_days = 1\n')
    with pytest.raises(ConfigError) as raised:
        load(file)
    assert said in str(raised.value)


def test_a_base_that_is_not_there_is_named(file: Path) -> None:
    file.write_text('base = "facility.toml"\n')
    with pytest.raises(ConfigError, match=r"facility\.toml: there is no such file"):
        load(file)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('_env_file = "x"', "_env_file: is not a setting"),
        ("_cli_parse_args = true", "_cli_parse_args: is not a setting"),
        ("x = " + "1" * 5_000, "is not TOML"),
        ("x = " + "[" * 5_000, "is nested too deeply"),
        ("[host]\nkeep_mb = inf", "host.keep_mb: input should be a finite number"),
        ("[images]\ncache_mb = 1" + "0" * 400, "images.cache_mb: input should be less than or equal to"),
        ("[host]\ninterval = [" + "1," * 5_000 + "]", "host.interval: input should be a valid number"),
    ],
)
def test_what_no_setting_can_be_is_one_line_that_is_not_long(file: Path, content: str, line: str) -> None:
    file.write_text(content)
    said = mistake(file)
    assert line in said
    assert len(said) < 800


@pytest.mark.parametrize("value", ["[", "[" * 20_000])
def test_a_variable_that_is_no_json_is_a_line(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CRYOWATCH_MAIL__TO", value)
    assert re.match(r"CRYOWATCH_(MAIL|\*, in the environment): cannot be understood", mistake())


@pytest.mark.parametrize("name", ["HOME", "PACKAGE", "PYTHON"])
def test_variables_of_scipions_plugin_are_no_settings(file: Path, name: str) -> None:
    file.write_text("")
    assert load(file, environment={f"CRYOWATCH_{name}": "/opt/cryowatch"}) == load(file, environment={})


@pytest.mark.parametrize("port", ["", "no", "65536", "٨٤٢٠", "8" * 5_000, "x" * 20_000])
def test_a_port_that_is_none_is_refused_in_a_short_line(port: str) -> None:
    with pytest.raises(ValueError, match="is not an address and port") as refused:
        listening(f"127.0.0.1:{port}")
    assert len(str(refused.value)) < 300
    assert listening("[::1]:8420") == "[::1]:8420"
