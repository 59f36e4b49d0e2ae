"""Whatever a configuration or a secrets.cfg says, it is taken as it stands, or is one clear line without the secret."""

from __future__ import annotations

import base64
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cryowatch.errors import ConfigError
from cryowatch.settings import secrets
from cryowatch.settings.config import Settings
from tests.fuzz.effort import fuzzed, tried
from tests.fuzz.targets import SECRET, loaded, said, take_secrets, take_settings, written

SECRET_KEYS = {
    "influx": ("password", "token", "url"),
    "images": ("password", "publish"),
    "mail": ("password",),
    "report": ("command",),
}
SECTIONS = sorted(name for name, field in Settings.model_fields.items() if hasattr(field.annotation, "model_fields"))
KEYS = {name: sorted(Settings.model_fields[name].annotation.model_fields) for name in SECTIONS}  # type: ignore[union-attr]


def toml(value: Any) -> str:
    """Return a value in TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "{" + ", ".join(f"{toml(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case str():
            shown = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
            return f'"{shown}"'
        case float() if not math.isfinite(value):
            return repr(value)
        case _:
            return repr(value)


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["", "~nobody/x", "~", "\0", "Europe/Madrid", "../..", "localhost:99999", "[::1", "http://[", "a@b",
                     "sftp://x@y:z/w", "file:///x", "https://u:p@h", "127.0.0.1:8420", "10-20", "22:00-07:00"]),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(
        st.booleans(), st.integers(), st.integers(0, 10), st.floats(), TEXTS, st.sampled_from([10**400, -(10**30)])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
TABLES = st.dictionaries(
    st.one_of(
        st.sampled_from([*SECTIONS, *Settings.model_fields]),
        st.sampled_from(["_env_file", "_cli_parse_args", "_secrets_dir", "self", "model_config", "_file", "infux", ""]),
        TEXTS,
    ),
    st.one_of(
        VALUES,
        st.sampled_from(SECTIONS).flatmap(lambda s: st.dictionaries(st.sampled_from(KEYS[s]), VALUES, max_size=3)),
    ),
    max_size=3,
)


@given(TABLES)
@fuzzed(examples=250)
def test_any_table_is_taken_or_refused_in_a_line(tables: dict[str, Any]) -> None:
    tried("tables of cryowatch.toml")
    content = "\n".join(f"{toml(key)} = {toml(value)}" for key, value in tables.items())
    with written(content.encode()) as path:
        loaded(path)


@given(st.sampled_from([(s, k) for s in SECTIONS for k in KEYS[s]]), VALUES)
@fuzzed(examples=300)
def test_what_is_taken_is_what_was_said(place: tuple[str, str], value: Any) -> None:
    tried("keys of cryowatch.toml")
    section, key = place
    with written(f"[{section}]\n{key} = {toml(value)}\n".encode()) as path:
        found = loaded(path)
    taken = getattr(getattr(found, section), key) if found is not None else None
    if isinstance(taken, int | float) and not isinstance(value, str | bool):
        assert taken == value
        assert math.isfinite(taken)


@given(st.sampled_from([(s, k) for s, keys in SECRET_KEYS.items() for k in keys]), st.integers(0, 5), TEXTS, st.data())
@fuzzed(examples=150)
def test_no_mistake_shows_a_secret(place: tuple[str, str], kind: int, more: str, data: st.DataObject) -> None:
    tried("secrets in cryowatch.toml")
    section, key = place
    secret = [SECRET, f"http://{SECRET}@[{more}", more + SECRET][kind % 3]
    value = [toml(secret), toml([secret, 5]), toml({key: secret}), f'"{SECRET}', SECRET, f"{toml(secret)} x"][kind]
    lines = [f"[{section}]", f"{key} = {value}"]
    lines.insert(data.draw(st.integers(0, 2)), data.draw(st.sampled_from(["", "x", "[mail]", f"{section} = {value}"])))
    with written("\n".join(lines).encode()) as path:
        loaded(path)


@given(st.one_of(st.binary(max_size=60), st.sampled_from([b"[", b'{x = ', b"[[x]]\n[x]\n", b"\xef\xbb\xbf", b"#\0"])),
       st.integers(1, 3000))  # fmt: skip
@fuzzed(examples=120)
def test_any_bytes_are_settings_or_a_line(content: bytes, times: int) -> None:
    tried("bytes of cryowatch.toml")
    take_settings(b"x = " + content * times if times % 2 else content)


@given(
    st.dictionaries(
        st.one_of(
            st.sampled_from([f"CRYOWATCH_{s}__{k}".upper() for s in SECTIONS for k in KEYS[s]]),
            st.sampled_from(["CRYOWATCH_DATA_DIR", "CRYOWATCH_WEBHOOKS", "CRYOWATCH_MAIL", "CRYOWATCH_INFLUX",
                             "CRYOWATCH_LIMITS", "CRYOWATCH_", "CRYOWATCH___", "CRYOWATCH__FILE", "CRYOWATCH_X__Y__Z"]),
        ),
        st.one_of(
            TEXTS.filter(lambda text: "\0" not in text),
            st.sampled_from(["[", "[" * 20_000, "{}", '{"a": 1}', "null", '{"password": 5}', "1" * 5_000, "NaN"]),
        ),
        max_size=3,
    ),
    st.booleans(),
)  # fmt: skip
@fuzzed(examples=200)
def test_any_environment_is_taken_or_refused_in_a_line(variables: dict[str, str], secret: object) -> None:
    tried("environments")
    if secret:
        variables = {name: (SECRET if "PASSWORD" in name else value) for name, value in variables.items()}
    with written(b"", variables) as path:
        loaded(path)


def b64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode()


LEGACY = {
    "usernameInflux": b64("writer"), "passwordInflux": b64(SECRET), "dataBase": "scipion", "hostinflux": "host",
    "port": "8086", "ssl": "True", "verify_ssl": "False", "timeZone": "Europe/Madrid", "timeDelta": "-2",
    "usernameParamiko": b64("box"), "passwordParamiko": b64(SECRET), "keyfilepath": b64("/k"),
    "keyfiletype": b64("RSA"), "remote_path": "/x", "hostparamiko": "host",
}  # fmt: skip
ODD = st.one_of(
    TEXTS,
    TEXTS.map(b64),
    st.sampled_from([b64(SECRET) + "\n" + b64(SECRET), b64(SECRET)[:-1], SECRET, f"x\n[{SECRET}]", f"\n{SECRET}",
                     "1e5", "-1e999", "nan", "99999", "٣", "/", "posixrules", ".", "a" * 5_000, "%(x)s", "="]),
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(sorted(LEGACY)), st.one_of(st.none(), ODD), max_size=3),
    st.one_of(st.just(""), ODD),
    st.sampled_from(["\n", "\r\n", "\n  "]),
    st.sampled_from(["utf-8", "latin-1", "utf-16"]),
)
@fuzzed(examples=300)
def test_any_secrets_cfg_is_taken_or_refused_in_a_line(
    changes: dict[str, str | None], more: str, end: str, encoding: str
) -> None:
    tried("secrets.cfg")
    lines = [f"{key}={value}" for key, value in {**LEGACY, **changes}.items() if value is not None]
    content = end.join(["[influx]", *lines, more]).encode(encoding, "replace")
    with written(content) as path:
        try:
            secrets.unknown_keys(path)
            found = secrets.load(path)
        except ConfigError as error:
            line = said(error)
            assert b64(SECRET) not in line
            assert path.name in line
            return
    if not changes and not more:
        assert found.influx.password.get_secret_value() == SECRET
        assert SECRET not in repr(found)
        assert (found.influx.host, found.influx.port, found.influx.tls) == ("host", 8086, True)


@given(st.binary(max_size=200), st.sampled_from([b"", b"[influx]\n", b"[paramiko]\nx\n", b"[influx]\n[influx]\n"]))
@fuzzed(examples=150)
def test_any_bytes_are_a_secrets_cfg_or_a_line(content: bytes, start: bytes) -> None:
    tried("bytes of secrets.cfg")
    take_secrets(start + content)
