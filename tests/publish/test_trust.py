"""`cryowatch images`: trusting a host after a look at its fingerprint, and trying the place out."""

from __future__ import annotations

import base64
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sshd import Sshd, make_key


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
    assert "a round trip takes" in tried.stdout
    assert list(sshd.root.iterdir()) == []


def test_a_changed_key_is_never_replaced(tmp_path: Path, sshd: Sshd) -> None:
    config = told(tmp_path, sshd)
    kind, data, *_ = make_key(tmp_path / "other").with_suffix(".pub").read_text().split()
    known = tmp_path / ".ssh" / "known_hosts"
    known.parent.mkdir()
    known.write_text(f"# those we know\n[127.0.0.1]:{sshd.port} {kind} {data}")
    before = known.read_bytes()
    done = cryowatch(tmp_path, "trust", "--config", config, "--yes")
    assert done.returncode == 1
    assert "holds another key of this host, in line 2." in done.stderr
    assert f"-R '[127.0.0.1]:{sshd.port}'" in done.stderr
    assert known.read_bytes() == before


def test_a_revoked_key_is_never_trusted(tmp_path: Path, sshd: Sshd) -> None:
    config = told(tmp_path, sshd)
    kind, data, *_ = sshd.host_key.with_suffix(".pub").read_text().split()
    known = tmp_path / ".ssh" / "known_hosts"
    known.parent.mkdir()
    known.write_text(f"@revoked * {kind} {data}\n")
    done = cryowatch(tmp_path, "trust", "--config", config, "--yes")
    assert done.returncode == 1
    assert "says that this key was revoked" in done.stderr
    assert len(known.read_text().splitlines()) == 1


def test_a_host_known_by_another_of_its_keys_is_trusted_already(tmp_path: Path) -> None:
    second = make_key(tmp_path / "second", "ecdsa")
    server = Sshd(tmp_path / "sshd", more=[f"HostKey {second}"])
    config = told(tmp_path, server)
    kind, data, *_ = second.with_suffix(".pub").read_text().split()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{server.port} {kind} {data}\n")
    done = cryowatch(tmp_path, "trust", "--config", config)
    server.stop()
    assert done.returncode == 0, done.stderr
    assert fingerprint(second) in done.stdout
    assert "trusted already" in done.stdout


def test_jump_hosts_are_trusted_one_after_the_other(tmp_path: Path, sshd: Sshd) -> None:
    jump = Sshd(tmp_path / "jump")
    config = told(tmp_path, sshd)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(
        f"Host 127.0.0.1\n ProxyJump {jump.user}@bastion\n"
        f"Host bastion\n HostName localhost\n Port {jump.port}\n IdentityFile {jump.key}\n"
    )
    done = cryowatch(tmp_path, "trust", "--config", config, "--yes")
    assert done.returncode == 0, done.stderr
    assert f"localhost port {jump.port} (bastion in ~/.ssh/config) shows the key" in done.stdout
    assert fingerprint(jump.host_key) in done.stdout
    assert fingerprint(sshd.host_key) in done.stdout
    tried = cryowatch(tmp_path, "check", "--config", config)
    jump.stop()
    assert tried.returncode == 0, tried.stderr


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1), ("", 1)])
def test_a_person_is_asked_and_only_a_yes_counts(tmp_path: Path, sshd: Sshd, answer: str, code: int) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    done = subprocess.run(
        [sys.executable, "-m", "cryowatch", "images", "trust", "--config", told(tmp_path, sshd)],
        capture_output=True, text=True, timeout=30, check=False, stdin=theirs,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert done.returncode == code, done.stderr
    assert "Compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on that host" in done.stdout
    assert (tmp_path / ".ssh/known_hosts").exists() is (code == 0)


def test_a_folder_of_this_machine_is_tried_out_too(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(f'[images]\npublish = "file://{tmp_path}/public"\n')
    done = cryowatch(tmp_path, "check", "--config", config)
    assert done.returncode == 0, done.stderr
    assert "was written and renamed into its place" in done.stdout
    assert list((tmp_path / "public").iterdir()) == []


def test_what_stands_in_the_way_is_one_line_with_a_remedy(tmp_path: Path, sshd: Sshd) -> None:
    config = told(tmp_path, sshd)
    cryowatch(tmp_path, "trust", "--config", config, "--yes")
    (sshd.root / "alpha").write_text("hello")
    config.write_text(config.read_text().replace(str(sshd.root), f"{sshd.root}/alpha"))
    done = cryowatch(tmp_path, "check", "--config", config)
    (sshd.root / "alpha").unlink()
    assert done.returncode == 1
    assert done.stderr.endswith("alpha is there, and is no folder. Move it away\n")
    assert len(done.stderr.splitlines()) == 1


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
        f"keyfiletype={encoded('ED25519')}\nremote_path={sshd.root}/\nhostparamiko=grafana\n"
    )
    done = cryowatch(tmp_path, "check", "--secrets", file)
    assert done.returncode == 1
    assert f"sftp://{sshd.user}@grafana{sshd.root}" in done.stderr
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(f"Host grafana\nHostName 127.0.0.1\nPort {sshd.port}\n")
    assert cryowatch(tmp_path, "trust", "--yes", "--secrets", file).returncode == 0
    done = cryowatch(tmp_path, "check", "--secrets", file)
    assert done.returncode == 0, done.stderr
    assert "Images can be published there." in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "images.publish: images are not published anywhere"),
        ('[images]\npublish = "file:///tmp"', "is a folder of this machine, whose host needs no trust"),
        ('[images]\npublish = "ftp://host/x"', "it is no place to publish to; write sftp://user@host/folder"),
        ('[images]\npublish = "sftp://u:secret@host/x"', "a password does not belong into the address"),
        ('[images]\npublish = "sftp://host:99999/x"', "images.publish: its port is no number up to 65535"),
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
