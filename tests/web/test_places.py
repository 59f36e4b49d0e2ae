"""Who keeps a place where there are too few: the newcomer, and whoever holds few."""

from __future__ import annotations

import logging

import pytest

from cryowatch.web.places import Places, Standing


class Line:
    """A connection that notes that it was hung up on."""

    def __init__(self) -> None:
        self.ended = False

    def hang_up(self) -> None:
        self.ended = True


def taken(places: Places, owner: str, count: int, standing: Standing = Standing.WAITED_FOR) -> list[Line]:
    lines = [Line() for _ in range(count)]
    for line in lines:
        places.take(line, owner)
        places.stands(line, standing)
    return lines


def ended(lines: list[Line]) -> list[int]:
    return [number for number, line in enumerate(lines) if line.ended]


def test_an_owner_keeps_its_newest_up_to_its_share() -> None:
    places = Places(40)
    others = taken(places, "b", 10)
    assert ended(taken(places, "a", 14)) == [0, 1, 2, 3]
    assert ended(others) == []
    assert len(places) == 20


def test_the_idlest_goes_first_and_what_is_answered_last() -> None:
    places = Places(16)
    answered, listening = taken(places, "a", 1, Standing.ANSWERED), taken(places, "a", 1, Standing.LISTENING)
    unread, idle = taken(places, "a", 1, Standing.UNREAD), taken(places, "a", 1)
    for kind in (idle, unread, listening):
        assert not kind[0].ended
        taken(places, "a", 1, Standing.ANSWERED)
        assert kind[0].ended
    taken(places, "a", 3, Standing.ANSWERED)
    assert not answered[0].ended, "a share alone ends nothing that is under way"


def test_a_connection_that_is_idle_anew_is_the_last_of_the_idle() -> None:
    places = Places(12)
    first, second, third = lines = taken(places, "a", 3)
    places.stands(first, Standing.ANSWERED)
    places.stands(first, Standing.WAITED_FOR)
    taken(places, "a", 1)
    assert ended(lines) == [1]
    assert not third.ended
    assert second.ended


def test_where_all_are_taken_whoever_holds_the_most_gives_one_up() -> None:
    places = Places(12, shares=2)
    many, few = taken(places, "a", 6, Standing.ANSWERED), taken(places, "b", 3)
    taken(places, "c", 3)
    newcomer = taken(places, "d", 1)
    assert ended(many) == [0]
    assert ended(few) == ended(newcomer) == []
    assert len(places) == 12


def test_a_login_takes_its_connection_out_of_its_address() -> None:
    places = Places(40)
    lines = [line for number in range(30) for line in taken(places, "hall", 1)]
    assert len(ended(lines)) == 20
    places = Places(40)
    for number in range(30):
        [line] = taken(places, "hall", 1)
        places.belongs(line, f"account {number}")
        assert not line.ended
    assert ended(taken(places, "hall", 10)) == []
    mine = taken(places, "hall", 1)
    places.belongs(mine[0], "account 1")
    places.belongs(mine[0], "account 1")
    assert ended(mine) == []


def test_a_line_that_has_left_is_forgotten() -> None:
    places = Places(40)
    [line] = taken(places, "a", 1)
    places.leave(line)
    places.leave(line)
    places.stands(line, Standing.ANSWERED)
    places.belongs(line, "b")
    assert len(places) == 0


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("10.0.0.7", "a reverse proxy"),
        ("::ffff:10.0.0.7", "a reverse proxy"),
        ("", ""),
        ("not an address", "not an address"),
    ],
)
def test_an_address_is_its_network_or_a_proxy(address: str, owner: str) -> None:
    assert Places(40, proxies=["10.0.0.0/24"]).owner_of(address) == owner


def test_a_proxy_has_no_share_of_its_own() -> None:
    places = Places(40, proxies=["10.0.0.7/32"])
    assert ended(taken(places, places.owner_of("10.0.0.7"), 39)) == []


def test_that_places_are_short_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    places = Places(8, clock=lambda: now[0])
    with caplog.at_level(logging.WARNING):
        taken(places, "192.0.2.1", 20)
        now[0] = 59
        taken(places, "192.0.2.1", 20)
        assert [record.getMessage() for record in caplog.records] == [
            "192.0.2.1 holds 3 connections to the pages, and the share of one is 2: its idlest are ended"
        ]
        now[0] = 60
        taken(places, "192.0.2.1", 1)
    assert len(caplog.records) == 2
