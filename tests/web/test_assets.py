"""Scripts and styles: kept by browsers until another release, asked for all at once, and never another file's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cryowatch.web.assets import FOLDER, Assets
from tests.support.browsing import Visit
from tests.support.projects import genuine
from tests.support.serving import Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("assets")
    with serving([genuine(folder)], folder / "data") as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of scripts that import each other in a circle, and one that nobody imports."""
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "charts.js").write_text('export const x = "a large file"; import"./nowhere.js";\n' * 50)
    (tmp_path / "page.js").write_text(
        'import { a } from "./a.js";\nimport {\n  b,\n} from "./b.js";\nconsole.log(a, b);\n'
    )
    (tmp_path / "a.js").write_text('import * as charts from "./vendor/charts.js";\nimport { b } from "./b.js";\n')
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\n')
    (tmp_path / "other.js").write_text("export const other = 1;\n")
    return tmp_path


def test_a_page_is_told_of_every_script_that_it_needs_the_largest_first(folder: Path) -> None:
    assets = Assets(folder)
    assets.look()
    mark = assets.address("").split("/")[2]
    found = assets.modules("page.js")
    assert found[0] == f"/static/{mark}/vendor/charts.js"
    assert sorted(found) == [f"/static/{mark}/{name}.js" for name in ("a", "b", "page", "vendor/charts")]


def test_a_file_that_changed_has_another_address_and_its_old_one_gives_what_is_there_now(folder: Path) -> None:
    assets = Assets(folder)
    with TestClient(Starlette(routes=list(assets.routes()))) as client:
        assets.look()
        old = assets.address("b.js")
        assert "immutable" in client.get(old).headers["cache-control"]
        (folder / "b.js").write_text("export const b = 2;\n")
        answer = client.get(old)
        assert answer.text == "export const b = 2;\n"
        assert answer.headers["cache-control"] == "no-cache"
        new = assets.address("b.js")
        assert new != old
        assert "immutable" in client.get(new).headers["cache-control"]
        (folder / "b.js").unlink()
        assert client.get(new).status_code == 404


@pytest.mark.parametrize("name", sorted(str(f.relative_to(FOLDER)) for f in FOLDER.rglob("*") if f.is_file()))
def test_every_file_comes_as_it_is_compressed_or_not(served: Served, name: str) -> None:
    for encoding in ("gzip, deflate, br", "identity"):
        answer = served.client.get(f"/static/{name}", headers={"Accept-Encoding": encoding})
        assert answer.content == (FOLDER / name).read_bytes()
        assert answer.headers.get("content-encoding") == ("gzip" if "gzip" in encoding else None)
        assert answer.headers["cache-control"] == "no-cache"
        again = served.client.get(f"/static/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["", "nothing.js", "vendor", "vendor/", "0123456789ab/", "0123456789ab/nothing.js", "../app.py",
             "0123456789ab/../app.py", "0123456789ab//etc/passwd", "0123456789ab/0123456789ab/base.css"]
)  # fmt: skip
def test_nothing_else_is_there(served: Served, path: str) -> None:
    assert served.client.get(f"/static/{path}").status_code == 404


@pytest.mark.browser
def test_a_browser_asks_for_all_at_once_and_on_the_next_page_for_nothing(browser: Browser, served: Served) -> None:
    visit = Visit(browser, served.address)
    page = visit.go("/s/small/ctf")
    page.wait_for_selector("body[data-ready=yes]")
    scripts = [url for url in visit.requests if url.endswith(".js")]
    told = re.findall(r'rel="modulepreload" href="([^"]+)"', served.client.get("/s/small/ctf").text)
    theme, line = (next(url for url in scripts if url.endswith(name)) for name in ("/theme.js", "/shared-line.js"))
    assert sorted(scripts) == sorted([theme, line, *(f"{served.address}{url}" for url in told)])
    page = visit.go("/s/small/summary")
    page.wait_for_selector("body[data-ready=yes]")
    fetched = page.evaluate(
        "performance.getEntriesByType('resource').filter((e) => e.name.includes('/static/'))"
        ".map((e) => [e.name, e.transferSize])"
    )
    assert len(fetched) > 30
    assert [name for name, size in fetched if size] == []
    visit.close(tolerant=True)  # of micrographs without images
