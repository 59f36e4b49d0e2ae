"""What can be looked at on this machine: the configuration, the store, the disk, the address of the pages, GPUs."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlsplit

from cryowatch.agent.build.appearance import dashboards_of, logo_of
from cryowatch.alerts.rules import rules_of
from cryowatch.doctor.finding import Finding, absent, bad, look, well
from cryowatch.errors import CryowatchError, StoreInUse
from cryowatch.settings.config import Settings
from cryowatch.sources.host.gpus import Gpus
from cryowatch.store import glance
from cryowatch.store.lock import NETWORK_FILE_SYSTEMS, Lock, kind_of, prepare, published_address
from cryowatch.store.schema import MIGRATIONS
from cryowatch.store.writer import FILE_NAME
from cryowatch.times import HOUR, duration

_GIGABYTE = 10**9
_LITTLE = 5 * _GIGABYTE
_TOO_LITTLE = _GIGABYTE


def configuration(chosen: Settings) -> Iterator[Finding]:
    """Look at the file, and at what only shows when the agent starts."""
    what = "configuration"
    if not chosen.file.exists():
        yield absent(what, f"there is no {chosen.file}; the defaults hold")
    else:
        secret = any(s is not None for s in (chosen.influx.password, chosen.influx.token, chosen.images.password))
        readable = chosen.file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
        if (secret or chosen.mail.password is not None) and readable:
            yield look(what, f"{chosen.file}: holds a password that others may read. chmod 600 {chosen.file}")
        else:
            yield well(what, str(chosen.file))
    for name, made in (
        ("dashboards", lambda: dashboards_of(chosen)),
        ("logo", lambda: logo_of(chosen)),
        ("alerts", lambda: rules_of(chosen.alerts.rules, file=chosen.file)),
    ):
        try:
            made()
        except CryowatchError as error:
            yield bad(name, error)
    if chosen.report.command and shutil.which(chosen.report.command[0]) is None:
        yield bad("report", f"{chosen.file}: report.command: there is no program {chosen.report.command[0]}")


def secrets(chosen: Settings) -> Iterator[Finding]:
    """Look whether the files that hold secrets can be read, and by whom."""
    files = {
        "influx.password_file": chosen.influx.password_file,
        "influx.token_file": chosen.influx.token_file,
        "images.password_file": chosen.images.password_file,
        "images.key_file": chosen.images.key_file,
        "mail.password_file": chosen.mail.password_file,
        "apprise.urls_file": chosen.apprise.urls_file,
        "web.metrics_token_file": chosen.web.metrics_token_file,
        **{f"webhooks.{name}.url_file": webhook.url_file for name, webhook in chosen.webhooks.items()},
    }
    for key, file in files.items():
        if file is None:
            continue
        try:
            mode = file.stat().st_mode
            with file.open("rb"):
                pass
        except OSError as error:
            yield bad(key, f"{file}: cannot be read: {error.strerror}. Check the path, its owner and its mode")
            continue
        if mode & stat.S_IROTH:
            yield look(key, f"{file}: everybody on this machine may read it. chmod o-r {file}")
        else:
            yield well(key, f"{file}")


def store(chosen: Settings) -> Iterator[Finding]:
    """Look at the data directory, the space on its disk, and the store's file."""
    what = "data directory"
    if not chosen.data_dir.exists():
        yield from _to_be_made(chosen.data_dir)
        return
    try:
        folder = prepare(chosen.data_dir)
    except CryowatchError as error:
        yield bad(what, error)
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield bad(what, f"{folder}: this user may not write there. Check its owner and mode")
        return
    yield from _openness(folder)
    yield _space(folder, folder)
    yield from _full(chosen)
    yield from _file(chosen)


def _openness(folder: Path) -> Iterator[Finding]:
    """Look at who else may look into the data directory, and write there."""
    what = "data directory"
    found = folder.stat()
    if found.st_mode & stat.S_IWOTH:
        yield bad(what, f"{folder}: everybody on this machine may write there. chmod o= {folder}")
    elif found.st_mode & (stat.S_IROTH | stat.S_IXOTH):
        yield look(what, f"{folder}: everybody on this machine may look into it. chmod o= {folder}")
    if found.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
        yield look(what, f"{folder}: belongs to another user, who can change everything there")


def _to_be_made(folder: Path) -> Iterator[Finding]:
    """Look at where the data directory will be, and make nothing."""
    what = "data directory"
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    kind = kind_of(above)
    if kind in NETWORK_FILE_SYSTEMS:
        yield bad(what, f"{folder}: would lie on a network file system ({kind}). Choose a data_dir on a local disk")
    elif not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        yield bad(what, f"{folder}: this user cannot make it, since it may not write to {above}. Make it as root")
    else:
        yield _space(folder, above)
    yield absent("store", "nothing was watched yet")


def _space(folder: Path, there: Path) -> Finding:
    """Return how much space the data directory has, on the file system of what is there of it."""
    what = "data directory"
    free = shutil.disk_usage(there).free
    said = f"{folder}: {free / _GIGABYTE:,.1f} GB free"
    if free < _TOO_LITTLE:
        return bad(what, f"{said}. Free some space, or choose another data_dir")
    if free < _LITTLE:
        return look(what, f"{said}, which is little. Free some space, or choose another data_dir")
    return well(what, said)


def _full(chosen: Settings) -> Iterator[Finding]:
    """Look at when file systems will be full, as the agent's newest samples say, where they are of the last hour."""
    path = chosen.data_dir / FILE_NAME
    if not path.exists():
        return
    try:
        rows = glance.filling(path, since=time.time_ns() - HOUR)
    except sqlite3.Error:
        return  # the look at the store itself tells
    for device, seconds in rows:
        said = f"{device}: is full in {duration(seconds)}, at the speed of the last hour"
        yield look("disk", f"{said}. Move data away, or stop what fills it")


def _file(chosen: Settings) -> Iterator[Finding]:
    what = "store"
    folder = chosen.data_dir
    path = folder / FILE_NAME
    if not path.exists():
        yield absent(what, "nothing was watched yet")
        return
    try:
        Lock(folder).release()
        at_work = ""
    except StoreInUse:
        at_work = "; an agent works with it"
    except CryowatchError as error:
        yield bad(what, error)
        return
    began = time.monotonic()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=10)) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            database.set_progress_handler(lambda: int(time.monotonic() - began > 20), 100_000)
            (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        if "interrupted" not in str(error):
            yield bad(what, f"{path}: {error}. Move it aside; everything is read anew")
            return
        said = "ok"
    if said != "ok":
        yield bad(what, f"{path}: is damaged ({said}). Move it aside; everything is read anew")
    elif version > len(MIGRATIONS):
        yield bad(what, f"{path}: was written by a newer cryowatch. Upgrade, or choose another data_dir")
    else:
        yield well(what, f"{path.stat().st_size / 1e6:,.0f} MB{at_work}")


def pages(chosen: Settings) -> Iterator[Finding]:
    """Look whether the address of the pages is free, or an agent's of this data directory."""
    what = "pages"
    host, _, port = chosen.web.listen.rpartition(":")
    address = published_address(chosen.data_dir)
    if address and port in ("0", str(urlsplit(address).port)):
        yield well(what, f"{address} is the agent's at work")
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), int(port)))
    except OSError as error:
        taken = f"{chosen.web.listen}: {error.strerror or error}"
        yield look(what, f"{taken}. Is an agent at work? Else set web.listen to another port")
        return
    yield well(what, f"{chosen.web.listen} is free")


def gpus(chosen: Settings) -> Iterator[Finding]:
    """Look whether GPUs can be read."""
    del chosen
    found = Gpus().read()
    readable = [device for device in found if not device.note]
    if readable:
        yield well("GPUs", f"{len(readable)} can be read")
    for note in dict.fromkeys(device.note for device in found if device.note):
        yield absent("GPUs", note)
