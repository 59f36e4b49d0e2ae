"""Host keys: what a known_hosts file says of the one that a real sshd shows, also over a jump host; never unchecked."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from cryowatch.errors import SinkAway, SinkRefused
from cryowatch.publish.host_keys import KnownHosts, Trust, read
from cryowatch.publish.ssh import Access, Place, opened, place_of, route
from tests.support.sshd import Sshd, make_key


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("sshd")
    second = make_key(folder / "second", "ecdsa")
    server = Sshd(folder / "server", more=[f"HostKey {second}"])
    yield server
    server.stop()


@pytest.fixture
def sshd(shared: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sshd:
    """A server with an ed25519 and an ECDSA host key, the former known; at home there is no configuration."""
    monkeypatch.setenv("HOME", str(tmp_path))
    shared.trust(shared.host_key)
    return shared


def second_key(sshd: Sshd) -> Path:
    return sshd.folder.parent / "second"


def connect(sshd: Sshd, *, host: str = "127.0.0.1", port: int | None = 0) -> None:
    """Connect to the server and leave again; raises what comes of it."""
    place = Place(host=host, port=sshd.port if port == 0 else port, user=sshd.user, path="/x")

    async def work() -> None:
        connection = await opened(place, Access(key_file=sshd.key, known_hosts=sshd.known_hosts), seconds=10)
        await connection.close()

    asyncio.run(work())


def public(key: Path) -> str:
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def test_a_known_host_is_let_through(sshd: Sshd) -> None:
    connect(sshd)


def test_an_unknown_host_key_is_refused_with_its_fingerprint(sshd: Sshd) -> None:
    sshd.known_hosts.unlink()
    said = r"host key is not known yet: \S+ SHA256:\S+\. Look at it with `cryowatch images trust`"
    with pytest.raises(SinkRefused, match=said):
        connect(sshd)


def test_a_changed_host_key_is_refused_and_the_line_is_named(sshd: Sshd, tmp_path: Path) -> None:
    sshd.trust(make_key(tmp_path / "other"))
    sshd.known_hosts.write_text("# mine\nother.example.org ssh-ed25519 AAAA\n" + sshd.known_hosts.read_text())
    with pytest.raises(SinkRefused, match=r"shows another host key than .*known_hosts holds in line 3, .*images trust"):
        connect(sshd)


def test_a_host_key_of_another_kind_than_the_known_one_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    sshd.trust(make_key(tmp_path / "other", "rsa"))
    with pytest.raises(SinkRefused, match="shows another host key than"):
        connect(sshd)


@pytest.mark.parametrize("pattern", ["[127.0.0.1]:{port}", "127.0.0.1", "*"])
def test_a_revoked_host_key_is_refused(sshd: Sshd, pattern: str) -> None:
    line = f"@revoked {pattern.format(port=sshd.port)} {public(sshd.host_key)}\n"
    sshd.known_hosts.write_text(sshd.known_hosts.read_text() + line)
    with pytest.raises(SinkRefused, match=r"host key that was revoked in .*known_hosts"):
        connect(sshd)


def test_the_known_one_of_several_host_keys_is_asked_for(sshd: Sshd) -> None:
    sshd.trust(second_key(sshd))
    connect(sshd)


def test_hashed_names_are_understood(sshd: Sshd) -> None:
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(sshd.known_hosts)], check=True, capture_output=True)
    assert "127.0.0.1" not in sshd.known_hosts.read_text()
    connect(sshd)


def test_an_authority_may_vouch_for_the_host(sshd: Sshd, tmp_path: Path) -> None:
    authority = make_key(tmp_path / "ca")
    key = make_key(tmp_path / "host")
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-h", "-I", "test", "-n", "127.0.0.1", f"{key}.pub"]
    subprocess.run(sign, check=True, capture_output=True)
    server = Sshd(tmp_path / "sshd", more=[f"HostKey {key}", f"HostCertificate {key}-cert.pub"])
    server.trust(authority, marker="@cert-authority ")
    connect(server)
    server.trust(make_key(tmp_path / "wrong"), marker="@cert-authority ")
    with pytest.raises(SinkRefused, match="host key"):
        connect(server)
    server.stop()


def test_what_cannot_be_understood_in_the_file_counts_for_nothing(sshd: Sshd) -> None:
    lines = ["|1|broken ssh-ed25519 AAAA", "@odd * ssh-rsa AAAA", "word", "host future-kind AAAA", "\udcff\x00"]
    text = "\n".join([*lines, sshd.known_hosts.read_text()])
    sshd.known_hosts.write_bytes(text.encode(errors="surrogateescape"))
    connect(sshd)


def test_a_known_hosts_that_cannot_be_read_is_explained(sshd: Sshd) -> None:
    sshd.known_hosts.unlink()
    sshd.known_hosts.mkdir()
    try:
        with pytest.raises(SinkRefused, match=r"cannot be read: Is a directory\. It is named as images\.known_hosts"):
            connect(sshd)
    finally:
        sshd.known_hosts.rmdir()


def test_the_name_without_a_port_holds_where_nothing_else_is_said() -> None:
    key, other = (asyncssh.generate_private_key("ssh-ed25519").convert_to_public() for _ in range(2))
    line = key.export_public_key().decode()
    hosts = KnownHosts(f"host {line}")
    assert hosts.of("host", 2222).verdict(key) is Trust.TRUSTED
    assert hosts.of("host", 2222).verdict(other) is Trust.CHANGED
    assert hosts.of("other", 22).verdict(key) is Trust.UNKNOWN
    both = KnownHosts(f"host {line}\n[host]:2222 {other.export_public_key().decode()}")
    assert both.of("host", 2222).verdict(key) is Trust.CHANGED
    assert both.of("host", 22).verdict(key) is Trust.TRUSTED


def configure(folder: Path, text: str) -> None:
    (folder / ".ssh").mkdir()
    (folder / ".ssh/config").write_text(text)


def test_name_and_port_of_the_users_configuration_hold(sshd: Sshd, tmp_path: Path) -> None:
    configure(tmp_path, f"Host grafana\n HostName 127.0.0.1\n Port {sshd.port}\n UserKnownHostsFile none\n")
    connect(sshd, host="grafana", port=None)
    sshd.known_hosts.write_text("")
    with pytest.raises(SinkRefused, match="host key is not known yet"):
        connect(sshd, host="grafana", port=None)


def test_a_jump_host_of_the_users_configuration_is_gone_over_and_checked(sshd: Sshd, tmp_path: Path) -> None:
    jump = Sshd(tmp_path / "jump")
    configure(
        tmp_path,
        f"Host grafana\n HostName 127.0.0.1\n Port {sshd.port}\n"
        f"Host bastion\n HostName 127.0.0.1\n Port {jump.port}\n IdentityFile {jump.key}\n"
        f"Host *\n ProxyJump {jump.user}@bastion\n",
    )
    hops = asyncio.run(route(Place(host="grafana", path="/x")))
    assert [(hop.asked, hop.port) for hop in hops] == [("bastion", jump.port), ("grafana", sshd.port)]
    only_last = sshd.known_hosts.read_text()
    with pytest.raises(SinkRefused, match="jump host bastion: its host key is not known yet"):
        connect(sshd, host="grafana", port=None)
    sshd.known_hosts.write_text(jump.known_hosts.read_text())
    with pytest.raises(SinkRefused, match=r"@grafana/x: its host key is not known yet"):
        connect(sshd, host="grafana", port=None)
    sshd.known_hosts.write_text(jump.known_hosts.read_text() + only_last)
    connect(sshd, host="grafana", port=None)
    assert "Accepted publickey" in (jump.folder / "log").read_text()
    jump.stop()
    with pytest.raises(SinkAway, match="jump host bastion: cannot be reached: Connection refused"):
        connect(sshd, host="grafana", port=None)


@pytest.mark.parametrize(
    "line", ["Port many", "Match odd x\n HostName nowhere.invalid", "Ciphers future-cipher", 'Host "open', "Port"]
)
def test_a_line_that_cannot_be_followed_stops_nothing_and_is_reported_once(
    sshd: Sshd, tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    configure(tmp_path, f"{line}\nHost grafana\n HostName 127.0.0.1\n Port {sshd.port}\n")
    for _ in range(2):
        connect(sshd, host="grafana", port=None)
    (said,) = [record.getMessage() for record in caplog.records if "passed over" in record.getMessage()]
    assert f"{tmp_path}/.ssh/config line 1: cannot be followed: " in said


def test_a_jump_host_that_cannot_be_followed_is_explained(sshd: Sshd, tmp_path: Path) -> None:
    configure(tmp_path, "ProxyJump a:b:c\n")
    with pytest.raises(SinkRefused, match=r"\.ssh/config: cannot be followed"):
        connect(sshd, port=None)


def test_a_host_with_capitals_is_found_in_the_configuration_and_among_the_known(sshd: Sshd, tmp_path: Path) -> None:
    configure(tmp_path, f"Host Grafana-Krios\n HostName LocalHost\n Port {sshd.port} # the new one\n")
    sshd.known_hosts.write_text(f"[LOCALHOST]:{sshd.port} {public(sshd.host_key)}\n")
    place = place_of(f"sftp://{sshd.user}@Grafana-Krios/x")
    connect(sshd, host=place.host, port=place.port)


@pytest.mark.parametrize("name", [" LOCALHOST", " [LocalHost]:{port}", " [local*]:{port}", " *,!other", "\tlocalhost"])
def test_a_revocation_in_capitals_or_by_pattern_is_never_missed(sshd: Sshd, name: str) -> None:
    trusted = f"[localhost]:{sshd.port} {public(sshd.host_key)}\n"
    sshd.known_hosts.write_text(f"{trusted}@revoked{name.format(port=sshd.port)} {public(sshd.host_key)}\n")
    with pytest.raises(SinkRefused, match=r"host key that was revoked in .*known_hosts"):
        connect(sshd, host="LocalHost")


def test_a_key_in_the_revoked_host_keys_of_the_configuration_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    configure(tmp_path, f"RevokedHostKeys {tmp_path}/revoked\n")
    with pytest.raises(SinkRefused, match="the revoked host keys cannot be read"):
        connect(sshd)
    (tmp_path / "revoked").write_text(f"# lost\n{public(sshd.host_key)}\n")
    with pytest.raises(SinkRefused, match=r"host key that was revoked in .*/revoked"):
        connect(sshd)
    (tmp_path / "revoked").write_text(f"{public(second_key(sshd))}\n")
    connect(sshd)


def test_a_revocation_in_the_machines_known_hosts_counts_and_its_trust_does_not(sshd: Sshd, tmp_path: Path) -> None:
    machine = tmp_path / "ssh_known_hosts"
    key = asyncssh.read_public_key(sshd.host_key.with_suffix(".pub"))
    machine.write_text(f"host {public(sshd.host_key)}\n")
    assert read(tmp_path / "none", system=[machine]).of("host", 22).verdict(key) is Trust.UNKNOWN
    machine.write_text(f"@revoked host {public(sshd.host_key)}\n")
    assert read(tmp_path / "none", system=[machine]).of("Host", 22).verdict(key) is Trust.REVOKED


def test_a_key_of_the_users_configuration_that_is_missing_is_explained(sshd: Sshd, tmp_path: Path) -> None:
    configure(tmp_path, f"IdentityFile {tmp_path}/missing\n")
    place = Place(host="127.0.0.1", port=sshd.port, user=sshd.user, path="/x")
    with pytest.raises(SinkRefused, match=r"\.ssh/config: cannot be followed: .*missing"):
        asyncio.run(opened(place, Access(known_hosts=sshd.known_hosts), seconds=10))
