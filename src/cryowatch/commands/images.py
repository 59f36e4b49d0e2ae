"""`cryowatch images`: where images are published to, and whom to trust there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cryowatch.commands.exit_codes import PROBLEM
from cryowatch.commands.options import Config, Secrets
from cryowatch.errors import ConfigError

if TYPE_CHECKING:
    from asyncssh import SSHKey

    from cryowatch.publish.host_keys import Keys
    from cryowatch.publish.ssh import Hop
    from cryowatch.settings.config import Images

SECONDS = 15.0

app = typer.Typer(name="images", help="Publishing images: trust the host, test the upload.", no_args_is_help=True)


@app.command()
def trust(
    config: Config = None,
    secrets: Secrets = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: the fingerprint was compared before.")] = False,
) -> None:
    """Show the fingerprint of the host that images are published to, and trust it after a yes."""
    import asyncio  # noqa: PLC0415

    from cryowatch.publish import host_keys, ssh  # noqa: PLC0415

    images = _images(config, secrets)
    if not images.publish.startswith("sftp:"):
        raise ConfigError("is a folder of this machine, whose host needs no trust", where="images.publish")
    access = ssh.Access(known_hosts=images.known_hosts)
    way = asyncio.run(ssh.route(ssh.place_of(images.publish)))
    for number, hop in enumerate(way):
        hosts = host_keys.read(images.known_hosts)
        key = asyncio.run(ssh.host_key(way[:number], hop, hosts, access, seconds=SECONDS))
        _judged(hop, ssh.keys_of(hosts, hop), key, images.known_hosts, yes=yes)


def _judged(hop: Hop, keys: Keys, key: SSHKey, file: Path, *, yes: bool) -> None:
    """Say what the file holds of the key that a host shows, and add it to the file if a person says so."""
    from cryowatch.publish import host_keys  # noqa: PLC0415

    asked = f" ({hop.asked} in ~/.ssh/config)" if hop.asked != hop.host else ""
    typer.echo(f"{hop.host} port {hop.port}{asked} shows the key\n  {host_keys.shown(key)}")
    match keys.verdict(key):
        case host_keys.Trust.TRUSTED:
            typer.echo(f"It is trusted already: {file} holds it.")
            return
        case host_keys.Trust.CHANGED:
            _refuse(
                f"{file} holds another key of this host, in {host_keys.counted(keys.lines)}. Either it was set up anew,"
                f" or somebody else answers in its place. Nothing was changed. Ask its administrator; only if the new"
                f" key is right, remove the old one with `ssh-keygen -f {file} -R '{keys.name}'` and come again."
            )
        case host_keys.Trust.REVOKED:
            _refuse(f"{file} says that this key was revoked. Ask its administrator for the new one.")
    if not yes:
        kind = key.algorithm.decode().removeprefix("ssh-").split("-")[0]
        typer.echo(f"Compare it with `ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub` on that host.")
        if not sys.stdin.isatty():
            raise ConfigError("nobody is there to say yes", where="standard input", remedy="Give --yes once compared")
        if not typer.confirm("Is it the same, and is it to be trusted?"):
            typer.echo("Nothing was changed.")
            raise typer.Exit(PROBLEM)
    host_keys.add(file, hop.known_as, hop.port, key)
    typer.echo(f"{file} holds it now.")


def _refuse(text: str) -> NoReturn:
    typer.secho(text, err=True, fg=typer.colors.RED)
    raise typer.Exit(PROBLEM)


@app.command()
def check(config: Config = None, secrets: Secrets = None) -> None:
    """Upload a small test file and remove it again; exit code 1 if that fails."""
    import asyncio  # noqa: PLC0415

    from cryowatch.agent.build.targets import target_of  # noqa: PLC0415
    from cryowatch.errors import SinkError  # noqa: PLC0415
    from cryowatch.publish.target import tried  # noqa: PLC0415

    target = target_of(_images(config, secrets))
    typer.echo(target.where)
    try:
        asyncio.run(tried(target, tell=lambda text: typer.echo(f"  {text}")))
    except SinkError as error:
        _refuse(str(error))
    typer.echo("Images can be published there.")


def _images(config: Path | None, secrets: Path | None) -> Images:
    from cryowatch.settings import effective  # noqa: PLC0415

    settings = effective.settings(config, secrets=secrets)
    if not settings.images.publish:
        remedy = 'Write for example publish = "sftp://scipionbox@grafana.example.org/srv/scipionbox/images"'
        raise ConfigError("images are not published anywhere", where=f"{settings.file}: images.publish", remedy=remedy)
    return settings.images
