"""A message has the newest micrograph in it, and does not wait for one that does not come."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from PIL import Image

from cryowatch.errors import ImageUnreadable
from cryowatch.images import ImageServer, Rendered, Subject
from cryowatch.notices.mail import Mail, MailServer
from cryowatch.notices.picture import Pictures
from tests.notices.told import House, notifier, run
from tests.support import smtp
from tests.support.records import micrograph, reading, session, span


@pytest.fixture
def images(tmp_path: Path) -> Iterator[ImageServer]:
    server = ImageServer(tmp_path / "images")
    yield server
    server.close()


@pytest.fixture
def pictured(house: House, tmp_path: Path) -> int:
    """Return a session with two micrographs, of which the newer one is there."""
    project = tmp_path / "pictured"
    project.mkdir()
    plane = np.random.default_rng(1).normal(100, 10, (300, 400)).astype(np.float32)
    mrcfile.write(project / "2.mrc", plane)
    number = house.store.register(session(str(project))).session
    items = [micrograph(item, micrograph_path=f"{item}.mrc") for item in (1, 2)]
    house.store.commit(number, reading(span(items)), now=house.time.now)
    return number


class Hanging(ImageServer):
    """Never answers, as for a file on a dead disk."""

    def ask_for(
        self, find: Callable[[], Subject], size: int, *, name: str, project: str, ahead: bool = False
    ) -> Future[Rendered]:
        return Future()


class Dead(ImageServer):
    """Does not even come back, until its disk does."""

    asked = 0

    def ask_for(
        self, find: Callable[[], Subject], size: int, *, name: str, project: str, ahead: bool = False
    ) -> Future[Rendered]:
        self.asked += 1
        self.back.wait(60)
        raise ImageUnreadable("cannot be shown")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.back = threading.Event()


class Broken(ImageServer):
    """Can show nothing."""

    def ask_for(
        self, find: Callable[[], Subject], size: int, *, name: str, project: str, ahead: bool = False
    ) -> Future[Rendered]:
        raise ImageUnreadable("cannot be shown")


def test_the_newest_micrograph_is_in_the_mail(
    house: House, images: ImageServer, pictured: int, serving: Callable[..., smtp.MailServer]
) -> None:
    server = serving()
    mail = Mail(
        MailServer(host="localhost", port=server.port, security="none"), sender="a@example.org", to=["b@example.org"]
    )
    told = notifier(house, mail, pictures=Pictures(house.store.reader(), images))
    house.raise_(place={"session": pictured})
    run(told, house.time, 30)
    (got,) = server.answers.taken
    (part,) = (part for part in got.walk() if part.get_content_maintype() == "image")
    content = part.get_content()
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.size[0] / picture.size[1] == pytest.approx(4 / 3, rel=0.02)
    html = next(p for p in got.walk() if p.get_content_type() == "text/html").get_content()
    assert f"cid:{part['Content-ID'].strip('<>')}" in html


def test_a_message_does_not_wait_for_a_picture_that_does_not_come(house: House, pictured: int, tmp_path: Path) -> None:
    pictures = Pictures(house.store.reader(), Hanging(tmp_path / "none"), patience=0.2)
    begun = time.monotonic()
    assert pictures([pictured, house.session]) == {}
    assert time.monotonic() - begun < 30


def test_while_one_picture_hangs_no_other_is_asked_for(house: House, pictured: int, tmp_path: Path) -> None:
    dead = Dead(tmp_path / "none")
    pictures = Pictures(house.store.reader(), dead, patience=0.05)
    assert pictures([pictured]) == {}
    assert pictures([pictured]) == {}
    assert dead.asked == 1
    dead.back.set()
    assert pictures._thread is not None
    pictures._thread.join(5)
    assert pictures([pictured]) == {}
    assert dead.asked == 2


def test_a_disk_that_hangs_holds_up_no_thread_of_the_notices(
    house: House, images: ImageServer, pictured: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The project's files are looked at where all images' are, and given up there."""
    back = threading.Event()

    def hangs(*_: object) -> Subject:
        back.wait(20)
        raise ImageUnreadable("cannot be shown")

    monkeypatch.setattr("cryowatch.notices.picture.subject", hangs)
    pictures = Pictures(house.store.reader(), images, patience=0.3)
    assert pictures([pictured]) == {}
    assert pictures._thread is not None
    pictures._thread.join(5)
    assert not pictures._thread.is_alive()
    back.set()


def test_a_picture_that_cannot_be_made_is_left_out(house: House, pictured: int, tmp_path: Path) -> None:
    assert Pictures(house.store.reader(), Broken(tmp_path / "none"))([pictured]) == {}


def test_a_session_without_micrographs_has_none(house: House, images: ImageServer) -> None:
    assert Pictures(house.store.reader(), images)([house.session, 999]) == {}
