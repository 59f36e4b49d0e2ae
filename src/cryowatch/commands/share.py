"""`cryowatch share`: links that each open one session, for people without an account."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from cryowatch.commands.options import Config, DataDir, SessionName
from cryowatch.errors import ConfigError

if TYPE_CHECKING:
    from cryowatch.access.shares import Share, Shares
    from cryowatch.settings.config import Settings

EVERY_INTERFACE = ("0.0.0.0", "::")  # noqa: S104  nothing is bound

app = typer.Typer(name="share", help="Links that open one session to people without an account.", no_args_is_help=True)


@app.command()
def create(
    session: SessionName,
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days the link is valid.", metavar="N")] = 14,
    label: Annotated[str, typer.Option(help="For whom the link is, as `list` shows it.", metavar="TEXT")] = "",
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Create a link to one session; it is printed only once."""
    from cryowatch.access.accounts import Accounts  # noqa: PLC0415
    from cryowatch.store.lock import prepare  # noqa: PLC0415
    from cryowatch.store.status import open_reader, session_of  # noqa: PLC0415

    settings = _settings(data_dir, config)
    found = session_of(open_reader(settings.data_dir), session)
    folder = prepare(settings.data_dir)
    if not Accounts(folder).any():
        what = "there are no accounts: whoever reaches the pages sees every session, and needs no link"
        raise ConfigError(what, remedy="Add one with `cryowatch accounts add NAME`")
    share, token = _shares(folder).create(
        session=found["key"], path=found["path"], origin=found["origin"], days=days, by="command line",
        label=label,
    )  # fmt: skip
    typer.echo(f"{_base(settings)}/share/{token}")
    typer.echo(
        f"It opens {found['name']!r} until {_day(share.until)}.  `cryowatch share revoke {share.id}` ends it.", err=True
    )
    if not settings.web.url:
        typer.echo("Set web.url to the address under which others reach the pages, and links have it.", err=True)


@app.command("list")
def listed(data_dir: DataDir = None, config: Config = None) -> None:
    """List the links: number, session, last day, creator, label, and why a link is void."""
    from cryowatch.errors import StoreFailed, one_line  # noqa: PLC0415
    from cryowatch.store.lock import prepare  # noqa: PLC0415

    settings = _settings(data_dir, config)
    found = _shares(prepare(settings.data_dir)).listed()
    void: dict[str, str] = {}
    try:
        void = _void(found, settings.data_dir)
    except StoreFailed as error:
        typer.echo(one_line(f"Which links open something cannot be looked up: {error}"), err=True)
    for share in found:
        by = f"{share.by}, {share.label}" if share.label else share.by
        said = f"{share.id}  {share.session:<32}  until {_day(share.until)}  by {by}"
        typer.echo(one_line(f"{said}  void: {void[share.id]}" if share.id in void else said))
    if not found:
        typer.echo("There are no links.", err=True)


def _void(shares: Sequence[Share], data_dir: Path) -> dict[str, str]:
    """Return why links open nothing, by their numbers; raises `StoreFailed`."""
    from cryowatch.store.status import open_reader  # noqa: PLC0415

    reasons = {}
    for share in shares:
        sessions = open_reader(data_dir).sessions_at(share.session, share.path)
        if any(share.opens(session) for session in sessions):
            continue
        if not sessions:
            reasons[share.id] = "its session is not here any more"
        elif not share.origin:
            reasons[share.id] = "an earlier version made it, and its project may be another one by now; make a new link"
        else:
            reasons[share.id] = "another project is in its folder"
    return reasons


@app.command()
def revoke(
    share: Annotated[
        str, typer.Argument(help="The link's number, as `list` prints it.", metavar="ID", show_default=False)
    ],
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Revoke a link immediately, also for those who have it open."""
    from cryowatch.store.lock import prepare  # noqa: PLC0415

    ended = _shares(prepare(_settings(data_dir, config).data_dir)).revoke(share)
    typer.echo(f"The link to {ended.session} opens nothing any more.")


def _settings(data_dir: Path | None, config: Path | None) -> Settings:
    from cryowatch.settings import effective  # noqa: PLC0415

    return effective.settings(config, data_dir=data_dir)


def _base(settings: Settings) -> str:
    """Return the pages' address: `web.url`, else where the agent at work listens, else what the settings say."""
    from cryowatch.settings.web import host_of  # noqa: PLC0415
    from cryowatch.store.lock import published_address  # noqa: PLC0415

    scheme = "https" if settings.web.certificate else "http"
    listening = published_address(settings.data_dir) or f"{scheme}://{settings.web.listen}"
    parts = urlsplit(listening)
    if host_of(parts.netloc) in EVERY_INTERFACE:
        listening = f"{parts.scheme}://{socket.gethostname()}:{parts.port}"
    return (settings.web.url or listening).rstrip("/")


def _shares(folder: Path) -> Shares:
    from cryowatch.access.key import key_of  # noqa: PLC0415
    from cryowatch.access.shares import Shares  # noqa: PLC0415

    return Shares(folder, key_of(folder), clock=time.time_ns)


def _day(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(milliseconds / 1000))
