"""A report and the agent say the same of values on limits and edges, of failed and disabled ones, and of two grids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser

from cryowatch.records import OutputKind
from tests.report.agreement import differences
from tests.report.making import LATER, Sessions
from tests.report.test_browser import Opened
from tests.support import boundaries
from tests.support.records import SECOND, START, output, reading, run, session, span

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """Two grids, each with its estimates, the second later; and the micrographs of the first before its estimates."""
    made = Sessions(tmp_path_factory.mktemp("edges"))
    first = boundaries.estimates()
    second = boundaries.estimates(run="136", name="b", start=START + 600 * SECOND)
    late = [replace(second[0], item=500, name="late", time=LATER + 3600 * SECOND)]
    aligned = [replace(m, run="67", output="outputMicrographs", defocus_u=None, defocus_v=None) for m in first]
    known = made.store.register(session(str(made.folder / "edges"), name="edges"))
    made.store.commit(
        known.session,
        reading(
            span(first),
            span([*second, *late], run="136"),
            span(aligned, run="67", output="outputMicrographs"),
            session=session(str(made.folder / "edges"), name="edges"),
            runs=(
                run("67", label="motioncor", inputs="2.outputMovies"),
                run(inputs="67.outputMicrographs"),
                run("136", inputs="68.outputMicrographs"),
            ),
            outputs=(
                output("67", "outputMicrographs", kind=OutputKind.MICROGRAPHS, class_name="SetOfMicrographs"),
                output(),
                output("136"),
            ),
        ),
        now=LATER,
    )
    made.make(known.key)
    yield made
    made.close()


QUERIES = [{}, boundaries.LIMITS, {"from": (START + 300 * SECOND) // 10**6, "to": (START + 1200 * SECOND) // 10**6}]


@pytest.mark.parametrize("query", QUERIES, ids=["all", "limits", "window"])
def test_values_on_limits_and_edges_are_judged_alike(
    browser: Browser, sessions: Sessions, query: dict[str, float]
) -> None:
    visit = Opened(browser, sessions.folder / "report.html")
    assert differences(visit.page, sessions, query) == []
    visit.close()


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"min_defocus": "2.3", "max_defocus": "2.3"}, 2),
        ({"min_defocus": "4.1", "max_defocus": "4.1"}, 2),
        ({"min_astigmatism": "30.7", "max_astigmatism": "30.7"}, 2),
        ({"min_resolution": "4.7", "max_resolution": "4.7"}, 2),
        ({"fit": "0"}, 2 * 8),
        ({"fit": "0", "enabled": "1"}, 2 * 7),
    ],
)
def test_a_filter_of_exactly_a_shown_value_finds_it(
    browser: Browser, sessions: Sessions, query: dict[str, str], count: int
) -> None:
    visit = Opened(browser, sessions.folder / "report.html")
    answer = visit.page.evaluate(
        """async (query) => {
            const { get } = await import("cryowatch/report/static/answers.js");
            return get("/api/sessions/edges/micrographs", query);
        }""",
        {**query, "limit": "500"},
    )
    assert answer["total"] == len(answer["micrographs"]) == count
    visit.close()


def test_estimates_without_a_fit_come_first_where_the_worst_do(browser: Browser, sessions: Sessions) -> None:
    visit = Opened(browser, sessions.folder / "report.html")
    script = """async (query) => {
        const { get } = await import("cryowatch/report/static/answers.js");
        return (await get("/api/sessions/edges/micrographs", query)).micrographs.map((m) => m.resolution);
    }"""
    worst = visit.page.evaluate(script, {"sort": "resolution", "order": "desc", "limit": "500"})
    best = visit.page.evaluate(script, {"sort": "resolution", "order": "asc", "limit": "500"})
    assert worst[:20] == [None] * 20
    assert worst[20] == 20.0
    assert best[0] == 2.0
    assert best[-20:] == [None] * 20
    visit.close()
