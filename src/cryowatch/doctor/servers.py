"""The place of the images: whether it takes files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryowatch.doctor.finding import Finding, absent, bad, look, well
from cryowatch.errors import CryowatchError
from cryowatch.settings.config import Settings


def images(chosen: Settings) -> Iterator[Finding]:
    """Look whether images can be published, by a small file that is taken away again."""
    what = "images"
    if not chosen.images.publish:
        yield absent(what, "images.publish is not set; Grafana's gallery stays empty")
        return
    parts = urlsplit(chosen.images.publish)
    if parts.scheme == "file" and not Path(unquote(parts.path)).exists():
        yield look(what, f"{chosen.images.publish}: is not there; publishing makes it. Is a disk not mounted?")
        return
    from cryowatch.agent.build.targets import target_of  # noqa: PLC0415
    from cryowatch.publish.target import tried  # noqa: PLC0415

    try:
        target = target_of(chosen.images)
        seconds = asyncio.run(tried(target))
    except CryowatchError as error:
        yield bad(what, error)
    else:
        yield well(what, f"{target.where}: takes files, {seconds * 1000:.0f} ms each")
