"""Projects are found at a path and one level below it, each once; what is in the way is said."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryowatch.errors import SourceError, SourceGone, SourceMalformed
from cryowatch.sources.discovery import Finder, find_projects


def project(folder: Path) -> Path:
    """Make a folder a project."""
    folder.mkdir(parents=True)
    (folder / "project.sqlite").touch()
    return folder


def reason(path: Path, kind: type[SourceError]) -> str:
    """Return the one line with which looking at a path ends."""
    with pytest.raises(kind) as raised:
        find_projects(path)
    assert type(raised.value) is kind
    return str(raised.value)


def test_a_project_is_found_as_itself(tmp_path: Path) -> None:
    inner = project(tmp_path / "alpha")
    project(inner / "Runs")
    assert find_projects(inner).projects == (inner,)


def test_a_folder_gives_the_projects_in_it_in_order(tmp_path: Path) -> None:
    expected = tuple(project(tmp_path / name) for name in ("a b", "b'\"<i>", "ünï😀", "x" * 200))
    (tmp_path / "no-project").mkdir()
    (tmp_path / "file").touch()
    project(tmp_path / ".hidden")
    project(tmp_path / "deeper" / "still")
    found = find_projects(tmp_path)
    assert found.projects == tuple(sorted(expected))
    assert found.troubles == ()


def test_scipion_user_data_gives_the_projects_in_its_projects_folder(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    inner = project(tmp_path / "projects" / "alpha")
    assert find_projects(tmp_path).projects == (inner,)
    assert find_projects(tmp_path / "projects").projects == (inner,)


def test_a_project_called_projects_is_one(tmp_path: Path) -> None:
    inner = project(tmp_path / "projects")
    project(inner / "alpha")
    assert find_projects(tmp_path).projects == (inner,)


def test_links_lead_to_projects_and_count_once(tmp_path: Path) -> None:
    inner = project(tmp_path / "b")
    (tmp_path / "a").symlink_to(inner)
    (tmp_path / "c").symlink_to(tmp_path / "gone")
    (tmp_path / "d").symlink_to(tmp_path / "d")
    elsewhere = project(tmp_path / "elsewhere" / "far")
    (tmp_path / "e").symlink_to(elsewhere)
    found = find_projects(tmp_path)
    assert found.projects == (inner, tmp_path / "e")
    assert found.doubles == {tmp_path / "a": inner}


def test_a_copy_of_hard_links_is_a_project_of_its_own(tmp_path: Path) -> None:
    first = project(tmp_path / "first")
    subprocess.run(["cp", "-al", first, tmp_path / "second"], check=True)
    (tmp_path / "third").symlink_to(first)
    assert find_projects(tmp_path).projects == (first, tmp_path / "second")


def test_a_new_project_is_found_the_next_time(tmp_path: Path) -> None:
    assert find_projects(tmp_path).projects == ()
    new = project(tmp_path / "new")
    assert find_projects(tmp_path).projects == (new,)


def test_a_path_upwards_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = project(tmp_path / "alpha")
    (inner / "Runs").mkdir()
    monkeypatch.chdir(inner / "Runs")
    assert find_projects(Path("..").absolute()).projects == (inner,)


def test_a_path_that_is_not_there_is_gone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "nope", tmp_path / "file" / "below"):
        assert reason(path, SourceGone) == f"{path}: is not there. Was it moved, deleted or not mounted?"
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert reason(tmp_path / "loop", SourceGone).startswith(f"{tmp_path / 'loop'}: the file system reports: ")


def test_a_file_is_not_a_project(tmp_path: Path) -> None:
    mark = project(tmp_path / "alpha") / "project.sqlite"
    assert reason(mark, SourceMalformed) == f"{mark}: is a file. Give the project's folder, or the one above it"


def test_a_name_that_is_not_utf_8_is_refused_readably(tmp_path: Path) -> None:
    try:
        odd = project(Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9")))
    except OSError:
        pytest.skip("this file system takes no such name")
    assert reason(odd, SourceMalformed).endswith("caf\\udce9: its name is not UTF-8. Rename the folder")
    fine = project(tmp_path / "fine")
    found = find_projects(tmp_path)
    assert found.projects == (fine,)
    assert [(t.where, t.state) for t in found.troubles] == [(f"{tmp_path}/caf\\xe9", "malformed")]
    found.troubles[0].where.encode()


def test_a_name_with_a_null_is_no_folder() -> None:
    assert "is not the name of a folder" in reason(Path("/tmp/a\0b"), SourceMalformed)


CHILD = """
import os, sys
from pathlib import Path
from cryowatch.errors import SourceDenied
from cryowatch.sources.discovery import Finder, find_projects
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for path in sys.argv[1:]:
    try:
        found = find_projects(Path(path))
        print([p.name for p in found.projects], [(Path(t.where).name, t.state, t.text) for t in found.troubles])
    except SourceDenied as error:
        print(error)
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a folder that every user can reach; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="cryowatch-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_this_user_may_not_look_into_is_said_and_the_rest_is_found(public: Path) -> None:
    project(public / "fine")
    project(public / "locked").chmod(0o700)
    found = subprocess.run(
        [sys.executable, "-c", CHILD, public, public / "locked"], capture_output=True, text=True, check=True
    )
    text = "this user may not read it. Run cryowatch as a user in the project's group"
    assert found.stdout.splitlines() == [
        f"['fine'] {[('locked', 'denied', text)]}",
        f"{public / 'locked'}: {text}",
    ]


def test_a_folder_that_does_not_answer_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive, dead = project(tmp_path / "alive"), project(tmp_path / "dead")
    again = threading.Event()
    really = os.stat

    def stat(path: Path, **more: bool) -> os.stat_result:
        if str(path).startswith(str(dead)):
            again.wait(30)
        return really(path, **more)

    monkeypatch.setattr(os, "stat", stat)
    finder = Finder(tmp_path, seconds=0.1)
    for _ in range(2):
        found = finder.find()
        assert found.projects == (alive,)
        (trouble,) = found.troubles
        assert (trouble.where, trouble.text[:15]) == (str(dead), "does not answer")
    new = project(tmp_path / "new")
    assert finder.find().projects == (alive, new)
    with pytest.raises(SourceGone, match=r"does not answer\. Is its disk"):
        Finder(dead, seconds=0.1).find()
    again.set()
    end = time.monotonic() + 10
    while finder.find().troubles and time.monotonic() < end:
        time.sleep(0.01)
    assert finder.find().projects == (alive, dead, new)
