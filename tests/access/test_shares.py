"""Share links: signed, over after their time, ended at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryowatch.access.key import NAME, key_of
from cryowatch.access.shares import DAY, FILE_NAME, MOST_DAYS, Shares
from cryowatch.errors import AccessError, ConfigError

NOW = 1_700_000_000_000
MADE = "2023-11-14 22:00:00.5"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now * 10**6


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shares(tmp_path: Path, clock: Clock) -> Shares:
    return Shares(tmp_path, key_of(tmp_path), clock=clock)


def test_a_link_opens_its_session_until_its_time_is_over(shares: Shares, clock: Clock) -> None:
    made, token = shares.create(session="one", path="/data/one", origin=MADE, days=2, by="ada")
    assert shares.find(token) == made
    assert shares.listed() == [made]
    clock.now += 2 * DAY - 1
    assert shares.find(token) == made
    clock.now += 1
    assert shares.find(token) is None
    assert shares.listed() == []


def test_a_link_that_is_revoked_opens_nothing_also_elsewhere(tmp_path: Path, shares: Shares, clock: Clock) -> None:
    made, token = shares.create(session="one", path="/data/one", origin=MADE, days=2, by="ada")
    _, other = shares.create(session="one", path="/data/one", origin=MADE, days=2, by="ada")
    elsewhere = Shares(tmp_path, key_of(tmp_path), clock=clock)
    assert elsewhere.find(token) == made
    shares.revoke(made.id)
    assert elsewhere.find(token) is None
    assert elsewhere.find(other) is not None
    with pytest.raises(ConfigError, match="no such link"):
        shares.revoke(made.id)


def test_no_letter_of_a_link_can_be_changed(shares: Shares) -> None:
    _, token = shares.create(session="one", path="/data/one", origin=MADE, days=2, by="ada")
    for place in range(len(token) - 1):  # the last letter of base64 has bits that say nothing
        changed = "A" if token[place] != "A" else "B"
        assert shares.find(token[:place] + changed + token[place + 1 :]) is None
    for wrong in ("", ".", token[:-1], token + "A", token.replace(".", ""), "0" * 12 + "." + "A" * 43, "\n" + token):
        assert shares.find(wrong) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("session", "two"), ("path", "/data/two"), ("until", NOW + 900 * DAY), ("origin", "2024"), ("origin", "")],
)
def test_what_somebody_writes_into_the_file_opens_nothing(
    tmp_path: Path, shares: Shares, field: str, value: object
) -> None:
    made, token = shares.create(session="one", path="/data/one", origin=MADE, days=2, by="ada")
    content = json.loads((tmp_path / FILE_NAME).read_text())
    content["shares"][made.id][field] = value
    (tmp_path / FILE_NAME).write_text(json.dumps(content))
    assert shares.find(token) is None


def test_another_key_ends_all_links(tmp_path: Path, shares: Shares, clock: Clock) -> None:
    _, token = shares.create(session="one", path="/data/one", origin=MADE, days=2, by="ada")
    (tmp_path / NAME).unlink()
    assert Shares(tmp_path, key_of(tmp_path), clock=clock).find(token) is None


def test_the_key_must_be_private_and_whole(tmp_path: Path) -> None:
    key_of(tmp_path)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    (tmp_path / NAME).chmod(0o644)
    with pytest.raises(AccessError, match="others"):
        key_of(tmp_path)
    (tmp_path / NAME).chmod(0o600)
    (tmp_path / NAME).write_bytes(b"short")
    with pytest.raises(AccessError, match="no key"):
        key_of(tmp_path)


@pytest.mark.parametrize("days", [0, -1, MOST_DAYS + 1])
def test_a_link_lasts_a_day_at_least_and_a_year_at_most(shares: Shares, days: int) -> None:
    with pytest.raises(ConfigError, match="days"):
        shares.create(session="one", path="/data/one", origin=MADE, days=days, by="ada")


def test_a_session_that_does_not_say_when_it_was_made_gets_no_link(shares: Shares) -> None:
    with pytest.raises(ConfigError, match="has not said yet when it was made"):
        shares.create(session="one", path="/data/one", origin="", days=2, by="ada")


def test_a_damaged_file_opens_nothing_and_says_so(tmp_path: Path, shares: Shares) -> None:
    _, token = shares.create(session="one", path="/data/one", origin=MADE, days=2, by="ada")
    (tmp_path / FILE_NAME).write_text("{")
    with pytest.raises(AccessError, match=FILE_NAME):
        shares.find(token)
