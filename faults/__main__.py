"""`python -m faults [ATTACK …]`: run the given attacks, or all, and write docs/reliability.md from the results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

from faults import away, hostile, hung, killed, relayed, soak, storage
from faults.documentation import content, page, verdict
from faults.verdicts import Verdicts
from tools.findings import Part

ATTACKS: Mapping[Part, Callable[[], Verdicts]] = {
    Part(
        "killed",
        "The agent is killed",
        "`kill -9` at 200 random moments while a project grows, with a real InfluxDB and a published folder.  Then"
        " their contents and those of the store are compared with the project.",
    ): lambda: killed.killed(200),
    Part(
        "full-disk",
        "The disk is full at a commit",
        "the store is on a separate small file system, which is filled up to a random remainder before each commit.",
    ): lambda: storage.full_disk(400),
    Part(
        "full-under-agent",
        "The disk of a running agent is full, then read-only",
        "a small file system fills up under a running agent with its pages, and is freed.  Then an agent is started"
        " while the file system is read-only.",
    ): storage.full_under_agent,
    Part(
        "damaged",
        "The store's file is damaged",
        "parts of the file are overwritten at random places: in its header, in its middle, under the running agent, and"
        " a single byte.",
    ): lambda: storage.damaged(24),
    Part(
        "upgrades",
        "Upgrades from every earlier version of the store",
        "stores are written as each earlier version wrote them, and opened.",
    ): storage.upgrades,
    Part(
        "interrupted-upgrades",
        "An upgrade is interrupted",
        "`kill -9` at a random moment of the upgrade from the first version.  Then the store is opened again.",
    ): lambda: storage.interrupted_upgrades(100),
    Part(
        "hung",
        "The file system under one project hangs",
        "one of three growing projects is on a FUSE file system (bindfs) whose process is stopped at random moments"
        " and continued later.  Meanwhile the agent is also stopped and started.",
    ): lambda: hung.hung(6),
    Part(
        "away",
        "InfluxDB is down for eight hours",
        "the hours pass in 80 s, because the agent's clock runs faster.  Micrographs arrive at the rate of a fast"
        " microscope, the machine is sampled every 10 s, and samples may take half a megabyte.",
    ): lambda: away.away(8, seconds=80, keep_mb=0.5),
    Part(
        "relayed",
        "Connections to servers are slow, stall, break or swallow everything",
        "InfluxDB and the host of published images are reached through a relay while a project grows.",
    ): lambda: relayed.relayed(seconds=20),
    Part(
        "hostile",
        "Malicious projects",
        "for ten minutes, databases that expand to gigabytes, links to other people's projects, pipes, devices, and"
        " endless names and texts are beside growing projects, while one address holds hundreds of connections.",
    ): lambda: hostile.hostile(600),
    Part(
        "soak",
        "Half an hour of everything at once",
        "growing projects, a real InfluxDB, a published folder, alerts, and pages that listen, reload and show"
        " everything, while memory, descriptors and threads are measured.",
    ): lambda: soak.soak(1800, warm=300),
}


def main() -> int:
    """Run attacks, keep what they found and write the page; returns 1 where a promise was broken."""
    names = {attack.name: attack for attack in ATTACKS}
    p = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    p.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"one of {', '.join(names)}")
    p.add_argument("--page", action="store_true", help="write the page from what was found before, and attack nothing")
    told = p.parse_args()
    if strange := [name for name in told.attacks if name not in names]:
        p.error(f"{strange[0]} is none of {', '.join(names)}")
    written = page(list(ATTACKS))
    broken = False
    for name in [] if told.page else told.attacks or names:
        found = ATTACKS[names[name]]()
        broken = broken or bool(found.broken)
        kept = written.keep(name, content(found), began=found.began)
        written.write()
        print(f"- {kept.seconds:,.0f} s: {verdict(kept.content)}\n", flush=True)
    if told.page:
        written.write()
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
