"""Everybody is told of each alert once: together what happens together, at night only what cannot wait."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from cryowatch.errors import MessageRefused, SinkAway, SinkRefused, StoreFailed
from cryowatch.images import Rendered
from cryowatch.notices.message import Message
from cryowatch.records import Severity
from tests.notices.told import HOUR, SECOND, House, Recording, Time, notifier, run

MADRID = ZoneInfo("Europe/Madrid")
CRITICAL, WARNING, INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO


def at(text: str, zone: ZoneInfo = MADRID) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC).timestamp()) * SECOND


@pytest.fixture
def time(house: House) -> Time:
    house.time.now = at("2026-11-24T12:00")
    return house.time


def whats(message: Message) -> list[str]:
    return [f"{entry.what} {entry.text}" for entry in message.entries]


def test_an_alert_is_told_once(house: House, time: Time) -> None:
    channel = Recording()
    told = notifier(house, channel)
    house.raise_(text="one")
    run(told, time, 3600)
    assert [whats(message) for message in channel.messages] == [["raised one"]]
    assert (told.behind, told.status().accepted, told.status().problem) == (0, 1, "")


def test_what_happens_together_goes_together(house: House, time: Time) -> None:
    channel = Recording()
    told = notifier(house, channel)
    house.raise_(text="one")
    run(told, time, 15)
    house.raise_(text="two")
    run(told, time, 4)
    assert channel.messages == []
    run(told, time, 4)
    assert [sorted(whats(message)) for message in channel.messages] == [["raised one", "raised two"]]


def test_a_critical_alert_waits_five_seconds_and_takes_the_others_along(house: House, time: Time) -> None:
    channel = Recording()
    told = notifier(house, channel)
    house.raise_(text="small")
    house.raise_(CRITICAL, text="great")
    run(told, time, 4)
    assert channel.messages == []
    run(told, time, 3)
    assert [whats(message) for message in channel.messages] == [["raised great", "raised small"]]


def test_one_message_in_digest_minutes_but_what_is_critical_does_not_wait(house: House, time: Time) -> None:
    channel = Recording()
    told = notifier(house, channel, digest_minutes=5)
    house.raise_(text="first")
    run(told, time, 30)
    house.raise_(text="second")
    run(told, time, 200)
    assert len(channel.messages) == 1
    house.raise_(CRITICAL, text="third")
    run(told, time, 8)
    assert whats(channel.messages[1]) == ["raised third", "raised second"]
    house.raise_(text="fourth")
    run(told, time, 280)
    assert len(channel.messages) == 2
    run(told, time, 20)
    assert whats(channel.messages[2]) == ["raised fourth"]


def test_a_storm_is_one_message(house: House, time: Time) -> None:
    channel = Recording()
    told = notifier(house, channel)
    for number in range(1000):
        house.raise_(CRITICAL, text=f"alert {number}")
    run(told, time, 30)
    (message,) = channel.messages
    assert (len(message.entries), message.more, message.subject) == (30, 970, "1,000 critical")
    assert "and 970 more" in message.plain
    assert told.behind == 0


def test_critical_alerts_that_trickle_in_are_one_message_a_minute(house: House, time: Time) -> None:
    channel = Recording()
    told = notifier(house, channel)
    for number in range(60):
        house.raise_(CRITICAL, text=f"alert {number}")
        run(told, time, 6)
    run(told, time, 60)
    assert sum(len(message.entries) for message in channel.messages) == 60
    assert len(channel.messages) <= 7


def test_at_night_only_critical_alerts_the_rest_in_the_morning(house: House, time: Time) -> None:
    time.now = at("2026-11-24T22:30")
    channel = Recording()
    told = notifier(house, channel, quiet="22:00-07:00", zone=MADRID)
    house.raise_(text="small")
    passing = house.raise_(text="passing")
    run(told, time, 600)
    great = house.raise_(CRITICAL, text="great")
    run(told, time, 10)
    assert [whats(message) for message in channel.messages] == [["raised great"]]
    house.end(passing)
    house.end(great, CRITICAL)
    run(told, time, 600)
    assert [whats(message) for message in channel.messages[1:]] == [["over great"]]
    time.pass_((at("2026-11-25T06:59") - time.now) / SECOND)
    run(told, time, 30)
    assert len(channel.messages) == 2
    run(told, time, 40)
    assert [whats(message) for message in channel.messages[2:]] == [["raised small", "passed passing"]]
    assert "from 24 Nov 22:30 CET to 24 Nov 22:40 CET, for 10 min" in channel.messages[2].plain


@pytest.mark.parametrize(
    ("local", "quiet"),
    [
        ("2026-10-25T02:30", 1),  # the hour that comes twice
        ("2026-10-25T06:59", 1),
        ("2026-10-25T07:00", 0),
        ("2026-03-29T07:00", 0),  # an hour is missing in that night
        ("2026-03-29T06:59", 1),
        ("2026-03-28T21:59", 0),
        ("2026-03-28T22:00", 1),
    ],
)
def test_quiet_hours_are_those_of_the_clock_on_the_wall(house: House, time: Time, local: str, quiet: int) -> None:
    time.now = at(local) - 30 * SECOND
    channel = Recording()
    house.raise_()
    told = notifier(house, channel, quiet="22:00-07:00", zone=MADRID)
    time.now = at(local)
    house.raise_()
    told.finish()
    assert len(channel.messages) == 1 - quiet


def test_raised_and_over_while_waiting_is_one_line(house: House, time: Time) -> None:
    channel = Recording()
    channel.failure = SinkAway("is away", where="mail")
    told = notifier(house, channel)
    alert = house.raise_(text="Defocus: low")
    run(told, time, 600)
    house.end(alert, text="Defocus: well")
    run(told, time, 60)
    assert (told.behind, told.status().problem) == (2, "mail: is away")
    channel.failure = None
    run(told, time, 60)
    (message,) = channel.messages
    assert whats(message) == ["passed Defocus: low"]
    assert "Was: Defocus: low" in message.plain
    assert "for 10 min" in message.plain
    assert told.status().problem == ""


def test_of_an_alert_that_a_worse_one_replaced_nobody_is_told_any_more(house: House, time: Time) -> None:
    everything, critical = Recording(), Recording(severity=CRITICAL, name="night")
    channels = [(everything, notifier(house, everything)), (critical, notifier(house, critical))]
    lesser = house.raise_(text="lesser")
    house.replaced(lesser)
    worse = house.raise_(CRITICAL, text="worse")
    for _, told in channels:
        run(told, time, 400)
    lesser = house.raise_(text="told, and replaced later")
    run(channels[0][1], time, 400)
    house.replaced(lesser)
    house.end(worse, text="well")
    for channel, told in channels:
        run(told, time, 400)
        assert told.behind == 0
        first, *_, last = [whats(message) for message in channel.messages]
        assert (first, last) == (["raised worse"], ["over worse"])
    assert len(everything.messages) == 3
    assert len(critical.messages) == 2


def test_an_end_goes_where_its_alert_went(house: House, time: Time) -> None:
    everything, warnings, grave = Recording(severity=INFO), Recording("b"), Recording("c", severity=CRITICAL)
    told = [notifier(house, channel, digest_minutes=0) for channel in (everything, warnings, grave)]
    alerts = [house.raise_(severity, text=severity) for severity in (INFO, WARNING, CRITICAL)]
    for one in told:
        one.finish()
    for alert, severity in zip(alerts, (INFO, WARNING, WARNING), strict=True):
        house.end(alert, severity)  # the critical one was a warning at its end
    for one in told:
        one.finish()
        assert one.behind == 0
    assert [sorted(whats(message)) for message in warnings.messages] == [
        ["raised critical", "raised warning"],
        ["over critical", "over warning"],
    ]
    assert [whats(message) for message in grave.messages] == [["raised critical"], ["over critical"]]
    assert sum(len(message.entries) for message in everything.messages) == 6


def test_what_is_below_the_severity_of_a_channel_is_dealt_with(house: House, time: Time) -> None:
    channel = Recording()
    told = notifier(house, channel)
    house.raise_(INFO)
    run(told, time, 60)
    assert (channel.messages, told.behind) == ([], 0)
    again = Recording(severity=INFO)
    run(notifier(house, again), time, 60)
    assert again.messages == []


def test_a_new_channel_does_not_tell_of_last_month(house: House, time: Time) -> None:
    house.raise_(text="old")
    time.pass_(60)
    channel = Recording()
    told = notifier(house, channel)
    house.raise_(text="new")
    run(told, time, 60)
    assert [whats(message) for message in channel.messages] == [["raised new"]]


def test_a_restart_neither_loses_nor_repeats(house: House, time: Time) -> None:
    channel = Recording()
    told = notifier(house, channel)
    house.raise_(text="one")
    run(told, time, 30)
    house.raise_(text="two")
    told.step()
    del told
    house.raise_(text="while nobody was there")
    time.pass_(600)
    told = notifier(house, channel)
    run(told, time, 600)
    assert [sorted(whats(message)) for message in channel.messages] == [
        ["raised one"],
        ["raised two", "raised while nobody was there"],
    ]


def test_a_restart_keeps_to_digest_minutes(house: House, time: Time) -> None:
    channel = Recording()
    house.raise_()
    told = notifier(house, channel)
    house.raise_()
    run(told, time, 30)
    house.raise_()
    told = notifier(house, channel)
    run(told, time, 200)
    assert len(channel.messages) == 1
    run(told, time, 100)
    assert len(channel.messages) == 2


def test_what_was_over_more_than_a_day_ago_is_only_counted(house: House, time: Time) -> None:
    channel = Recording()
    told = notifier(house, channel)
    old = [house.raise_(text=f"old {number}") for number in range(3)]
    house.raise_(text="it lasts")
    time.pass_(600)
    for alert in old:
        house.end(alert)
    del told
    time.pass_(30 * 3600)
    told = notifier(house, channel)
    run(told, time, 30)
    (message,) = channel.messages
    assert (whats(message), message.older) == (["raised it lasts"], 3)
    assert "and 3 that were over more than a day ago" in message.plain
    assert "for 1 d 6 h" in message.plain


def test_a_clock_that_is_set_back_repeats_nothing_and_holds_up_nothing(house: House, time: Time) -> None:
    channel = Recording()
    told = notifier(house, channel)
    house.raise_(text="one")
    run(told, time, 30)
    house.raise_(text="two")
    told.step()
    time.now -= HOUR
    run(told, time, 310)
    house.raise_(text="three")
    run(told, time, 310)
    assert [whats(message) for message in channel.messages] == [["raised one"], ["raised two"], ["raised three"]]
    time.now -= HOUR
    told = notifier(house, channel)  # the last message lies an hour ahead
    house.raise_(text="four")
    run(told, time, 330)
    assert whats(channel.messages[-1]) == ["raised four"]
    assert len(channel.messages) == 4


def test_what_a_person_has_to_mend_is_kept_and_tried_ever_more_rarely(house: House, time: Time) -> None:
    channel = Recording(failure=SinkRefused("refuses the account", where="mail"))
    told = notifier(house, channel)
    house.raise_(text="one")
    run(told, time, 6 * 3600)
    assert 20 <= channel.tries <= 30
    assert told.status().needs_person
    row = house.store.reader().followers(since=0)[0]
    assert (row["follower"], row["problem"], row["behind"]) == ("notices mail", "mail: refuses the account", 1)
    channel.failure = None
    run(told, time, 900)
    assert [whats(message) for message in channel.messages] == [["raised one"]]
    assert house.store.reader().followers(since=0)[0]["problem"] == ""


def test_a_server_that_asks_for_time_gets_it(house: House, time: Time) -> None:
    channel = Recording(failure=SinkAway("is busy", where="mail", after=600))
    told = notifier(house, channel)
    house.raise_()
    run(told, time, 590)
    assert channel.tries == 1
    run(told, time, 60)
    assert channel.tries == 2


class Squeamish(Recording):
    """Refuses pictures, or words that it does not like."""

    word = "viagra"
    pictured = True

    def send(self, message: Message, pictures: dict[int, Rendered]) -> str:  # type: ignore[override]
        if pictures:
            raise MessageRefused("the message is too large", where="mail")
        if self.word in message.plain:
            raise MessageRefused("refuses the message: 554 <viagra> \n spam", where="mail")
        return super().send(message, pictures)


def test_a_message_that_is_refused_goes_without_pictures(house: House, time: Time) -> None:
    channel = Squeamish()
    picture = Rendered(data=b"x", media_type="image/jpeg")
    told = notifier(house, channel, pictures=lambda ids: dict.fromkeys(ids, picture))
    house.raise_(text="one")
    run(told, time, 30)
    assert [whats(message) for message in channel.messages] == [["raised one"]]
    assert told.state.problem == ""


def test_a_text_that_is_refused_holds_up_no_later_alert(house: House, time: Time) -> None:
    channel = Squeamish()
    channel.word = "session-of-viagra"
    told = notifier(house, channel, digest_minutes=0)
    house.raise_(CRITICAL, text="session-of-viagra")
    house.raise_(text="other")
    run(told, time, 30)
    (message,) = channel.messages
    assert (message.entries, message.subject) == ((), "1 critical, 1 warning")
    assert "their texts were refused: refuses the message: 554" in message.plain
    assert "https://watch.example.org/" in message.plain
    assert "sent without the alerts' texts" in told.status().problem
    assert told.status().needs_person
    house.raise_(text="later")
    run(told, time, 30)
    assert whats(channel.messages[1]) == ["raised later"]
    assert told.status().problem == ""


def test_what_is_muted_meanwhile_is_not_told(house: House, time: Time) -> None:
    channel = Recording()
    told = notifier(house, channel)
    muted = house.raise_(text="muted")
    told.step()
    house.ledger.mute(muted, until=time.now + HOUR)
    run(told, time, 60)
    assert (channel.messages, told.behind) == ([], 0)


def test_an_alert_that_lasts_is_told_again_where_it_is_repeated(house: House, time: Time) -> None:
    channel = Recording()
    told = notifier(house, channel)
    alert = house.raise_(text="one")
    run(told, time, 400)
    house.ledger.repeat(alert, WARNING, "one", now=time.now)
    run(told, time, 60)
    assert [whats(message) for message in channel.messages] == [["raised one"], ["repeated one"]]
    assert channel.messages[1].subject == "Still warning: one (alpha)"


def test_a_store_that_cannot_be_written_repeats_no_message(
    house: House, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Recording()
    told = notifier(house, channel)
    house.raise_()
    sent = told._ledger.sent

    def full(*_: object, **__: object) -> None:
        raise StoreFailed("the disk is full")

    monkeypatch.setattr(told._ledger, "sent", full)
    time.pass_(30)
    for _ in range(3):
        with pytest.raises(StoreFailed):
            told.step()
        time.pass_(400)
    monkeypatch.setattr(told._ledger, "sent", sent)
    run(told, time, 400)
    assert len(channel.messages) == 1
    run(notifier(house, channel), time, 400)
    assert len(channel.messages) == 1


def test_no_log_or_description_of_trouble_is_more_than_one_line(
    house: House, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    channel = Recording(failure=SinkAway("said\nsomething\u202eelse", where="mail"))
    told = notifier(house, channel)
    house.raise_()
    with caplog.at_level(logging.INFO):
        run(told, time, 60)
    assert len(caplog.records) == 1
    assert "\n" not in told.status().problem
