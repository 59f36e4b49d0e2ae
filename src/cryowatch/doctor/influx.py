"""InfluxDB: whether it takes points of the writer, and what the reader, who stands behind Grafana, may do.

The writer writes a comment, which needs the same rights as a point and stores nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from cryowatch.doctor import certificates, clock
from cryowatch.doctor.finding import Finding, absent, bad, look, well
from cryowatch.errors import ConfigError, CryowatchError, ServerError, SinkError
from cryowatch.influx.client import Influx, access_of
from cryowatch.influx.server import Server, quote_identifier
from cryowatch.influx.setup import nanoseconds, read_password
from cryowatch.settings.config import Settings

READER = "scipion_reader"


def writer(chosen: Settings) -> Iterator[Finding]:
    """Look whether InfluxDB takes points of this account, how its certificate fares, and whether the clocks agree."""
    what = "InfluxDB"
    if not chosen.influx.url:
        yield absent(what, "influx.url is not set; nothing is written to one")
        return
    if not chosen.influx.url.startswith("https:"):
        if not _here(urlsplit(chosen.influx.url).hostname or ""):
            where = chosen.influx.url
            yield look("TLS", f"{where}: password and data go over the net for everybody to read. Use https")
    elif not chosen.influx.verify_tls:
        yield look("TLS", "influx.verify_tls is off: anybody may answer in the server's place. Name influx.ca_file")
    else:
        yield from certificates.served("TLS", chosen.influx.url, chosen.influx.ca_file, "influx.ca_file")
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
        yield from clock.compared("InfluxDB", date)
        yield from _deletes(sink)
    finally:
        sink.close()


def _deletes(sink: Influx) -> Iterator[Finding]:
    what = "InfluxDB, deleting"
    try:
        refused = sink.keeps()
    except SinkError as error:
        yield bad(what, error)
        return
    if refused:
        remedy = "What is estimated again or deleted in Scipion stays there beside what is new"
        yield look(what, f"{sink.where}: does not delete points: {refused}. {remedy}")
    else:
        yield well(what, "points that are outdated can be deleted")


def reader(chosen: Settings) -> Iterator[Finding]:
    """Look whether the account that Grafana reads with reads and no more, and how long points are kept."""
    what = "InfluxDB, reader"
    told = chosen.influx
    if not told.url or told.token or told.token_file or not told.username:
        return
    file = _password_file(told.password_file)
    if file is None:
        yield absent(what, f"was not tried: no {READER}.password lies beside influx.password_file")
        return
    if not told.verify_tls:
        yield absent(what, "was not tried, since influx.verify_tls is off")
        return
    try:
        password = read_password(file) or SecretStr("")
        with Server(told.url, ca_file=told.ca_file) as server:
            server.log_in(READER, password)
            policies = server.rows(f"SHOW RETENTION POLICIES ON {quote_identifier(told.database)}")
            server.rows(f"SHOW MEASUREMENTS ON {quote_identifier(told.database)} LIMIT 1")
    except (ConfigError, ServerError) as error:
        yield bad(what, f"{error.where}: {READER}: {error.what}. `cryowatch influx init` mends accounts and grants")
        return
    if _may_write(chosen, password):
        yield look(what, f"{READER} may also write to {told.database}. Take that away: REVOKE WRITE in InfluxDB")
    else:
        yield well(what, f"{READER} may read {told.database}, and not write")
    yield from _retention(chosen, policies)


def _password_file(beside: Path | None) -> Path | None:
    if beside is None:
        return None
    file = beside.with_name(f"{READER}.password")
    try:
        return file if file.exists() else None
    except OSError:
        return None


def _may_write(chosen: Settings, password: SecretStr) -> bool:
    access = replace(access_of(chosen.influx), username=READER, password=password.get_secret_value())
    sink = Influx(access)
    try:
        sink.check()
    except SinkError:
        return False
    finally:
        sink.close()
    return True


def _retention(chosen: Settings, policies: list[dict[str, object]]) -> Iterator[Finding]:
    what = "InfluxDB, retention"
    policy = next((row for row in policies if row.get("default")), None)
    if policy is None:
        yield bad(what, f"{chosen.influx.database} has no default policy. `cryowatch influx init` makes it")
        return
    kept, wanted = nanoseconds(str(policy["duration"])), nanoseconds(chosen.influx.retention)
    if kept != wanted:
        said = "for ever" if kept == 0 else f"for {kept / 86_400e9:,.0f} days"
        remedy = "`cryowatch influx init --retention` lengthens it; or set influx.retention to what is meant"
        yield look(what, f"points are kept {said}, and influx.retention says {chosen.influx.retention}. {remedy}")
    else:
        yield well(what, "points are kept as long as influx.retention says")


def _here(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
