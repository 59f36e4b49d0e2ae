"""secrets.cfg, in the document's arrangement and the template's, right and wrong."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryowatch.errors import ConfigError
from cryowatch.settings import secrets

PASSWORD = "pass word with = and %(x)s"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


INFLUX = f"""\
    # accounts, in base64
    # which stops nobody

    # influx: the host
    [influx]
    usernameInflux={b64("writer")}
    passwordInflux={b64(PASSWORD)}
    dataBase=scipion
    hostinflux=influx.example.org
    port=8086
    ssl=True
    verify_ssl=False
    timeZone =Europe/Madrid
    # hours
    timeDelta=-2

"""
TRANSFER = f"""\
    # paramiko: where images go
    usernameParamiko={b64("scipionbox")}
    passwordParamiko=None
    keyfilepath={b64("/home/somebody/.ssh/id_rsa")}
    keyfiletype={b64("RSA")}
    remote_path=/home/scipionbox/public_html/
    hostparamiko=grafana.example.org

    # def enCrypt(message):
    #     return base64_message
"""
DOCUMENT = INFLUX + TRANSFER
"""As the document prints it: indented, and all keys below [influx]."""


def written(folder: Path, text: str) -> Path:
    path = folder / "secrets.cfg"
    path.write_text(text, encoding="utf-8")
    return path


def test_document_s_arrangement(tmp_path: Path) -> None:
    found = secrets.load(written(tmp_path, DOCUMENT))
    influx = found.influx
    assert (influx.username, influx.password.get_secret_value()) == ("writer", PASSWORD)
    assert (influx.database, influx.url) == ("scipion", "https://influx.example.org:8086")
    assert (influx.tls, influx.verify_tls) == (True, False)
    assert (influx.time_zone, influx.time_delta) == ("Europe/Madrid", timedelta(hours=-2))
    assert influx.image_folder == "/public/img/scipionbox"
    transfer = found.transfer
    assert transfer is not None
    assert (transfer.username, transfer.password, transfer.key_type) == ("scipionbox", None, "RSA")
    assert transfer.key_file == Path("/home/somebody/.ssh/id_rsa")
    assert (transfer.host, transfer.remote_path) == ("grafana.example.org", "/home/scipionbox/public_html/")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("    # paramiko", "[paramiko]\n#"),
        lambda text: "\n".join(line.strip() for line in text.splitlines()),
        lambda text: "\n".join(
            line
            if "#" in line
            else line.partition("=")[0].upper() + "  =  " + line.partition("=")[2]
            if "=" in line
            else line
            for line in text.splitlines()
        ),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("[influx]", "[Influx]").replace("    # paramiko", "[PARAMIKO]\n;"),
        lambda text: text.replace(b64("RSA"), b64("rsa\n")),
    ],
    ids=[
        "section of its own",
        "not indented",
        "upper case, spaces",
        "CRLF",
        "BOM",
        "sections' case",
        "echo's line end",
    ],
)
def test_other_arrangements_say_the_same(tmp_path: Path, change: object) -> None:
    assert callable(change)
    expected = secrets.load(written(tmp_path, DOCUMENT))
    assert secrets.load(written(tmp_path, change(DOCUMENT))) == expected


def test_section_of_its_own_wins_over_keys_below_influx(tmp_path: Path) -> None:
    text = DOCUMENT + "[paramiko]\nhostparamiko=other.example.org\n"
    transfer = secrets.load(written(tmp_path, text)).transfer
    assert transfer is not None
    assert transfer.host == "other.example.org"


def test_without_keys_for_copying_there_is_no_transfer(tmp_path: Path) -> None:
    found = secrets.load(written(tmp_path, INFLUX + "apacheImgDir=/public/img/here/\n"))
    assert found.transfer is None
    assert found.influx.image_folder == "/public/img/here"


def test_comment_that_is_not_utf_8_hurts_nobody(tmp_path: Path) -> None:
    path = tmp_path / "secrets.cfg"
    path.write_bytes("# contraseña\n".encode("latin-1") + DOCUMENT.encode())
    assert secrets.load(path).influx.username == "writer"


KEYS = [line.strip().partition("=")[0].strip() for line in DOCUMENT.splitlines() if "=" in line and "#" not in line]


def test_the_plugins_template_has_no_time_delta_and_is_taken(tmp_path: Path) -> None:
    text = "".join(f"{line}\n" for line in DOCUMENT.splitlines() if "timeDelta" not in line)
    path = written(tmp_path, text)
    assert secrets.load(path).influx.time_delta == timedelta(0)
    [finding] = [one for one in secrets.inspect(path) if one.key == "timeDelta"]
    assert (finding.problem, finding.default) == (None, "0")


@pytest.mark.parametrize("key", [key for key in KEYS if key != "timeDelta"])
def test_missing_key_is_named_with_file_and_section(tmp_path: Path, key: str) -> None:
    text = "".join(f"{line}\n" for line in DOCUMENT.splitlines() if not line.strip().startswith(key))
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        secrets.load(path)
    assert str(caught.value).startswith(f"{path}: [influx] {key}: is missing")


@pytest.mark.parametrize("key", ["usernameInflux", "passwordInflux", "passwordParamiko", "keyfilepath", "keyfiletype"])
@pytest.mark.parametrize("value", ["s3cret!", "s3cre", "//79/A==", b64("two\nlines"), "s3cret\u00f1"])
def test_undecodable_value_is_named_and_not_shown(tmp_path: Path, key: str, value: str) -> None:
    text = "[influx]\n" + "\n".join(
        f"{name}={value}" if name == key else line.strip()
        for line in DOCUMENT.splitlines()
        if (name := line.strip().partition("=")[0].strip()) in KEYS
    )
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        secrets.load(path)
    assert str(caught.value).startswith(f"{path}: [influx] {key}: ")
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("port", "http"),
        ("port", "0"),
        ("port", "8086 # the port"),
        ("ssl", "perhaps"),
        ("verify_ssl", ""),
        ("timeZone", "Madrid"),
        ("timeZone", ""),
        ("timeDelta", "two"),
        ("timeDelta", "nan"),
        ("timeDelta", "1e300"),
        ("hostinflux", "https://influx.example.org"),
        ("hostparamiko", ""),
        ("keyfiletype", b64("PGP")),
    ],
)
def test_value_of_the_wrong_kind_names_its_key(tmp_path: Path, key: str, value: str) -> None:
    text = "\n".join(f"{key}={value}" if line.strip().startswith(key) else line for line in DOCUMENT.splitlines())
    with pytest.raises(ConfigError, match=rf"\[influx\] {key}: "):
        secrets.load(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port=8086\n", "line 1 stands before the first section"),
        ("[influx]\nport=1\nport=2\n", "line 3 gives port of [influx] once more"),
        ("[influx]\n[influx]\n", "line 2 starts [influx] once more"),
        ("[influx]\nhunter2\n", "line 2 is not of the form key=value"),
        ("[paramiko]\n", "there is no section [influx]"),
        ("", "there is no section [influx]"),
    ],
)
def test_file_that_cannot_be_understood_names_the_line_and_does_not_print_it(
    tmp_path: Path, text: str, said: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        secrets.load(path)
    assert str(caught.value).startswith(f"{path}: {said}")
    assert "hunter2" not in str(caught.value)


def test_passwords_show_nowhere(tmp_path: Path) -> None:
    text = DOCUMENT.replace("passwordParamiko=None", f"passwordParamiko={b64('second secret')}")
    path = written(tmp_path, text)
    found = secrets.load(path)
    assert found.transfer is not None
    assert found.transfer.password is not None
    assert found.transfer.password.get_secret_value() == "second secret"
    for shown in (repr(found), str(found), repr(secrets.inspect(path))):
        assert PASSWORD not in shown
        assert "second secret" not in shown
        assert b64(PASSWORD) not in shown


def test_ipv6_host_stands_in_brackets(tmp_path: Path) -> None:
    text = DOCUMENT.replace("influx.example.org", "::1").replace("ssl=True", "ssl=false", 1)
    assert secrets.load(written(tmp_path, text)).influx.url == "http://[::1]:8086"


def test_keys_that_nobody_reads_are_told(tmp_path: Path) -> None:
    text = DOCUMENT + "pasword=x\nQUJD+RA==\n[grafana]\nurl=x\n"
    assert secrets.unknown_keys(written(tmp_path, text)) == [
        "[influx] pasword",
        "[influx] (no plain word)",
        "[grafana] url",
    ]


def test_file_given_wins_over_the_variable(tmp_path: Path) -> None:
    path = written(tmp_path, DOCUMENT)
    given = tmp_path / "other.cfg"
    given.touch()
    environment = {"EMFACILITIES_HOME": str(tmp_path)}
    assert secrets.find(given, environment) == given
    assert secrets.find(None, environment) == path
    assert secrets.find(None, {}) is None
    assert secrets.find(None, {"EMFACILITIES_HOME": str(tmp_path / "elsewhere")}) is None
    with pytest.raises(ConfigError, match="there is no such file"):
        secrets.find(tmp_path / "none.cfg", environment)


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1).filter(str.isprintable))
def test_what_is_encoded_is_read_back(value: str) -> None:
    assert secrets._encoded(secrets.encode(value)) == value


@pytest.mark.parametrize("twice", [f"[{PASSWORD}]\nx=1\n[{PASSWORD}]\n", f"{PASSWORD.replace('=', ':')}\n" * 2])
def test_a_line_that_is_there_twice_is_not_shown_where_it_may_be_a_password(tmp_path: Path, twice: str) -> None:
    path = tmp_path / "secrets.cfg"
    path.write_text(INFLUX + twice)
    with pytest.raises(ConfigError, match="once more") as raised:
        secrets.load(path)
    assert "pass word" not in str(raised.value)


def test_a_home_that_is_none_is_said() -> None:
    with pytest.raises(ConfigError, match="there is no such home folder"):
        secrets.find(Path("~nobody-at-all/secrets.cfg"), {})
