"""How long publishing micrographs of a Scipion project to a real sshd takes, in how many bytes, beside the reference.

`watch --once` with InfluxDB in the reference's layout and the images over SFTP, from start to end of the process,
compared with as many passes of the reference as it needs to send its images.  Both render micrograph and spectrum.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

import httpx2
from measuring import reference
from measuring.agent import once
from measuring.figures import Rounds, ratio, show, title
from measuring.projects import workplace, write
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.support.sshd import BINARY, Sshd, make_key


def settings(home: Path, port: int, server: Sshd, remote: Path) -> None:
    """Write a configuration where the agent looks for one."""
    file = home / ".config" / "cryowatch" / "cryowatch.toml"
    file.parent.mkdir(parents=True)
    place = f"sftp://{server.user}@127.0.0.1:{server.port}{quote(str(remote))}"
    file.write_text(
        f'[influx]\nurl = "http://127.0.0.1:{port}"\nlayout = "scipion"\n'
        f'[images]\npublish = "{place}"\nkey_file = "{server.key}"\nknown_hosts = "{server.known_hosts}"\n'
    )


def linked(port: int, project: str) -> int:
    """Return how many micrographs have links to images in the database."""
    query = f'SELECT count("ctfID") FROM "{project}" WHERE ("transferImage"=true)'
    answer = httpx2.get(f"http://127.0.0.1:{port}/query", params={"q": query, "db": "scipion"}, trust_env=False)
    series = answer.raise_for_status().json()["results"][0].get("series")
    return int(series[0]["values"][0][1]) if series else 0


def lying(folder: Path) -> tuple[int, float]:
    """Return how many images lie in a folder, and their megabytes; each must open."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    for file in files:
        with Image.open(file) as image:
            image.load()
    return len(files), sum(file.stat().st_size for file in files) / 1e6


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--micrographs", type=int, default=40)
    p.add_argument("--size", type=int, nargs=2, default=(5760, 4092), metavar=("X", "Y"), help="pixels")
    p.add_argument("--rounds", type=int, default=3)
    a = p.parse_args()
    if lacking := reference.missing() or ("" if shutil.which(BINARY) else "sshd"):
        print(f"publishing: not measured; not here: {lacking}")
        return
    with workplace() as folder:
        project = write(folder, "session", a.micrographs, size=tuple(a.size))
        server = Sshd(folder / "sshd")
        old_key = make_key(folder / "old_key", "rsa")
        with server.authorized.open("a") as authorized:
            authorized.write(old_key.with_suffix(".pub").read_text())
        size = "{} x {}".format(*a.size)
        title(f"publishing: {a.micrographs} micrographs of {size} to a remote folder, through OpenSSH's sshd")
        ours, theirs = [], []
        try:
            for number in range(a.rounds):
                home, far = folder / f"ours-{number}", server.root / f"ours-{number}"
                home.mkdir()
                with reference.influxd(home / "influx") as port:
                    settings(home, port, server, far)
                    ours.append(once(project, home / "data")[0])
                    rows = linked(port, project.name)
                old = server.root / f"theirs-{number}"
                old.mkdir()
                (folder / f"theirs-{number}").mkdir()
                remote = reference.Remote(port=server.port, key=old_key, folder=old)
                theirs.append(reference.first_pass(project, folder / f"theirs-{number}", remote))
        finally:
            server.stop()
        (files, sent), (old_files, old_sent) = lying(far), lying(old)
        show("watch --once, images there and linked in InfluxDB", Rounds(ours))
        ratio(Rounds(ours), Rounds(theirs), "the reference")
        print(f"  {files} images, {sent:.1f} MB; {rows} of {a.micrographs} micrographs linked in InfluxDB")
        ratio(Rounds([sent], "MB"), Rounds([old_sent], "MB"), f"the reference's {old_files} images")
        times, fewer = Rounds(theirs).median / Rounds(ours).median, old_sent / sent
        for what, value, goal in (("times faster", times, 5), ("times fewer bytes", fewer, 50)):
            print(f"  {value:.1f} {what}; goal {goal}: {'reached' if value >= goal else 'MISSED'}")


if __name__ == "__main__":
    main()
