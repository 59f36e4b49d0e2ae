"""Logins: they outlive the agent, and end when they are old, unused, logged out, or their account changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryowatch.access.accounts import Account, Accounts
from cryowatch.access.logins import FILE_NAME, MOST_OF_ACCOUNT, Logins
from cryowatch.access.role import Role
from tests.support.people import PASSWORD, QUICK

HOUR = 3600 * 10**9


class World:
    def __init__(self, folder: Path) -> None:
        self.now = 10**18
        self.folder = folder
        self.accounts = Accounts(folder, hasher=QUICK)
        self.accounts.add("ada", Role.VIEWER, PASSWORD, now=1)
        self.logins = self.started()

    def started(self) -> Logins:
        return Logins(self.folder, self.accounts, clock=lambda: self.now, days=2, idle_hours=24)

    def ada(self) -> Account:
        found = self.accounts.find("ada")
        assert found is not None
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_login_outlives_the_agent_and_its_token_is_not_in_the_file(world: World) -> None:
    token = world.logins.begin(world.ada())
    assert token not in (world.folder / FILE_NAME).read_text()
    assert world.started().find(token) == world.ada()
    assert (world.folder / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_login_ends_after_its_days_however_much_it_is_used(world: World) -> None:
    token = world.logins.begin(world.ada())
    for _ in range(47):
        world.now += HOUR
        world.logins.use(token)
        assert world.logins.find(token) is not None
    world.now += HOUR + 10**6
    assert world.logins.find(token) is None


def test_a_login_that_nobody_uses_ends(world: World) -> None:
    token = world.logins.begin(world.ada())
    world.now += 24 * HOUR + 10**6
    assert world.logins.find(token) is None


def test_a_page_that_only_asks_keeps_no_login_alive(world: World) -> None:
    token = world.logins.begin(world.ada())
    for hour in range(1, 24):
        world.now += HOUR
        assert world.logins.find(token) is not None
        world.logins.use(token, ago=hour * 3600)
    world.now += HOUR + 10**6
    assert world.logins.find(token) is None


def test_a_login_lasts_from_when_somebody_last_did_something(world: World) -> None:
    token, began = world.logins.begin(world.ada()), world.now
    world.now = began + 10 * HOUR
    world.logins.use(token, ago=2 * 3600)
    world.logins.use(token, ago=9 * 3600)
    world.now = began + 32 * HOUR - 10**6
    assert world.started().find(token) is not None
    world.now = began + 32 * HOUR + 10**6
    assert world.logins.find(token) is None


@pytest.mark.parametrize("change", ["password", "role", "removed", "out"])
def test_a_login_ends_at_once_when_its_account_changes(world: World, change: str) -> None:
    token, other = world.logins.begin(world.ada()), world.logins.begin(world.ada())
    match change:
        case "password":
            world.accounts.set_password("ada", "a new password", now=2)
        case "role":
            world.accounts.set_role("ada", Role.OPERATOR, now=2)
        case "removed":
            world.accounts.remove("ada")
        case "out":
            world.logins.end(token)
            assert world.logins.find(other) is not None
    assert world.logins.find(token) is None
    assert world.started().find(token) is None


def test_an_account_has_so_many_logins_at_most_and_the_oldest_end_first(world: World) -> None:
    tokens = []
    for _ in range(MOST_OF_ACCOUNT + 1):
        world.now += 10**9
        tokens.append(world.logins.begin(world.ada()))
    assert world.logins.find(tokens[0]) is None
    assert world.logins.find(tokens[1]) is not None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"logins": 5}', '{"logins": {"a": {"x": 1}}}', '{"logins": {"a": 3}}']
)
def test_a_damaged_file_means_that_everybody_logs_in_again(world: World, content: str) -> None:
    token = world.logins.begin(world.ada())
    (world.folder / FILE_NAME).write_text(content)
    logins = world.started()
    assert logins.find(token) is None
    assert logins.find(logins.begin(world.ada())) == world.ada()
