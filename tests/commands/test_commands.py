"""The commands that come in groups: secrets, tls, influx; what they print and how they end."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from cryowatch import cli
from tests.settings.test_secrets import DOCUMENT, INFLUX, PASSWORD, b64, written


class Said:
    """What a command printed, and its exit code."""

    def __init__(self, code: object, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Return what runs a command in this process, with nothing of this machine's settings."""
    for name in ("EMFACILITIES_HOME", "INFLUX_ADMIN_PASSWORD"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: object, stdin: str = "") -> Said:
        monkeypatch.setattr("sys.argv", ["cryowatch", *map(str, arguments)])
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return Said(ended.value.code or 0, printed.out, printed.err)

    return command


def test_encode_reads_standard_input_and_prints_base64(run: Callable[..., Said]) -> None:
    said = run("secrets", "encode", stdin="pass word ü\n")
    assert (said.code, base64.b64decode(said.out).decode()) == (0, "pass word ü")


@pytest.mark.parametrize("value", ["", "\n", "two\nlines\n"])
def test_encode_refuses_what_is_not_one_line(run: Callable[..., Said], value: str) -> None:
    said = run("secrets", "encode", stdin=value)
    assert (said.code, said.out) == (2, "")
    assert "is not one line of text" in said.err


def test_encode_takes_no_password_as_an_argument(run: Callable[..., Said]) -> None:
    assert run("secrets", "encode", "hunter2").code == 2


def test_check_says_ok_and_whether_passwords_are_set(run: Callable[..., Said], tmp_path: Path) -> None:
    path = written(tmp_path, DOCUMENT)
    path.chmod(0o600)
    said = run("secrets", "check", path)
    assert said.code == 0
    lines = {line.split()[1]: line.split(maxsplit=2)[2] for line in said.out.splitlines()}
    assert (lines["passwordInflux"], lines["passwordParamiko"], lines["hostinflux"]) == ("set", "not set", "ok")
    assert len(lines) == 16
    assert PASSWORD not in said.out
    assert b64(PASSWORD) not in said.out


def test_check_names_every_wrong_key_and_ends_with_1(run: Callable[..., Said], tmp_path: Path) -> None:
    text = INFLUX.replace("port=8086", "port=eight").replace(b64(PASSWORD), "hunter2!") + "pasword=x\n"
    path = written(tmp_path, text)
    path.chmod(0o644)
    said = run("secrets", "check", path)
    assert said.code == 1
    for expected in (
        "port              is not a port",
        "passwordInflux    is not base64",
        "nobody reads [influx] pasword",
        "nothing about copying images",
        "chmod 0600",
    ):
        assert expected in said.out
    assert "hunter2" not in said.out + said.err


def test_check_finds_the_file_by_the_variable(
    run: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is no secrets.cfg" in run("secrets", "check").err
    written(tmp_path, DOCUMENT)
    monkeypatch.setenv("EMFACILITIES_HOME", str(tmp_path))
    assert run("secrets", "check").code == 0


def test_tls_create_tells_where_each_file_goes_and_overwrites_nothing(run: Callable[..., Said], tmp_path: Path) -> None:
    arguments = ("tls", "create", "--out", tmp_path / "tls", "--name", "influx.example.org", "--name", "10.0.0.5")
    said = run(*arguments)
    assert said.code == 0
    assert said.out.startswith("For influx.example.org, 10.0.0.5, localhost, 127.0.0.1, until ")
    for expected in ("ca-key.pem  0600", "server-key.pem  0600", "ca-cert.pem  0644", "-o influxdb", "ca_file ="):
        assert expected in said.out
    again = run(*arguments)
    assert (again.code, again.out, len(again.err.splitlines())) == (2, "", 1)


def test_conf_fragment_is_written_once_and_never_over_something_else(run: Callable[..., Said], tmp_path: Path) -> None:
    path = tmp_path / "http.conf"
    arguments = ("influx", "init", "--url", "http://localhost:9", "--out", tmp_path, "--conf-fragment", path)
    for _ in range(2):
        said = run(*arguments)
        assert (said.code, said.out) == (0, "")
        assert "restart InfluxDB" in said.err
    assert "auth-enabled = true" in path.read_text()
    path.write_text("mine")
    assert "nothing is overwritten" in run(*arguments).err
    assert path.read_text() == "mine"
    printed = run(*arguments[:-1], "-").out
    assert "https-enabled = true" in printed
    assert 'bind-address = ":9"' in printed, "the port of --url"


def test_password_file_that_holds_none_is_refused_before_the_server_is_asked(
    run: Callable[..., Said], tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for file, expected in ((empty, "does not hold one password"), (tmp_path / "none", "there is no such file")):
        said = run("influx", "init", "--url", "http://localhost:9", "--password-file", file)
        assert (said.code, expected in said.err) == (2, True)
