"""The only wiring: what the settings ask for becomes an agent with its followers, images, reports and pages.

What is heavy to import waits until the settings ask for it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cryowatch.agent.agent import Agent
from cryowatch.alerts.alarms import Alarms
from cryowatch.alerts.rules import rules_of
from cryowatch.influx.delivery import Delivery
from cryowatch.settings.config import Mail, Settings
from cryowatch.sources.host import Parts
from cryowatch.sources.incoming import Incoming
from cryowatch.store import Store

if TYPE_CHECKING:
    from cryowatch.images import ImageServer
    from cryowatch.notices.notifier import Notifier
    from cryowatch.publish.publisher import Publisher
    from cryowatch.report.schedule import Reports
    from cryowatch.web.ahead import Ahead

    Rendering = Callable[[], ImageServer]

log = logging.getLogger(__name__)


def agent_of(chosen: Settings, store: Store, images: Rendering, paths: Sequence[Path], *, pages: bool = False) -> Agent:
    """Return the agent that the settings ask for, with all that follows it; raises `ConfigError`."""
    deliveries, host = _deliveries(chosen, store), chosen.host
    agent = Agent(
        store,
        paths,
        interval=chosen.scipion.interval,
        host_interval=chosen.host.interval,
        parts=Parts(gpus=host.gpus, interfaces=host.interfaces, disks=host.disks, disk_rates=host.disk_rates),
        keep_days=chosen.host.keep_days,
        keep_mb=chosen.host.keep_mb,
        zone=chosen.zone,
        runs=chosen.scipion.runs,
        ahead=_ahead(store, images) if pages and chosen.images.ahead else None,
        followers=[
            *_publishers(chosen, store, images, deliveries),
            *deliveries,
            *_reports(chosen, store, images),
            *_notifiers(chosen, store, images),
        ],
    )
    if chosen.alerts.enabled:
        alarms = Alarms(
            store,
            rules_of(chosen.alerts.rules, file=chosen.file),
            host=agent.host,
            read_at=agent.read_at,
            tell=agent.tell,
            incoming=Incoming().newest,
            unread=agent.unread,
            shut=lambda: [shut for finder in agent.finders.values() for shut in finder.shut],
            repeat=chosen.alerts.repeat_minutes,
            sampled=chosen.host.interval,
        )
        agent.accompany("alerts", alarms.step, also_last=True)
    return agent


@contextlib.contextmanager
def opened(data_dir: Path) -> Iterator[Store]:
    """The store of a data directory, closed at the end."""
    store = Store(data_dir)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def rendering(chosen: Settings) -> Iterator[Rendering]:
    """What gives the server of images, which is started when it is first asked for and ends with this."""
    with contextlib.ExitStack() as started:

        @cache
        def images() -> ImageServer:
            return started.enter_context(contextlib.closing(image_server(chosen)))

        yield images


def _deliveries(chosen: Settings, store: Store) -> list[Delivery]:
    """Return the deliveries that the settings ask for; raises `ConfigError`."""
    if not chosen.influx.url:
        return []
    from cryowatch.influx import client  # noqa: PLC0415
    from cryowatch.influx.batches import Layout  # noqa: PLC0415
    from cryowatch.influx.layout_cryowatch import CryowatchLayout  # noqa: PLC0415
    from cryowatch.influx.layout_scipion import ScipionLayout  # noqa: PLC0415

    told = chosen.influx
    layout: Layout = CryowatchLayout(url_prefix=chosen.images.url_prefix)
    if told.layout == "scipion":
        layout = ScipionLayout(url_prefix=chosen.images.url_prefix, shift_hours=told.shift_hours)
    sink = client.Influx(client.access_of(told))
    if sink.open_line:
        log.warning("%s", sink.open_line)
    return [Delivery(store, sink, layout)]


def image_server(chosen: Settings) -> ImageServer:
    """Return what renders images and keeps them."""
    from cryowatch.images import ImageServer  # noqa: PLC0415

    cache_bytes = chosen.images.cache_mb * 1_000_000
    return ImageServer(chosen.data_dir / "images", workers=chosen.images.workers, cache_bytes=cache_bytes)


def _publishers(chosen: Settings, store: Store, images: Rendering, deliveries: Sequence[Delivery]) -> list[Publisher]:
    """Return the publishers that the settings ask for; raises `ConfigError`."""
    if not chosen.images.publish:
        return []
    from cryowatch.agent.build.targets import target_of  # noqa: PLC0415
    from cryowatch.publish.publisher import Publisher  # noqa: PLC0415

    def told() -> None:
        for delivery in deliveries:
            delivery.wake()

    target = target_of(chosen.images)
    return [Publisher(store, images(), target, days=chosen.images.publish_days, told=told)]


def _ahead(store: Store, images: Rendering) -> Ahead:
    from cryowatch.web.ahead import Ahead  # noqa: PLC0415

    return Ahead(store.reader(), images())


def _reports(chosen: Settings, store: Store, images: Rendering) -> list[Reports]:
    """Return what writes reports, where the settings ask for it; raises `ConfigError`."""
    if not chosen.report.minutes:
        return []
    from cryowatch.agent.build import reports  # noqa: PLC0415

    return [reports.reports(chosen, store, images())]


def _notifiers(chosen: Settings, store: Store, images: Rendering) -> list[Notifier]:
    """Return who tells people of alerts, where the settings name anybody; raises `ConfigError`."""
    if (chosen.mail, chosen.webhooks, chosen.apprise.urls_file) == (Mail(), {}, None):
        return []
    from cryowatch.agent.build.channels import notifiers_of  # noqa: PLC0415

    return notifiers_of(chosen, store, images())
