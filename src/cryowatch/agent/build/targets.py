"""Where images are published to, as the settings name it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryowatch.publish.target import Target
from cryowatch.settings.config import Images


def target_of(images: Images) -> Target:
    """Return the place that the settings name; raises `ConfigError`."""
    parts = urlsplit(images.publish)
    if parts.scheme == "file":
        from cryowatch.publish.folder import Folder  # noqa: PLC0415

        return Folder(Path(unquote(parts.path)))
    from cryowatch.publish import sftp  # noqa: PLC0415

    return sftp.target_of(images)
