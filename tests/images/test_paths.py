"""Only images of a project are shown, whatever its databases say."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cryowatch.errors import ImageAway, ImageError, ImageMissing, ImageUnreadable
from cryowatch.images import can_be_reached, confined


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one image, beside another folder with a secret and an image."""
    folder = tmp_path / "alpha"
    (folder / "Runs").mkdir(parents=True)
    (folder / "Runs" / "1.mrc").write_bytes(b"image")
    (tmp_path / "alpha2").mkdir()
    (tmp_path / "alpha2" / "1.mrc").write_bytes(b"image of others")
    (tmp_path / "secret").write_text("secret")
    return folder


def test_an_image_of_the_project_is_found(project: Path) -> None:
    assert confined(project, "Runs/1.mrc") == project / "Runs/1.mrc"
    assert confined(project, "Runs//./1.mrc") == project / "Runs/1.mrc"
    assert confined(project, str(project / "Runs/1.mrc")) == project / "Runs/1.mrc"
    assert confined(Path(f"{project}/Runs/.."), "Runs/1.mrc") == project / "Runs/1.mrc"


def test_an_image_is_found_by_each_name_of_its_project(project: Path) -> None:
    link = project.parent / "link"
    link.symlink_to(project)
    assert confined(project, f"{link}/Runs/1.mrc") == project / "Runs/1.mrc"
    assert confined(link, f"{project}/Runs/1.mrc") == link / "Runs/1.mrc"
    (project / "Runs").rename(project.parent / "disk2")
    (project / "Runs").symlink_to(project.parent / "disk2")
    assert confined(link, f"{project}/Runs/1.mrc") == link / "Runs/1.mrc"


@pytest.mark.parametrize(
    "named", ["{0}/../alpha2/1.mrc", "{0}", "{0}/", "{0}2/1.mrc", "/", "//", "{0}/Runs/../../alpha2/1.mrc"]
)
def test_no_other_name_of_a_project_leads_out_of_it(project: Path, named: str) -> None:
    link = project.parent / "link"
    link.symlink_to(project)
    (project.parent / "link2").symlink_to(project.parent / "alpha2")
    for seen, name in ((project, link), (link, project)):
        with pytest.raises(ImageUnreadable, match="outside the project"):
            confined(seen, named.format(name))


@pytest.mark.parametrize(
    "relative",
    [
        "../alpha2/1.mrc",
        "Runs/../../alpha2/1.mrc",
        "Runs/../Runs/1.mrc",
        "../alpha/Runs/1.mrc",
        "/etc/passwd",
        "/",
        "",
        ".",
        "..",
        "Runs/1.mrc\0",
        "Runs/1.mrc\0.png",
        "\0",
    ],
)
def test_a_path_that_leads_out_of_the_project_is_refused(project: Path, relative: str) -> None:
    with pytest.raises(ImageUnreadable, match="outside the project"):
        confined(project, relative)


def test_a_project_whose_name_begins_alike_is_another(project: Path) -> None:
    with pytest.raises(ImageUnreadable, match="outside the project"):
        confined(project, f"{project}2/1.mrc")


def test_a_link_to_an_image_on_another_disk_is_followed(project: Path) -> None:
    (project / "movie.mrc").symlink_to(project.parent / "alpha2" / "1.mrc")
    assert confined(project, "movie.mrc") == project / "movie.mrc"


def test_a_link_to_something_that_is_no_image_is_refused(project: Path) -> None:
    (project / "harmless.mrc").symlink_to(project.parent / "secret")
    (project / "passwords.png").symlink_to("/etc/passwd")
    for name in ("harmless.mrc", "passwords.png"):
        with pytest.raises(ImageUnreadable, match="not called like an image"):
            confined(project, name)


def test_a_linked_folder_does_not_open_what_lies_in_it(project: Path) -> None:
    (project / "outside").symlink_to(project.parent)
    with pytest.raises(ImageUnreadable, match="not called like an image"):
        confined(project, "outside/secret")


@pytest.mark.parametrize("name", ["project.sqlite", "noextension", "run.log", "1.mrc.txt", ".mrc"])
def test_a_file_that_is_not_called_like_an_image_is_refused(project: Path, name: str) -> None:
    (project / name).write_bytes(b"text")
    with pytest.raises(ImageUnreadable, match="not called like an image"):
        confined(project, name)


def test_suffixes_may_be_written_large(project: Path) -> None:
    (project / "PLOT.PNG").write_bytes(b"plot")
    assert confined(project, "PLOT.PNG") == project / "PLOT.PNG"


@pytest.mark.parametrize("name", ["1.mrc.gz", "1.mrcs.bz2", "1.MRC.GZ", "1.ctf", "1.st"])
def test_compressed_images_and_those_of_other_programs_are_found(project: Path, name: str) -> None:
    (project / name).write_bytes(b"image")
    assert confined(project, name) == project / name


@pytest.mark.parametrize("name", ["1.gz", "1.tar.gz", "1.sqlite.gz", "1.png.gz", ".mrc.gz", "1.mrc.gz.txt"])
def test_what_is_compressed_and_no_mrc_file_is_refused(project: Path, name: str) -> None:
    (project / name).write_bytes(b"text")
    with pytest.raises(ImageUnreadable, match="not called like an image"):
        confined(project, name)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ESTALE, ImageAway),
        (errno.EIO, ImageAway),
        (errno.EACCES, ImageAway),
        (errno.ENAMETOOLONG, ImageUnreadable),
        (errno.ENOENT, ImageMissing),
    ],
)
def test_a_disk_that_does_not_answer_is_told_from_a_file_that_cannot_be_shown(
    project: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[ImageError]
) -> None:
    def fail(path: Path, flags: int) -> int:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(ImageError) as caught:
        confined(project, "1.mrc")
    assert type(caught.value) is kind


def test_a_folder_that_may_not_be_looked_into_counts_as_out_of_reach(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert can_be_reached(project)
    assert not can_be_reached(project / "1.mrc")
    assert not can_be_reached(project / "nowhere")

    def fail(path: Path, **options: object) -> os.stat_result:
        raise OSError(errno.ESTALE, "Stale file handle", str(path))

    monkeypatch.setattr(Path, "stat", fail)
    assert not can_be_reached(project)


def test_a_missing_image_says_so(project: Path) -> None:
    with pytest.raises(ImageMissing) as caught:
        confined(project, "Runs/2.mrc")
    assert str(caught.value).startswith("Runs/2.mrc: is not there. Was the project copied without its images")


def test_a_link_to_nowhere_is_a_missing_image(project: Path) -> None:
    (project / "gone.mrc").symlink_to(project / "cleaned.mrc")
    with pytest.raises(ImageMissing, match="is not there"):
        confined(project, "gone.mrc")


def test_folders_and_pipes_are_no_images(project: Path) -> None:
    (project / "folder.mrc").mkdir()
    os.mkfifo(project / "pipe.mrc")
    for name in ("folder.mrc", "pipe.mrc"):
        with pytest.raises(ImageMissing, match="is no file"):
            confined(project, name)


@pytest.mark.parametrize("relative", ["Runs/1.mrc/2.mrc", "loop.mrc", f"{'x' * 300}.mrc"])
def test_a_path_that_cannot_be_followed_is_refused(project: Path, relative: str) -> None:
    (project / "loop.mrc").symlink_to(project / "loop.mrc")
    with pytest.raises(ImageUnreadable, match=r"cannot be (reached|read)"):
        confined(project, relative)


def test_strange_names_are_shown_on_one_line(project: Path) -> None:
    with pytest.raises(ImageMissing) as caught:
        confined(project, "a\nb\x1b[31m.mrc")
    assert str(caught.value).isprintable()
