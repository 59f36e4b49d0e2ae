"""Micrographs are taken home from the pages: those that are shown, or of them the good ones, as CSV with units."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from cryowatch.access.role import Role
from cryowatch.records import Micrograph, quantities
from cryowatch.settings.web import Web
from cryowatch.store.reader import Row
from cryowatch.store.selection import Selection
from tests.support.browsing import Visit
from tests.support.people import PASSWORD, Person, add_account, shared
from tests.support.serving import Served, demo_project, serving


@pytest.fixture
def grace(served: Served) -> Iterator[Person]:
    """An operator who is logged in."""
    person = Person(served, "grace")
    yield person
    person.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("export")
    add_account(folder / "data", "grace", Role.OPERATOR)
    with serving([demo_project(folder / "demo", 40)], folder / "data", web=Web()) as found:
        yield found


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def estimates(served: Served) -> list[Row]:
    """Return what is shown of the session, the oldest first."""
    reader = served.store.reader()
    outputs = reader.leading(reader.session("demo")["id"]).shown.ids
    return reader.micrographs(Selection(outputs=outputs, descending=False), offset=0, limit=500)[1]


def test_what_is_shown_comes_as_csv_with_units_and_times_of_utc(served: Served, grace: Person) -> None:
    answer = grace.get("/api/sessions/demo/export?sort=time&order=asc")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="demo-micrographs.csv"'
    rows, stored = rows_of(answer.text), estimates(served)
    assert [row["name"] for row in rows] == [row["name"] for row in stored]
    defocus = quantities(Micrograph)["defocus"]
    assert [row["defocus (µm)"] for row in rows] == [
        "" if row["defocus"] is None else str(defocus.shown(row["defocus"])) for row in stored
    ]
    assert all(row["time (UTC)"].endswith("Z") for row in rows)


def test_who_has_a_link_gets_no_paths_and_no_other_session(served: Served, grace: Person) -> None:
    guest = shared(served, grace)
    found = guest.get("/api/sessions/demo/export")
    assert found.status_code == 200
    assert not [head for head in rows_of(found.text)[0] if "path" in head]
    assert str(served.store.data_dir.parent) not in found.text
    assert guest.get("/api/sessions/nobody/export").status_code == 404
    guest.close()
    nobody = Person(served)
    assert nobody.get("/api/sessions/demo/export").status_code == 401
    nobody.close()


@pytest.mark.browser
def test_somebody_downloads_the_defocus_of_the_good_ones(browser: Browser, served: Served, grace: Person) -> None:
    visit = Visit(browser, served.address)
    page = visit.go("/s/demo/ctf?resolution_max=5")
    page.get_by_label("Name").fill("grace")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.locator("#export summary").click()
    with page.expect_download() as begun:
        page.get_by_role("link", name="The good ones").click()
    expect(page.locator("#export")).not_to_have_attribute("open", "")
    assert begun.value.suggested_filename == "demo-micrographs.csv"
    text = Path(begun.value.path()).read_text(encoding="utf-8")
    good = grace.json("/api/sessions/demo/micrographs?good=1&resolution_max=5&limit=500")["micrographs"]
    assert 0 < len(good) < len(estimates(served))
    assert {row["name"] for row in rows_of(text)} == {row["name"] for row in good}
    assert all(float(row["defocus (µm)"]) > 0 for row in rows_of(text))
    visit.close()
