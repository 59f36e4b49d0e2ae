"""The channels that the settings ask for, and what must be right before the agent starts."""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
from collections.abc import Callable, Iterator
from functools import partial

from cryowatch.errors import ConfigError, one_line
from cryowatch.images import ImageServer
from cryowatch.notices import apprise
from cryowatch.notices.channel import Channel
from cryowatch.notices.mail import Mail, MailServer
from cryowatch.notices.message import Context
from cryowatch.notices.notifier import Notifier
from cryowatch.notices.pace import quiet_hours
from cryowatch.notices.picture import Pictures
from cryowatch.notices.webhook import Webhook
from cryowatch.settings.config import Mail as MailSettings
from cryowatch.settings.config import Settings
from cryowatch.store import Store

Maker = Callable[[], Channel]


log = logging.getLogger(__name__)


def channels(chosen: Settings) -> Iterator[tuple[str, Maker]]:
    """Yield the name of each channel that is asked for, and what makes it; both raise `ConfigError`."""
    if chosen.mail.host:
        yield "mail", partial(_mail, chosen)
    elif chosen.mail != MailSettings():
        yield "mail", partial(_without_host, chosen)
    for name in chosen.webhooks:
        yield f"webhook {name}", partial(_webhook, chosen, name)
    if chosen.apprise.urls_file is not None:
        for name, address in apprise.addresses(chosen.apprise.urls_file):
            yield name, partial(apprise.Apprise, name, address, chosen.apprise.severity)


def notifiers_of(chosen: Settings, store: Store, images: ImageServer) -> list[Notifier]:
    """Return who tells of alerts, as the settings want it; raises `ConfigError`."""
    if not chosen.alerts.enabled:
        return []
    made = [make() for _, make in channels(chosen)]
    for channel in made:
        if isinstance(channel, Webhook) and channel.open_line:
            log.warning("%s", channel.open_line)
    quiet = quiet_hours(chosen.alerts.quiet_hours, chosen.zone)
    pictures = Pictures(store.reader(), images)
    return [
        Notifier(
            store,
            channel,
            context(chosen),
            digest_minutes=chosen.alerts.digest_minutes,
            quiet=quiet,
            pictures=pictures,
        )
        for channel in made
    ]


def context(chosen: Settings) -> Context:
    """Return what all messages share."""
    return Context(host=socket.gethostname(), url=chosen.web.url, zone=chosen.zone, facility=chosen.facility.name)


def _mail(chosen: Settings) -> Mail:
    said = chosen.mail
    where = f"{chosen.file}: mail"
    for key, remedy in (
        ("sender", 'Give the address that mail comes from: sender = "cryowatch@example.org"'),
        ("to", 'Give the addresses that it goes to: to = ["someone@example.org"]'),
    ):
        if not getattr(said, key):
            raise ConfigError("is missing, though mail.host is set", where=f"{where}.{key}", remedy=remedy)
    password = said.secret()
    if not (password + said.username).isascii():
        raise ConfigError("holds letters that no mail server takes", where=f"{where}.username or its password")
    if said.username and not password:
        remedy = "Name a file that holds it: mail.password_file"
        raise ConfigError("the account has no password", where=f"{where}.username", remedy=remedy)
    if said.username and said.security == "none" and not _here(said.host):
        remedy = "Use starttls or tls, or leave mail.username out"
        raise ConfigError("a password does not go over an open line", where=f"{where}.security", remedy=remedy)
    server = MailServer(
        host=said.host,
        port=said.port,
        security=said.security,
        username=said.username,
        password=password,
        ca_file=said.ca_file,
        ehlo=said.ehlo,
    )
    return Mail(server, sender=said.sender, to=said.to, severity=said.severity)


def _webhook(chosen: Settings, name: str) -> Webhook:
    said = chosen.webhooks[name]
    where = f"{chosen.file}: webhooks.{one_line(name)}"
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,40}", name):
        remedy = "Up to 40 letters without accents, digits, dots and dashes"
        raise ConfigError("is no name for a webhook", where=where, remedy=remedy)
    url = said.secret(name)
    if not url:
        what = "has no address" if said.url_file is None else "its file is empty"
        raise ConfigError(what, where=where, remedy="Name a file that holds it: url_file")
    try:
        return Webhook(name, url, shape=said.shape, severity=said.severity, ca_file=said.ca_file)
    except ConfigError as error:
        raise ConfigError(error.what, where=f"{chosen.file}: {error.where}", remedy=error.remedy) from None


def _without_host(chosen: Settings) -> Channel:
    raise ConfigError(
        "is missing, though other settings of mail are there",
        where=f"{chosen.file}: mail.host",
        remedy="Name the mail server, or leave the section out",
    )


def _here(host: str) -> bool:
    """Return whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
