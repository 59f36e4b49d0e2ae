"""A machine of its own on which a page is followed from top to bottom, command by command, as root.

It is a copy of this one that is thrown away: a file system over this one's, with its own accounts, network, processes
and name.  `follow(PAGE, …)` makes it and returns what came of it; this module, run as a program in it, does the work.
What stands for packages that are installed elsewhere is in `furnish`; all else is done by the page.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pty
import re
import select
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from cryowatch.system import certificates as tls
from tests.setup.troubles import CAUSES
from tests.support.docs import ROOT, Block, blocks
from tests.support.serving import demo_project
from tests.support.smtp import MailServer

NAME = "cryo.example.org"
MAIL = "mail.example.org"
MICROGRAPHS = 6
PASSWORD, MAIL_PASSWORD = "correct horse battery", "Ein-geheimes-Wort"
SECONDS = 120
OWN = str(Path.home() / "cryowatch")
"""Where the page works."""
SHELLS = ("sh", "bash")

_ENTER = """
set -e
ip link set lo up
hostname cryo
mount --make-rprivate /
mount -t tmpfs tmpfs {folder}
mkdir {folder}/upper {folder}/work {folder}/system
mount -t overlay overlay -o lowerdir=/,upperdir={folder}/upper,workdir={folder}/work {folder}/system
mount --rbind /dev {folder}/system/dev
mount --rbind /sys {folder}/system/sys
mount -t proc proc {folder}/system/proc
mount -t tmpfs tmpfs {folder}/system/run
mount -t tmpfs -o mode=1777 tmpfs {folder}/system/tmp
cd {folder}/system
exec chroot . /bin/sh -c 'cd {here} && HOME=~root exec {python} -m tests.setup.machine {page}'
"""

SUDO = """#!/bin/sh
test "$1" = -Hu || exit 2
user=$2
home=$(getent passwd "$user" | cut -d: -f6)
shift 2
exec env -i HOME="$home" USER="$user" LOGNAME="$user" LANG=C.UTF-8 PATH=/sbin:/bin:/usr/sbin:/usr/bin \
  setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"
"""
"""`sudo -Hu USER COMMAND…` as Rocky has it: with its short PATH."""

SYSTEMCTL = """#!/bin/sh
cd {here} && exec {python} -m tests.setup.units "$@"
"""

GRAFANA_UNIT = """[Service]
User=grafana
ExecStart=/bin/sh -c "cd {here} && exec {python} -m tests.setup.grafana"
"""


class CannotTry(Exception):
    """This process may not make a machine of its own."""


@dataclasses.dataclass
class Outcome:
    """What came of a page: commands and what they said, what is there then, and what is said in trouble."""

    run: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    skipped: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    found: dict[str, Any] = dataclasses.field(default_factory=dict)
    troubles: dict[str, str] = dataclasses.field(default_factory=dict)

    def said(self, beginning: str) -> str:
        """Return what the first command said that begins so."""
        return next(text for command, text in self.run if command.startswith(beginning))


def follow(page: str, folder: Path) -> Outcome:
    """Return what comes of a page on a machine of its own; raises `CannotTry`, and AssertionError for what fails."""
    if os.geteuid() != 0:
        raise CannotTry("only root can make a machine of its own")
    script = _ENTER.format(folder=folder, here=ROOT, python=sys.executable, page=page)
    namespaces = ["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
    probe = subprocess.run([*namespaces, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        raise CannotTry(probe.stderr.strip())
    result = subprocess.run(
        [*namespaces, "bash", "-c", script], capture_output=True, text=True, check=False, timeout=15 * SECONDS,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-6000:]
    return Outcome(**json.loads(result.stdout))


def furnish() -> MailServer:
    """Put there what a facility has before it begins, and what packages would bring that cannot be installed here."""
    Path.home().chmod(0o711)  # the interpreter of the tests may be there
    with Path("/etc/hosts").open("a") as hosts:
        hosts.write(f"127.0.0.1 {NAME} {MAIL}\n")
    for name, text in (("sudo", SUDO), ("systemctl", SYSTEMCTL)):
        file = Path("/usr/local/bin") / name
        file.write_text(text.format(here=ROOT, python=sys.executable) if name == "systemctl" else text)
        file.chmod(0o755)
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    _shell("useradd --create-home --user-group scipion")
    _shell("useradd --system --user-group grafana")
    Path("/opt/cryowatch").symlink_to(Path(sys.executable).parent.parent)
    project = demo_project(Path("/data/projects/my-session"), MICROGRAPHS)
    _shell(f"chown -R scipion:scipion {project.parent.parent}; chmod 0750 {project}")
    for folder in ("/etc/grafana/provisioning/dashboards", "/etc/grafana/provisioning/datasources"):
        Path(folder).mkdir(parents=True)
    Path("/usr/share/grafana/public/img").mkdir(parents=True)
    Path("/etc/grafana/grafana.ini").write_text("[server]\n;protocol = http\nhttp_port = 3000\n[security]\n")
    _shell("chown -R root:grafana /etc/grafana; chmod 0640 /etc/grafana/grafana.ini")
    unit = Path("/lib/systemd/system/grafana-server.service")
    unit.write_text(GRAFANA_UNIT.format(here=ROOT, python=sys.executable))
    Path("/run/sshd").mkdir()
    _shell("ssh-keygen -A; /usr/sbin/sshd")
    certificates = tls.create(Path("/var/mail-server"), [MAIL])
    with Path("/etc/ssl/certs/ca-certificates.crt").open("a") as authorities:
        authorities.write(certificates.ca_certificate.read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    return MailServer(starttls=context, account=True, known=("cryowatch", MAIL_PASSWORD), port=587)


def _shell(command: str) -> None:
    subprocess.run(["sh", "-ec", command], check=True, stdout=subprocess.DEVNULL)


class Person:
    """Somebody at a terminal, who types what a page says, and answers what is asked."""

    ANSWERS = (
        (r"Password: $", PASSWORD),
        (r"Repeat for confirmation: $", PASSWORD),
        (r"trusted\? \[y/N\]: $", "y"),
    )

    def __init__(self) -> None:
        self.where = str(Path.home())

    def write(self, block: Block) -> None:
        """Put a block at the end of the file that its title names."""
        with Path(block.title).open("a") as file:
            file.write(block.text)

    def type(self, command: str, *, fails: bool = False) -> str:
        """Run a command in a shell, and return what was on the screen; raises AssertionError where it fails."""
        print(f"{time.monotonic():.0f} # {command}", file=sys.stderr, flush=True)
        shell = f"cd {self.where}; {command}\nresult=$?; pwd > /run/where; exit $result"
        child, terminal = pty.fork()
        if child == 0:
            os.execvp("bash", ["bash", "-c", shell])
        if "/dev/stdin" in command:
            os.write(terminal, f"{MAIL_PASSWORD}\n\4".encode())
        screen, asked, end = "", 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            try:
                screen += os.read(terminal, 4096).decode(errors="replace").replace("\r", "")
            except OSError as error:
                assert error.errno == errno.EIO  # noqa: PT017  the other end is closed: the command has ended
                break
            for prompt, answer in self.ANSWERS:
                if re.search(prompt, screen[asked:]):
                    asked = len(screen)
                    os.write(terminal, f"{answer}\n".encode())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(terminal)
        logs = "".join(file.read_text()[-3000:] for file in Path("/run/services").glob("*.log")) if status else ""
        assert status == 0 or fails, f"{command}\n{screen}\n{logs}"
        self.where = Path("/run/where").read_text().strip()
        return screen


def until(what: str, found: Any) -> Any:
    """Wait until a function finds something, and return that."""
    end = time.monotonic() + SECONDS
    while not (there := found()):
        assert time.monotonic() < end, what
        time.sleep(0.1)
    return there


def visit() -> dict[str, Any]:
    """Return what somebody sees at a desk, who has the authority's certificate and an account."""
    context = ssl.create_default_context(cafile="/etc/cryowatch/ca-cert.pem")
    pages = f"https://{NAME}:8420"
    with httpx2.Client(verify=context, timeout=SECONDS) as browser:
        stranger = browser.get(f"{pages}/api/sessions").status_code
        browser.post(f"{pages}/login", data={"name": "ada", "password": PASSWORD}, headers={"Origin": pages})
        sessions = browser.get(f"{pages}/api/sessions").json()["sessions"]
        grafana = f"https://{NAME}:3000"

        def delivered() -> Any:
            said = browser.get(f"{grafana}/stand-in").json()
            return said if said["micrographs"] == MICROGRAPHS else None

        stand_in = until("micrographs in Grafana's data source", delivered)
        images = sorted(Path("/srv/scipionbox/images/my-session").iterdir())
        address = f"{grafana}/public/img/scipionbox/my-session/{images[0].name}"
        image = browser.get(address)
    return {
        "stranger": stranger,
        "sessions": [one["name"] for one in sessions],
        "grafana": stand_in,
        "image": [image.status_code, len(image.content), images[0].stat().st_size],
    }


def owners() -> dict[str, str]:
    """Return who owns the files that hold secrets, and their modes."""
    found = {}
    for folder in ("/etc/cryowatch", "/etc/ssl/influxdb", "/etc/grafana", "/var/lib/cryowatch", OWN):
        for path in (Path(folder), *Path(folder).rglob("*")):
            if path.suffix in (".password", ".pem") or "images_key" in path.name or str(path) == folder:
                found[str(path).replace(str(Path.home()), "~")] = (
                    f"{path.owner()}:{path.group()} {path.stat().st_mode & 0o7777:04o}"
                )
    return found


def main(page: str) -> None:
    """Follow the page, and print what came of it."""
    outcome = Outcome()
    mail = furnish()
    person = Person()
    for block in blocks(page):
        if block.reason:
            outcome.skipped.append((block.text, block.reason))
        elif block.title:
            person.write(block)
        elif block.language in SHELLS:
            for command in block.text.splitlines():
                outcome.run.append((command, person.type(command)))
    outcome.found = {
        **visit(),
        "mails": [str(message["Subject"]) for message in mail.answers.taken],
        "owners": owners(),
        "host": socket.gethostname(),
    }
    outcome.troubles = {message: person.type(cause, fails=True) for message, cause in CAUSES}
    mail.stop()
    print(json.dumps(dataclasses.asdict(outcome)))


if __name__ == "__main__":
    main(sys.argv[1])
