"""`cryowatch images`: trusting a host after a look at its fingerprint, and trying the place out."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.publishing.sshd import Sshd, make_key


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    server.known_hosts.unlink()
    yield server
    server.stop()


def told(folder: Path, sshd: Sshd) -> Path:
    file = folder / "cryowatch.toml"
    file.write_text(
        f'[images]\npublish = "{sshd.url}"\nkey_file = "{sshd.key}"\nknown_hosts = "{folder}/.ssh/known_hosts"\n'
    )
    return file


def cryowatch(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cryowatch", "images", *arguments],
        capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )  # fmt: skip


def fingerprint(key: Path) -> str:
    out = subprocess.run(["ssh-keygen", "-lf", str(key)], capture_output=True, text=True, check=True).stdout
    return out.split()[1]


def test_a_host_is_trusted_after_its_fingerprint_was_shown(tmp_path: Path, sshd: Sshd) -> None:
    config = told(tmp_path, sshd)
    first = cryowatch(tmp_path, "check", "--config", config)
    assert first.returncode == 1
    assert "its host key is not known yet: ssh-ed25519 " in first.stderr
    asked = cryowatch(tmp_path, "trust", "--config", config)
    assert asked.returncode == 2
    assert fingerprint(sshd.host_key) in asked.stdout
    assert "nobody is there to say yes" in asked.stderr
    done = cryowatch(tmp_path, "trust", "--config", config, "--yes")
    assert done.returncode == 0, done.stderr
    known = tmp_path / ".ssh" / "known_hosts"
    assert known.stat().st_mode & 0o777 == 0o600
    again = cryowatch(tmp_path, "trust", "--config", config)
    assert (again.returncode, "trusted already" in again.stdout) == (0, True)
    assert len(known.read_text().splitlines()) == 1
    found = subprocess.run(
        ["ssh-keygen", "-f", str(known), "-F", f"[127.0.0.1]:{sshd.port}"], capture_output=True, check=False
    )
    assert found.returncode == 0, "ssh itself reads it"
    tried = cryowatch(tmp_path, "check", "--config", config)
    assert tried.returncode == 0, tried.stderr
    assert "Images can be published there" in tried.stdout
    assert list(sshd.root.iterdir()) == []


def test_a_changed_key_is_never_replaced(tmp_path: Path, sshd: Sshd) -> None:
    config = told(tmp_path, sshd)
    kind, data, *_ = make_key(tmp_path / "other").with_suffix(".pub").read_text().split()
    known = tmp_path / ".ssh" / "known_hosts"
    known.parent.mkdir()
    known.write_text(f"[127.0.0.1]:{sshd.port} {kind} {data}")
    before = known.read_bytes()
    done = cryowatch(tmp_path, "trust", "--config", config, "--yes")
    assert done.returncode == 1
    assert "holds another key of this host" in done.stderr
    assert f"-R '[127.0.0.1]:{sshd.port}'" in done.stderr
    assert known.read_bytes() == before


def test_a_line_without_end_in_known_hosts_stays_whole(tmp_path: Path, sshd: Sshd) -> None:
    config = told(tmp_path, sshd)
    known = tmp_path / ".ssh" / "known_hosts"
    known.parent.mkdir()
    known.write_text("other.example.org ssh-ed25519 AAAA")
    assert cryowatch(tmp_path, "trust", "--config", config, "--yes").returncode == 0
    assert known.read_text().splitlines()[0] == "other.example.org ssh-ed25519 AAAA"
    assert len(known.read_text().splitlines()) == 2


def test_paramikos_keys_of_a_secrets_cfg_drive_it(tmp_path: Path, sshd: Sshd) -> None:
    def encoded(text: str | Path) -> str:
        return base64.b64encode(str(text).encode()).decode()

    file = tmp_path / "secrets.cfg"
    file.write_text(
        f"[influx]\nusernameInflux={encoded('u')}\npasswordInflux={encoded('p')}\ndataBase=scipion\n"
        f"hostinflux=localhost\nport=8086\nssl=False\nverify_ssl=False\ntimeZone=Europe/Madrid\ntimeDelta=0\n"
        f"[paramiko]\nusernameParamiko={encoded(sshd.user)}\npasswordParamiko=None\nkeyfilepath={encoded(sshd.key)}\n"
        f"keyfiletype={encoded('ED25519')}\nremote_path={sshd.root}/\nhostparamiko=localhost\n"
    )
    done = cryowatch(tmp_path, "check", "--secrets", file)
    assert done.returncode == 1
    assert f"sftp://{sshd.user}@localhost{sshd.root}" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "images.publish: images are not published anywhere"),
        ('[images]\npublish = "file:///tmp"', "is a folder of this machine, whose host needs no trust"),
        ('[images]\npublish = "ftp://host/x"', "it is no place to publish to; write sftp://user@host/folder"),
        ('[images]\npublish = "sftp://u:secret@host/x"', "a password does not belong into the address"),
        ('[images]\npublish = "sftp://127.0.0.1:9/x"', "127.0.0.1 port 9: cannot be reached: Connection refused"),
    ],
)
def test_what_cannot_be_trusted_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    done = cryowatch(tmp_path, "trust", "--config", file)
    assert done.returncode == 2
    assert said in done.stderr
    assert "secret@" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
