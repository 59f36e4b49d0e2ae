"""Which files a project shows: its own, and behind links what its people could read themselves."""

from __future__ import annotations

import fcntl
import os
import pwd
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryowatch.system.reach import OutOfReach, hold, is_open, may, mounted_by, way
from tests.support.strangers import AGENT, ATTACKER, VICTIM, as_root, link, open_folder, owned, python, swapping

GROUP = 41_009
"""Of those who share a disk; no account is in it."""


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a folder with a project of the attacker, one of the victim, and a disk for movies."""
    with open_folder() as folder:
        for name, user in (("mine", ATTACKER), ("theirs", VICTIM)):
            (folder / name / "Runs").mkdir(parents=True)
            (folder / name / "project.sqlite").touch()
            (folder / name / "Runs/1.mrc").write_text(name)
            owned(folder / name, user)
        (folder / "disk").mkdir(mode=0o755)
        (folder / "disk/1.mrc").write_text("movie")
        yield folder


def reached(project: Path, named: str) -> str:
    """Return what is in a file that a project shows."""
    with hold(project, project / named) as held:
        descriptor = held.open()
    with os.fdopen(descriptor) as file:
        return file.read()


def refused(project: Path, named: str) -> str:
    """Return why a project does not show a file."""
    with pytest.raises(OutOfReach) as raised:
        hold(project, project / named).close()
    return str(raised.value)


@as_root
def test_a_file_of_the_project_is_shown_whoever_it_belongs_to(place: Path) -> None:
    assert reached(place / "mine", "Runs/1.mrc") == "mine"
    os.chown(place / "mine/Runs/1.mrc", VICTIM, VICTIM)
    (place / "mine/Runs/1.mrc").chmod(0o600)
    assert reached(place / "mine", "Runs/1.mrc") == "mine", "the microscope's account may write into a project"


@as_root
@pytest.mark.parametrize("way", ["file", "folder", "chain"])
def test_a_file_of_another_project_is_not_shown(place: Path, way: str) -> None:
    owned(place / "theirs", VICTIM, 0o755)
    mine, theirs = place / "mine", place / "theirs"
    if way == "file":
        link(mine / "link.mrc", theirs / "Runs/1.mrc", ATTACKER)
    else:
        link(mine / "there", theirs / "Runs", ATTACKER)
        if way == "chain":
            link(mine / "link.mrc", "there/1.mrc", ATTACKER)
    named = "there/1.mrc" if way == "folder" else "link.mrc"
    assert refused(mine, named) == "leads into another project. Copy what is needed into this one"


@as_root
def test_a_link_shows_what_its_maker_could_read(place: Path) -> None:
    """The share of a facility: movies of the microscope's account, and of the group of those who process them."""
    mine, movie = place / "mine", place / "disk/1.mrc"
    link(mine / "link.mrc", movie, ATTACKER)
    for owner, group, mode, shown in (
        (0, 0, 0o644, True), (0, 0, 0o640, False), (ATTACKER, 0, 0o600, True), (VICTIM, GROUP, 0o640, False),
        (VICTIM, GROUP, 0o644, True),
    ):  # fmt: skip
        os.chown(movie, owner, group)
        movie.chmod(mode)
        if shown:
            assert reached(mine, "link.mrc") == "movie", (owner, group, oct(mode))
        else:
            said = refused(mine, "link.mrc")
            assert said.startswith("leads to what the project's owner may not read. ")
            assert "account is not known on this machine" in said


@as_root
def test_a_member_of_a_group_is_shown_what_the_group_may_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryowatch.system.reach.groups", lambda user: frozenset({GROUP} if user == ATTACKER else ()))
    mine, movie = place / "mine", place / "disk/1.mrc"
    link(mine / "link.mrc", movie, ATTACKER)
    os.chown(movie, VICTIM, GROUP)
    movie.chmod(0o640)
    assert reached(mine, "link.mrc") == "movie"
    movie.chmod(0o604)
    assert refused(mine, "link.mrc"), "the system asks members of its group no further"


@as_root
def test_an_account_of_this_machine_is_shown_what_its_group_may_read(place: Path) -> None:
    """Debian's account for games, which has a group of its own, stands for a user in the group of a share."""
    try:
        account = pwd.getpwnam("games")
    except KeyError:
        pytest.skip("this machine has no account for games")
    mine, movie = owned(place / "mine", account.pw_uid), place / "disk/1.mrc"
    link(mine / "link.mrc", movie, account.pw_uid)
    os.chown(movie, VICTIM, account.pw_gid)
    movie.chmod(0o640)
    assert reached(mine, "link.mrc") == "movie"
    os.chown(movie, VICTIM, 0)
    assert refused(mine, "link.mrc") == (
        "leads to what the project's owner may not read. Let the owner read it, or everybody"
    )


@as_root
def test_a_file_in_a_folder_that_is_closed_to_the_maker_of_the_link_is_not_shown(place: Path) -> None:
    link(place / "mine/link.mrc", place / "disk/1.mrc", ATTACKER)
    (place / "disk").chmod(0o750)
    assert refused(place / "mine", "link.mrc").startswith("leads to what the project's owner may not read")


@as_root
@pytest.mark.parametrize("named", ["1.mrc", "not-there.mrc", "folder/not-there.mrc", "1.mrc/not-there.mrc"])
def test_nobody_learns_by_a_link_whether_a_path_exists(place: Path, named: str) -> None:
    link(place / "mine/link.mrc", place / "disk" / named, ATTACKER)
    if named == "1.mrc":
        assert reached(place / "mine", "link.mrc") == "movie"
    else:
        with pytest.raises(OSError, match=r"No such file|Not a directory"):
            hold(place / "mine", place / "mine/link.mrc")
    (place / "disk").chmod(0o700)
    assert refused(place / "mine", "link.mrc").startswith("leads to what the project's owner may not read")


@as_root
def test_each_who_had_a_say_counts(place: Path) -> None:
    """The victim's folder, into which the attacker may write: what the victim could read is not for the attacker."""
    theirs = owned(place / "theirs", VICTIM, 0o777)
    os.chown(place / "disk/1.mrc", VICTIM, VICTIM)
    (place / "disk/1.mrc").chmod(0o600)
    link(theirs / "by-the-victim.mrc", place / "disk/1.mrc", VICTIM)
    link(theirs / "by-the-attacker.mrc", place / "disk/1.mrc", ATTACKER)
    assert reached(theirs, "by-the-victim.mrc") == "movie"
    assert refused(theirs, "by-the-attacker.mrc")
    os.chown(theirs / "project.sqlite", ATTACKER, ATTACKER)
    assert refused(theirs, "by-the-victim.mrc")


@as_root
def test_who_makes_a_project_of_a_shared_folder_does_not_get_what_lies_in_it(place: Path) -> None:
    shared = place / "disk"
    shared.chmod(0o1777)
    (shared / "project.sqlite").touch()
    os.chown(shared / "project.sqlite", ATTACKER, ATTACKER)
    (shared / "private").mkdir(mode=0o700)
    (shared / "private/1.mrc").write_text("private")
    assert refused(shared, "private/1.mrc").startswith("leads to what")
    assert reached(shared, "1.mrc") == "movie"


@as_root
@pytest.mark.parametrize("target", ["theirs", "theirs/Runs", "theirs/nothing"])
def test_a_project_that_has_become_a_link_to_another_shows_nothing(place: Path, target: str) -> None:
    owned(place / "theirs", VICTIM, 0o755)
    (place / "mine").rename(place / "away")
    link(place / "mine", target, ATTACKER)
    for named in ("Runs/1.mrc", "1.mrc", "nothing.mrc"):
        assert "somebody else has linked to" in refused(place / "mine", named)


@as_root
def test_an_access_list_says_more_than_the_mode(place: Path) -> None:
    """As `setfacl --modify user:ID:r` leaves it: the mode's bits for the group are then the mask."""
    movie = place / "disk/1.mrc"
    movie.chmod(0o600)

    def entries(*rows: tuple[int, int, int]) -> bytes:
        return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *row) for row in rows)

    nobody = 0xFFFFFFFF
    given = entries((1, 6, nobody), (2, 4, VICTIM), (4, 0, nobody), (16, 4, nobody), (32, 0, nobody))
    try:
        os.setxattr(movie, "system.posix_acl_access", given)
    except OSError:
        pytest.skip("this file system keeps no access lists")
    assert movie.stat().st_mode & 0o777 == 0o640
    for user, shown in ((VICTIM, True), (ATTACKER, False)):
        assert may(user, str(movie), movie.stat(), 4) is shown
        read = "import sys\ntry: open(sys.argv[1]).read(); print(1)\nexcept PermissionError: print(0)"
        assert python(user, read, movie) == f"{int(shown)}\n", "the system says the same"
    link(place / "mine/link.mrc", movie, ATTACKER)
    link(place / "theirs/link.mrc", movie, VICTIM)
    assert refused(place / "mine", "link.mrc")
    assert reached(place / "theirs", "link.mrc") == "movie"


SCRIPT = """
import os, sys
from pathlib import Path
from cryowatch.system.reach import OutOfReach, hold
try:
    with hold(Path(sys.argv[1]), Path(sys.argv[2])) as held:
        print(os.read(held.open(), 100).decode())
except OutOfReach as error:
    print(error)
"""


@as_root
def test_an_agent_of_a_third_user_judges_alike(place: Path) -> None:
    groups = (AGENT, ATTACKER, VICTIM)
    link(place / "mine/link.mrc", place / "theirs/Runs/1.mrc", ATTACKER)
    read = "import sys; print(open(sys.argv[1]).read())"
    assert python(AGENT, read, place / "theirs/Runs/1.mrc", groups=groups) == "theirs\n", "it could"
    said = python(AGENT, SCRIPT, place / "mine", place / "mine/link.mrc", groups=groups)
    assert said.startswith("leads to what the project's owner may not read")
    assert python(AGENT, SCRIPT, place / "mine", place / "mine/Runs/1.mrc", groups=groups) == "mine\n"


@as_root
def test_where_the_agent_is_the_projects_owner_the_system_alone_decides(place: Path) -> None:
    (place / "mine/link.mrc").unlink(missing_ok=True)
    link(place / "mine/link.mrc", place / "disk/1.mrc", ATTACKER)
    os.chown(place / "disk/1.mrc", 0, GROUP)
    (place / "disk/1.mrc").chmod(0o640)
    here = (place / "mine", place / "mine/link.mrc")
    assert python(ATTACKER, SCRIPT, *here, groups=(ATTACKER, GROUP)) == "movie\n"


def test_what_is_put_into_a_files_place_after_the_check_is_not_read(tmp_path: Path) -> None:
    project, secret = tmp_path / "project", tmp_path / "secret"
    (project / "Runs").mkdir(parents=True)
    secret.write_text("secret")
    file = project / "Runs/1.mrc"
    file.write_text("mine")
    with hold(project, file) as held:
        file.unlink()
        file.symlink_to(secret)
        descriptor = held.open()
    with os.fdopen(descriptor) as opened:
        assert opened.read() == "mine"


@as_root
def test_folders_that_change_places_all_the_time_show_nothing_of_a_neighbour(place: Path) -> None:
    """The attacker's folder is one, and then a link to the victim's, thousands of times a second."""
    mine = place / "mine"
    link(mine / "link", place / "theirs/Runs", ATTACKER)
    outcomes: dict[str, int] = {}
    with swapping(ATTACKER, mine / "Runs", mine / "link"):
        for _ in range(3_000):
            try:
                outcome = reached(mine, "Runs/1.mrc")
            except OutOfReach:
                outcome = "refused"
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert "theirs" not in outcomes
    assert outcomes["mine"]
    assert outcomes["refused"]


def test_a_pipe_is_held_without_waiting_for_its_writer_and_never_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mrc")
    done = threading.Event()

    def look() -> None:
        with hold(tmp_path, tmp_path / "pipe.mrc") as held, pytest.raises(OSError, match="it is no file"):
            held.open()
        done.set()

    threading.Thread(target=look, daemon=True).start()
    assert done.wait(60)


LOCK = """
import fcntl, sys
try:
    fcntl.lockf(open(sys.argv[1], "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("free")
except OSError:
    print("locked")
"""


def test_to_hold_a_file_drops_no_lock_on_it(tmp_path: Path) -> None:
    file = tmp_path / "1.sqlite"
    file.write_text("x")
    with file.open("r+") as opened:
        fcntl.lockf(opened, fcntl.LOCK_EX)
        hold(tmp_path, file).close()
        said = subprocess.run([sys.executable, "-c", LOCK, file], capture_output=True, text=True, check=True).stdout
        assert said == "locked\n"


def test_a_way_ends_where_it_goes_no_farther(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("a/../a")
    (tmp_path / "loop").symlink_to("loop")
    user = os.geteuid()
    assert way(f"{tmp_path}/b") == (f"{tmp_path}/a", {user}, None)
    end, owners, error = way(f"{tmp_path}/b/c/d")
    assert (end, owners, type(error)) == (f"{tmp_path}/a", {user}, FileNotFoundError)
    assert isinstance(way(f"{tmp_path}/loop")[2], OSError)


def test_an_open_file_is_told_from_one_that_is_not(tmp_path: Path) -> None:
    (tmp_path / "1").touch()
    status = (tmp_path / "1").stat()
    with hold(tmp_path, tmp_path / "1"):
        assert not is_open(status)
    with (tmp_path / "1").open():
        assert is_open(status)


MOUNTS = """\
25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24683656k
70 24 0:48 / /home/ada/user_id=3\\040it rw,nosuid,nodev shared:9 - fuse.x user_id=0 rw,user_id=1001,allow_other
71 24 0:49 / /mnt/bound rw - fuse /usr/bin/x rw,user_id=0,group_id=0
72 24 254:0 / / rw,relatime - ext4 /dev/vda rw
"""


@pytest.mark.parametrize(("device", "user"), [((0, 48), 1001), ((0, 49), 0), ((0, 23), None), ((254, 0), None)])
def test_a_file_system_that_a_user_mounts_is_that_users(device: tuple[int, int], user: int | None) -> None:
    """It may say of its links that they are root's."""
    assert mounted_by(os.makedev(*device), MOUNTS) == user
