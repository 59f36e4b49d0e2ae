"""What is to be told comes once, whatever the line to a mail server or a webhook does to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2
import pytest

from cryowatch.notices.mail import Mail, MailServer
from cryowatch.notices.webhook import Webhook
from tests.notices.told import House, notifier, run
from tests.support import smtp
from tests.support.receiver import Receiver
from tests.support.sshd import Relay

SECONDS = 1.0
Line = tuple[Relay, Mail | Webhook, Callable[[], int]]


@pytest.fixture(params=["mail", "webhook"])
def line(
    request: pytest.FixtureRequest, serving: Callable[..., smtp.MailServer], receiving: Callable[..., Receiver]
) -> Iterator[Line]:
    """Yield a relay, the channel that goes through it, and what tells how many messages have come."""
    channel: Mail | Webhook
    if request.param == "mail":
        mails = serving()
        relay = Relay(mails.port)
        place = MailServer(host="127.0.0.1", port=relay.port, security="none")
        channel = Mail(place, sender="cryowatch@example.org", to=("a@example.org",), timeout=SECONDS)
        yield relay, channel, lambda: len(mails.answers.taken)
    else:
        posts = receiving()
        relay = Relay(posts.port)
        channel = Webhook("chat", f"http://127.0.0.1:{relay.port}/hook", timeout=httpx2.Timeout(SECONDS))
        yield relay, channel, lambda: len(posts.bodies)
    relay.close()


def slow(relay: Relay) -> None:
    relay.delay = 0.02


def swallow(relay: Relay) -> None:
    relay.silent = True


def cut(relay: Relay) -> None:
    relay.cut_after = relay.sent + 40


@pytest.mark.parametrize("fault", [slow, swallow, cut])
def test_a_message_comes_once_whatever_the_line_did_to_it(
    house: House, line: Line, fault: Callable[[Relay], None]
) -> None:
    relay, channel, come = line
    told = notifier(house, channel)
    house.raise_()
    fault(relay)
    run(told, house.time, 30)
    if fault is not slow:
        assert come() == 0
        assert told.status().problem
    relay.silent, relay.cut_after = False, None
    run(told, house.time, 300)
    assert (come(), told.status().problem) == (1, "")
