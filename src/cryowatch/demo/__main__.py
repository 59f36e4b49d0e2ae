"""`python -m cryowatch.demo FOLDER --micrographs N --every SECONDS`: writes the session until it is over.

It ends when asked to, and when the process that started it is gone.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from cryowatch.demo.session import DemoSession, unfold

LOOK_SECONDS = 0.5


def main() -> int:
    """Write the session; returns 1 where that is not possible."""
    parser = argparse.ArgumentParser(prog="cryowatch.demo")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--micrographs", type=int, required=True)
    parser.add_argument("--every", type=float, required=True)
    told = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    os.nice(5)
    parent = os.getppid()

    def wait(seconds: float) -> bool:
        while seconds > 0 and not stop.is_set() and os.getppid() == parent:
            stop.wait(min(seconds, LOOK_SECONDS))
            seconds -= LOOK_SECONDS
        return not stop.is_set() and os.getppid() == parent

    try:
        unfold(DemoSession(told.folder), micrographs=told.micrographs, every=told.every, wait=wait)
    except OSError as error:
        print(f"cryowatch: the made-up session cannot go on: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
