"""Notices: whether the servers behind the channels are there, and take sender and recipients; nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator

from cryowatch.agent.build.channels import channels
from cryowatch.doctor.finding import Finding, absent, bad, look, well
from cryowatch.errors import CryowatchError
from cryowatch.notices.mail import Mail
from cryowatch.notices.webhook import Webhook
from cryowatch.settings.config import Settings


def channels_of(chosen: Settings) -> Iterator[Finding]:
    """Look at each channel; what the other side says to a message, `cryowatch alerts test` tells."""
    found = False
    try:
        for name, make in channels(chosen):
            found = True
            what = f"notices, {name}"
            try:
                channel = make()
                if isinstance(channel, Mail):
                    if refused := channel.reach():
                        yield look(what, refused)
                        continue
                    yield well(
                        what, f"{channel.where}: takes mail for everybody. `cryowatch alerts test` sends a message"
                    )
                elif isinstance(channel, Webhook):
                    channel.reach()
                    if channel.open_line:
                        yield look(what, channel.open_line)
                    yield well(what, f"{channel.where}: is there. `cryowatch alerts test` sends a message")
                else:
                    yield well(what, f"{channel.where}: is configured. `cryowatch alerts test` sends a message")
            except CryowatchError as error:
                yield bad(what, error)
    except CryowatchError as error:
        found = True
        yield bad("notices", error)
    if not found:
        yield absent("notices", "no mail.host, no webhooks, no apprise.urls_file; nobody is told of alerts")
