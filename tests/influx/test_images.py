"""The gallery's rows in InfluxDB and the files behind their addresses agree, for both layouts."""

from __future__ import annotations

import functools
import html
import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from tests.influx.test_watch import config, run
from tests.publish.images import draw, paths
from tests.support.influxd import InfluxServer
from tests.support.projects import CTFS, genuine, scipion_values

PREFIX = "/public/img/scipionbox"
GALLERY = (
    'SELECT "ctfID", "micPath", "shiftPlotPath", "psdPath", "defocusU"/10000. AS "Defocus U (mic)", "astigmatism",'
    ' "resolution", "fitQuality", "ratio", "phaseShift" FROM /^small$/ WHERE ("section" = \'ctf\') AND'
    ' ("transferImage"=true) AND time > 0'
)
"""The query of the published gallery (grafana.com 12355)."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def web_server(folder: Path) -> Iterator[httpx2.Client]:
    """Serve a folder as Grafana's host does: what is published lies below its image folder."""
    root = folder / "grafana"
    place = root / PREFIX.strip("/")
    place.parent.mkdir(parents=True)
    place.symlink_to(folder / "public_html")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{server.server_port}") as client:
            yield client
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def watch(folder: Path, database: InfluxServer, layout: str) -> Path:
    """Watch a genuine project once, as somebody would, with images published into a folder."""
    project = genuine(folder)
    draw(project)
    told = config(folder, database, layout=layout)
    told.write_text(told.read_text() + f'\n[images]\npublish = "file://{folder}/public_html"\n')
    for _ in range(2):
        done = run(folder, "watch", project, "--once", "--data-dir", folder / "data", "--config", told)
        assert done.returncode == 0, done.stderr
    return project


def pixels(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format in ("JPEG", "PNG")
        return image.size


def test_the_published_gallery_shows_the_images_of_a_genuine_project(tmp_path: Path, database: InfluxServer) -> None:
    watch(tmp_path, database, "scipion")
    rows = database.rows(GALLERY)
    assert [row["ctfID"] for row in rows] == [item["item"] for item in scipion_values()[CTFS]]
    with web_server(tmp_path) as web:
        for row, item in zip(rows, scipion_values()[CTFS], strict=True):
            assert row["Defocus U (mic)"] == pytest.approx(item["defocus_u"] / 1e4)
            for cell in ("micPath", "psdPath", "shiftPlotPath"):
                found = re.fullmatch(
                    r'<a href="([^"]+)" target="_blank"><img src="([^"]+)" width="128"></a>', row[cell]
                )
                assert found is not None
                assert found[1] == found[2]
                assert found[1].startswith(f"{PREFIX}/small/")
                answer = web.get(html.unescape(found[1]))
                assert answer.status_code == 200
                assert max(pixels(answer.content)) <= 512


def test_our_gallery_has_rows_only_of_what_is_there(tmp_path: Path, database: InfluxServer) -> None:
    project = watch(tmp_path, database, "cryowatch")
    rows = database.rows('SELECT "ctfID", "micUrl", "psdUrl", "shiftUrl", "defocusU" FROM "image"')
    assert len(rows) == len(paths(project))
    addresses = [row[url] for row in rows for url in ("micUrl", "psdUrl", "shiftUrl")]
    with web_server(tmp_path) as web:
        assert all(web.get(address).status_code == 200 for address in addresses)
    published = {str(p.relative_to(tmp_path / "public_html")) for p in (tmp_path / "public_html").rglob("*.*")}
    assert {address.removeprefix(f"{PREFIX}/") for address in addresses} == published


def test_without_images_there_is_no_row_in_the_gallery(tmp_path: Path, database: InfluxServer) -> None:
    project = genuine(tmp_path)
    told = config(tmp_path, database, layout="scipion")
    told.write_text(told.read_text() + f'\n[images]\npublish = "file://{tmp_path}/public_html"\n')
    done = run(tmp_path, "watch", project, "--once", "--data-dir", tmp_path / "data", "--config", told)
    assert done.returncode == 0, done.stderr
    assert database.rows(GALLERY) == []
    assert len(database.rows("SELECT ctfID FROM small WHERE section = 'ctf'")) == 8
