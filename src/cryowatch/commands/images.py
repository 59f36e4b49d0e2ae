"""`cryowatch images`: where images are published to, and whom to trust there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryowatch.errors import ConfigError

if TYPE_CHECKING:
    from cryowatch.config import Images
    from cryowatch.sinks.targets import Target

PROBLEM = 1

app = typer.Typer(name="images", help="Publishing images: trust the host, try it out.", no_args_is_help=True)

Config = Annotated[
    Path | None,
    typer.Option(
        help="Settings in TOML.",
        show_default="$CRYOWATCH_CONFIG or ~/.config/cryowatch/cryowatch.toml",
        metavar="FILE",
        readable=False,
    ),
]
Secrets = Annotated[
    Path | None,
    typer.Option(
        help="Accounts in the format of Scipion's monitor.",
        show_default="$EMFACILITIES_HOME/secrets.cfg, where that is",
        metavar="FILE",
        readable=False,
    ),
]


@app.command()
def trust(
    config: Config = None,
    secrets: Secrets = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: the fingerprint was compared before.")] = False,
) -> None:
    """Show the fingerprint of the host that images are published to, and trust it after a yes."""
    import asyncio  # noqa: PLC0415

    from cryowatch.sinks import host_keys  # noqa: PLC0415
    from cryowatch.sinks.sftp import place_of  # noqa: PLC0415

    images = _images(config, secrets)
    place = place_of(images.publish)
    if not images.publish.startswith("sftp:"):
        raise ConfigError("is a folder of this machine, whose host needs no trust", where="images.publish")
    port = place.port or 22
    shown = asyncio.run(host_keys.fetch(place.host, port))
    typer.echo(f"{place.host} port {port} shows the key {shown.kind}\n  {shown.fingerprint}")
    match host_keys.trust(images.known_hosts, place.host, port, shown):
        case host_keys.Trust.TRUSTED:
            typer.echo(f"It is trusted already: {images.known_hosts} holds it.")
            return
        case host_keys.Trust.CHANGED:
            typer.secho(
                f"{images.known_hosts} holds another key of this host. Either it was set up anew, or somebody else"
                f" answers in its place. Ask its administrator; if the new key is right, remove the old one with"
                f" `ssh-keygen -f {images.known_hosts} -R '{_entry(place.host, port)}'` and come again.",
                err=True,
                fg=typer.colors.RED,
            )
            raise typer.Exit(PROBLEM)
        case host_keys.Trust.REVOKED:
            typer.secho(f"{images.known_hosts} says that this key was revoked.", err=True, fg=typer.colors.RED)
            raise typer.Exit(PROBLEM)
    if not yes:
        typer.echo("Compare it with what its administrator says (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub).")
        if not sys.stdin.isatty():
            raise ConfigError("nobody is there to say yes", where="standard input", remedy="Give --yes once compared")
        if not typer.confirm("Trust it?"):
            typer.echo("Nothing was changed.")
            raise typer.Exit(PROBLEM)
    host_keys.add(images.known_hosts, place.host, port, shown)
    typer.echo(f"{images.known_hosts} holds it now.")


@app.command()
def check(config: Config = None, secrets: Secrets = None) -> None:
    """Put a small file where images are published to, take it away again, and say how that went: exit 0 or 1."""
    import asyncio  # noqa: PLC0415

    from cryowatch.errors import SinkError  # noqa: PLC0415
    from cryowatch.sinks.targets import target_of  # noqa: PLC0415

    target = target_of(_images(config, secrets))
    try:
        seconds = asyncio.run(_tried(target))
    except SinkError as error:
        typer.secho(str(error), err=True, fg=typer.colors.RED)
        raise typer.Exit(PROBLEM) from None
    typer.echo(f"{target.where}: a file was written and taken away again; a file takes {seconds * 1000:.0f} ms.")


def _images(config: Path | None, secrets: Path | None) -> Images:
    from cryowatch import watching  # noqa: PLC0415

    settings = watching.settings(config, secrets=secrets)
    if not settings.images.publish:
        remedy = 'Write for example publish = "sftp://scipionbox@grafana.example.org/home/scipionbox/public_html"'
        raise ConfigError("images are not published anywhere", where=f"{settings.file}: images.publish", remedy=remedy)
    return settings.images


def _entry(host: str, port: int) -> str:
    return host if port == 22 else f"[{host}]:{port}"


async def _tried(target: Target) -> float:
    """Put and remove a file; returns the seconds that the second of two took, without the connection's."""
    import secrets as chance  # noqa: PLC0415
    import time  # noqa: PLC0415

    folder = f"cryowatch-check-{chance.token_hex(4)}"
    try:
        await target.put(f"{folder}/1.txt", b"cryowatch was here\n")
        began = time.monotonic()
        await target.put(f"{folder}/2.txt", b"cryowatch was here\n")
        seconds = time.monotonic() - began
        for name in ("1.txt", "2.txt"):
            await target.remove(f"{folder}/{name}")
    finally:
        await target.close()
    return seconds
