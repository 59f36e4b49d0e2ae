"""The built-in pages of a working agent: who may reach them, under which names, with which certificate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from cryowatch import __version__
from cryowatch.agent.agent import Agent
from cryowatch.agent.build.appearance import dashboards_of, logo_of
from cryowatch.forgetting.forgetter import Forgetter
from cryowatch.images import ImageServer
from cryowatch.settings.config import Settings
from cryowatch.settings.web import exposure_of, host_of
from cryowatch.settings.web import refuse_unprotected as refuse
from cryowatch.sources.scipion.log import log_ends
from cryowatch.store import Store
from cryowatch.store.lock import prepare
from cryowatch.times import milliseconds


def refuse_unprotected(chosen: Settings) -> None:
    """Raise `ConfigError` where others would reach the pages without accounts or TLS, and nobody said that they may."""
    from cryowatch.access.accounts import Accounts  # noqa: PLC0415

    refuse(chosen.web, exposure_of(chosen.web), accounts=Accounts(prepare(chosen.data_dir)).any())


def serve(
    chosen: Settings,
    store: Store,
    images: ImageServer,
    agent: Agent,
    forgetter: Forgetter,
    *,
    started: Callable[[str, Sequence[str]], None],
) -> None:
    """Start the agent and serve its pages until interrupted; raises `ConfigError` and `AccessError`.

    `started` is told the pages' address, and what there is to warn of.
    """
    from cryowatch.web.app import AgentView, Appearance, create_app  # noqa: PLC0415
    from cryowatch.web.border import Names  # noqa: PLC0415
    from cryowatch.web.events import Hub  # noqa: PLC0415
    from cryowatch.web.gate import access_of  # noqa: PLC0415
    from cryowatch.web.server import Identity, Server, address_of, bind  # noqa: PLC0415

    web = chosen.web
    listener = bind(web.listen)
    identity = None if web.certificate is None or web.key is None else Identity(web.certificate, web.key)
    address = address_of(listener, tls=identity is not None)
    access = access_of(store.data_dir, web, port=listener.getsockname()[1])
    hub = Hub({"version": __version__, "started": milliseconds(time.time_ns())})
    view = AgentView(
        reader=store.reader(),
        hub=hub,
        images=images,
        clock=time.time_ns,
        host=agent.host,
        last_read=agent.last_read,
        deliveries=lambda: [follower.status().shown() for follower in agent.followers],
        logs=log_ends,
    )
    appearance = Appearance(
        dashboards=dashboards_of(chosen),
        facility=chosen.facility.name,
        logo=logo_of(chosen),
        names=Names((host_of(web.listen), *web.hosts), url=web.url),
        url=web.url,
    )
    app = create_app(view, appearance, access=access, ledger=store.ledger(), forgetter=forgetter)

    def told() -> None:
        started(address, access.warnings())

    server = Server(app, hub, started=told, identity=identity, proxies=web.proxies)
    agent.listen(hub.publish)
    agent.accompany("certificate", server.renew)
    agent.start()
    store.publish_address(address)
    server.run(sockets=[listener])
