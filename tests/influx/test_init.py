"""Setting up a real InfluxDB: what is made, what is left alone, and what is said about what is wrong."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from cryowatch.errors import ConfigError, CryowatchError, ServerError
from cryowatch.influx import setup
from cryowatch.influx.server import Server, quote_identifier, quote_string
from cryowatch.influx.setup import READER, WRITER, Step, Wanted
from tests.support.influxd import ADMIN, InfluxServer

PASSWORD = SecretStr(ADMIN[1])


@pytest.fixture(scope="module")
def open_influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    server = InfluxServer(tmp_path_factory.mktemp("open"), auth=False)
    yield server
    server.stop()


@pytest.fixture
def empty(influx: InfluxServer) -> InfluxServer:
    """The server with an administrator and nothing else."""
    return emptied(influx)


@pytest.fixture
def unguarded(open_influx: InfluxServer) -> InfluxServer:
    """The server that asks nobody for a password, with nobody and nothing in it."""
    server = emptied(open_influx)
    if server.rows("SHOW USERS"):
        server.query("DROP USER admin")
    return server


def emptied(server: InfluxServer) -> InfluxServer:
    for row in server.rows("SHOW DATABASES"):
        server.query(f"DROP DATABASE {quote_identifier(row['name'])}")
    for row in server.rows("SHOW USERS"):
        if row["user"] != ADMIN[0]:
            server.query(f"DROP USER {quote_identifier(row['user'])}")
    return server


def init(server: InfluxServer, folder: Path, **wanted: Any) -> list[Step]:
    return setup.init(server.url, Wanted(folder=folder, **wanted), password=PASSWORD)


def said(steps: list[Step], state: str) -> str:
    return "\n".join(step.text for step in steps if step.state == state)


def policies(server: InfluxServer, database: str = "scipion") -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in server.rows(f"SHOW RETENTION POLICIES ON {quote_identifier(database)}")}


def account(folder: Path, user: str) -> tuple[str, str]:
    return user, (folder / f"{user}.password").read_text().strip()


def write(server: InfluxServer, who: tuple[str, str] | None, database: str = "scipion") -> int:
    auth = httpx2.BasicAuth(*who) if who else None
    answer = httpx2.post(f"{server.url}/write", params={"db": database}, content="m value=1", auth=auth)
    return answer.status_code


def read(server: InfluxServer, who: tuple[str, str] | None, statement: str = "SELECT * FROM m") -> httpx2.Response:
    auth = httpx2.BasicAuth(*who) if who else None
    return httpx2.post(f"{server.url}/query", data={"db": "scipion", "q": statement}, auth=auth)


def test_writer_writes_reader_reads_and_nobody_else_does(empty: InfluxServer, tmp_path: Path) -> None:
    init(empty, tmp_path / "new")
    writer, reader = (account(tmp_path / "new", user) for user in (WRITER, READER))
    assert len(writer[1]) >= 32
    assert writer[1] != reader[1]
    assert (write(empty, writer), write(empty, reader), write(empty, None)) == (204, 403, 401)
    assert "series" in read(empty, reader).text
    assert "series" in read(empty, writer).text
    assert read(empty, None).status_code == 401
    assert read(empty, (READER, "guessed")).status_code == 401
    for statement in ("DROP MEASUREMENT m", "DROP DATABASE scipion", "CREATE USER x WITH PASSWORD 'x'"):
        assert "not authorized" in read(empty, reader, statement).text
    empty.query("CREATE DATABASE other")
    assert write(empty, writer, "other") == 403


def test_password_files_are_for_their_owner_alone(empty: InfluxServer, tmp_path: Path) -> None:
    init(empty, tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    for user in (WRITER, READER):
        assert stat.S_IMODE((tmp_path / "new" / f"{user}.password").stat().st_mode) == 0o600


def test_second_time_changes_nothing_and_says_so(empty: InfluxServer, tmp_path: Path) -> None:
    init(empty, tmp_path)
    accounts = [account(tmp_path, user) for user in (WRITER, READER)]
    before = (empty.rows("SHOW USERS"), policies(empty))
    assert {step.state for step in init(empty, tmp_path)} == {"there"}
    assert [account(tmp_path, user) for user in (WRITER, READER)] == accounts
    assert (empty.rows("SHOW USERS"), policies(empty)) == before
    assert write(empty, accounts[0]) == 204


def test_new_database_keeps_points_for_twelve_weeks_and_has_no_other_policy(
    empty: InfluxServer, tmp_path: Path
) -> None:
    init(empty, tmp_path)
    [policy] = policies(empty).values()
    assert (policy["name"], policy["duration"], policy["default"]) == ("ret_pol", "2016h0m0s", True)


def test_retention_is_lengthened_and_never_shortened(empty: InfluxServer, tmp_path: Path) -> None:
    init(empty, tmp_path)
    assert "for 20w, not 12w" in said(init(empty, tmp_path, retention="20w"), "made")
    steps = init(empty, tmp_path, retention="1w")
    assert 'ALTER RETENTION POLICY "ret_pol" ON "scipion" DURATION 1w' in said(steps, "note")
    assert policies(empty)["ret_pol"]["duration"] == "3360h0m0s"
    init(empty, tmp_path, retention="inf")
    assert policies(empty)["ret_pol"]["duration"] == "0s"
    assert "for ever, longer than 12w" in said(init(empty, tmp_path), "note")
    assert {step.state for step in init(empty, tmp_path, retention="INF")} == {"there"}


def test_database_that_is_there_keeps_its_points_and_says_where(empty: InfluxServer, tmp_path: Path) -> None:
    empty.query("CREATE DATABASE scipion")
    assert write(empty, ADMIN) == 204
    steps = init(empty, tmp_path)
    assert {name: row["default"] for name, row in policies(empty).items()} == {"autogen": False, "ret_pol": True}
    assert '"scipion"."autogen"' in said(steps, "note")
    assert empty.rows('SELECT * FROM "scipion"."autogen".m')
    empty.query('ALTER RETENTION POLICY "autogen" ON "scipion" DEFAULT')
    assert "ret_pol the default, instead of autogen" in said(init(empty, tmp_path), "made")


def test_user_without_a_file_is_told_how_to_mend(empty: InfluxServer, tmp_path: Path) -> None:
    init(empty, tmp_path / "one")
    steps = init(empty, tmp_path / "two")
    assert said(steps, "wrong").count("--reset-passwords") == 2
    assert not (tmp_path / "two").exists()
    init(empty, tmp_path / "two", reset_passwords=True)
    assert write(empty, account(tmp_path / "two", WRITER)) == 204
    assert write(empty, account(tmp_path / "one", WRITER)) == 401
    assert "holds another password" in said(init(empty, tmp_path / "one"), "wrong")


def test_file_without_a_user_gives_the_user_its_password(empty: InfluxServer, tmp_path: Path) -> None:
    (tmp_path / f"{WRITER}.password").write_text('it\'s \\ "mine" ü\n', encoding="utf-8")
    init(empty, tmp_path)
    with Server(empty.url) as server:
        assert server.accepts(WRITER, SecretStr('it\'s \\ "mine" ü'))


def test_reader_that_may_do_more_is_cut_back(empty: InfluxServer, tmp_path: Path) -> None:
    init(empty, tmp_path)
    empty.query(f"GRANT ALL ON scipion TO {READER}")
    assert f"{READER} may read scipion" in said(init(empty, tmp_path), "made")
    assert write(empty, account(tmp_path, READER)) == 403
    empty.query(f"GRANT ALL PRIVILEGES TO {READER}")
    assert "REVOKE ALL PRIVILEGES" in said(init(empty, tmp_path), "wrong")


@pytest.mark.parametrize("name", ['x"y', "it's", 'a"; DROP DATABASE scipion; --', "ü ö", "SELECT", "a;b", "a.b", "$x"])
def test_name_of_a_database_is_a_name_whatever_is_in_it(empty: InfluxServer, tmp_path: Path, name: str) -> None:
    empty.query("CREATE DATABASE scipion")
    init(empty, tmp_path, database=name)
    assert {row["name"] for row in empty.rows("SHOW DATABASES")} == {"scipion", name}
    assert {step.state for step in init(empty, tmp_path, database=name)} == {"there"}
    assert write(empty, account(tmp_path, WRITER), name) == 204


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\nb", "a\0b", "x" * 300])
def test_name_that_no_database_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        Wanted(folder=tmp_path, database=name)


@pytest.mark.parametrize("retention", ["", "12", "12 weeks", "1m", "12w; DROP DATABASE x", "-1w"])
def test_retention_that_is_none_is_refused(tmp_path: Path, retention: str) -> None:
    with pytest.raises(ConfigError):
        Wanted(folder=tmp_path, retention=retention)


def test_durations() -> None:
    hour = 3600 * 10**9
    assert setup.nanoseconds("1w2d3h") == (7 * 24 + 48 + 3) * hour
    assert setup.nanoseconds("2016h0m0s") == setup.nanoseconds("12w")
    assert setup.nanoseconds("INF") == setup.nanoseconds("0s") == 0


def test_quoting_leaves_no_way_out() -> None:
    assert quote_identifier('a"\\\n') == '"a\\"\\\\\\n"'
    assert quote_string("a'\\\n") == "'a\\'\\\\\\n'"


def test_server_that_asks_nobody_is_set_up_with_a_note(unguarded: InfluxServer, tmp_path: Path) -> None:
    steps = setup.init(unguarded.url, Wanted(folder=tmp_path))
    assert "auth-enabled = true" in said(steps, "note")
    assert "--create-admin" in said(steps, "note")
    steps = setup.init(unguarded.url, Wanted(folder=tmp_path, create_admin=True))
    assert "administrator admin, password in" in said(steps, "made")
    assert stat.S_IMODE((tmp_path / "admin.password").stat().st_mode) == 0o600
    again = setup.init(unguarded.url, Wanted(folder=tmp_path, create_admin=True))
    assert not said(again, "made")


def test_server_that_has_no_administrator_yet_asks_for_one(tmp_path: Path) -> None:
    server = InfluxServer(tmp_path / "influx", administrator=False)
    try:
        with pytest.raises(ServerError, match=r"no administrator yet.*--create-admin"):
            setup.init(server.url, Wanted(folder=tmp_path))
        setup.init(server.url, Wanted(folder=tmp_path, create_admin=True))
        assert read(server, None).status_code == 401
        assert read(server, account(tmp_path, "admin"), "SHOW USERS").status_code == 200
    finally:
        server.stop()


def test_what_is_wrong_is_one_line_with_what_to_do(empty: InfluxServer, tmp_path: Path) -> None:
    wanted = Wanted(folder=tmp_path)
    init(empty, tmp_path)
    not_admin = SecretStr(account(tmp_path, READER)[1])
    cases: list[tuple[str, Wanted, SecretStr | None, str]] = [
        (empty.url, wanted, SecretStr("guessed"), "refuses the password of admin.*--password-file"),
        (empty.url, wanted, None, "asks for a password.*--password-file"),
        (empty.url, Wanted(folder=tmp_path, admin=READER), not_admin, "has to be an administrator"),
        ("http://localhost:9", wanted, PASSWORD, "cannot be reached: Connection refused"),
        ("http://host.invalid:8086", wanted, PASSWORD, "cannot be reached"),
        (empty.url.replace("http", "https"), wanted, PASSWORD, "does not speak TLS"),
        ("ftp://localhost", wanted, PASSWORD, "is not a server's address"),
        ("http://user:secret@localhost:8086", wanted, PASSWORD, "is not a server's address"),
        (f"{empty.url}/elsewhere", wanted, PASSWORD, "does not answer as InfluxDB does|answers HTTP 404"),
    ]
    for url, asked, password, expected in cases:
        with pytest.raises(CryowatchError, match=expected) as caught:
            setup.init(url, asked, password=password)
        assert "\n" not in str(caught.value)
        assert "guessed" not in str(caught.value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (204, {"X-Influxdb-Version": "v2.7.6"}, "InfluxDB v2.7.6, whose accounts are tokens.*influx auth create"),
        (200, {"X-Influxdb-Version": "3.9.2"}, "InfluxDB 3.9.2, whose accounts are tokens.*influxdb3 create token"),
        (401, {}, "InfluxDB 3, whose accounts are tokens"),
        (200, {}, "does not answer as InfluxDB does"),
    ],
)
def test_other_servers_are_told_apart(
    status: int, headers: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers are scripted: what 2.x and 3 say to `/ping` is all that is looked at."""
    with Server("http://localhost:8086") as server:
        answer = httpx2.Response(status, headers=headers)
        monkeypatch.setattr(server, "_send", lambda *_: answer)
        with pytest.raises(ServerError, match=expected):
            server.refuse_other_than_1()
