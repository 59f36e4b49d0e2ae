"""`hurried.py SPEED KEEP_MB watch …`: cryowatch with a clock that runs SPEED times faster than the system's.

The host is sampled every 10 s of that clock, and deliveries retry that much sooner, but at most twice a second, so that
hours pass in a minute with all their data.  Samples may take KEEP_MB megabytes, which may be less than `host.keep_mb`
allows.
"""

from __future__ import annotations

import sys
import time
from typing import Any

HOST_INTERVAL = 10.0
SHORTEST_WAIT = 0.5


def hurry(speed: float, keep_mb: float) -> None:
    """Let all that is imported from now on live so many times faster."""
    began, really = time.time_ns(), time.time_ns
    time.time_ns = lambda: began + round((really() - began) * speed)

    from cryowatch.agent import build  # noqa: PLC0415
    from cryowatch.agent.agent import Agent  # noqa: PLC0415
    from cryowatch.influx.delivery import Delivery  # noqa: PLC0415

    def hurried(*args: Any, **more: Any) -> Agent:
        return Agent(*args, **{**more, "host_interval": HOST_INTERVAL / speed, "keep_mb": keep_mb})

    waits = Delivery.wait

    def wait(delivery: Delivery, seconds: float) -> None:
        waits(delivery, min(seconds, max(SHORTEST_WAIT, seconds / speed)))

    build.Agent = hurried  # type: ignore[misc, assignment]
    Delivery.wait = wait  # type: ignore[method-assign]


if __name__ == "__main__":
    hurry(float(sys.argv.pop(1)), float(sys.argv.pop(1)))
    from cryowatch.cli import main

    main()
