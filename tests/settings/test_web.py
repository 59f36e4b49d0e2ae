"""Who may reach the pages without protection: this machine, and nobody else unless somebody says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from cryowatch.access.role import Role
from cryowatch.errors import ConfigError
from cryowatch.settings.web import Web, exposure_of, is_loopback, refuse_unprotected
from tests.support.people import add_account
from tests.support.projects import genuine

PAIR = {"certificate": "/c.pem", "key": "/k.pem"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost", "LOCALHOST"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "127.evil.example.org", "localhost.example.org", ""])
def test_everything_else_is_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("web", "accounts", "lacking"),
    [
        (Web(), False, ""),
        (Web(listen="0.0.0.0:8420"), False, "are no accounts and no TLS"),
        (Web(listen="0.0.0.0:8420"), True, "no TLS"),
        (Web.model_validate({"listen": "0.0.0.0:8420", **PAIR}), False, "no accounts"),
        (Web.model_validate({"listen": "0.0.0.0:8420", **PAIR}), True, ""),
        (Web(listen="[::]:8420", insecure=True), False, ""),
        (Web(proxies=["127.0.0.1"]), False, "no accounts"),
        (Web(proxies=["127.0.0.1"]), True, ""),
    ],
)
def test_others_reach_the_pages_with_accounts_and_tls_alone(web: Web, accounts: bool, lacking: str) -> None:  # noqa: FBT001
    if not lacking:
        refuse_unprotected(web, exposure_of(web), accounts=accounts)
        return
    with pytest.raises(ConfigError, match=lacking):
        refuse_unprotected(web, exposure_of(web), accounts=accounts)


@pytest.mark.parametrize("url", ["https://a.org/cryo", "https://a.org/?x=1", "https://a.org/#x", "https://a.org/a/b/"])
def test_an_address_with_a_path_is_refused_as_the_pages_do_not_work_below_one(url: str) -> None:
    with pytest.raises(ValidationError, match="the pages do not work below a path; give them a name or a port"):
        Web(url=url)
    assert Web(url="https://a.org:8420/").url == "https://a.org:8420"


@pytest.mark.parametrize("half", [{"certificate": "/c.pem"}, {"key": "/k.pem"}])
def test_half_a_pair_of_certificate_and_key_is_refused(half: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="beside it"):
        exposure_of(Web.model_validate(half))


@pytest.mark.parametrize("content", ["", "short", "with a space in the token", "größer als sechzehn Zeichen"])
def test_a_token_for_metrics_must_be_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(ConfigError, match="token"):
        Web(metrics_token_file=tmp_path / "token").metrics_token()


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cryowatch", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_the_agent_refuses_to_show_everything_to_everybody(tmp_path: Path) -> None:
    project, data = genuine(tmp_path), tmp_path / "data"
    done = run("watch", project, "--data-dir", data, "--listen", "0.0.0.0:0")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "are no accounts and no TLS" in line
    assert "cryowatch accounts add" in line
    assert "--insecure" in line
    add_account(data, "ada", Role.VIEWER)
    done = run("watch", project, "--data-dir", data, "--listen", "0.0.0.0:0")
    assert "there is no TLS" in done.stderr
    assert "no accounts" not in done.stderr


def test_who_says_insecure_is_warned_of_what_is_lacking(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cryowatch", "watch", str(genuine(tmp_path)), "--data-dir", str(tmp_path / "data")]
    agent = subprocess.Popen([*command, "--listen", "0.0.0.0:0", "--insecure"], stderr=subprocess.PIPE, text=True)
    try:
        assert agent.stderr is not None
        said = ""
        while "others may read" not in said:
            line = agent.stderr.readline()
            assert line, said
            said += line
        assert "everybody who reaches it can see every session" in said.replace("\n", " ").replace("  ", " ")
    finally:
        agent.terminate()
        agent.communicate(timeout=60)
