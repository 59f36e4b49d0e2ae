"""`cryowatch tls`: certificates for the pages, InfluxDB and Grafana."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="tls", help="Certificates for the pages, InfluxDB and Grafana.", no_args_is_help=True)


@app.command()
def create(
    out: Annotated[
        Path, typer.Option(help="Folder for the four files.", metavar="DIR", show_default=False, readable=False)
    ],
    name: Annotated[
        list[str],
        typer.Option(help="Name or address that clients use; may be repeated.", metavar="HOST", show_default=False),
    ],
    days: Annotated[
        int, typer.Option(min=1, max=36_500, help="For how long; Safari takes 825 at most.", metavar="N")
    ] = 825,
    group: Annotated[
        str | None,
        typer.Option(help="Group that may read the server's key, of mode 0640 then.", metavar="GROUP"),
    ] = None,
    run_as: Annotated[
        str, typer.Option(help="Account of the service, which reads the pages' key.", metavar="USER")
    ] = "scipion",
) -> None:
    """Make a private authority and a server certificate, and say which file goes where.

    localhost and 127.0.0.1 are among the names always.  Nothing is overwritten.
    """
    from cryowatch.system import certificates  # noqa: PLC0415

    created = certificates.create(out.expanduser().absolute(), name, days, group=group)
    typer.echo(f"For {', '.join(created.names)}, until {created.not_after:%Y-%m-%d}:")
    for path, what in (
        (created.ca_certificate, "what clients trust"),
        (created.ca_key, "what signed it: keep it to yourself, or delete it"),
        (created.certificate, "what the server shows"),
        (created.key, "what the server keeps to itself"),
    ):
        typer.echo(f"  {path}  {path.stat().st_mode & 0o777:04o}  {what}")
    typer.echo(f"\n{certificates.placement(created, account=run_as)}", nl=False)
