"""What is newest in a live session is rendered before anybody asks, and nothing else is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cryowatch.images import ImageServer, Rendered, Subject, subject
from cryowatch.images.process import Worker
from cryowatch.records import ImageKind
from cryowatch.store import Change
from cryowatch.web import ahead
from cryowatch.web.ahead import SIZES, Ahead
from tests.publish.images import draw, paths
from tests.support.image_files import tiff
from tests.support.projects import CTFS, Watched, change, execute, genuine


class Ready:
    """A genuine project whose newest images are rendered ahead, and the names of the files that were rendered."""

    def __init__(self, folder: Path, rendered: list[str]) -> None:
        self.watched = Watched(genuine(folder), folder / "data")
        draw(self.watched.project)
        self.images = ImageServer(folder / "images")
        self.rendered = rendered
        self.ahead = Ahead(self.watched.store.reader(), self.images)
        self._thread = threading.Thread(target=self.ahead.run)
        self._thread.start()

    def look(self) -> None:
        """Read the project, and tell of it as the agent does."""
        self.watched.look()
        self.ahead.heard(Change(session=self.watched.watch.session, key=self.watched.watch.key, seq=1, generation=0))

    def until(self, count: int) -> None:
        end = time.monotonic() + 20
        while len(self.rendered) < count and time.monotonic() < end:
            time.sleep(0.02)
        assert len(self.rendered) >= count

    def close(self) -> None:
        self.ahead.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.images.close()
        self.watched.close()


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ready]:
    rendered: list[str] = []
    really = Worker.render

    async def render(worker: Worker, made_of: Subject, size: int) -> Rendered:
        assert made_of.path is not None
        rendered.append(made_of.path.name)
        return await really(worker, made_of, size)

    monkeypatch.setattr(Worker, "render", render)
    made = Ready(tmp_path, rendered)
    yield made
    made.close()


def test_nobody_waits_for_the_newest_images(ready: Ready) -> None:
    ready.look()
    ready.until(24)
    (newest,) = [row for row in ready.watched.items().values() if row["item"] == 8]
    row = {**newest, "session_path": str(ready.watched.project)}
    for kind in ImageKind:
        asyncio.run(ready.images.image(subject(row, kind, lambda: None), SIZES[kind]))
    assert len(ready.rendered) == 24, "they come from disk"


def test_only_the_newest_few_are_rendered_and_each_once(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "NEWEST", 2)
    execute(ready.watched.project / CTFS, "UPDATE Objects SET creation = '2026-01-01 00:00:0' || id")
    ready.look()
    ready.until(6)
    assert all("000007" in name or "000008" in name for name in ready.rendered)
    ready.look()
    ready.look()
    time.sleep(0.1)
    assert len(ready.rendered) == 6


def test_a_session_that_has_ended_is_left_alone(ready: Ready) -> None:
    ready.watched.look()
    with ready.watched.store._transaction() as tx:
        tx.execute("UPDATE session SET status = 'finished'")
    ready.ahead.heard(Change(session=ready.watched.watch.session, key=ready.watched.watch.key, seq=1, generation=0))
    time.sleep(0.1)
    assert ready.rendered == []


def test_an_image_that_comes_later_is_tried_again(ready: Ready) -> None:
    micrograph, _, _ = paths(ready.watched.project)[7]
    file = ready.watched.project / micrograph
    away = file.rename(file.with_suffix(".away"))
    ready.look()
    ready.until(21)
    away.rename(file)
    ready.look()
    ready.until(24)
    assert file.name in ready.rendered


def test_a_kind_of_image_that_is_not_shown_is_not_tried_again(ready: Ready) -> None:
    for number, micrograph in enumerate((micrograph for micrograph, _, _ in paths(ready.watched.project)), start=1):
        file = (ready.watched.project / micrograph).with_suffix(".tif")
        tiff(file, np.zeros((8, 8)))
        change(
            ready.watched.project / CTFS, number, **{"micObj._filename": str(file.relative_to(ready.watched.project))}
        )
    ready.look()
    ready.until(24)
    ready.look()
    ready.look()
    time.sleep(0.1)
    assert len(ready.rendered) == 24
