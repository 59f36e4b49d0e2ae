"""Accounts: kept as hashes, in a file that others cannot read, and changed by several processes at once."""

from __future__ import annotations

import stat
import threading
import time
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from cryowatch.access.accounts import FILE_NAME, Accounts
from cryowatch.access.role import Role
from cryowatch.errors import AccessError, ConfigError
from tests.support.people import PASSWORD, QUICK


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path, hasher=QUICK)


def test_a_password_lets_its_account_in_and_no_other(accounts: Accounts) -> None:
    accounts.add("ada", Role.VIEWER, PASSWORD, now=1)
    accounts.add("grace", Role.OPERATOR, "another password", now=2)
    found = accounts.verified("ada", PASSWORD)
    assert found is not None
    assert (found.name, found.role) == ("ada", Role.VIEWER)
    for name, password in (("grace", PASSWORD), ("ada", "another password"), ("nobody", PASSWORD), ("ada", "")):
        assert accounts.verified(name, password) is None
    assert [one.name for one in accounts.listed()] == ["ada", "grace"]


def test_the_file_holds_hashes_of_argon2id_and_is_private(tmp_path: Path) -> None:
    Accounts(tmp_path).add("ada", Role.VIEWER, PASSWORD, now=1)
    text = (tmp_path / FILE_NAME).read_text()
    assert "$argon2id$" in text
    assert PASSWORD not in text
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert PasswordHasher().memory_cost >= 2**15, "KiB; less would be guessed fast"


def test_what_changes_counts_at_once_for_who_reads_elsewhere(tmp_path: Path, accounts: Accounts) -> None:
    elsewhere = Accounts(tmp_path, hasher=QUICK)
    assert not elsewhere.any()
    accounts.add("ada", Role.VIEWER, PASSWORD, now=1)
    first = elsewhere.find("ada")
    assert first is not None
    accounts.set_role("ada", Role.OPERATOR, now=2)
    second = elsewhere.find("ada")
    assert second is not None
    assert second.role is Role.OPERATOR
    assert second.stamp != first.stamp, "logins from before end"
    accounts.set_password("ada", "a new password", now=3)
    assert elsewhere.verified("ada", PASSWORD) is None
    assert elsewhere.verified("ada", "a new password") is not None
    accounts.remove("ada")
    assert not elsewhere.any()


@pytest.mark.parametrize("name", ["", "Ada", "a b", "../a", "-a", "a" * 65, "a\n", "ä"])
def test_names_that_are_none_are_refused(accounts: Accounts, name: str) -> None:
    with pytest.raises(ConfigError, match="name"):
        accounts.add(name, Role.VIEWER, PASSWORD, now=1)


@pytest.mark.parametrize("password", ["", "short", "ada12345", "x" * 1025, "Ada-ada-1"])
def test_passwords_that_are_guessed_are_refused(accounts: Accounts, password: str) -> None:
    with pytest.raises(ConfigError, match="password"):
        accounts.add("ada", Role.VIEWER, password, now=1)
    assert not accounts.any()


def test_what_is_not_there_cannot_be_changed_and_what_is_not_made_twice(accounts: Accounts) -> None:
    accounts.add("ada", Role.VIEWER, PASSWORD, now=1)
    with pytest.raises(ConfigError, match="already"):
        accounts.add("ada", Role.OPERATOR, PASSWORD, now=2)
    with pytest.raises(ConfigError, match="no such account"):
        accounts.remove("eve")
    with pytest.raises(ConfigError, match="no such account"):
        accounts.set_role("eve", Role.VIEWER, now=1)
    with pytest.raises(ConfigError, match="no such account"):
        accounts.set_password("eve", PASSWORD, now=1)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"accounts": []}', '{"accounts": {"ada": {"role": "king"}}}'])
def test_a_file_that_cannot_be_read_lets_nobody_in_and_is_not_taken_for_none(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    accounts = Accounts(tmp_path, hasher=QUICK)
    with pytest.raises(AccessError):
        accounts.listed()
    if "ada" not in content:
        with pytest.raises(AccessError):
            accounts.any()


def test_changes_from_many_places_are_all_kept(tmp_path: Path) -> None:
    names = [f"user{number}" for number in range(12)]
    threads = [
        threading.Thread(
            target=lambda name=name: Accounts(tmp_path, hasher=QUICK).add(name, Role.VIEWER, PASSWORD, now=1)
        )
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.name for one in Accounts(tmp_path).listed()} == set(names)


def test_a_name_that_is_not_there_takes_as_long_as_one_that_is(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path, hasher=PasswordHasher(time_cost=2, memory_cost=2**15, parallelism=1))
    accounts.add("ada", Role.VIEWER, PASSWORD, now=1)
    accounts.verified("nobody", "first")

    def seconds(name: str) -> float:
        taken = []
        for _ in range(5):
            began = time.perf_counter()
            accounts.verified(name, "not the password")
            taken.append(time.perf_counter() - began)
        return min(taken)

    assert 0.4 < seconds("nobody") / seconds("ada") < 2.5
