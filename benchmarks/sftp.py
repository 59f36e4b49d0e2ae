"""How long 500 images of 40 kB take to a real sshd at a round trip of 20 ms.

Baseline from the same run: the first of them over the same connection, one at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import time
from pathlib import Path

from measuring.figures import Rounds, ratio, show, title
from measuring.projects import workplace

from cryowatch.publish.publisher import MOST_PUTS
from cryowatch.publish.sftp import Sftp
from cryowatch.publish.ssh import Access, Place

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.support.sshd import BINARY, Relay, Sshd


async def carried(target: Sftp, folder: str, files: list[bytes], at_once: int) -> float:
    """Return the seconds of putting files, so many at once, over a connection that is open."""
    limit = asyncio.Semaphore(at_once)
    await target.holds(folder)

    async def one(number: int, data: bytes) -> None:
        async with limit:
            await target.put(f"{folder}/{number}.jpg", data)

    began = time.perf_counter()
    await asyncio.gather(*(one(number, data) for number, data in enumerate(files)))
    took = time.perf_counter() - began
    await target.close()
    return took


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--files", type=int, default=500)
    p.add_argument("--bytes", type=int, default=40_000)
    p.add_argument("--round-trip", type=float, default=20.0, help="ms")
    p.add_argument("--rounds", type=int, default=3)
    a = p.parse_args()
    if not shutil.which(BINARY):
        print("sftp: not measured; no sshd here")
        return
    files = [random.Random(number).randbytes(a.bytes) for number in range(a.files)]
    title(f"sftp: {a.files:,} files of {a.bytes:,} bytes at {a.round_trip:g} ms round trip, through OpenSSH's sshd")
    with workplace() as folder:
        server = Sshd(folder / "sshd")
        relay = Relay(server.port, delay=a.round_trip / 2000)
        try:
            server.trust(server.host_key, port=relay.port)
            place = Place(host="127.0.0.1", port=relay.port, user=server.user, path=str(server.root))
            target = Sftp(place, Access(key_file=server.key, known_hosts=server.known_hosts))
            ours = Rounds([asyncio.run(carried(target, f"many-{n}", files, MOST_PUTS)) for n in range(a.rounds)])
            few = files[: max(1, len(files) // 10)]
            one = asyncio.run(carried(target, "one", few, 1))
        finally:
            relay.close()
            server.stop()
        show(f"with {MOST_PUTS} in flight, as the publisher does", ours, goal=10.0)
        per_file = Rounds([value / len(files) * 1000 for value in ours.values], "ms")
        print(f"  {len(files) / ours.median:,.0f} files/s; with one in flight at a time {len(few) / one:,.0f} files/s")
        ratio(per_file, Rounds([one / len(few) * 1000], "ms"), "a single file in flight")
        whole = sum(1 for file in server.root.rglob("*.jpg") if file.stat().st_size == a.bytes)
        print(f"  {whole:,} of {len(files) * a.rounds + len(few):,} files arrived complete")


if __name__ == "__main__":
    main()
