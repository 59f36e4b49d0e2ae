"""Images come from worker processes and from disk: each is rendered once, and a bad one takes nothing else along."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from PIL import Image

from cryowatch.errors import ImageAway, ImageError, ImageIncomplete, ImageMissing, ImageUnreadable, ImageUnsupported
from cryowatch.images import ImageServer, Rendered, Subject
from cryowatch.images import process as process_module
from cryowatch.images import server as server_module
from cryowatch.images.process import Worker
from cryowatch.records import ImageKind
from tests.support.image_files import tiff


def shown(path: Path, kind: ImageKind = ImageKind.MICROGRAPH) -> Subject:
    return Subject(kind=kind, path=path)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that workers were asked to render, in order."""
    names: list[str] = []
    really = Worker.render

    async def render(worker: Worker, subject: Subject, size: int) -> Rendered:
        assert subject.path is not None
        names.append(subject.path.name)
        return await really(worker, subject, size)

    monkeypatch.setattr(Worker, "render", render)
    return names


def written(path: Path, value: float = 0.0, *, size: int = 300) -> Path:
    """Write a micrograph that is dark but for a square, which is the larger the greater `value`."""
    plane = np.zeros((size, size), np.float32)
    side = int(size * (0.3 + value))
    plane[:side, :side] = 1
    mrcfile.write(path, plane, overwrite=True)
    return path


def noisy(path: Path, seed: int) -> Path:
    """Write a micrograph that has a power spectrum."""
    mrcfile.write(path, np.random.default_rng(seed).normal(0, 1, (128, 128)).astype(np.float32), overwrite=True)
    return path


def brightness(image: Rendered) -> float:
    with Image.open(io.BytesIO(image.data)) as opened:
        assert opened.get_format_mimetype() == image.media_type
        return float(np.asarray(opened).mean())


def serve(
    folder: Path, use: Callable[[ImageServer], Awaitable[None]], *, workers: int = 1, cache_bytes: int = 10**8
) -> None:
    """Use an image server as the agent does: from one event loop, closed at the end."""

    async def run() -> None:
        images = ImageServer(folder, workers=workers, cache_bytes=cache_bytes)
        try:
            await use(images)
        finally:
            images.close()

    asyncio.run(run())


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not found():
            await asyncio.sleep(0.01)


def worker_of(images: ImageServer) -> asyncio.subprocess.Process:
    (process,) = [worker.process for worker in images._crew if worker.process is not None]
    return process


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Stuck:
    """An image whose worker is stopped as soon as it is asked for it, as one that waits for a disk for ever."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = written(path)
        self._read = False
        really = Worker._ask

        async def ask(worker: Worker, subject: Subject, size: int) -> Rendered:
            if subject.path == path:
                worker.process = worker.process or await worker._start()
                os.kill(worker.process.pid, signal.SIGSTOP)
                self._read = True
            return await really(worker, subject, size)

        monkeypatch.setattr(Worker, "_ask", ask)

    def is_being_read(self) -> bool:
        return self._read


def test_ten_who_ask_at_once_get_one_rendering(tmp_path: Path, rendered: list[str]) -> None:
    path = written(tmp_path / "1.mrc")

    async def use(images: ImageServer) -> None:
        found = await asyncio.gather(*(images.image(shown(path), 256) for _ in range(10)))
        assert len({image.data for image in found}) == 1
        assert rendered == ["1.mrc"]

    serve(tmp_path / "images", use)


def test_the_second_time_an_image_comes_from_disk(tmp_path: Path, rendered: list[str]) -> None:
    path = written(tmp_path / "1.mrc")
    plot = tmp_path / "2.png"
    Image.new("RGB", (50, 50), "red").save(plot)

    async def use(images: ImageServer) -> None:
        first = [await images.image(shown(path), 256), await images.image(shown(plot, ImageKind.SHIFT_PLOT), 256)]
        again = [await images.image(shown(path), 256), await images.image(shown(plot, ImageKind.SHIFT_PLOT), 256)]
        assert again == first
        assert [image.media_type for image in again] == ["image/jpeg", "image/png"]
        assert rendered == ["1.mrc", "2.png"]

    serve(tmp_path / "images", use)


def test_a_spectrum_that_cannot_be_read_is_computed_and_follows_the_micrograph(
    tmp_path: Path, rendered: list[str]
) -> None:
    named = tmp_path / "1.psd"
    path = noisy(tmp_path / "1.mrc", 1)
    spectrum = Subject(kind=ImageKind.POWER_SPECTRUM, path=named, micrograph="1.mrc", project=tmp_path)

    async def use(images: ImageServer) -> None:
        named.write_text("no image at all " * 100)
        first = await images.image(spectrum, 256)
        assert first.computed == "1.psd: is not a SPIDER image"
        assert rendered == ["1.psd", "1.mrc"]
        assert (await images.image(spectrum, 256)) == first
        noisy(path, 2)
        os.utime(path, (1, 1))
        assert (await images.image(spectrum, 256)).data != first.data
        named.unlink()
        assert "1.psd: is not there" in (await images.image(spectrum, 256)).computed
        mrcfile.write(tmp_path / "2.mrc", np.ones((64, 64), np.float32))
        (tmp_path / "2.mrc").rename(named.with_suffix(".ctf"))
        own = await images.image(Subject(kind=spectrum.kind, path=named.with_suffix(".ctf")), 256)
        assert own.computed == ""
        path.unlink()
        with pytest.raises(ImageMissing, match=r"1\.psd: is not there"):
            await images.image(spectrum, 256)

    serve(tmp_path / "images", use)


def test_a_spectrum_that_still_grows_is_waited_for(tmp_path: Path) -> None:
    named = written(tmp_path / "psd.mrc")
    noisy(tmp_path / "1.mrc", 1)
    whole = named.read_bytes()
    named.write_bytes(whole[:5000])
    spectrum = Subject(kind=ImageKind.POWER_SPECTRUM, path=named, micrograph="1.mrc", project=tmp_path)

    async def use(images: ImageServer) -> None:
        with pytest.raises(ImageIncomplete):
            await images.image(spectrum, 256)
        named.write_bytes(whole)
        assert (await images.image(spectrum, 256)).computed == ""

    serve(tmp_path / "images", use)


def test_a_kind_of_image_that_is_not_shown_is_read_once(tmp_path: Path, rendered: list[str]) -> None:
    path = tiff(tmp_path / "1.tif", np.zeros((8, 8), np.float64))

    async def use(images: ImageServer) -> None:
        for _ in range(3):
            with pytest.raises(ImageUnsupported, match=r"^1\.tif: .*this kind of image is not shown$"):
                await images.image(shown(path), 256)
        assert rendered == ["1.tif"]
        Image.new("L", (50, 50)).save(path)
        assert (await images.image(shown(path), 256)).width == 50

    serve(tmp_path / "images", use)


def test_after_a_restart_no_worker_is_needed(tmp_path: Path, rendered: list[str]) -> None:
    path = written(tmp_path / "1.mrc")
    found: list[Rendered] = []

    async def use(images: ImageServer) -> None:
        found.append(await images.image(shown(path), 256))

    serve(tmp_path / "images", use)
    serve(tmp_path / "images", use)
    assert found[0] == found[1]
    assert rendered == ["1.mrc"]


def test_a_file_that_changed_is_rendered_anew(tmp_path: Path, rendered: list[str]) -> None:
    path = written(tmp_path / "1.mrc")

    async def use(images: ImageServer) -> None:
        before = await images.image(shown(path), 256)
        written(path, 0.4)
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
        after = await images.image(shown(path), 256)
        assert brightness(after) > brightness(before) + 50
        assert len(rendered) == 2

    serve(tmp_path / "images", use)


def test_sizes_are_rounded_up_to_few(tmp_path: Path, rendered: list[str]) -> None:
    path = written(tmp_path / "1.mrc", size=600)

    async def use(images: ImageServer) -> None:
        sizes = {}
        for asked in (1, 128, 129, 200, 256, 10**9, 10**6):
            image = await images.image(shown(path), asked)
            with Image.open(io.BytesIO(image.data)) as opened:
                sizes[asked] = max(opened.size)
        assert sizes == {1: 128, 128: 128, 129: 256, 200: 256, 256: 256, 10**9: 600, 10**6: 600}
        assert len(rendered) == 3

    serve(tmp_path / "images", use)


def test_failures_are_told_and_the_next_image_is_shown(tmp_path: Path) -> None:
    good = written(tmp_path / "good.mrc")
    (tmp_path / "text.mrc").write_text("no image\n" * 500)
    (tmp_path / "short.mrc").write_bytes(good.read_bytes()[:5000])

    async def use(images: ImageServer) -> None:
        expected: list[tuple[str, type[ImageError], str]] = [
            ("missing.mrc", ImageMissing, "missing.mrc: is not there"),
            ("text.mrc", ImageUnreadable, "text.mrc: has an MRC header that cannot be right"),
            ("short.mrc", ImageIncomplete, "may still be being written"),
        ]
        for name, kind, text in expected:
            with pytest.raises(ImageError, match=text) as caught:
                await images.image(shown(tmp_path / name), 128)
            assert type(caught.value) is kind
        process = None
        for _ in range(2):
            assert brightness(await images.image(shown(good), 128)) > 0
            process = process or worker_of(images)
        assert worker_of(images) is process, "it did not have to be started again"

    serve(tmp_path / "images", use)


def test_a_growing_file_is_shown_once_it_is_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "1.mrc")
    whole = path.read_bytes()
    path.write_bytes(whole[:9000])

    async def use(images: ImageServer) -> None:
        with pytest.raises(ImageIncomplete):
            await images.image(shown(path), 128)
        path.write_bytes(whole)
        assert brightness(await images.image(shown(path), 128)) > 0

    serve(tmp_path / "images", use)


def test_a_worker_killed_in_the_middle_takes_only_its_image_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = written(tmp_path / "good.mrc")
    stuck = Stuck(tmp_path / "stuck.mrc", monkeypatch)

    async def use(images: ImageServer) -> None:
        asked = asyncio.create_task(images.image(shown(stuck.path), 128))
        await until(stuck.is_being_read)
        waiting = asyncio.create_task(images.image(shown(good), 128))
        os.kill(worker_of(images).pid, signal.SIGKILL)
        with pytest.raises(ImageAway, match=r"stuck\.mrc: could not be shown: the process that renders it ended"):
            await asked
        assert brightness(await waiting) > 0

    serve(tmp_path / "images", use)


def test_an_image_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = written(tmp_path / "good.mrc")
    stuck = Stuck(tmp_path / "stuck.mrc", monkeypatch)

    async def use(images: ImageServer) -> None:
        await images.image(shown(good), 128)
        pid = worker_of(images).pid
        with monkeypatch.context() as patched:
            patched.setattr(process_module, "RENDER_SECONDS", 0.3)
            with pytest.raises(ImageAway, match=r"took longer than .* Is its disk slow or unreachable\?"):
                await images.image(shown(stuck.path), 128)
        await until(lambda: not alive(pid))
        assert brightness(await images.image(shown(good), 256)) > 0

    serve(tmp_path / "images", use)


class Unkillable:
    """A process that the system holds in a file system: killed, it stays."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.released = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._process, name)

    async def wait(self) -> int:
        await self.released.wait()
        return await self._process.wait()


def test_processes_that_a_dead_disk_holds_leave_nobody_waiting_and_get_no_successors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, kept = written(tmp_path / "good.mrc"), written(tmp_path / "kept.mrc")
    stuck = Stuck(tmp_path / "stuck.mrc", monkeypatch)
    monkeypatch.setattr(process_module, "RENDER_SECONDS", 0.5)
    monkeypatch.setattr(server_module, "ENDING_SECONDS", 0.1)
    held: list[Unkillable] = []
    really = Worker._start

    async def start(worker: Worker) -> asyncio.subprocess.Process:
        held.append(Unkillable(await really(worker)))
        return held[-1]  # type: ignore[return-value]

    async def use(images: ImageServer) -> None:
        await images.image(shown(kept), 128)
        next(iter(images._crew)).kill()
        monkeypatch.setattr(Worker, "_start", start)
        asked = asyncio.create_task(images.image(shown(stuck.path), 128))
        await until(stuck.is_being_read)
        waiting = asyncio.create_task(images.image(shown(good), 128))
        for one in (asked, waiting, asyncio.create_task(images.image(shown(good), 256))):
            with pytest.raises(ImageAway, match=r"Is its disk slow|its disk does not answer"):
                await one
        assert brightness(await images.image(shown(kept), 128)) > 0, "what is rendered already is shown"
        assert len(held) == 1
        assert images._loop is not None
        images._loop.call_soon_threadsafe(held[0].released.set)
        monkeypatch.setattr(process_module, "RENDER_SECONDS", 20)
        await until(lambda: not images._crew._stuck)
        assert brightness(await images.image(shown(good), 128)) > 0
        held[1].released.set()

    serve(tmp_path / "images", use)


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`."""
    for place in ("/dev/shm", tempfile.gettempdir()):
        if Path(place).stat().st_dev != tmp_path.stat().st_dev:
            with tempfile.TemporaryDirectory(dir=place) as folder:
                yield Path(folder)
            return
    pytest.skip("there is one file system alone")


def test_a_rendering_that_takes_long_holds_up_those_from_its_disk_alone(
    tmp_path: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch, rendered: list[str]
) -> None:
    monkeypatch.setattr(server_module, "SLOW_SECONDS", 0.1)
    stuck, good = Stuck(other_disk / "stuck.mrc", monkeypatch), written(tmp_path / "good.mrc")
    beside = [written(other_disk / f"{number}.mrc") for number in range(3)]

    async def use(images: ImageServer) -> None:
        asked = asyncio.create_task(images.image(shown(stuck.path), 128))
        await until(stuck.is_being_read)
        waiting = [asyncio.create_task(images.image(shown(path), 128)) for path in beside]
        async with asyncio.timeout(process_module.RENDER_SECONDS / 2):
            for size in (128, 256):
                assert brightness(await images.image(shown(good), size)) > 0
        assert rendered == ["stuck.mrc", "good.mrc", "good.mrc"]
        assert len([worker for worker in images._crew if worker.process is not None]) == 2
        next(worker for worker in images._crew if worker.process is not None).kill()
        with pytest.raises(ImageAway):
            await asked
        assert all(brightness(image) > 0 for image in await asyncio.gather(*waiting))

    serve(tmp_path / "images", use)


def test_a_disk_that_does_not_answer_holds_no_other_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = written(tmp_path / "good.mrc")
    again = threading.Event()
    monkeypatch.setattr(server_module, "LOOK_SECONDS", 0.2)

    def look() -> None:
        again.wait(30)

    async def use(images: ImageServer) -> None:
        async with asyncio.timeout(60):
            held = [images.look(look, "dead.mrc", "/dead") for _ in range(3 * server_module.MOST_HANGING)]
            for result in await asyncio.gather(*held, return_exceptions=True):
                assert str(result) == "dead.mrc: could not be looked at in 0 s. Is its disk slow or unreachable?"
            assert brightness(await images.image(shown(good), 128)) > 0

    serve(tmp_path / "images", use)
    again.set()


def test_who_goes_away_does_not_take_the_image_from_the_others(tmp_path: Path, rendered: list[str]) -> None:
    path = written(tmp_path / "1.mrc")

    async def use(images: ImageServer) -> None:
        first = asyncio.create_task(images.image(shown(path), 128))
        second = asyncio.create_task(images.image(shown(path), 128))
        await until(lambda: bool(rendered))
        first.cancel()
        assert brightness(await second) > 0
        assert first.cancelled()
        assert rendered == ["1.mrc"]

    serve(tmp_path / "images", use)


def test_two_workers_do_not_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = written(tmp_path / "good.mrc")
    stuck = Stuck(tmp_path / "stuck.mrc", monkeypatch)

    async def use(images: ImageServer) -> None:
        asked = asyncio.create_task(images.image(shown(stuck.path), 128))
        await until(stuck.is_being_read)
        assert brightness(await images.image(shown(good), 128)) > 0
        asked.cancel()

    serve(tmp_path / "images", use, workers=2)


def test_a_worker_without_work_ends_and_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "IDLE_SECONDS", 0.05)
    path = written(tmp_path / "1.mrc")

    async def use(images: ImageServer) -> None:
        assert all(worker.process is None for worker in images._crew), "none before the first need"
        await images.image(shown(path), 128)
        process = worker_of(images)
        await until(lambda: process.returncode is not None)
        assert process.returncode == 0
        await images.image(shown(path), 256)
        assert worker_of(images).pid != process.pid

    serve(tmp_path / "images", use)


def test_closing_ends_the_worker_even_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck(tmp_path / "stuck.mrc", monkeypatch)
    pids = []

    async def use(images: ImageServer) -> None:
        asked = asyncio.create_task(images.image(shown(stuck.path), 128))
        await until(stuck.is_being_read)
        pids.append(worker_of(images).pid)
        images.close()
        with pytest.raises(ImageAway):
            await asked

    serve(tmp_path / "images", use)
    assert not alive(pids[0])


def test_the_folder_that_the_agent_was_started_in_gives_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "numpy", "PIL", "cryowatch"):
        (tmp_path / f"{name}.py").write_text("from pathlib import Path\nPath('ran').touch()\nraise SystemExit(1)\n")
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "1.mrc")

    async def use(images: ImageServer) -> None:
        assert brightness(await images.image(shown(path), 128)) > 0

    serve(tmp_path / "images", use)
    assert not (tmp_path / "ran").exists()


def test_kept_images_stay_below_the_limit(tmp_path: Path, rendered: list[str]) -> None:
    paths = [written(tmp_path / f"{i}.mrc", i / 100) for i in range(12)]

    async def use(images: ImageServer) -> None:
        for path in paths:
            await images.image(shown(path), 128)
        kept = [path.stat().st_size for path in (tmp_path / "images").rglob("*") if path.is_file()]
        assert 0 < sum(kept) <= 3000
        assert len(kept) < len(paths)
        before = len(rendered)
        await images.image(shown(paths[-1]), 128)
        assert len(rendered) == before, "the newest is kept"
        await images.image(shown(paths[0]), 128)
        assert len(rendered) == before + 1, "the oldest is rendered again"

    serve(tmp_path / "images", use, cache_bytes=3000)


def test_names_that_are_hard_to_write_are_shown(tmp_path: Path) -> None:
    names = ["a b'\"\\.mrc", "new\nline.mrc", "µ-Ångström.mrc", os.fsdecode(b"caf\xe9.mrc"), "[1, 2].mrc"]
    paths = [written(tmp_path / "plain.mrc").rename(tmp_path / name) for name in names]

    async def use(images: ImageServer) -> None:
        for path in paths:
            assert brightness(await images.image(shown(path), 128)) > 0

    serve(tmp_path / "images", use)


def test_an_image_is_shown_where_none_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("a file where the folder should be")
    path = written(tmp_path / "1.mrc")

    async def use(images: ImageServer) -> None:
        for _ in range(2):
            assert brightness(await images.image(shown(path), 128)) > 0

    serve(tmp_path / "images", use)
