"""Published files of a session that was forgotten go where that is wanted, from a folder and from a real sshd."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryowatch.errors import SinkAway
from cryowatch.forgetting.forgetter import Forgetter
from cryowatch.images.cache import kept_of
from cryowatch.publish.folder import Folder
from cryowatch.publish.sftp import Sftp
from cryowatch.publish.ssh import Access, Place
from cryowatch.store import Publication
from tests.publish.images import draw
from tests.publish.test_publisher import Published
from tests.support.sshd import Sshd


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Published]:
    made = Published(tmp_path)
    draw(made.project)
    made.watched.look()
    assert made.publisher().finish()
    strange = made.target._path / "small" / "from-elsewhere.jpg"
    strange.write_bytes(b"another machine's")
    yield made
    made.images.close()
    made.watched.close()


def forget(published: Published, *, images: bool) -> None:
    forgetter = Forgetter(published.watched.store)
    session = published.watched.store.reader().session("small")
    forgetter.forget(session, author="ada", influxdb=False, images=images)
    forgetter.finish()


def test_files_that_cryowatch_published_go_and_no_others(published: Published) -> None:
    assert len(published.files()) == 25
    forget(published, images=True)
    publisher = published.publisher()
    assert publisher.status().behind == 24
    assert publisher.finish()
    assert published.files() == ["small/from-elsewhere.jpg"]
    assert publisher.status().behind == 0


def test_they_stay_unless_that_is_wanted(published: Published) -> None:
    forget(published, images=False)
    assert published.publisher().finish()
    assert len(published.files()) == 25


def test_a_folder_that_somebody_deleted_meanwhile_is_no_trouble(published: Published) -> None:
    forget(published, images=True)
    for name in published.files():
        (published.target._path / name).unlink()
    (published.target._path / "small").rmdir()
    assert published.publisher().finish()
    assert not (published.target._path / "small").exists()


def test_a_target_that_is_away_loses_them_once_it_is_back(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(published, images=True)

    async def away(name: str) -> None:
        raise SinkAway("cannot be reached", where="file:///public")

    with monkeypatch.context() as gone:
        gone.setattr(published.target, "remove", away)
        publisher = published.publisher()
        assert not publisher.finish(tries=1)
        assert "cannot be reached" in publisher.status().problem
    assert published.publisher().finish(), "after a restart, too"
    assert published.files() == ["small/from-elsewhere.jpg"]


def test_a_file_that_was_on_its_way_when_it_was_forgotten_goes_too(published: Published) -> None:
    store = published.watched.store
    row = store.reader().rows("SELECT id, seq FROM micrograph ORDER BY id DESC LIMIT 1")[0]
    forget(published, images=True)
    assert published.publisher().finish()
    late = "small/late-0123456789abcdef-mic.jpg"
    asyncio.run(published.target.put(late, b"late"))
    store.publish(
        [Publication(micrograph_id=row["id"], seq=row["seq"], micrograph=late)], target=published.target.where, now=1
    )
    assert published.publisher().finish()
    assert published.files() == ["small/from-elsewhere.jpg"]


def test_what_is_remembered_is_published_again_and_stays(published: Published) -> None:
    store = published.watched.store
    forget(published, images=True)
    store.forgotten().remember(1)
    published.watched.look()
    publisher = published.publisher()
    assert publisher.finish()
    assert len(published.files()) == 25
    assert published.publisher().finish()
    assert len(published.files()) == 25


def test_its_rendered_images_go_and_those_of_others_stay(published: Published, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "images"
    (folder / "ab").mkdir(exist_ok=True)
    other = folder / "ab" / "other"
    other.write_bytes(b'["image/jpeg", 1, 1, 4, "0123456789abcdef"]\njpeg')
    assert len(list(kept_of(folder, published.project))) == 24
    forget(published, images=False)
    assert [path for path in folder.rglob("*") if path.is_file()] == [other]


def test_a_file_on_another_machine_is_removed_once_and_again(tmp_path: Path) -> None:
    sshd = Sshd(tmp_path / "sshd")
    try:
        place = Place(host="127.0.0.1", port=sshd.port, user=sshd.user, path=str(sshd.root))
        target = Sftp(place, Access(key_file=sshd.key, known_hosts=sshd.known_hosts))

        async def work() -> None:
            await target.put("alpha/one-mic.jpg", b"one")
            await target.put("alpha/two-mic.jpg", b"two")
            for name in ("alpha/one-mic.jpg", "alpha/one-mic.jpg", "beta/none-mic.jpg"):
                await target.remove(name)
            assert [path.name for path in sshd.root.rglob("*.jpg")] == ["two-mic.jpg"]
            await target.remove("alpha/two-mic.jpg")
            await target.close()

        asyncio.run(work())
        assert list(sshd.root.iterdir()) == []
    finally:
        sshd.stop()


def test_a_folder_is_not_made_by_removing_from_it(tmp_path: Path) -> None:
    asyncio.run(Folder(tmp_path / "public").remove("alpha/one-mic.jpg"))
    assert not (tmp_path / "public").exists()
