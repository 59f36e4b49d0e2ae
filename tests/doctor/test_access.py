"""`cryowatch doctor` on who can reach the pages, and what protects them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryowatch.access.role import Role
from cryowatch.system.certificates import create
from tests.doctor.looking import looked
from tests.support.people import add_account

WHAT = "pages, protection"


def test_pages_for_others_without_protection_say_what_is_missing_and_how_to_make_it(tmp_path: Path) -> None:
    verdict, text = looked(tmp_path, "[web]\nlisten = '0.0.0.0:0'\n")[WHAT]
    assert verdict == "bad"
    assert "the agent will not start" in text
    assert "cryowatch accounts add" in text
    assert "cryowatch tls create" in text
    verdict, text = looked(tmp_path, "[web]\nlisten = '0.0.0.0:0'\ninsecure = true\n")[WHAT]
    assert verdict == "look"
    assert "no accounts and no TLS" in text
    assert not (tmp_path / "data").exists(), "nothing is left behind"


def test_pages_of_this_machine_alone_are_well(tmp_path: Path) -> None:
    found = looked(tmp_path, "[web]\nlisten = '127.0.0.1:0'\n")
    assert found[WHAT] == ("well", "reached by this machine alone, without a login")
    assert found["accounts"][0] == "absent"


def test_protected_pages_tell_of_accounts_and_of_the_certificates_days(tmp_path: Path) -> None:
    made = create(tmp_path / "tls", names=["cryo.example.org", "localhost"], days=20)
    add_account(tmp_path / "data", "ada", Role.VIEWER)
    web = f"[web]\nlisten = '0.0.0.0:0'\ncertificate = '{made.certificate}'\nkey = '{made.key}'\n"
    found = looked(tmp_path, web)
    assert found[WHAT] == ("well", "reached by others, after a login")
    assert found["accounts"][0] == "look"
    assert "cryowatch accounts role ada operator" in found["accounts"][1]
    assert found["pages, TLS"][0] == "look"
    assert "valid for 19 days more" in found["pages, TLS"][1]
    assert found["pages, names"][0] == "look"
    assert 'web.hosts = ["cryo.example.org"]' in found["pages, names"][1]
    add_account(tmp_path / "data", "grace", Role.OPERATOR)
    found = looked(tmp_path, f"{web}hosts = ['cryo.example.org']\nurl = 'https://else.example.org'\n")
    assert found["accounts"] == ("well", "2, of which 1 may see to alerts and share sessions")
    assert "else.example.org: is what web.url names, and not in" in found["pages, names"][1]
    assert "pages, names" not in looked(tmp_path, f"{web}url = 'https://cryo.example.org:8420'\n")


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    made, other = (create(tmp_path / name, names=["localhost"]) for name in ("tls", "other"))
    web = f"[web]\ncertificate = '{made.certificate}'\nkey = '{other.key}'\n"
    assert looked(tmp_path, web)["pages, TLS"][0] == "bad"
    half = looked(tmp_path, f"[web]\ncertificate = '{made.certificate}'\n")["pages, TLS"]
    assert half == ("bad", "web.certificate needs web.key beside it. `cryowatch tls create` makes both")
    made.key.chmod(0o644)
    verdict, text = looked(tmp_path, f"[web]\ncertificate = '{made.certificate}'\nkey = '{made.key}'\n")["pages, TLS"]
    assert (verdict, f"chmod o= {made.key}" in text) == ("bad", True)


@pytest.mark.parametrize("name", ["accounts.json", "logins.json", "shares.json", "access.key"])
def test_files_that_others_may_read_are_named(tmp_path: Path, name: str) -> None:
    add_account(tmp_path / "data", "grace", Role.OPERATOR)
    file = tmp_path / "data" / name
    file.touch()
    file.chmod(0o640)
    verdict, text = looked(tmp_path)["accounts"]
    assert verdict == "bad"
    assert f"chmod 600 {file}" in text


def test_accounts_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "accounts.json").write_text("{")
    verdict, text = looked(tmp_path)["accounts"]
    assert verdict == "bad"
    assert "nobody is let in until then" in text


def test_a_proxy_without_a_name_is_told(tmp_path: Path) -> None:
    add_account(tmp_path / "data", "grace", Role.OPERATOR)
    assert "Set web.url" in looked(tmp_path, "[web]\nproxies = ['127.0.0.1']\n")["pages, names"][1]
