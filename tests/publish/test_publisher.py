"""Images come to the target newest first, each once, whatever happens; and the store knows which are there."""

from __future__ import annotations

import io
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cryowatch.errors import ImageAway, SinkAway, SinkError, SinkRefused
from cryowatch.images import ImageServer, Rendered, Subject
from cryowatch.publish import publisher as module
from cryowatch.publish.folder import Folder
from cryowatch.publish.publisher import Publisher, file_name
from cryowatch.publish.target import Put, checked
from cryowatch.records import ImageKind
from cryowatch.store import Publication
from cryowatch.store.status import status
from tests.publish.images import draw, paths
from tests.support.image_files import tiff
from tests.support.projects import CTFS, Watched, append, change, execute, genuine

SECOND = 10**9


class Recording(Folder):
    """A folder that notes what it is given, and fails when it is told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.put_names: list[str] = []
        self.failure: Callable[[], SinkError] | None = None
        self.takes = 10**9
        self.told: Callable[[], object] = lambda: None

    async def put(self, name: str, data: bytes) -> Put:
        if self.failure is not None and self.takes <= 0:
            raise self.failure()
        self.takes -= 1
        self.told()
        done = await super().put(name, data)
        self.put_names.append(name)
        return done


class Published:
    """A genuine project with its images, a folder that they are published to, and what the store says of them."""

    def __init__(self, folder: Path) -> None:
        self.watched = Watched(genuine(folder, "small"), folder / "data")
        self.project = self.watched.project
        self.images = ImageServer(folder / "data" / "images")
        self.target = Recording(folder / "public")
        self.now = time.time_ns() + 10**6 * SECOND

    def publisher(self, *, days: float = 0) -> Publisher:
        return Publisher(
            self.watched.store, self.images, self.target, clock=lambda: self.now, chance=lambda: 0.0, days=days
        )

    def rows(self) -> list[dict[str, str]]:
        return self.watched.store.reader().rows(
            "SELECT item, published.* FROM published JOIN micrograph ON micrograph.id = micrograph_id ORDER BY item"
        )

    def files(self) -> list[str]:
        """Return the names of everything that lies at the target."""
        root = self.target._path
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Published]:
    made = Published(tmp_path)
    draw(made.project)
    made.watched.look()
    yield made
    made.images.close()
    made.watched.close()


def test_three_images_of_each_micrograph_are_published(published: Published) -> None:
    assert published.publisher().finish()
    rows = published.rows()
    assert len(rows) == 8
    named = sorted(row[kind] for row in rows for kind in ("micrograph", "power_spectrum", "shift_plot"))
    assert published.files() == named
    for name in named:
        path = published.target._path / name
        with Image.open(path) as image:
            assert image.format in ("JPEG", "PNG")
            assert max(image.size) <= 512
        assert path.stat().st_mode & 0o777 == 0o644
    assert all(re.fullmatch(r"small/FoilHole_\d+[\w.-]*-[0-9a-f]{16}-(mic|psd)\.jpg|.*-shifts\.png", n) for n in named)


def test_the_newest_come_first(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1)
    execute(published.project / CTFS, "UPDATE Objects SET creation = '2026-01-01 00:00:0' || id")
    published.watched.look()
    published.publisher().finish()
    numbers = [int(re.findall(r"FoilHole_(\d+)", name)[0]) for name in published.target.put_names]
    assert numbers == sorted(numbers, reverse=True)


def test_begun_anew_it_only_brings_what_is_missing(published: Published) -> None:
    published.publisher().finish()
    published.target.put_names.clear()
    append(published.project / CTFS, 9, values={"_micObj._micName": "FoilHole_000009"})
    published.watched.look()
    assert published.publisher().finish()
    assert len(published.target.put_names) == 3
    assert len(published.rows()) == 9


def test_a_target_that_is_away_gets_everything_later(published: Published) -> None:
    published.target.failure = lambda: SinkAway("cannot be reached", where="sftp://host/folder")
    published.target.takes = 7
    publisher = published.publisher()
    assert not publisher.finish(tries=1)
    assert "cannot be reached" in publisher.status().problem
    assert publisher.status().behind > 0
    known = {row[kind] for row in published.rows() for kind in ("micrograph", "power_spectrum", "shift_plot")}
    assert known <= set(published.files()), "only what is there is said to be there"
    published.target.failure = None
    assert publisher.finish()
    assert len(published.rows()) == 8
    assert publisher.status().problem == ""


def test_a_target_that_refuses_needs_a_person_and_status_says_so(published: Published) -> None:
    published.target.failure = lambda: SinkRefused("takes no more: quota exceeded", where="sftp://host/folder")
    published.target.takes = 0
    publisher = published.publisher()
    assert not publisher.finish()
    assert publisher.status().needs_person
    published.now = time.time_ns()
    publisher._said = None
    publisher._record()
    out = io.StringIO()
    assert status(published.watched.store.data_dir, bounds=(), as_json=False, out=out) == 1
    assert "quota exceeded" in out.getvalue()


def test_a_folder_that_was_deleted_is_filled_again(published: Published) -> None:
    publisher = published.publisher()
    publisher.finish()
    before = published.files()
    shutil.rmtree(published.target._path / "small")
    append(published.project / CTFS, 9, values={"_micObj._micName": "FoilHole_000009"})
    published.watched.look()
    assert publisher.finish()
    assert set(before) < set(published.files())
    assert len(published.rows()) == 9


def test_a_file_still_growing_is_published_once_it_is_whole(published: Published) -> None:
    micrograph, _, _ = paths(published.project)[0]
    whole = (published.project / micrograph).read_bytes()
    (published.project / micrograph).write_bytes(whole[:5000])
    execute(published.project / CTFS, "UPDATE Objects SET creation = '2026-01-01 00:00:00'")
    published.watched.look()
    published.now = published.watched.items()[1]["time"] + 10 * SECOND
    publisher = published.publisher()
    assert not publisher.finish()
    assert len(published.rows()) == 7
    (published.project / micrograph).write_bytes(whole)
    published.now += 6 * SECOND
    assert publisher.finish()
    (first, *_) = published.rows()
    assert first["micrograph"]
    assert first["problem"] == ""


def test_an_image_that_is_gone_carries_its_reason_and_the_others_come(published: Published) -> None:
    micrograph, _, _ = paths(published.project)[2]
    (published.project / micrograph).unlink()
    assert published.publisher().finish()
    row = published.rows()[2]
    assert row["micrograph"] == ""
    assert row["power_spectrum"]
    assert "micrograph: " in row["problem"]
    assert "is not there" in row["problem"]


def test_a_kind_of_image_that_is_not_shown_is_told_once_and_not_tried_again(published: Published) -> None:
    micrograph, _, _ = paths(published.project)[0]
    file = published.project / micrograph
    tiff(file.with_suffix(".tif"), np.zeros((8, 8)))
    relative = micrograph.removesuffix(file.suffix) + ".tif"
    change(published.project / CTFS, 1, **{"micObj._filename": relative})
    execute(published.project / CTFS, "UPDATE Objects SET creation = '2026-01-01 00:00:00'")
    published.watched.look()
    published.now = published.watched.items()[1]["time"] + 10 * SECOND
    assert published.publisher().finish(), "nothing waits for another try"
    (first, *_) = published.rows()
    assert (first["micrograph"], bool(first["power_spectrum"])) == ("", True)
    assert first["problem"].endswith("is a TIFF of 64-bit floating-point numbers; this kind of image is not shown")
    assert "object at" not in first["problem"]


def test_a_project_out_of_reach_is_not_given_up(published: Published) -> None:
    published.project.rename(published.project.with_name("away"))
    publisher = published.publisher()
    assert not publisher.finish()
    assert published.rows() == []
    published.project.with_name("away").rename(published.project)
    published.now += 300 * SECOND
    assert publisher.finish()
    assert len(published.rows()) == 8


def fails_for(published: Published, name: str) -> Callable[[], None]:
    """Let the disk of one file fail, until what is returned is called."""
    really = published.images.image

    async def image(subject: Subject, size: int, *, ahead: bool = False) -> Rendered:
        if subject.path == published.project / name:
            raise ImageAway("took longer than 20 s to read", where=name)
        return await really(subject, size, ahead=ahead)

    patched = pytest.MonkeyPatch()
    patched.setattr(published.images, "image", image)
    return patched.undo


def test_an_old_image_on_a_disk_that_does_not_answer_is_not_given_up(published: Published) -> None:
    well = fails_for(published, paths(published.project)[2][0])
    publisher = published.publisher()

    with publisher.working():
        for seconds in (0, 31):
            published.now += seconds * SECOND
            while not publisher.step():
                assert len(published.rows()) == 7
        published.now += 121 * SECOND
        while not publisher.step():
            pass
        row = published.rows()[2]
        assert (row["micrograph"], row["problem"][:12]) == ("", "micrograph: "), "the others are shown meanwhile"
        assert row["power_spectrum"]
        assert publisher.behind == 1
        well()
        published.now += 601 * SECOND
        while not publisher.step():
            pass
        assert not publisher.behind
    assert published.rows()[2]["micrograph"]
    assert published.rows()[2]["problem"] == ""


def test_what_could_not_be_rendered_since_cryowatch_was_ending_is_not_given_up(published: Published) -> None:
    published.images.close()
    publisher = published.publisher()
    publisher.stop()
    publisher.finish()
    assert published.rows() == []
    published.images = ImageServer(published.watched.store.data_dir / "images")
    assert published.publisher().finish()
    assert len(published.rows()) == 8


def test_a_changed_micrograph_is_published_anew(published: Published) -> None:
    publisher = published.publisher()
    publisher.finish()
    _, spectrum, _ = paths(published.project)[0]
    shutil.copy(published.project / paths(published.project)[1][1], published.project / spectrum)
    change(published.project / CTFS, 1, resolution=4.2)
    published.watched.look()
    before = published.rows()[0]["seq"]
    assert publisher.finish()
    assert published.rows()[0]["seq"] > before
    assert len(published.files()) == 24, "under the same names"


def dated_anew(published: Published) -> None:
    """Give every estimate another time, and read that."""
    execute(published.project / CTFS, "UPDATE Objects SET creation = '2026-01-01 00:00:0' || id")
    published.watched.look()


def test_one_whose_time_changes_while_it_waits_is_published_once(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> SinkError:
        published.target.failure = None
        dated_anew(published)
        return SinkAway("cannot be reached", where="sftp://host/folder")

    monkeypatch.setattr(module, "AT_ONCE", 1)
    published.target.failure = away
    published.target.takes = 0
    assert published.publisher().finish()
    assert len(published.rows()) == 8
    assert len(published.target.put_names) <= 24 + 2, "but for two that were under way with the one that failed"
    assert set(published.target.put_names) == set(published.files())


def test_one_whose_time_changes_while_it_is_put_off_is_not_forgotten(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    micrograph, _, _ = paths(published.project)[0]
    whole = (published.project / micrograph).read_bytes()
    (published.project / micrograph).write_bytes(whole[:5000])
    published.now = published.watched.items()[1]["time"] + 10 * SECOND
    publisher = published.publisher()
    keep = publisher._keep

    def kept(publications: Sequence[Publication]) -> None:
        keep(publications)
        if (published.project / micrograph).stat().st_size < len(whole):
            (published.project / micrograph).write_bytes(whole)
            dated_anew(published)
            published.now += 60 * SECOND

    monkeypatch.setattr(publisher, "_keep", kept)
    assert publisher.finish()
    rows = published.rows()
    assert len(rows) == 8
    assert all(row["micrograph"] for row in rows)


def test_what_changes_while_its_images_are_rendered_is_published_anew(published: Published) -> None:
    def other() -> None:
        published.target.told = lambda: None
        change(published.project / CTFS, 1, psdFile=paths(published.project)[1][1])
        published.watched.look()

    published.target.told = other
    assert published.publisher().finish()
    first, second, *_ = published.rows()
    assert int(first["item"]) == 1
    spectra = [(published.target._path / row["power_spectrum"]).read_bytes() for row in (first, second)]
    assert spectra[0] == spectra[1]


def test_old_micrographs_may_be_left_out(published: Published) -> None:
    assert published.publisher(days=1).finish()
    assert published.rows() == []


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\nb", 'q"q', "<script>alert(1)</script>", "🧊", ".", "-rf", "x" * 400]
)
def test_no_name_leads_out_of_the_folder(published: Published, name: str) -> None:
    published.project.rename(published.project.with_name("p"))
    row = {
        "name": name,
        "host": "h",
        "session_path": "/p",
        "micrograph_path": "m.mrc",
        "power_spectrum_path": "",
        "shift_plot_path": "",
    }
    found = file_name(row, ImageKind.MICROGRAPH, "image/jpeg")
    assert checked(f"small/{found}")
    other = {**row, "host": "i"}
    assert file_name(other, ImageKind.MICROGRAPH, "image/jpeg") != found, "two hosts do not overwrite each other's"


def test_a_hostile_micrograph_is_published_below_its_project(published: Published) -> None:
    execute(
        published.project / CTFS,
        f"UPDATE Objects SET {column(published.project)} = '../../<b>\"' || char(10) || '🧊' WHERE id = 1",
    )
    published.watched.look()
    assert published.publisher().finish()
    assert len(published.files()) == 24
    assert all(name.startswith("small/") for name in published.files())
    assert sorted(p.name for p in published.target._path.parent.iterdir()) == ["data", "public", "small"]


def column(project: Path) -> str:
    from tests.support.projects import columns  # noqa: PLC0415

    return columns(project / CTFS)["_micObj._micName"]
