"""The settings that hold for a command: the configuration, with the command line and a secrets.cfg on top."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cryowatch.errors import ConfigError
from cryowatch.settings import environment, installed
from cryowatch.settings.config import AppriseServices, Images, Influx, Mail, Report, Settings, load
from cryowatch.settings.section import at_home
from cryowatch.settings.web import Web

if TYPE_CHECKING:
    from cryowatch.settings.secrets import TransferSecrets


def settings(
    config: Path | None,
    *,
    data_dir: Path | None = None,
    listen: str | None = None,
    insecure: bool = False,
    secrets: Path | None = None,
    own: bool = False,
) -> Settings:
    """Return the settings with what the command line says on top; raises `ConfigError`.

    Where neither it nor the environment names settings or a store, those of the machine's service count, unless this
    process is to have its `own`.  The settings of the environment are not there any more afterwards: no process that is
    started later gets them.
    """
    service = None if own else installed.service_of(config, data_dir, os.environ)
    if service is not None:
        config, data_dir = service.config, service.data_dir
        listen, secrets = listen or service.listen, secrets or service.secrets
    found = load(config)
    environment.forget(os.environ)
    update: dict[str, Any] = {}
    if data_dir is not None:
        update["data_dir"] = at_home(data_dir)
    said = ({} if listen is None else {"listen": listen}) | ({"insecure": True} if insecure else {})
    if said:
        try:
            update["web"] = Web.model_validate({**found.web.model_dump(), **said})
        except ValueError:
            raise ConfigError("is not an address and port", where=listen, remedy="Write 127.0.0.1:8420") from None
    if secrets is not None or not found.influx.url:
        update.update(_legacy(found, secrets))
    return found.model_copy(update=update)


def demo_settings(data_dir: Path, port: int) -> Settings:
    """Return the settings of a demo: its own data, its own port, and nothing goes to anybody else."""
    found = settings(None, data_dir=data_dir, listen=f"127.0.0.1:{port}", own=True)
    images = found.images.model_copy(update={"publish": ""})
    nobody = {"mail": Mail(), "webhooks": {}, "apprise": AppriseServices()}
    return found.model_copy(update={"influx": Influx(), "images": images, "report": Report(), **nobody})


def _legacy(found: Settings, file: Path | None) -> dict[str, Any]:
    """Return the settings that a secrets.cfg stands for; none where there is none."""
    from cryowatch.settings import secrets  # noqa: PLC0415

    path = secrets.find(file, os.environ)
    if path is None:
        return {}
    whole = secrets.load(path)
    said = whole.influx
    influx = found.influx.model_copy(
        update={
            "url": said.url,
            "database": said.database,
            "username": said.username,
            "password": said.password,
            "verify_tls": said.verify_tls,
            "layout": "scipion",
            "shift_hours": said.time_delta.total_seconds() / 3600,
        }
    )
    update = {"influx": influx, "time_zone": found.time_zone or said.time_zone}
    if whole.transfer is not None and not found.images.publish:
        update["images"] = _legacy_images(found.images, whole.transfer, said.image_folder)
    return update


def _legacy_images(found: Images, said: TransferSecrets, url_prefix: str) -> Images:
    host = f"[{said.host}]" if ":" in said.host else said.host
    update = {
        "publish": f"sftp://{quote(said.username)}@{host}{quote(said.remote_path.rstrip('/'))}",
        "key_file": said.key_file,
        "password": said.password,
        "url_prefix": url_prefix,
    }
    return found.model_copy(update=update)
