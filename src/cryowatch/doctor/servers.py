"""What can be looked at elsewhere: InfluxDB with its certificate and clock, the images' place, the channels of notices.

InfluxDB is asked to write a comment, which needs the same rights as a point and stores nothing.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from cryowatch.config import Settings
from cryowatch.doctor.finding import Finding, absent, bad, look, well
from cryowatch.errors import CryowatchError, SinkError

_SECONDS = 10.0
_SKEW = 5.0
_DAYS = 30


def influx(chosen: Settings) -> Iterator[Finding]:
    """Look whether InfluxDB takes points of this account, how its certificate fares, and whether the clocks agree."""
    what = "InfluxDB"
    if not chosen.influx.url:
        yield absent(what, "influx.url is not set; nothing is written to one")
        return
    from cryowatch.sinks.influx import Influx, access_of  # noqa: PLC0415

    try:
        sink = Influx(access_of(chosen.influx))
    except CryowatchError as error:
        yield bad(what, error)
        return
    try:
        date = sink.check()
    except SinkError as error:
        yield bad(what, error)
    else:
        yield well(what, f"{sink.where}: takes points of {chosen.influx.username or 'this token'}")
        yield from _clock(date)
    finally:
        sink.close()
    if not chosen.influx.url.startswith("https:"):
        if not _here(urlsplit(chosen.influx.url).hostname or ""):
            yield look(
                "TLS", f"{chosen.influx.url}: password and data go over the net for everybody to read. Use https"
            )
    elif not chosen.influx.verify_tls:
        yield look("TLS", "influx.verify_tls is off: anybody may answer in the server's place. Name influx.ca_file")
    else:
        yield from _certificate(chosen)


def _clock(date: str) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return
    skew = time.time() - theirs
    if abs(skew) > _SKEW:
        way = "ahead of" if skew > 0 else "behind"
        yield look("clock", f"this machine's is {abs(skew):.0f} s {way} InfluxDB's. Does a time service run on both?")
    else:
        yield well("clock", "agrees with InfluxDB's")


def _certificate(chosen: Settings) -> Iterator[Finding]:
    """Look for how long the server's certificate is valid; whether it is trusted has been seen."""
    from cryptography import x509  # noqa: PLC0415

    parts = urlsplit(chosen.influx.url)
    host, port = parts.hostname or "", parts.port or 443
    context = ssl.create_default_context(cafile=chosen.influx.ca_file)
    try:
        with (
            socket.create_connection((host, port), _SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as line,
        ):
            der = line.getpeercert(binary_form=True)
    except OSError:
        return  # said already
    if der is None:
        return
    days = (x509.load_der_x509_certificate(der).not_valid_after_utc - datetime.now(UTC)).days
    said = f"{host}: its certificate is valid for {days} days more"
    yield look("TLS", f"{said}. Make a new one") if days < _DAYS else well("TLS", said)


def images(chosen: Settings) -> Iterator[Finding]:
    """Look whether images can be published, by a small file that is taken away again."""
    what = "images"
    if not chosen.images.publish:
        yield absent(what, "images.publish is not set; Grafana's gallery stays empty")
        return
    from cryowatch.sinks.targets import target_of, tried  # noqa: PLC0415

    try:
        target = target_of(chosen.images)
        seconds = asyncio.run(tried(target))
    except CryowatchError as error:
        yield bad(what, error)
    else:
        yield well(what, f"{target.where}: takes files, {seconds * 1000:.0f} ms each")


def notices(chosen: Settings) -> Iterator[Finding]:
    """Look whether the channels of notices are configured right; what they say to a message, `alerts test` tells."""
    from cryowatch.notices.channels import channels  # noqa: PLC0415

    found = False
    try:
        for name, make in channels(chosen):
            found = True
            channel = make()
            yield well(f"notices, {name}", f"{channel.where}. `cryowatch alerts test` sends a message")
    except CryowatchError as error:
        found = True
        yield bad("notices", error)
    if not found:
        yield absent("notices", "no mail.host, no webhooks, no apprise.urls_file; nobody is told of alerts")


def _here(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
