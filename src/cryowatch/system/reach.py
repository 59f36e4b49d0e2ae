"""Which files a project may show: those that lie in it, and those behind links that its people could read themselves.

Whoever may write a project may put links into it, to anything that cryowatch may read.  So a file is *held* first,
which opens nothing and waits for nothing (`O_PATH`), and the system is asked where it is, all links followed; what is
read later is the held file, whatever is put into its place meanwhile.  It counts where

- everybody who had a say in it may read it, by the modes and access lists of it and of the folders above it: who owns
  `project.sqlite`, the project's folder, and each link on the way.  Of a file below the project's folder that is only
  asked where `project.sqlite` belongs to somebody else than the folder;
- no folder above it is a project other than this one.

A member of a group counts as far as this machine knows the account.  The account that cryowatch runs as needs no such
reckoning: the system itself has answered.  A hard link cannot be told from a file of the project; Linux lets nobody
make one to a file that he may not write (`fs.protected_hardlinks`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import re
import stat
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Self

from cryowatch.errors import CryowatchError

MARK = "project.sqlite"
"""The file that makes a folder a project."""

MOST_LINKS = 40
"""On the way to one file, as Linux follows."""

READ, SEARCH = 4, 1
_USER, _GROUP_OBJECT, _GROUP, _MASK, _OTHER = 2, 4, 8, 16, 32
_ACCOUNT_SECONDS = 60.0
_MOUNT_SECONDS = 1.0
_FUSE_USER = re.compile(r"\buser_id=(\d+)")

_OWNERS = "leads to what the project's owner may not read"
_OWNERS_REMEDY = "Let the owner read it, or everybody"
_UNKNOWN_REMEDY = (
    "The owner's account is not known on this machine, so no group of it counts. Make it known, or let everybody read"
)
_LINK_REMEDY = "To watch it, name it by its own path"
_ANOTHER = "leads into another project"
_ANOTHER_REMEDY = "Copy what is needed into this one"
_STRANGER = "is in a folder that somebody else has linked to"


class OutOfReach(CryowatchError):
    """What a project names is not the project's to show."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file or folder by its own path, and its status; `descriptor` holds it until this ends, and reads nothing.

    To end it drops no locks, as closing a file that was opened would.
    """

    path: Path
    status: os.stat_result
    descriptor: int

    def open(self) -> int:
        """Return a descriptor to read, of this very file; raises an `OSError`, also for what is no regular file."""
        if not stat.S_ISREG(self.status.st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(f"/proc/self/fd/{self.descriptor}", flags)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hold it no more."""
        os.close(self.descriptor)


def hold(project: Path, path: Path) -> Held:
    """Hold the file or folder that a path in a project leads to; raises `OutOfReach` or an `OSError`.

    Where its people could not find out why it is not there, it is `OutOfReach`, too.
    """
    try:
        place = _held(path)
    except OSError as error:
        _refuse_to_explain(project, path)
        raise error from None
    try:
        _judge(project, path, place)
    except BaseException:
        place.close()
        raise
    return place


def judge_project(folder: str, owners: Iterable[int]) -> None:
    """Raise `OutOfReach` for a project's folder, without links in it, that these owners of links may not show."""
    users = set(owners)
    mark = f"{folder}/{MARK}"
    try:
        status = os.stat(mark)  # noqa: PTH116
        readable = all(may(user, mark, status, READ) for user in users)
    except OSError:
        readable = False
    if not (readable and may_pass(users, folders_above(mark))):
        raise OutOfReach("is a link to a project that whoever made it may not read", remedy=_LINK_REMEDY)
    if any(_mark(above) is not None for above in folders_above(folder)):
        raise OutOfReach("is a link into another project", remedy=_LINK_REMEDY)


def may(user: int, place: str, status: os.stat_result, bit: int) -> bool:
    """Return whether a user may read (`READ`) or pass (`SEARCH`) a place that has a status."""
    if user in (0, os.geteuid()) or (user == status.st_uid and user != _nobody()):
        return True
    entries = _access_list(place)
    if entries is not None:
        return _granted(entries, user, status, bit)
    shift = 3 if status.st_gid in groups(user) else 0
    return bool(status.st_mode >> shift & bit)


def groups(user: int) -> frozenset[int]:
    """Return the groups of a user, none where this machine does not know the account."""
    return frozenset() if user == _nobody() else _groups(user, int(time.monotonic() / _ACCOUNT_SECONDS))


def folders_above(path: str, upto: str = "") -> Iterator[str]:
    """Yield the folders above a path that has no links, the nearest first, up to one, which is not among them."""
    while (path := os.path.dirname(path)) != upto:  # noqa: PTH120  many times a second
        yield path
        if path == "/":
            return


def may_pass(users: Iterable[int], folders: Iterable[str]) -> bool:
    """Return whether users may pass all of some folders; False where that cannot be told."""
    users = tuple(users)
    if not users:
        return True
    try:
        return all(
            may(user, folder, status, SEARCH)
            for folder, status in ((folder, os.stat(folder)) for folder in folders)  # noqa: PTH116
            for user in users
        )
    except OSError:
        return False


def owners_of(project: str) -> set[int]:
    """Return whom a project belongs to: the owners of its folder and of `project.sqlite`; raises an `OSError`."""
    owners = {_owner(os.stat(project))}  # noqa: PTH116
    mark = _mark(project)
    return owners if mark is None else owners | {_owner(mark)}


def mounted_by(device: int, table: str) -> int | None:
    """Return which user has mounted a FUSE file system, by the text of `mountinfo`; None of any other.

    Such a file system may say of a file that it belongs to whomever (proc_pid_mountinfo(5), fuse(4)).
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in table.splitlines():
        fields, _, system = line.partition(" - ")
        if fields.split(" ")[2] == number and system.startswith("fuse"):
            user = _FUSE_USER.search(system.rpartition(" ")[2])  # the names before may say anything
            return int(user[1]) if user else None
    return None


def way(path: str) -> tuple[str, set[int], OSError | None]:
    """Return where a path leads without links, or how far, the owners of the links on it, and why no farther."""
    left = _steps(path)
    reached = ""
    owners: set[int] = set()
    links = 0
    while left:
        step = left.pop()
        if step == "..":
            reached = reached.rpartition("/")[0]
            continue
        place = f"{reached}/{step}"
        try:
            status = os.lstat(place)
            target = os.readlink(place) if stat.S_ISLNK(status.st_mode) else None  # noqa: PTH115
        except OSError as error:
            return reached or "/", owners, error
        if target is None:
            reached = place
            continue
        owners.add(_owner(status))
        links += 1
        if links > MOST_LINKS:
            return reached or "/", owners, OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if target.startswith("/"):
            reached = ""
        left += _steps(target)
    return reached or "/", owners, None


def is_open(status: os.stat_result) -> bool:
    """Return whether this process has a file open, and does not only hold it; it is told by device and inode."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            if os.path.samestat(os.fstat(int(name)), status) and not fcntl.fcntl(int(name), fcntl.F_GETFL) & os.O_PATH:
                return True
        except OSError:  # closed meanwhile
            continue
    return False


def _steps(path: str) -> list[str]:
    """Return the parts of a path, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _held(path: Path) -> Held:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        own = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except BaseException:
        os.close(descriptor)
        raise
    if own.startswith("/") and status.st_nlink:
        return Held(Path(own), status, descriptor)
    os.close(descriptor)  # it was deleted meanwhile
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _judge(project: Path, path: Path, place: Held) -> None:
    """Raise `OutOfReach` where a file is not the project's to show."""
    own, home = str(place.path), os.path.normpath(project)
    if not own.startswith(f"{home}/"):
        home = _home(home)
    if own == home:
        return
    if own.startswith(f"{home}/"):
        folder, mark = os.stat(home), _mark(home)  # noqa: PTH116
        users = set() if mark is None or mark.st_uid == folder.st_uid else {_owner(mark)}
        above = home
    else:
        end, links, error = way(str(path))
        if error is not None or end != own:  # it was changed meanwhile
            raise OutOfReach(_OWNERS, remedy=_OWNERS_REMEDY)
        users = owners_of(home) | links
        above = ""
    itself = f"/proc/self/fd/{place.descriptor}"
    readable = all(may(user, itself, place.status, READ) for user in users)
    if not (readable and may_pass(users, folders_above(own, above))):
        raise _unread(users)
    if any(_mark(folder) is not None for folder in folders_above(own, above)):
        raise OutOfReach(_ANOTHER, remedy=_ANOTHER_REMEDY)


def _home(project: str) -> str:
    """Return a project's folder without links; raises `OutOfReach` where somebody else has made one of them.

    A session's folder may be replaced by a link to another one at any time.
    """
    home, links, error = way(project)
    makers = {0, os.geteuid()} if error is not None else {0, os.geteuid(), _owner(os.stat(home))}  # noqa: PTH116
    if not links <= makers:
        raise OutOfReach(_STRANGER, remedy=_LINK_REMEDY)
    if error is not None:
        raise error
    return home


def _refuse_to_explain(project: Path, path: Path) -> None:
    """Raise `OutOfReach` where a project's people could not find out themselves that, and why, a file is not there."""
    end, links, _ = way(str(path))
    try:
        home = _home(os.path.normpath(project))
        users = owners_of(home) | links
    except OSError:
        return
    if end == home or end.startswith(f"{home}/") or home.startswith(f"{end.rstrip('/')}/"):
        return
    if not may_pass(users, [end] * os.path.isdir(end) + [*folders_above(end)]):  # noqa: PTH112
        raise _unread(users)


def _unread(users: Iterable[int]) -> OutOfReach:
    known = all(user == 0 or _account(user) is not None for user in users)
    return OutOfReach(_OWNERS, remedy=_OWNERS_REMEDY if known else _UNKNOWN_REMEDY)


def _owner(status: os.stat_result) -> int:
    """Return who answers for a file: its owner, or the user by whose file system it is said to belong to somebody."""
    if os.major(status.st_dev):  # a disk's; only root mounts these
        return status.st_uid
    return _mounted_by(status.st_dev, int(time.monotonic() / _MOUNT_SECONDS)) or status.st_uid


@lru_cache(maxsize=100)
def _mounted_by(device: int, _period: int) -> int | None:
    try:
        return mounted_by(device, Path("/proc/self/mountinfo").read_text(errors="replace"))
    except OSError:
        return None


def _mark(folder: str) -> os.stat_result | None:
    try:
        return os.lstat(f"{folder}/{MARK}")
    except OSError:
        return None


def _access_list(place: str) -> list[tuple[int, int, int]] | None:
    """Return the access list of a place (acl(5)) as tags, rights and ids; None where its mode says all."""
    try:
        data = os.getxattr(place, "system.posix_acl_access")
        return list(struct.iter_unpack("<HHI", data[4:]))  # behind four bytes of version
    except (OSError, struct.error):
        return None


def _granted(entries: list[tuple[int, int, int]], user: int, status: os.stat_result, bit: int) -> bool:
    """Return what an access list says of a user who does not own its file."""
    mask = next((rights for tag, rights, _ in entries if tag == _MASK), 7)
    for tag, rights, name in entries:
        if tag == _USER and name == user:
            return bool(rights & mask & bit)
    of = groups(user)
    members = [
        rights
        for tag, rights, name in entries
        if (tag == _GROUP_OBJECT and status.st_gid in of) or (tag == _GROUP and name in of)
    ]
    if members:
        return any(rights & mask & bit for rights in members)
    return any(tag == _OTHER and rights & bit for tag, rights, _ in entries)


@lru_cache(maxsize=1000)
def _groups(user: int, _period: int) -> frozenset[int]:
    account = _account(user)
    return frozenset() if account is None else frozenset(os.getgrouplist(account.pw_name, account.pw_gid))


def _account(user: int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(user)
    except KeyError:
        return None


@cache
def _nobody() -> int:
    """Return the id that the system shows in place of all that it cannot show here, as in a container."""
    try:
        return int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        return 65534
