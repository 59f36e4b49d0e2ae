"""SFTP to a real sshd: every kind of key, every fault of a host key, cuts and silence; never half an image."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncssh
import pytest

from cryowatch.agent.build.targets import target_of
from cryowatch.errors import SinkAway, SinkRefused
from cryowatch.publish.sftp import Sftp
from cryowatch.publish.ssh import Access, Place, place_of
from cryowatch.publish.target import Put
from cryowatch.settings.config import Images
from tests.publish import parts
from tests.support.sshd import Relay, Sshd, make_key

DATA = bytes(range(256)) * 160


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture
def sshd(shared: Sshd) -> Sshd:
    """The server, with an empty folder, its own key known and one key let in."""
    shutil.rmtree(shared.root, ignore_errors=True)
    shared.root.mkdir()
    shared.trust(shared.host_key)
    shared.authorized.write_text(shared.key.with_suffix(".pub").read_text())
    return shared


def target(
    sshd: Sshd, *, port: int | None = None, key: Path | None = None, password: str = "", **seconds: float
) -> Sftp:
    place = Place(host="127.0.0.1", port=port or sshd.port, user=sshd.user, path=str(sshd.root))
    return Sftp(place, Access(key_file=key or sshd.key, password=password, known_hosts=sshd.known_hosts), **seconds)


def use(chosen: Sftp, work: Callable[[Sftp], Awaitable[object]]) -> object:
    async def whole() -> object:
        try:
            return await work(chosen)
        finally:
            await chosen.close()

    return asyncio.run(whole())


def put(chosen: Sftp, name: str = "alpha/1-mic.jpg", data: bytes = DATA) -> object:
    return use(chosen, lambda t: t.put(name, data))


def test_a_file_lies_whole_under_its_name(sshd: Sshd) -> None:
    assert put(target(sshd)) is Put.SENT
    file = sshd.root / "alpha/1-mic.jpg"
    assert file.read_bytes() == DATA
    assert file.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in file.parent.iterdir()] == ["1-mic.jpg"]


def test_the_settings_name_the_place(sshd: Sshd) -> None:
    images = Images(publish=sshd.url, key_file=sshd.key, known_hosts=sshd.known_hosts)
    chosen = target_of(images)
    assert isinstance(chosen, Sftp)
    assert chosen.where == sshd.url
    assert put(chosen) is Put.SENT


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("sftp://a%40b@host/x%20y", Place(host="host", path="/x y", user="a@b")),
        ("sftp://host:2222/x/", Place(host="host", path="/x", port=2222)),
        ("sftp://u@[::1]:22/x", Place(host="::1", path="/x", user="u", port=22)),
    ],
)
def test_addresses_are_understood(url: str, place: Place) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_every_usual_kind_of_key_is_let_in(sshd: Sshd, tmp_path: Path, kind: str) -> None:
    key = make_key(tmp_path / "key", kind)
    sshd.authorized.write_text(key.with_suffix(".pub").read_text())
    assert put(target(sshd, key=key)) is Put.SENT


def test_a_pem_key_as_paramiko_wrote_them_is_let_in(sshd: Sshd, tmp_path: Path) -> None:
    key = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-m", "PEM", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    sshd.authorized.write_text(key.with_suffix(".pub").read_text())
    assert put(target(sshd, key=key)) is Put.SENT


def test_a_key_with_a_passphrase_is_opened_by_the_password(sshd: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", passphrase="open sesame")
    sshd.authorized.write_text(key.with_suffix(".pub").read_text())
    assert put(target(sshd, key=key, password="open sesame")) is Put.SENT
    with pytest.raises(SinkRefused, match=r"wants a passphrase\. Put it into the file images\.password_file"):
        put(target(sshd, key=key))
    with pytest.raises(SinkRefused, match="the passphrase does not open") as caught:
        put(target(sshd, key=key, password="wrong secret"))
    assert "wrong secret" not in str(caught.value)


def test_a_dsa_key_gets_an_explanation(sshd: Sshd, tmp_path: Path) -> None:
    key = tmp_path / "key"
    asyncssh.generate_private_key("ssh-dss").write_private_key(str(key))
    with pytest.raises(SinkRefused, match=r"DSA key, which servers no longer accept\. Make a new one with `ssh-keygen"):
        put(target(sshd, key=key))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "No such file"),
        ("text", "no private key that can be read"),
        ("key.pub", "name the file without .pub"),
    ],
)
def test_what_is_no_key_is_explained(sshd: Sshd, tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "text").write_text("hello")
    make_key(tmp_path / "key")
    with pytest.raises(SinkRefused, match=said):
        put(target(sshd, key=tmp_path / name))


def test_a_key_with_a_certificate_is_let_in_by_its_authority(tmp_path: Path) -> None:
    authority, key = make_key(tmp_path / "ca"), make_key(tmp_path / "key")
    server = Sshd(tmp_path / "sshd", more=[f"TrustedUserCAKeys {authority}.pub"])
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "test", "-n", server.user, f"{key}.pub"]
    subprocess.run(sign, check=True, capture_output=True)
    assert put(target(server, key=key)) is Put.SENT
    server.stop()


@contextmanager
def agent(folder: Path, monkeypatch: pytest.MonkeyPatch, *keys: Path) -> Iterator[None]:
    """Run a real ssh-agent that holds some keys, for a user without any other."""
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(folder / "s")], stdout=subprocess.DEVNULL)
    try:
        while not (folder / "s").exists():
            time.sleep(0.02)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(folder / "s"))
        monkeypatch.setenv("HOME", str(folder))
        for key in keys:
            subprocess.run(["ssh-add", "-q", str(key)], check=True, capture_output=True)
        yield
    finally:
        process.terminate()
        process.wait(60)


def test_the_agents_keys_are_let_in(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key(tmp_path / "key")
    sshd.authorized.write_text(key.with_suffix(".pub").read_text())
    with agent(tmp_path, monkeypatch, key):
        place = Place(host="127.0.0.1", port=sshd.port, user=sshd.user, path=str(sshd.root))
        assert put(Sftp(place, Access(known_hosts=sshd.known_hosts))) is Put.SENT


def test_an_agent_with_too_many_keys_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Sshd(tmp_path / "sshd", more=["MaxAuthTries 2"])
    keys = [make_key(tmp_path / f"key{n}") for n in range(4)]
    place = Place(host="127.0.0.1", port=server.port, user=server.user, path=str(server.root))
    with agent(tmp_path, monkeypatch, *keys), pytest.raises(SinkRefused, match=r"too many keys.*images\.key_file"):
        put(Sftp(place, Access(known_hosts=server.known_hosts)))
    server.stop()


class Door(asyncssh.SSHServer):
    """Lets in by password: OpenSSH asks the system for passwords, which a test cannot set."""

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == "open sesame"


@asynccontextmanager
async def scripted(folder: Path, server: type[asyncssh.SFTPServer] = asyncssh.SFTPServer) -> AsyncIterator[Place]:
    """Run asyncssh's own server, for what a real one cannot be brought to do."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    running = await asyncssh.listen("127.0.0.1", 0, server_factory=Door, server_host_keys=[key], sftp_factory=server)
    port = running.get_port()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key.export_public_key().decode()}")
    try:
        yield Place(host="127.0.0.1", port=port, user="u", path=str(folder / "public"))
    finally:
        running.close()
        await running.wait_closed()


def test_a_password_is_let_in_and_never_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def whole() -> None:
        async with scripted(tmp_path) as place:
            good = Sftp(place, Access(password="open sesame", known_hosts=tmp_path / "known_hosts"))
            assert await good.put("alpha/1.jpg", DATA) is Put.SENT
            await good.close()
            bad = Sftp(place, Access(password="wrong secret", known_hosts=tmp_path / "known_hosts"))
            with pytest.raises(SinkRefused, match=r"does not let us in with .* and the password") as caught:
                await bad.put("alpha/2.jpg", DATA)
            assert "wrong secret" not in str(caught.value)

    caplog.set_level("DEBUG")
    asyncio.run(whole())
    assert "wrong secret" not in caplog.text
    assert "open sesame" not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith("asyncssh")]


class Quota(asyncssh.SFTPServer):
    """Has room for small files only, and says of it what a server of the old protocol can."""

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        if len(data) > 20_000:
            raise asyncssh.SFTPFailure("Disk quota exceeded\x1b[31m\n" + "x" * 10_000)
        return super().write(file_obj, offset, data)  # type: ignore[return-value]


def test_a_quota_needs_a_person_and_no_part_stays(tmp_path: Path) -> None:
    async def whole() -> None:
        async with scripted(tmp_path, Quota) as place:
            chosen = Sftp(place, Access(password="open sesame", known_hosts=tmp_path / "known_hosts"))
            with pytest.raises(SinkRefused, match=r"cannot be written: Disk quota exceeded") as caught:
                await chosen.put("alpha/1.jpg", DATA)
            assert str(caught.value).endswith("The server does not say more; perhaps a quota is exceeded")
            assert len(str(caught.value)) < 600
            assert str(caught.value).isprintable()
            assert await chosen.put("alpha/2.jpg", DATA[:10_000]) is Put.SENT
            await chosen.close()

    asyncio.run(whole())
    assert [p.name for p in (tmp_path / "public/alpha").iterdir()] == ["2.jpg"]


class NoReplacing(asyncssh.SFTPServer):
    """Permits no rename over a file, as some servers on Windows and in appliances do."""

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        if Path(os.fsdecode(self.map_path(newpath))).exists():
            raise asyncssh.SFTPPermissionDenied("Access is denied")
        super().rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        self.rename(oldpath, newpath)


class NoPosixRename(NoReplacing):
    """Does not know POSIX's rename either."""

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("unknown")


@pytest.mark.parametrize("kind", [NoReplacing, NoPosixRename])
def test_a_server_that_permits_no_rename_over_a_file_gets_the_new_image(
    tmp_path: Path, kind: type[asyncssh.SFTPServer]
) -> None:
    async def whole() -> None:
        async with scripted(tmp_path, kind) as place:
            chosen = Sftp(place, Access(password="open sesame", known_hosts=tmp_path / "known_hosts"))
            assert await chosen.put("alpha/1.jpg", DATA) is Put.SENT
            assert await chosen.put("alpha/1.jpg", DATA[1:]) is Put.SENT
            await chosen.close()

    asyncio.run(whole())
    assert [p.name for p in (tmp_path / "public/alpha").iterdir()] == ["1.jpg"]
    assert (tmp_path / "public/alpha/1.jpg").read_bytes() == DATA[1:]


class Shut(asyncssh.SFTPServer):
    """Lets nobody look at a project's folder."""

    def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        if path.endswith(b"alpha"):
            raise asyncssh.SFTPPermissionDenied("no")
        return super().stat(path)  # type: ignore[return-value]


def test_a_folder_that_may_not_be_looked_at_is_not_taken_for_gone(tmp_path: Path) -> None:
    async def whole() -> None:
        async with scripted(tmp_path, Shut) as place:
            chosen = Sftp(place, Access(password="open sesame", known_hosts=tmp_path / "known_hosts"))
            assert not await chosen.holds("beta")
            with pytest.raises(SinkRefused, match="cannot be written: no"):
                await chosen.holds("alpha")
            await chosen.close()

    asyncio.run(whole())


def test_a_key_that_is_not_let_in_is_explained(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(SinkRefused, match=r"does not let us in with the key .*authorized_keys there"):
        put(target(sshd, key=make_key(tmp_path / "other")))


def test_what_is_there_with_the_right_size_is_not_sent_again(sshd: Sshd) -> None:
    relay = Relay(sshd.port)
    sshd.trust(sshd.host_key, port=relay.port)
    try:
        assert put(target(sshd, port=relay.port)) is Put.SENT
        once = relay.sent
        assert put(target(sshd, port=relay.port)) is Put.THERE
        assert relay.sent - once < once - len(DATA) * 0.9
        assert put(target(sshd, port=relay.port), data=DATA[:-1]) is Put.SENT
        assert (sshd.root / "alpha/1-mic.jpg").read_bytes() == DATA[:-1]
    finally:
        relay.close()


def test_a_cut_in_mid_file_leaves_no_half_image(sshd: Sshd) -> None:
    relay = Relay(sshd.port)
    sshd.trust(sshd.host_key, port=relay.port)
    big = random.Random(1).randbytes(1_500_000)

    async def work(chosen: Sftp) -> None:
        await chosen.put("alpha/first.jpg", DATA)
        for share in (0.05, 0.4, 0.9):
            relay.cut_after = relay.sent + int(len(big) * share)
            with pytest.raises(SinkAway, match="connection was cut"):
                await chosen.put("alpha/big.jpg", big)
            assert not (sshd.root / "alpha/big.jpg").exists()
            relay.cut_after = None
        assert await chosen.put("alpha/big.jpg", big) is Put.SENT

    try:
        use(target(sshd, port=relay.port), work)
    finally:
        relay.close()
    assert (sshd.root / "alpha/big.jpg").read_bytes() == big
    assert sorted(p.name for p in (sshd.root / "alpha").iterdir()) == ["big.jpg", "first.jpg"]


def test_a_line_that_falls_silent_is_given_up_in_time(sshd: Sshd) -> None:
    relay = Relay(sshd.port)
    sshd.trust(sshd.host_key, port=relay.port)

    async def work(chosen: Sftp) -> None:
        await chosen.put("alpha/1.jpg", DATA)
        relay.silent = True
        with pytest.raises(SinkAway, match="did not answer for"):
            await chosen.put("alpha/2.jpg", DATA)
        with pytest.raises(SinkAway, match="cannot be reached: no answer in time"):
            await chosen.put("alpha/2.jpg", DATA)
        relay.silent = False
        assert await chosen.put("alpha/2.jpg", DATA) is Put.SENT

    try:
        use(target(sshd, port=relay.port, connect_seconds=1.0, silent_seconds=0.4), work)
    finally:
        relay.close()


def test_a_server_that_was_away_is_used_again(tmp_path: Path) -> None:
    server = Sshd(tmp_path / "sshd")

    async def work(chosen: Sftp) -> None:
        server.stop()
        for _ in range(3):
            with pytest.raises(SinkAway, match="cannot be reached"):
                await chosen.put("alpha/1.jpg", DATA)
        server.start()
        assert await chosen.put("alpha/1.jpg", DATA) is Put.SENT

    use(target(server), work)
    server.stop()


def test_a_folder_deleted_meanwhile_is_made_again(sshd: Sshd) -> None:
    async def work(chosen: Sftp) -> None:
        await chosen.put("alpha/1.jpg", DATA)
        assert await chosen.holds("alpha")
        shutil.rmtree(sshd.root / "alpha")
        assert not await chosen.holds("alpha")
        assert await chosen.put("alpha/2.jpg", DATA) is Put.SENT

    use(target(sshd), work)


def test_a_place_that_may_not_be_written_is_explained(sshd: Sshd) -> None:
    if os.geteuid() == 0:
        sshd.root.rmdir()
        sshd.root.symlink_to("/proc")
    else:
        sshd.root.chmod(0o555)
    try:
        with pytest.raises(SinkRefused, match="cannot be written"):
            put(target(sshd))
    finally:
        if sshd.root.is_symlink():
            sshd.root.unlink()
        else:
            sshd.root.chmod(0o755)


def test_a_full_disk_is_explained_and_no_part_stays_on_it(sshd: Sshd) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(sshd.root)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        with pytest.raises(SinkRefused, match=r"takes no more: .*Free some space there"):
            put(target(sshd), data=bytes(200_000))
        assert list((sshd.root / "alpha").iterdir()) == []
        assert put(target(sshd), data=bytes(20_000)) is Put.SENT
    finally:
        subprocess.run(["umount", "-l", str(sshd.root)], check=True)


@pytest.mark.parametrize("sftp", ["", "/bin/false", "/bin/echo This account is not available"])
def test_a_server_without_sftp_is_explained(tmp_path: Path, sftp: str) -> None:
    server = Sshd(tmp_path / "sshd", sftp=sftp)
    with pytest.raises(SinkRefused, match=r"offers no SFTP.*Subsystem sftp internal-sftp"):
        put(target(server))
    server.stop()


def test_a_server_that_takes_nothing_is_explained(tmp_path: Path) -> None:
    server = Sshd(tmp_path / "sshd", sftp="internal-sftp -R")
    with pytest.raises(SinkRefused, match=r"cannot be written: .*Check owner and mode of the folder there"):
        put(target(server))
    server.stop()


def test_a_server_that_cannot_rename_over_a_file_gets_it_all_the_same(tmp_path: Path) -> None:
    server = Sshd(tmp_path / "sshd", sftp="internal-sftp -P posix-rename")
    assert put(target(server)) is Put.SENT
    assert put(target(server), data=DATA[1:]) is Put.SENT
    server.stop()
    assert (server.root / "alpha/1-mic.jpg").read_bytes() == DATA[1:]
    assert [p.name for p in (server.root / "alpha").iterdir()] == ["1-mic.jpg"]


def test_a_web_server_may_read_what_is_published_whatever_the_umask(tmp_path: Path) -> None:
    server = Sshd(tmp_path / "sshd", sftp="internal-sftp -u 0077")
    assert put(target(server)) is Put.SENT
    server.stop()
    assert (server.root / "alpha").stat().st_mode & 0o777 == 0o755
    assert (server.root / "alpha/1-mic.jpg").stat().st_mode & 0o777 == 0o644


def test_a_file_where_a_folder_should_be_is_explained(sshd: Sshd) -> None:
    (sshd.root / "alpha").write_text("hello")
    with pytest.raises(SinkRefused, match=r"alpha is there, and is no folder\. Move it away"):
        put(target(sshd))


def test_what_a_killed_agent_left_is_removed_and_what_is_being_written_is_not(sshd: Sshd) -> None:
    folder = sshd.root / "alpha"
    gone, kept = parts.leave(folder)
    use(target(sshd), lambda chosen: chosen.put("alpha/3.jpg", DATA))
    assert sorted(p.name for p in folder.iterdir()) == sorted(["3.jpg", *kept])
    assert gone


def test_one_file_put_twice_at_once_by_two_agents_is_whole(sshd: Sshd) -> None:
    async def work() -> None:
        agents = [target(sshd), target(sshd)]
        await asyncio.gather(*(agents[n % 2].put("alpha/1.jpg", DATA[n:]) for n in range(20)))
        for agent in agents:
            await agent.close()

    asyncio.run(work())
    assert (sshd.root / "alpha/1.jpg").read_bytes() in [DATA[n:] for n in range(20)]
    assert [p.name for p in (sshd.root / "alpha").iterdir()] == ["1.jpg"]


def test_all_that_wait_for_a_host_that_does_not_answer_share_one_attempt(sshd: Sshd) -> None:
    relay = Relay(sshd.port)
    relay.silent = True
    sshd.trust(sshd.host_key, port=relay.port)

    async def work(chosen: Sftp) -> float:
        began = time.monotonic()
        results = await asyncio.gather(*(chosen.put(f"a/{n}.jpg", DATA) for n in range(32)), return_exceptions=True)
        assert all(isinstance(result, SinkAway) for result in results)
        return time.monotonic() - began

    try:
        took = use(target(sshd, port=relay.port, connect_seconds=0.3), work)
    finally:
        relay.close()
    assert isinstance(took, float)
    assert took < 2, "one after the other they would wait for 10 s"


def test_a_slow_line_is_not_taken_for_a_dead_one(sshd: Sshd) -> None:
    relay = Relay(sshd.port)
    sshd.trust(sshd.host_key, port=relay.port)

    async def work(chosen: Sftp) -> float:
        assert not await chosen.holds("alpha")
        relay.delay = 0.15
        began = time.monotonic()
        assert await chosen.put("alpha/1.jpg", DATA) is Put.SENT
        return time.monotonic() - began

    try:
        took = use(target(sshd, port=relay.port, silent_seconds=2), work)
    finally:
        relay.close()
    assert isinstance(took, float)
    assert took > 2, "it took longer than the silence that is allowed"


@pytest.mark.parametrize(
    "name", ["../1.jpg", "a/../../1.jpg", "/etc/1.jpg", "a\nb/1.jpg", "a/1.jpg\0", "a", "a/b/c", "-/.x", "🧊/1"]
)
def test_no_name_leads_out_of_the_folder(sshd: Sshd, name: str) -> None:
    with pytest.raises(SinkRefused, match="is no name"):
        put(target(sshd), name=name)
    assert list(sshd.root.iterdir()) == []


def test_many_files_travel_at_once(sshd: Sshd) -> None:
    relay = Relay(sshd.port, delay=0.01)
    sshd.trust(sshd.host_key, port=relay.port)

    async def work(chosen: Sftp) -> float:
        await chosen.put("alpha/0.jpg", DATA)
        began = time.monotonic()
        await asyncio.gather(*(chosen.put(f"alpha/{n}.jpg", DATA) for n in range(1, 33)))
        return time.monotonic() - began

    try:
        took = use(target(sshd, port=relay.port), work)
    finally:
        relay.close()
    assert isinstance(took, float)
    assert took < 32 * 5 * 0.02 * 0.75, "one after the other they take 3.2 s of waiting alone"
    assert len(list((sshd.root / "alpha").iterdir())) == 33
